"""``trainer.strategy=mirrored`` on two logical CPU devices: what one device trains, two train alike."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion import evaluate, runs
from emotion.base import files
from emotion.train import environment
from tests.conftest import REPOSITORY, compose
from tests.helpers.once import made_once

# The push tier has a mirrored training in test_train.
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@pytest.fixture(scope="module")
def folder(common: Path) -> Path:
    with made_once(common / "mirrored") as folder:
        if folder:
            line = [sys.executable, "-m", "tests.helpers.two_devices", str(folder)]
            done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=500, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return common / "mirrored"


def _history(run: Path) -> dict[str, list[float]]:
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "seconds"}


def test_two_devices_draw_the_curve_of_one_and_resume_on_it(folder: Path) -> None:
    one, two = _history(folder / "one"), _history(folder / "two")
    assert two["epoch"] == [1, 2, 3], "two epochs, then one more after the run was resumed"
    assert one.keys() == two.keys()
    # Batch norm over each device's own half moves the loss by several thousandths; what is left is rounding.
    np.testing.assert_allclose(two["loss"], one["loss"], atol=2e-4)
    np.testing.assert_allclose(two["val_loss"], one["val_loss"], atol=2e-4)
    np.testing.assert_allclose(two["accuracy"], one["accuracy"], atol=0.011)  # two pictures of 224 may tip over
    assert len(set(one["loss"])) == 3, "the loss moves"


def test_a_mirrored_run_is_a_run_like_any_other(folder: Path) -> None:
    run = runs.resolve(folder / "two", folder)
    assert run.record().status == "done"
    assert run.tflite_fault() is None
    scores = evaluate.evaluate(compose("evaluate", f"run={run.path}", "split=validation", "bootstrap=50"))
    assert scores["accuracy"]["value"] == run.record().scores["validation"]["accuracy"]
    assert 'synchronized": true' not in _saved_config(run), "what is saved knows nothing of devices"


def _saved_config(run: runs.Run) -> str:
    with zipfile.ZipFile(run.checkpoint()) as archive:
        return archive.read("config.json").decode()


def test_a_batch_that_two_devices_cannot_share_is_refused(folder: Path) -> None:
    said = files.read_json(folder / "odd" / "said.json")["error"]
    assert "trainer.batch_size: 33" in said
    assert "32 or 34" in said


@given(devices=st.integers(1, 16), count=st.integers(1, 40_000), batch_size=st.integers(128, 512))
def test_evaluation_leaves_no_device_without_pictures(devices: int, count: int, batch_size: int) -> None:
    size = environment.evaluation_batch(batch_size, count, devices)
    if count < 2 * devices**2:
        return  # a handful of pictures for a machine full of devices
    assert size % devices == 0
    for batch in {min(size, count), count % size or size}:
        part = math.ceil(batch / devices)
        assert batch - part * (devices - 1) > 0


def test_batch_norm_inside_a_backbone_is_synchronised_for_several_devices_only() -> None:
    def batch_norm() -> keras.layers.Layer:
        return keras.layers.BatchNormalization()

    backbone = keras.Sequential([keras.Input((4,)), batch_norm(), keras.Sequential([batch_norm()])])
    model = keras.Sequential([backbone, batch_norm()])
    layers = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    assert len(layers) == 3
    environment.synchronise(model, 1)
    assert not any(layer.synchronized for layer in layers)
    environment.synchronise(model, 2)
    assert all(layer.synchronized for layer in layers)
