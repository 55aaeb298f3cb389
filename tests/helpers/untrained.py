"""A small real model in both colours, as a run's folder has it, and a drawn video."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emotion.base import files
from emotion.data import synthetic
from emotion.faces.contract import Contract

CONTRACTS = {
    "gray": Contract(height=48, width=48, colour="gray", crop_margin=0.1),
    "rgb": Contract(height=40, width=56, colour="rgb", interpolation="linear"),
}


@dataclass(frozen=True)
class Model:
    """A Keras model, its LiteRT export in a run's folder, and the contract of both."""

    keras: Any
    tflite: Path
    contract: Contract


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two runs, `gray` and `rgb`; untrained, but with weights that tell pictures apart."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def models(outputs: Path) -> dict[str, Model]:
    import keras
    import tensorflow as tf

    made = {}
    for number, (name, contract) in enumerate(CONTRACTS.items()):
        keras.utils.set_random_seed(number)
        image = keras.Input(contract.shape, dtype="uint8")
        x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
        x = keras.layers.Conv2D(8, 5, strides=3, activation="relu", kernel_initializer="he_normal")(x)
        x = keras.layers.Flatten()(x)
        model = keras.Model(image, keras.layers.Dense(len(contract.labels), activation="softmax")(x))
        folder = outputs / name
        (folder / "checkpoints").mkdir(parents=True)
        model.save(folder / "checkpoints" / "best.keras")
        tflite = folder / "model.tflite"
        tflite.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        contract.save(folder / "contract.json")
        record = {
            "id": name,
            "status": "done",
            "created": f"2026-01-0{number + 1}",
            "tflite": {"checkpoint": files.sha256(folder / "checkpoints" / "best.keras")},
        }
        (folder / "run.json").write_text(json.dumps(record))
        made[name] = Model(model, tflite, contract)
    return made


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[synthetic.Moment]]:
    """Two seconds of two drawn people, 24 frames, and where their faces are."""
    path = tmp_path_factory.mktemp("video") / "drawn.mp4"
    return path, synthetic.video(path, seconds=2.0, fps=12.0, size=(640, 360), persons=2)
