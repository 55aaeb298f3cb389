"""Where the configs are, and the schema of every config group.

The YAML files under ``conf/`` give the values; these dataclasses give their names and types. Nothing here imports
TensorFlow, so a mistake in a command is answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from emotion import launchers

_PACKAGE = Path(__file__).resolve().parent
#: Where the configs are: inside an installed wheel, or beside the package in a checkout. Absolute, because a relative
#: ``config_path`` breaks in a wheel and under console scripts.
CONF = next(p for p in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if (p / "train.yaml").is_file())


# ---------------------------------------------------------------------------------------------------------- dataset


@dataclass
class Dataset:
    name: str = MISSING
    root: str | None = None
    cache: str = "memory"
    cache_dir: str = MISSING
    crop_margin: float | None = None
    drop_duplicates: str = "none"
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    limit: int | None = None


@dataclass
class Synthetic(Dataset):
    per_emotion: int = 500
    image_size: int = 64
    noise: float = 1.0


@dataclass
class Fer2013(Dataset):
    pass


@dataclass
class FerPlus(Dataset):
    votes: str | None = None
    label_mode: str = "majority"
    contempt: str = "drop"


@dataclass
class Folder(Dataset):
    numbering: str | None = None
    ignore: list[str] = field(default_factory=list)
    max_unreadable: float = 0.01
    test_unreviewed: bool = False


# ----------------------------------------------------------------------------------------------------- augmentation


@dataclass
class Augmentation:
    ops: list[Any] = field(default_factory=list)
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    unmixed_epochs: int = 0


#: The operations of ``augmentation.ops`` and their parameters with defaults; implemented in emotion/data/augment.py.
OPS: dict[str, dict[str, float]] = {
    "flip": {"probability": 0.5},
    "rotate": {"degrees": 10.0, "probability": 1.0},
    "translate": {"fraction": 0.1, "probability": 1.0},
    "scale": {"low": 0.9, "high": 1.1, "probability": 1.0},
    "shear": {"degrees": 5.0, "probability": 1.0},
    "brightness": {"delta": 0.1, "probability": 1.0},
    "contrast": {"low": 0.8, "high": 1.2, "probability": 1.0},
    "gamma": {"low": 0.8, "high": 1.25, "probability": 1.0},
    "noise": {"sigma": 0.02, "probability": 1.0},
    "blur": {"sigma": 1.0, "probability": 0.5},
    "erase": {"low": 0.02, "high": 0.2, "probability": 0.5},
}

# ------------------------------------------------------------------------------------------------------------ model


@dataclass
class Model:
    _target_: str = MISSING
    name: str = MISSING
    input_size: int = MISSING
    colour: str = "gray"
    interpolation: str = "area"
    frozen_epochs: int = 0
    batch_norm_frozen_epochs: int | None = 0
    fine_tune_scale: float = 1.0


@dataclass
class Cnn(Model):
    stages: list[int] = field(default_factory=list)
    convolutions: int = 2
    activation: str = "relu"
    residual: bool = False
    squeeze_excitation: bool = False
    stage_dropout: float = 0.0
    dropout: float = 0.0


#: Widths of MobileNetV2 that Keras publishes ImageNet weights for.
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


@dataclass
class MobileNetV2(Model):
    alpha: float = 1.0
    weights: str | None = "imagenet"
    dropout: float = 0.0


# ---------------------------------------------------------------------------------------------------------- trainer


#: Named settings of ``trainer.class_weight``; implemented in emotion/data/weights.py.
CLASS_WEIGHTS = ("none", "balanced", "sqrt", "effective")


@dataclass
class Trainer:
    epochs: int = MISSING
    batch_size: int = MISSING
    optimizer: str = "adamw"
    learning_rate: float = MISSING
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = True
    clip_norm: float | None = None
    ema: float | None = None
    label_smoothing: float = 0.0
    class_weight: Any = "none"
    monitor: str = "val_macro_f1"
    patience: int | None = None
    min_delta: float = 0.0
    precision: str = "float32"
    strategy: str = "default"
    deterministic: bool = False
    threads: int | None = None
    teacher: Any = None
    teacher_weight: float = 0.7
    teacher_temperature: float = 2.0
    calibrate: bool = True
    bootstrap: int = 1000


# --------------------------------------------------------------------------------------------------- whole commands


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
class Tuner:
    """A search; ``conf/tuner/`` says what the values mean."""

    name: str = MISSING
    max_trials: int | None = None
    objective: str = MISSING
    executions: int = 1
    max_failures: int = 3
    workers: int = 0
    seed: int = 0
    space: dict[str, Any] | None = field(default_factory=dict)


@dataclass
class Bayesian(Tuner):
    initial_points: int | None = None
    alpha: float = 1e-4
    beta: float = 2.6


@dataclass
class Hyperband(Tuner):
    factor: int = 3
    iterations: int = 1


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


def register() -> None:
    """Put the schemas where the YAML files' ``defaults`` lists find them (``base_<name>``)."""
    store = ConfigStore.instance()
    launchers.store_schemas(store)
    commands = {"train": Train, "tune": Tune, "evaluate": Evaluate, "compare": Compare, "export": Export, "live": Live}
    for name, command in commands.items():
        store.store(name=f"base_{name}", node=command)
    store.store(name="base_collect", node=Collect)
    store.store(name="base_audit", node=Audit)
    for name, dataset in {"synthetic": Synthetic, "fer2013": Fer2013, "ferplus": FerPlus, "folder": Folder}.items():
        store.store(group="dataset", name=f"base_{name}", node=dataset)
    store.store(group="augmentation", name="base_augmentation", node=Augmentation)
    for name, model in {"cnn": Cnn, "mobilenet_v2": MobileNetV2}.items():
        store.store(group="model", name=f"base_{name}", node=model)
    store.store(group="trainer", name="base_trainer", node=Trainer)
    for name, tuner in {"tuner": Tuner, "bayesian": Bayesian, "hyperband": Hyperband}.items():
        store.store(group="tuner", name=f"base_{name}", node=tuner)
