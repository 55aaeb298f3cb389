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
    compare: bool = False
    tuner: Any = None


@dataclass
class Tune(Training):
    tuner: Any = MISSING


@dataclass
class Evaluate:
    run: Any = MISSING
    split: str = choice(("train", "validation", "test"), "test")
    dataset: Any = None
    checkpoint: str = choice(("best", "last"), "best")
    tta: str = choice(("none", "flip"), "none")
    batch_size: int = number(1, 65_536, 256)
    bootstrap: int = number(0, 100_000, 1000)
    outputs: str = "outputs"


@dataclass
class Adopt:
    file: str = MISSING
    name: str | None = None
    labels: Any = MISSING
    pixels: str = choice(("minus_one_to_one", "zero_to_one", "raw", "imagenet"))
    output: str | None = choice(("probabilities", "logits"), None)
    height: int | None = number(16, 1024, None)
    width: int | None = number(16, 1024, None)
    colour: str | None = choice(COLOURS, None)
    interpolation: str = choice(INTERPOLATIONS, "area")
    source: str | None = None
    licence: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Tolerance:
    """How far an export may be from its checkpoint; ``conf/export.yaml`` says what the values mean."""

    probability: float | None = number(0, 1, None)
    accuracy: float | None = number(0, 1, None)


@dataclass
class Compare:
    runs: Any = MISSING
    split: str = choice(("train", "validation", "test"), "test")
    rank_by: str = choice(("accuracy", "macro_f1"), "accuracy")
    resamples: int = number(100, 100_000, 1000)
    seed: int = number(0, LARGEST_SEED, 0)
    latency: str = choice(("auto", "measured", "recorded"), "auto")
    pictures: int = number(0, 500, 12)
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Export:
    run: Any = MISSING
    format: str = choice(("litert", "onnx", "saved_model"), "litert")
    quantize: str | None = choice(("float16", "dynamic", "int8"), None)
    calibration: int = number(1, 1_000_000, 500)
    tolerance: Tolerance = field(default_factory=Tolerance)
    folder: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Publish:
    run: Any = MISSING
    folder: str = MISSING
    weights: bool = True
    half: bool = False
    largest: float = number(0.01, 100_000, 8.0)
    overwrite: bool = False
    hardware: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class FaceSearch:
    """How faces are searched for in a still image; ``conf/collect.yaml`` says what the values mean."""

    scale_factor: float = number(1.01, 2, 1.1)
    min_neighbors: int = number(1, 50, 5)
    min_size: float = number(0.01, 1, 0.08)
    working_size: int = number(64, 16_384, 1024)


@dataclass
class Detector(FaceSearch):
    """How faces are searched for in video; ``conf/live.yaml`` says what the values mean."""

    min_size: float = number(0.01, 1, 0.1)
    working_size: int = number(64, 16_384, 1280)
    mode: str = choice(("fast", "exact"), "fast")
    spread: int | None = number(1, 100, None)
    hold: int = number(0, 10_000, 15)


@dataclass
class ImageSearch:
    """How images are searched for and downloaded; ``conf/collect.yaml`` says what the values mean."""

    adult_filter: bool = True
    face: str | None = choice(FACES, "face")
    licence: str = choice(LICENCES, "any")
    size: str | None = choice(SIZES, "medium")
    parallel: int = number(1, 32, 4)
    timeout: int = number(1, 600, 15)
    deadline: float = number(1, None, 3600.0)
    retries: int = number(0, 100, 3)
    back_off: float = number(0, 3600, 1.0)
    min_interval: float = number(0, 3600, 0.5)
    max_bytes: int = number(1000, None, 20_000_000)


@dataclass
class Collect:
    root: str = MISSING
    source: str = "bing"
    path: Any = None
    emotion: str | None = choice(EMOTIONS, None)
    per_emotion: int = number(1, 1_000_000, 300)
    against: str | None = None
    apply: Any = None
    faces: str = choice(("one", "largest", "all"), "one")
    min_face: int = number(24, 4096, 64)
    min_sharpness: float = number(0, 100_000, 80.0)
    max_pixels: int = number(10_000, 80_000_000, 50_000_000)
    crop_margin: float = number(*CROP_MARGINS, 0.1)
    size: int = number(16, 1024, 96)
    colour: str = choice(COLOURS, "rgb")
    interpolation: str = choice(INTERPOLATIONS, "area")
    stride: int = number(1, None, 15)
    detector: FaceSearch = field(default_factory=FaceSearch)
    search: ImageSearch = field(default_factory=ImageSearch)
    queries: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class AuditLimits:
    """From which values on there is a finding; ``conf/audit.yaml`` says what the values mean."""

    no_face: float = number(0, 1, 0.15)
    imbalance: float = number(1, None, 10.0)
    label_noise: float = number(0, 1, 0.1)


@dataclass
class Audit:
    dataset: Any = MISSING
    run: Any = None
    fail_on: Any = field(default_factory=list)
    min_side: int = number(1, None, 32)
    limits: AuditLimits = field(default_factory=AuditLimits)
    pictures: int = number(0, 500, 12)
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Live:
    run: Any = MISSING
    source: Any = 0
    outputs: str = "outputs"
    display: str = choice(("auto", "window", "none"), "auto")
    save: str | None = None
    log: str | None = None
    timeline: str | None = None
    snapshots: str = "."
    bars: bool = True
    blur: bool = False
    stride: int = number(1, None, 1)
    max_frames: int | None = number(1, None, None)
    loop: bool = False
    engine: str = choice(("auto", "litert", "keras"), "auto")
    threads: int = number(1, 1024, 1)
    smoothing: float = number(0, 60, 0.25)
    min_confidence: float = number(0, 1, 0.4)
    max_gap: float = number(0, 60, 0.5)
    detector: Detector = field(default_factory=Detector)


COMMANDS = (Train, Tune, Evaluate, Adopt, Compare, Export, Publish, Collect, Audit, Live)
