"""The schema of every config group.

The YAML files under ``conf/`` give the values and explain them; these dataclasses give their types, choices and ranges.
Nothing here imports TensorFlow, so a mistake in a command is answered at once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import MISSING

from emotion.config import CONF as CONF
from emotion.config.commands import COMMANDS
from emotion.config.fields import LARGEST_SEED, choice, number
from emotion.faces.contract import COLOURS, CROP_MARGINS, INTERPOLATIONS
from emotion.faces.labels import NUMBERINGS


@dataclass
class Dataset:
    name: str = MISSING
    root: str | None = None
    cache: str = choice(("memory", "disk", "none"), "memory")
    cache_dir: str = MISSING
    crop_margin: float | None = number(*CROP_MARGINS, None, unit="fraction")
    drop_duplicates: str = choice(("none", "train_vs_test", "all"), "none")
    validation_fraction: float = number(0.01, 0.5, 0.1, unit="fraction")
    test_fraction: float = number(0.01, 0.5, 0.1, unit="fraction")
    split_seed: int = number(0, LARGEST_SEED, 0)
    limit: int | None = number(1, None, None, unit="images")


@dataclass
class Synthetic(Dataset):
    per_emotion: int = number(10, 100_000, 500, unit="images")
    image_size: int = number(24, 512, 64, unit="pixels")
    noise: float = number(0, 3, 1.0)


@dataclass
class Fer2013(Dataset):
    pass


@dataclass
class FerPlus(Dataset):
    votes: str | None = None
    label_mode: str = choice(("majority", "probability", "votes", "multi_target"), "majority")
    contempt: str = choice(("drop", "keep"), "drop")


@dataclass
class Folder(Dataset):
    numbering: str | None = choice(NUMBERINGS, None)
    ignore: list[str] = field(default_factory=list)
    max_unreadable: float = number(0, 1, 0.01, unit="fraction")
    test_unreviewed: bool = False
    faces: str = choice(("crops", "whole"), "crops")
    metadata: str | None = None
    group: str | None = None
    folds: int | None = number(2, 1000, None, unit="folds")
    fold: int | None = number(0, None, None)


@dataclass
class Mixed(Dataset):
    parts: list[Any] = field(default_factory=list)
    fuse: str = choice(("mean", "votes", "first"), "mean")


@dataclass
class Augmentation:
    ops: list[Any] = field(default_factory=list)
    mixup: float = number(0, 10, 0.0)
    cutmix: float = number(0, 10, 0.0)
    mix_probability: float = number(0, 1, 1.0, unit="fraction")
    unmixed_epochs: int = number(0, None, 0, unit="epochs")


#: The operations of ``augmentation.ops`` and their parameters with defaults; implemented in emotion/data/augment.py.
OPS: dict[str, dict[str, float]] = {
    "flip": {"probability": 0.5},
    "rotate": {"degrees": 10.0, "probability": 1.0},
    "translate": {"fraction": 0.1, "probability": 1.0},
    "scale": {"low": 0.9, "high": 1.1, "probability": 1.0},
    "shear": {"degrees": 5.0, "probability": 1.0},
    "jitter": {"shift": 0.012, "size": 0.03, "probability": 1.0},
    "brightness": {"delta": 0.1, "probability": 1.0},
    "contrast": {"low": 0.8, "high": 1.2, "probability": 1.0},
    "gamma": {"low": 0.8, "high": 1.25, "probability": 1.0},
    "noise": {"sigma": 0.02, "probability": 1.0},
    "blur": {"sigma": 1.0, "probability": 0.5},
    "motion_blur": {"low": 2.0, "high": 6.0, "probability": 0.2},
    "low_resolution": {"low": 24.0, "high": 48.0, "probability": 0.2},
    "shadow": {"low": 0.4, "high": 0.8, "probability": 0.2},
    "occlude": {"low": 0.1, "high": 0.3, "probability": 0.2},
    "jpeg": {"low": 30.0, "high": 90.0, "probability": 0.2},
    "erase": {"low": 0.02, "high": 0.2, "probability": 0.5},
}


@dataclass
class Model:
    _target_: str = MISSING
    name: str = MISSING
    input_size: int = number(16, 512, unit="pixels")
    colour: str = choice(COLOURS, "gray")
    interpolation: str = choice(INTERPOLATIONS, "area")
    frozen_epochs: int = number(0, None, 0, unit="epochs")
    batch_norm_frozen_epochs: int | None = number(0, None, 0, unit="epochs")
    fine_tune_scale: float = number(1e-6, 100, 1.0)


@dataclass
class Cnn(Model):
    stages: list[int] = field(default_factory=list)
    convolutions: int = number(1, 8, 2, unit="layers")
    stem_stride: int = number(1, 4, 1, unit="pixels")
    separable: bool = False
    activation: str = choice(("relu", "relu6", "gelu", "silu", "leaky_relu"), "relu")
    residual: bool = False
    squeeze_excitation: bool = False
    stage_dropout: float = number(0, 0.95, 0.0, unit="fraction")
    dropout: float = number(0, 0.95, 0.0, unit="fraction")


#: Widths of MobileNetV2 for which Keras publishes ImageNet weights.
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


@dataclass
class MobileNetV2(Model):
    alpha: float = number(0.1, 2, 1.0)
    weights: str | None = "imagenet"
    dropout: float = number(0, 0.95, 0.0, unit="fraction")


#: Named settings of ``trainer.class_weight``; implemented in emotion/data/weights.py.
CLASS_WEIGHTS = ("none", "balanced", "sqrt", "effective")
#: How often the images of each class are drawn; implemented in emotion/data/weights.py.
SAMPLERS = ("shuffle", "balanced", "sqrt")
#: What the best checkpoint of a run, and the best trial of a search, is chosen by.
OBJECTIVES = ("val_macro_f1", "val_accuracy", "val_loss")


@dataclass
class Trainer:
    epochs: int = number(1, 100_000, unit="epochs")
    batch_size: int = number(1, 65_536, unit="images")
    optimizer: str = choice(("adamw", "adam", "sgd", "rmsprop"), "adamw")
    learning_rate: float = number(1e-10, 100)
    schedule: str = choice(("cosine", "constant"), "cosine")
    warmup_epochs: float = number(0, None, 0.0, unit="epochs")
    weight_decay: float = number(0, 1, 0.0)
    momentum: float = number(0, 0.9999, 0.9)
    nesterov: bool = True
    clip_norm: float | None = number(1e-6, None, None)
    ema: float | None = number(0.5, 0.99999, None)
    label_smoothing: float = number(0, 0.9, 0.0, unit="fraction")
    sampler: str = choice(SAMPLERS, "shuffle")
    logit_adjustment: float = number(0, 2, 0.0)
    balanced_targets: bool = False
    class_weight: Any = "none"
    class_weight_epochs: int | None = number(1, None, None, unit="epochs")
    monitor: str = choice(OBJECTIVES, "val_macro_f1")
    patience: int | None = number(1, None, None, unit="epochs")
    min_delta: float = number(0, None, 0.0)
    precision: str = choice(("float32", "bfloat16", "float16"), "float32")
    strategy: str = choice(("default", "mirrored"), "default")
    deterministic: bool = False
    threads: int | None = number(1, 1024, None, unit="threads")
    teacher: Any = None
    teacher_seen: str = choice(("refuse", "count"), "refuse")
    teacher_weight: float = number(0, 1, 0.7, unit="fraction")
    teacher_temperature: float = number(0.1, 20, 2.0)
    initial_weights: str = choice(("model", "teacher"), "model")
    calibrate: bool = True
    bootstrap: int = number(0, 100_000, 10_000, unit="resamples")


@dataclass
class Tuner:
    """A search; ``conf/tuner/`` says what the values mean."""

    name: str = choice(("random", "bayesian", "hyperband", "grid"))
    max_trials: int | None = number(1, None, None, unit="trials")
    objective: str = choice(OBJECTIVES)
    executions: int = number(1, 100, 1, unit="runs")
    max_failures: int = number(1, None, 3, unit="trials")
    workers: int = number(0, 1024, 0, unit="trials")
    seed: int = number(0, LARGEST_SEED - 1, 0)
    space: dict[str, Any] | None = field(default_factory=dict)


@dataclass
class Bayesian(Tuner):
    initial_points: int | None = number(1, None, None, unit="trials")
    alpha: float = number(0, None, 1e-4)
    beta: float = number(0, None, 2.6)


@dataclass
class Hyperband(Tuner):
    factor: int = number(2, 100, 3)
    iterations: int = number(1, 1000, 1, unit="repetitions")


_JOBLIB, _SUBMITIT = "hydra_plugins.hydra_joblib_launcher", "hydra_plugins.hydra_submitit_launcher"
#: Option of ``hydra/launcher``: the plugin's package, its class, the distribution to install.
PLUGINS = {
    "joblib": (_JOBLIB, f"{_JOBLIB}.joblib_launcher.JoblibLauncher", "hydra-joblib-launcher"),
    "slurm": (_SUBMITIT, f"{_SUBMITIT}.submitit_launcher.SlurmLauncher", "hydra-submitit-launcher"),
}


@dataclass
class Joblib:
    """Options of joblib; ``conf/hydra/launcher/joblib.yaml`` says what the values mean."""

    _target_: str = PLUGINS["joblib"][1]
    n_jobs: int = MISSING
    batch_size: int = MISSING
    pre_dispatch: str = MISSING


@dataclass
class Slurm:
    """Options of Slurm and submitit; ``conf/hydra/launcher/slurm.yaml`` says what the values mean."""

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


#: Config group -> name of each schema (``base_<name>`` in a ``defaults`` list) -> schema.
GROUPS: dict[str, dict[str, type]] = {
    "dataset": {"synthetic": Synthetic, "fer2013": Fer2013, "ferplus": FerPlus, "folder": Folder, "mixed": Mixed},
    "augmentation": {"augmentation": Augmentation},
    "model": {"cnn": Cnn, "mobilenet_v2": MobileNetV2},
    "trainer": {"trainer": Trainer},
    "tuner": {"tuner": Tuner, "bayesian": Bayesian, "hyperband": Hyperband},
    "hydra/launcher": {"joblib": Joblib, "slurm": Slurm},
}


@functools.cache  # the store lasts as long as the process
def register() -> None:
    """Put the schemas where the YAML files' ``defaults`` lists find them (``base_<name>``)."""
    store = ConfigStore.instance()
    Plugins.instance()
    # Hydra has no public way to take a stored config back. The joblib plugin, where it is installed, stores one under
    # the name of our conf/hydra/launcher/joblib.yaml, and Hydra warns of every file that has such a namesake.
    store.repo["hydra"]["launcher"].pop("joblib.yaml", None)
    for command in COMMANDS:
        store.store(name=f"base_{command.__name__.lower()}", node=command)
    for group, schemas in GROUPS.items():
        for name, schema in schemas.items():
            store.store(group=group, name=f"base_{name}", node=schema)
