"""Networks of others, and how the command that adopts them is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emotion import adopt, runs
from emotion.config import cli
from emotion.data import synthetic
from emotion.faces import images
from emotion.faces.contract import Contract
from tests.helpers.trainings import TINY

#: FER2013's order, in its own words, and in ours.
THEIRS = "labels=[angry,disgust,fear,happy,sad,surprise,neutral]"
ORDER = adopt.label_order("fer2013")
DATA = ("dataset=synthetic", *(t for t in TINY if t.startswith("dataset.")))


def asked(*options: str) -> Any:
    """The config of the command with these options."""
    cfg = cli.request("adopt", list(options)).cfg
    assert cfg is not None
    return cfg


def adopted(file: Path, *options: str) -> runs.Run:
    """A file's network as a run, its labels and pixels as usual where no option says otherwise."""
    given = {o.partition("=")[0] for o in options}
    usual = [o for o in (THEIRS, "pixels=minus_one_to_one") if o.partition("=")[0] not in given]
    return adopt.adopt(asked(f"file={file}", f"outputs={file.parent / 'outputs'}", *usual, *options))


def drawn(contract: Contract, n: int = 5) -> Any:
    """Faces as a network of this contract takes them."""
    return np.stack([images.prepare(synthetic.picture(0, i, 48, 1.0), contract) for i in range(n)])


def network(
    shape: tuple[int | None, ...] = (24, 24, 1), outputs: int = 7, activation: str | None = "softmax", last: Any = None
) -> Any:
    """A tiny network with weights that give each picture other answers."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = keras.layers.SeparableConv2D(4, 3, strides=2, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(3)(x))
    x = keras.layers.Dense(outputs, activation=activation, bias_initializer="random_normal")(x)
    return keras.Model(inputs, x if last is None else last(x))
