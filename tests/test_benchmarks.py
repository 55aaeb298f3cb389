"""Every benchmark runs. What it measures is for people to read, not for a test to judge."""

from __future__ import annotations

import importlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

#: Makes a network that others are measured beside, and measures nothing.
CONVERTER = REPOSITORY / "benchmarks" / "face_api_network.py"
SCRIPTS = sorted(p for p in (REPOSITORY / "benchmarks").glob("*.py") if "__main__" in p.read_text() and p != CONVERTER)

#: Scripts that measure on data which the project may read but not ship, and where they want it.
NEEDS_SHARED = {
    "audit": ("--data", "data"),
    "box_jitter": ("--media", "media"),
    "fer2013_csv": ("--data", "data"),
    "live": ("--media", "media"),
}


def test_robustness_goes_on_where_it_was_and_sets_the_reference_to_100(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    robustness: Any = importlib.import_module("robustness")
    monkeypatch.setattr(robustness, "STRENGTHS", {"blur": (1.0, 3.0), "box moved": (0.1, 0.3)})
    x, labels = robustness.pictures(None, 21)
    opened = robustness.networks(["pretrained"], str(tmp_path), None, ["contract", "balanced"], tmp_path)
    assert len(opened) == 2
    first = robustness.measure(x, labels, opened, tmp_path / "out.json")
    reference, other = first.values()
    assert set(reference) == {"clean", "blur 1", "blur 3", "box moved 0.1", "box moved 0.3"}
    assert list(robustness.corruption_errors(reference, reference).values()) == pytest.approx([100.0, 100.0])
    errors = robustness.corruption_errors(other, reference)
    expected = (2 - other["blur 1"] - other["blur 3"]) / (2 - reference["blur 1"] - reference["blur 3"])
    assert errors["blur"] == pytest.approx(100 * expected)
    content = json.loads((tmp_path / "out.json").read_text())
    del content["accuracy"]["pretrained/live"]["blur 3"]
    (tmp_path / "out.json").write_text(json.dumps(content))
    repeated: list[int] = []
    accuracy = robustness.accuracy
    monkeypatch.setattr(robustness, "accuracy", lambda *a: repeated.append(1) or accuracy(*a))
    assert robustness.measure(x, labels, opened, tmp_path / "out.json") == first
    assert len(repeated) == 1
    robustness.measure(x[1:], labels[1:], opened, tmp_path / "out.json")
    assert len(repeated) == 11, "other images are measured anew"


def _separable(x: tf.Tensor, own: dict[str, np.ndarray], stride: int) -> tf.Tensor:
    filters = own["depthwise_filter"], own["pointwise_filter"]
    return tf.nn.separable_conv2d(x, *filters, (1, stride, stride, 1), "SAME") + own["bias"]


def test_face_apis_network_is_what_its_program_computes(tmp_path: Path) -> None:
    """The program's own steps, on random weights stored as the package stores them."""
    rng, stored, data, weights = np.random.default_rng(0), [], b"", {}

    def put(name: str, *shape: int) -> None:
        nonlocal data
        values = rng.integers(0, 256, shape).astype(np.uint8)
        inputs = 9 if name.endswith("depthwise_filter") else int(np.prod(shape[:-1]))
        scale = (0.9 / inputs) ** 0.5 / 74  # 74 is the standard deviation of the stored values
        entry: dict[str, Any] = {"name": name, "shape": shape, "dtype": "float32"}
        if len(shape) > 1:
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": -127 * scale}
            weights[name] = ((values - 127.0) * scale).astype(np.float32)
        else:
            weights[name] = rng.normal(0, 0.1, shape).astype(np.float32)
        data += values.tobytes() if len(shape) > 1 else weights[name].tobytes()
        stored.append(entry)

    widths = (32, 32, 64, 128, 256)
    for block, i in itertools.product(range(4), range(4)):
        before, after = widths[block + (i > 0)], widths[block + 1]
        if block == i == 0:
            put("dense0/conv0/filters", 3, 3, 3, 32)
        else:
            put(f"dense{block}/conv{i}/depthwise_filter", 3, 3, before, 1)
            put(f"dense{block}/conv{i}/pointwise_filter", 1, 1, before, after)
        put(f"dense{block}/conv{i}/bias", after)
    put("fc/weights", 256, 7)
    put("fc/bias", 7)
    (tmp_path / "model").mkdir()
    manifest = [{"paths": ["face_expression_model.bin"], "weights": stored}]
    (tmp_path / "model" / "face_expression_model-weights_manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "model" / "face_expression_model.bin").write_bytes(data)

    light = np.array([0.2, 0.6, 1.0])[:, None, None, None]
    faces = (light * rng.integers(0, 256, (3, 112, 112, 3))).astype(np.uint8)
    x = (tf.cast(faces, tf.float32) - [122.782, 117.001, 104.298]) / 255
    for block in range(4):
        own = [
            {k.split("/")[-1]: w for k, w in weights.items() if k.startswith(f"dense{block}/conv{i}/")}
            for i in range(4)
        ]
        one = tf.nn.relu(
            tf.nn.conv2d(x, own[0]["filters"], 2, "SAME") + own[0]["bias"] if block == 0 else _separable(x, own[0], 2)
        )
        two = _separable(one, own[1], 1)
        three = _separable(tf.nn.relu(one + two), own[2], 1)
        four = _separable(tf.nn.relu(one + two + three), own[3], 1)
        x = tf.nn.relu(one + two + three + four)
    expected = tf.nn.softmax(tf.reduce_mean(x, (1, 2)) @ weights["fc/weights"] + weights["fc/bias"])
    assert np.ptp(expected.numpy(), axis=0).max() > 0.01, "the faces differ"
    (tmp_path / "answers.json").write_text(json.dumps(expected.numpy().tolist()))
    faces.tofile(tmp_path / "faces.raw")

    line = [sys.executable, str(CONVERTER), "--package", ".", "--out", "out.keras"]
    line += ["--check", "answers.json", "--faces", "faces.raw"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "323,687 weights" in done.stdout
    assert float(done.stdout.split()[-1]) < 1e-5


def test_the_scripts_are_found() -> None:
    assert {"startup", "training"} <= {script.stem for script in SCRIPTS}


@pytest.mark.nightly
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_runs_quickly_and_prints_a_table(script: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data: list[str] = []
    if script.stem in NEEDS_SHARED:
        option, folder = NEEDS_SHARED[script.stem]
        data = [option, str(request.getfixturevalue("shared") / folder)]
    line = [sys.executable, str(script), "--quick", *data]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "cores" in done.stdout, "a figure without its machine says nothing"
    assert len(done.stdout.splitlines()) >= 3
    assert not list(tmp_path.iterdir()), "left something behind"
