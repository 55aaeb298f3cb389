"""A run on a folder of drawn faces, with a small network that has learnt something: exports need no long training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import runs
from emotion.data import synthetic
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose
from tests.helpers.once import made_once

CONTRACT = Contract(height=32, width=40, colour="rgb", interpolation="linear")
#: People in each split; each shows all seven emotions.
PEOPLE = {"train": range(16), "val": range(16, 26), "test": range(26, 28)}


def draw_split(root: Path, split: str, people: Sequence[int]) -> None:
    for number in (7 * person + emotion for person in people for emotion in range(7)):
        folder = root / split / EMOTIONS[number % 7]
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{number}.png"), synthetic.picture(0, number, 48, 0.3))


def network(outlier: bool = False) -> Any:
    """A small network; with an outlier it is one that int8 breaks: a channel so large that the others round to 0."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input(CONTRACT.shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Conv2D(16, 5, strides=3, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    if outlier:
        large = keras.layers.Rescaling(1e6, offset=1e6)(
            keras.layers.GlobalAveragePooling1D(keepdims=False)(x[..., None])
        )
        x = keras.layers.Concatenate()([x, large])
    return keras.Model(image, keras.layers.Dense(7, activation="softmax", name="answer")(x))


def put(folder: Path, model: Any, root: Path | None) -> runs.Run:
    """A run's folder, as training leaves it, but without ``model.tflite``."""
    (folder / "checkpoints").mkdir(parents=True)
    model.save(folder / "checkpoints" / "best.keras")
    CONTRACT.save(folder / "contract.json")
    record = {"id": folder.name, "status": "done", "created": "2026-01-01", "seed": 0, "command": "-", "versions": {}}
    (folder / "run.json").write_text(json.dumps(record))
    cfg = compose("train", "dataset=folder", f"dataset.root='{root}'", "model=cnn")
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    return runs.Run(folder, folder.name)


@pytest.fixture(scope="session")
def root(common: Path) -> Path:
    """Drawn faces in ``{train,val,test}/<emotion>``; do not change it."""
    with made_once(common / "export-faces") as folder:
        if folder:
            for split, people in PEOPLE.items():
                draw_split(folder, split, people)
    return common / "export-faces"


@pytest.fixture(scope="session")
def learnt(root: Path, common: Path) -> runs.Run:
    """The run; do not change it."""
    with made_once(common / "learnt") as folder:
        if folder:
            _learn(folder / "small", root)
    return runs.Run(common / "learnt" / "small", "small")


def _learn(folder: Path, root: Path) -> None:
    from emotion.inference import held_out

    model = network()
    run = put(folder, model, root)
    splits = held_out.load(run, None, needed=True)
    assert splits is not None
    targets = np.eye(7, dtype=np.float32)[splits.train.labels]
    model.compile("adam", "categorical_crossentropy")
    model.fit(held_out.read(splits.train, CONTRACT), targets, epochs=12, batch_size=16, verbose=0)
    model.save(run.checkpoint())


@pytest.fixture
def run(learnt: runs.Run, tmp_path: Path) -> runs.Run:
    """A copy of the run."""
    shutil.copytree(learnt.path, tmp_path / "outputs" / "small")
    return runs.Run(tmp_path / "outputs" / "small", "small")


@pytest.fixture(scope="session")
def validation(learnt: runs.Run) -> tuple[np.ndarray, np.ndarray]:
    """The validation split's pictures, prepared, and their labels."""
    from emotion.inference import held_out

    splits = held_out.load(learnt, None, needed=True)
    assert splits is not None
    return held_out.read(splits.validation, CONTRACT), splits.validation.labels


def exporting(run: runs.Run, *overrides: str) -> dict[str, Any]:
    """Export in this process."""
    from emotion.export import export

    return export(compose("export", f"run='{run.path}'", f"outputs='{run.path.parent}'", *overrides))
