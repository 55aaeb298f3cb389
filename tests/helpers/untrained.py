"""A small real model in both colours, as a run's folder has it, and a drawn video."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from emotion.base import files
from emotion.data import synthetic
from emotion.data.drawing.acting import Moment
from emotion.faces.contract import Contract
from tests.helpers.once import made_once

CONTRACTS = {
    "gray": Contract(height=48, width=48, colour="gray", crop_margin=0.1),
    "rgb": Contract(height=40, width=56, colour="rgb", interpolation="linear"),
}


@dataclass(frozen=True)
class Model:
    """A Keras model, its LiteRT export in a run's folder, and the contract of both."""

    folder: Path
    contract: Contract

    @property
    def tflite(self) -> Path:
        return self.folder / "model.tflite"

    @cached_property
    def keras(self) -> Any:
        """The Keras model, whose reading imports TensorFlow."""
        from emotion.runs import checkpoints

        return checkpoints.load(self.folder / "checkpoints" / "best.keras")


@pytest.fixture(scope="session")
def outputs(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder of two runs, `gray` and `rgb`; untrained, but with weights that tell pictures apart."""
    with made_once(common / "untrained") as folder:
        if folder:
            for number, name in enumerate(CONTRACTS):
                _make(folder / name, number)
    return Path(shutil.copytree(common / "untrained", tmp_path_factory.mktemp("outputs"), dirs_exist_ok=True))


@pytest.fixture(scope="session")
def models(outputs: Path) -> dict[str, Model]:
    return {name: Model(outputs / name, contract) for name, contract in CONTRACTS.items()}


def _make(folder: Path, number: int) -> None:
    import keras
    import tensorflow as tf

    contract = CONTRACTS[folder.name]
    keras.utils.set_random_seed(number)
    image = keras.Input(contract.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(8, 5, strides=3, activation="relu", kernel_initializer="he_normal")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(image, keras.layers.Dense(len(contract.labels), activation="softmax")(x))
    (folder / "checkpoints").mkdir(parents=True)
    model.save(folder / "checkpoints" / "best.keras")
    (folder / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    contract.save(folder / "contract.json")
    record = {
        "id": folder.name,
        "status": "done",
        "created": f"2026-01-0{number + 1}",
        "tflite": {"checkpoint": files.sha256(folder / "checkpoints" / "best.keras")},
    }
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture(scope="session")
def drawn(common: Path) -> tuple[Path, list[Moment]]:
    """Two seconds of two drawn people, 24 frames, and where their faces are; do not change it."""
    path = common / "drawn"
    with made_once(path) as folder:
        if folder:
            moments = synthetic.video(folder / "drawn.mp4", seconds=2.0, fps=12.0, size=(640, 360), persons=2)
            (folder / "moments.pickle").write_bytes(pickle.dumps(moments))
    return path / "drawn.mp4", pickle.loads((path / "moments.pickle").read_bytes())
