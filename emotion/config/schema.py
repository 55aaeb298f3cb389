"""Where the configs are, and the schema of every config group.

The YAML files under ``conf/`` give the values; these dataclasses give their names and types. Nothing here imports
TensorFlow, so a mistake in a command is answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING

from emotion.config.commands import COMMANDS

_PACKAGE = Path(__file__).resolve().parents[1]
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
    stem_stride: int = 1
    separable: bool = False
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
    class_weight_epochs: int | None = None
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


# ------------------------------------------------------------------------------------------------------------ tuner


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


# --------------------------------------------------------------------------------------------------------- launchers


#: Option of ``hydra/launcher``: the plugin's package, what Hydra calls its class, what to install.
PLUGINS = {
    "joblib": (
        "hydra_plugins.hydra_joblib_launcher",
        "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
        "hydra-joblib-launcher",
    ),
    "slurm": (
        "hydra_plugins.hydra_submitit_launcher",
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
        "hydra-submitit-launcher",
    ),
}


@dataclass
class Joblib:
    """What joblib is told; ``conf/hydra/launcher/joblib.yaml`` says what the values mean."""

    _target_: str = PLUGINS["joblib"][1]
    n_jobs: int = MISSING
    batch_size: int = MISSING
    pre_dispatch: str = MISSING


@dataclass
class Slurm:
    """What Slurm and submitit are told; ``conf/hydra/launcher/slurm.yaml`` says what the values mean."""

    _target_: str = PLUGINS["slurm"][1]
    submitit_folder: str = MISSING
    name: str = MISSING
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: int | None = None
    timeout_min: int = MISSING
    signal_delay_s: int = MISSING
    max_num_timeout: int = MISSING
    array_parallelism: int = MISSING
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)


def register() -> None:
    """Put the schemas where the YAML files' ``defaults`` lists find them (``base_<name>``)."""
    store = ConfigStore.instance()
    _store_launchers(store)
    for command in COMMANDS:
        store.store(name=f"base_{command.__name__.lower()}", node=command)
    for name, dataset in {"synthetic": Synthetic, "fer2013": Fer2013, "ferplus": FerPlus, "folder": Folder}.items():
        store.store(group="dataset", name=f"base_{name}", node=dataset)
    store.store(group="augmentation", name="base_augmentation", node=Augmentation)
    for name, model in {"cnn": Cnn, "mobilenet_v2": MobileNetV2}.items():
        store.store(group="model", name=f"base_{name}", node=model)
    store.store(group="trainer", name="base_trainer", node=Trainer)
    for name, tuner in {"tuner": Tuner, "bayesian": Bayesian, "hyperband": Hyperband}.items():
        store.store(group="tuner", name=f"base_{name}", node=tuner)


def _store_launchers(store: ConfigStore) -> None:
    """Put the schemas of both options where ``conf/hydra/launcher`` finds them, whether or not a plugin is there."""
    Plugins.instance()
    # joblib's plugin stores a config of its own under our file's name, and Hydra would hold ours against it.
    store.repo["hydra"]["launcher"].pop("joblib.yaml", None)
    store.store(group="hydra/launcher", name="base_joblib", node=Joblib)
    store.store(group="hydra/launcher", name="base_slurm", node=Slurm)
