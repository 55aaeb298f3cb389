"""The schema of every command: names, types, choices and ranges of the keys that ``conf/<command>.yaml`` explains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from emotion.config.fields import LARGEST_SEED, choice, number
from emotion.faces.contract import COLOURS, CROP_MARGINS, INTERPOLATIONS
from emotion.faces.labels import EMOTIONS

#: ``source`` of ``emotion.collect`` -> where the labels of its images come from.
LABEL_SOURCES = {"bing": "query", "folder": "folder", "video": "person", "camera": "person"}

#: Filters of the image search.
LICENCES = ("any", "creative_commons", "public", "share", "share_commercially", "modify", "modify_commercially")
FACES = ("face", "portrait")
SIZES = ("small", "medium", "large", "wallpaper")

#: What ``emotion.audit`` can find, in the order of its report.
FINDINGS = ("leakage", "near_leakage", "conflicts", "duplicates", "near_duplicates", "unreadable", "blank", "no_face",
            "tiny", "imbalance", "altered", "label_noise")  # fmt: skip


@dataclass
class Training:
    """What every command that trains composes."""

    dataset: Any = MISSING
    augmentation: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    seed: int = number(0, LARGEST_SEED, 0)
    outputs: str = "outputs"
    resume: Any = None


@dataclass
class Train(Training):
    again: Any = None
    compare: bool = False
    tuner: Any = None


@dataclass
class Tune(Training):
    tuner: Any = MISSING


@dataclass
class Evaluate:
    run: Any = MISSING
    split: str | None = choice(("train", "validation", "test", "all"), None)
    dataset: Any = None
    datasets: Any = field(default_factory=list)
    faces: str = choice(("auto", "whole", "search"), "auto")
    no_face: str = choice(("whole", "leave_out"), "whole")
    slices: bool | None = None
    checkpoint: str = choice(("best", "last"), "best")
    tta: str = choice(("none", "flip"), "none")
    prior: Any = None
    batch_size: int = number(1, 65_536, 256, unit="images")
    bootstrap: int = number(0, 100_000, 10_000, unit="resamples")
    explain: int = number(0, 500, 0, unit="images")
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Adopt:
    file: str = MISSING
    name: str | None = None
    labels: Any = MISSING
    pixels: str = choice(("minus_one_to_one", "zero_to_one", "raw", "imagenet", "caffe"))
    output: str | None = choice(("probabilities", "logits"), None)
    height: int | None = number(16, 1024, None, unit="pixels")
    width: int | None = number(16, 1024, None, unit="pixels")
    colour: str | None = choice((*COLOURS, "bgr"), None)
    interpolation: str = choice(INTERPOLATIONS, "area")
    source: str | None = None
    licence: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Tolerance:
    """How far an export may be from its checkpoint; ``conf/export.yaml`` says what the values mean."""

    probability: float | None = number(0, 1, None, unit="fraction")
    accuracy: float | None = number(0, 1, None, unit="fraction")
    changed_labels: float | None = number(0, 1, None, unit="fraction")


@dataclass
class Compare:
    runs: Any = MISSING
    split: str = choice(("train", "validation", "test"), "test")
    rank_by: str = choice(("accuracy", "macro_f1"), "accuracy")
    rank_on: str = choice(("validation", "test"), "validation")
    resamples: int | None = number(100, 100_000, None, unit="resamples")
    seed: int = number(0, LARGEST_SEED, 0)
    latency: str = choice(("auto", "measured", "recorded"), "auto")
    pictures: int = number(0, 500, 12, unit="images")
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Export:
    run: Any = MISSING
    format: str = choice(("litert", "onnx", "saved_model"), "litert")
    quantize: str | None = choice(("float16", "dynamic", "int8"), None)
    prior: Any = None
    calibration: int = number(1, 1_000_000, 500, unit="images")
    tolerance: Tolerance = field(default_factory=Tolerance)
    accept: bool = False
    folder: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Publish:
    run: Any = MISSING
    folder: str = MISSING
    weights: bool = True
    half: bool = False
    prior: Any = None
    evaluations: Any = None
    largest: float = number(0.01, 100_000, 8.0, unit="MB")
    overwrite: bool = False
    hardware: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class FaceSearch:
    """How faces are searched for in a still image; ``conf/collect.yaml`` says what the values mean."""

    scale_factor: float = number(1.01, 2, 1.1)
    min_neighbors: int = number(1, 50, 5, unit="detections")
    min_size: float = number(0.01, 1, 0.08, unit="fraction")
    working_size: int = number(64, 16_384, 1024, unit="pixels")


@dataclass
class Detector:
    """How faces are searched for in video and images; ``conf/live.yaml`` says what the values mean."""

    scale_factor: float = number(1.01, 2, 1.1)
    min_neighbors: int = number(1, 50, 5, unit="detections")
    min_size: float | None = number(0.01, 1, None, unit="fraction")
    working_size: int | None = number(64, 16_384, None, unit="pixels")
    mode: str = choice(("fast", "exact"), "fast")
    spread: int | None = number(1, 100, None, unit="frames")
    hold: int = number(0, 10_000, 15, unit="frames")


@dataclass
class ImageSearch:
    """How images are searched for and downloaded; ``conf/collect.yaml`` says what the values mean."""

    adult_filter: bool = True
    face: str | None = choice(FACES, "face")
    licence: str = choice(LICENCES, "any")
    size: str | None = choice(SIZES, "medium")
    parallel: int = number(1, 32, 4, unit="emotions")
    timeout: int = number(1, 600, 15, unit="seconds")
    deadline: float = number(1, None, 3600.0, unit="seconds")
    retries: int = number(0, 100, 3, unit="retries")
    back_off: float = number(0, 3600, 1.0, unit="seconds")
    min_interval: float = number(0, 3600, 0.5, unit="seconds")
    max_bytes: int = number(1000, None, 20_000_000, unit="bytes")
    allow_private: bool = False


@dataclass
class Collect:
    root: str = MISSING
    source: str = "bing"
    path: Any = None
    emotion: str | None = choice(EMOTIONS, None)
    per_emotion: int = number(1, 1_000_000, 300, unit="images")
    against: str | None = None
    apply: Any = None
    faces: str = choice(("one", "largest", "all"), "one")
    min_face: int = number(24, 4096, 64, unit="pixels")
    min_sharpness: float = number(0, 100_000, 80.0)
    max_pixels: int = number(10_000, 80_000_000, 50_000_000, unit="pixels")
    crop_margin: float = number(*CROP_MARGINS, 0.1, unit="fraction")
    size: int = number(16, 1024, 96, unit="pixels")
    colour: str = choice(COLOURS, "rgb")
    interpolation: str = choice(INTERPOLATIONS, "area")
    stride: int = number(1, None, 15, unit="frames")
    detector: FaceSearch = field(default_factory=FaceSearch)
    search: ImageSearch = field(default_factory=ImageSearch)
    queries: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class AuditLimits:
    """From which values on there is a finding; ``conf/audit.yaml`` says what the values mean."""

    no_face: float = number(0, 1, 0.15, unit="fraction")
    imbalance: float = number(1, None, 10.0)
    label_noise: float = number(0, 1, 0.1, unit="fraction")
    run_accuracy: float = number(0, 1, 0.6, unit="fraction")


@dataclass
class Audit:
    dataset: Any = MISSING
    run: Any = None
    fail_on: Any = field(default_factory=list)
    min_side: int = number(1, None, 32, unit="pixels")
    limits: AuditLimits = field(default_factory=AuditLimits)
    pictures: int = number(0, 500, 12, unit="images")
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Tls:
    cert: str | None = None
    key: str | None = None


@dataclass
class Address:
    """Where a server listens and who may use it; ``conf/serve.yaml`` says what the values mean."""

    host: str = "127.0.0.1"
    port: int = number(0, 65_535, 8000)
    token: Any = None
    hosts: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    tls: Tls = field(default_factory=Tls)


@dataclass
class Viewing(Address):
    """``display=browser`` of live; ``conf/live.yaml`` says what the values mean."""

    viewers: int = number(1, 1000, 8, unit="viewers")


@dataclass
class Live:
    run: Any = MISSING
    source: Any = 0
    outputs: str = "outputs"
    display: str = choice(("auto", "window", "browser", "none"), "auto")
    save: str | None = None
    log: str | None = None
    timeline: str | None = None
    snapshots: str = "."
    bars: bool = True
    blur: bool = False
    stride: int = number(1, None, 1, unit="frames")
    max_frames: int | None = number(1, None, None, unit="frames")
    loop: bool = False
    engine: str = choice(("auto", "litert", "keras"), "auto")
    threads: int = number(1, 1024, 1, unit="threads")
    smoothing: float = number(0, 60, 0.25, unit="seconds")
    min_confidence: float = number(0, 1, 0.4, unit="fraction")
    max_gap: float = number(0, 60, 0.5, unit="seconds")
    prior: Any = None
    detector: Detector = field(default_factory=Detector)
    browser: Viewing = field(default_factory=Viewing)


@dataclass
class ServeLimits:
    """What one client may ask of the server; ``conf/serve.yaml`` says what the values mean."""

    sessions: int = number(1, 10_000, 8, unit="visitors")
    frames: float = number(1, 240, 30.0, unit="frames per second")
    idle: float = number(1, 86_400, 60.0, unit="seconds")
    rate: float = number(0.1, 1_000_000, 100.0, unit="requests per second")
    picture_mib: float = number(0.01, 1024, 10.0, unit="MiB")
    megapixels: float = number(0.01, 1000, 40.0, unit="megapixels")
    pictures: int = number(1, 1000, 64, unit="images")
    body_mib: float = number(0.01, 4096, 64.0, unit="MiB")
    video_mib: float = number(0.01, 65_536, 256.0, unit="MiB")
    video_frames: int = number(1, 10_000_000, 20_000, unit="frames")


@dataclass
class Serve(Address):
    run: Any = MISSING
    outputs: str = "outputs"
    workers: int = number(1, 64, 1, unit="processes")
    prior: Any = None
    engine: str = choice(("auto", "litert", "keras"), "auto")
    threads: int = number(1, 1024, 1, unit="threads")
    smoothing: float = number(0, 60, 0.25, unit="seconds")
    min_confidence: float = number(0, 1, 0.4, unit="fraction")
    max_gap: float = number(0, 60, 0.5, unit="seconds")
    limits: ServeLimits = field(default_factory=ServeLimits)
    detector: Detector = field(default_factory=Detector)


COMMANDS = (Train, Tune, Evaluate, Adopt, Compare, Export, Publish, Collect, Audit, Live, Serve)
