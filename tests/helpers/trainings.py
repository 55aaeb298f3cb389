"""Small trainings, and what they leave in their folders."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base import files
from emotion.config import checks, cli
from emotion.runs import creating

#: A training that takes seconds: few drawn faces, a tiny network.
TINY = (
    "dataset.per_emotion=24",
    "dataset.image_size=48",
    "dataset.noise=0.3",
    "model.stages=[8,16]",
    "trainer.epochs=2",
    "trainer.batch_size=32",
    "trainer.bootstrap=50",
)

#: Class weights with which a training fails, not its validation before: they overflow float32.
HEAVY = "{angry: 1e38, disgusted: 1e38, fearful: 1e38, happy: 1e38, neutral: 1e38, sad: 1e38, surprised: 1e38}"

OWN_FACTORY = "my_models.py"
#: A user's own model, augmentation and config folder, by their paths.
MINE = {
    OWN_FACTORY: """
import keras
from emotion.models.blocks import head, normalised_input

def build(contract, width=8):
    inputs, x = normalised_input(contract)
    x = keras.layers.Conv2D(width, 3, strides=4, activation="relu")(x)
    return keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D()(x), contract))
""",
    "my conf/model/mine.yaml": "_target_: my_models.build\nname: mine\ninput_size: 32\ncolour: gray\nwidth: 8\n",
    "my conf/augmentation/own_base.yaml": "defaults: [base_augmentation, _self_]\nops: [{flip: {probability: 0.25}}]\n",
    "my conf/augmentation/own.yaml": "defaults: [own_base, _self_]\nmixup: 0.125\n",
}


def config_of_command(command: str) -> dict[str, Any]:
    """The config of the run that a recorded command of ``emotion.train`` makes, typed in this folder."""
    words = shlex.split(command)
    arguments = words[words.index("emotion.train") + 1 :]
    cfg = cli.request("train", arguments).cfg
    assert cfg is not None
    return plain(checks.completed(creating.with_absolute_paths(cfg)))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config as dictionaries and lists."""
    content = OmegaConf.to_container(cfg)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def rows(run: Path) -> list[str]:
    """The lines of a run's history, one an epoch."""
    history = run / "history.csv"
    return history.read_text().splitlines()[1:] if history.is_file() else []


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and its digest."""
    return {p.relative_to(folder).as_posix(): files.sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
