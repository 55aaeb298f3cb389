"""The schema of every command: names and types of the values that ``conf/<command>.yaml`` gives and explains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


@dataclass
class Training:
    """What every command that trains composes."""

    dataset: Any = MISSING
    augmentation: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    seed: int = 0
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
    split: str = "test"
    dataset: Any = None
    checkpoint: str = "best"
    tta: str = "none"
    batch_size: int = 256
    bootstrap: int = 1000
    outputs: str = "outputs"


@dataclass
class Adopt:
    file: str = MISSING
    name: str | None = None
    labels: Any = MISSING
    pixels: str = MISSING
    output: str | None = None
    height: int | None = None
    width: int | None = None
    colour: str | None = None
    interpolation: str = "area"
    source: str | None = None
    licence: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Tolerance:
    """How far an export may be from its checkpoint; ``conf/export.yaml`` says what the values mean."""

    probability: float | None = None
    accuracy: float | None = None


@dataclass
class Compare:
    runs: Any = MISSING
    split: str = "test"
    rank_by: str = "accuracy"
    resamples: int = 1000
    seed: int = 0
    latency: str = "auto"
    pictures: int = 12
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Export:
    run: Any = MISSING
    format: str = "litert"
    quantize: str | None = None
    calibration: int = 500
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
    largest: float = 8.0
    overwrite: bool = False
    hardware: str | None = None
    dataset: Any = None
    outputs: str = "outputs"


@dataclass
class Detector:
    """How faces are searched for in video; ``conf/live.yaml`` says what the values mean."""

    mode: str = "fast"
    scale_factor: float = 1.1
    min_neighbors: int = 5
    min_size: float = 0.1
    working_size: int = 1280
    spread: int | None = None
    hold: int = 15


@dataclass
class FaceSearch:
    """How faces are searched for in a still picture; ``conf/collect.yaml`` says what the values mean."""

    scale_factor: float = 1.1
    min_neighbors: int = 5
    min_size: float = 0.08
    working_size: int = 1024


@dataclass
class ImageSearch:
    """How pictures are searched for and fetched; ``conf/collect.yaml`` says what the values mean."""

    adult_filter: bool = True
    face: str | None = "face"
    licence: str = "any"
    size: str | None = "medium"
    parallel: int = 4
    timeout: int = 15
    deadline: float = 3600.0
    retries: int = 3
    back_off: float = 1.0
    min_interval: float = 0.5
    max_bytes: int = 20_000_000


@dataclass
class Collect:
    root: str = MISSING
    source: str = "bing"
    path: Any = None
    emotion: str | None = None
    per_emotion: int = 300
    against: str | None = None
    apply: Any = None
    faces: str = "one"
    min_face: int = 64
    min_sharpness: float = 80.0
    max_pixels: int = 50_000_000
    crop_margin: float = 0.1
    size: int = 96
    colour: str = "rgb"
    interpolation: str = "area"
    stride: int = 15
    detector: FaceSearch = field(default_factory=FaceSearch)
    search: ImageSearch = field(default_factory=ImageSearch)
    queries: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class AuditLimits:
    """From where on findings are met; ``conf/audit.yaml`` says what the values mean."""

    no_face: float = 0.15
    imbalance: float = 10.0
    label_noise: float = 0.1


@dataclass
class Audit:
    dataset: Any = MISSING
    run: Any = None
    fail_on: Any = field(default_factory=list)
    min_side: int = 32
    limits: AuditLimits = field(default_factory=AuditLimits)
    pictures: int = 12
    outputs: str = "outputs"
    folder: str | None = None


@dataclass
class Live:
    run: Any = MISSING
    source: Any = 0
    outputs: str = "outputs"
    display: str = "auto"
    save: str | None = None
    log: str | None = None
    timeline: str | None = None
    snapshots: str = "."
    bars: bool = True
    blur: bool = False
    stride: int = 1
    max_frames: int | None = None
    loop: bool = False
    engine: str = "auto"
    threads: int = 1
    smoothing: float = 0.25
    min_confidence: float = 0.4
    max_gap: float = 0.5
    detector: Detector = field(default_factory=Detector)


COMMANDS = (Train, Tune, Evaluate, Adopt, Compare, Export, Publish, Collect, Audit, Live)
