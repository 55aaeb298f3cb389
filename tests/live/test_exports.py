"""Live video on exports, on a machine without TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion.data import synthetic
from emotion.inference import engines
from tests.conftest import REPOSITORY, compose
from tests.helpers.once import made_once

pytestmark = pytest.mark.slow

_LABEL = """
import json, sys
sys.modules["tensorflow"] = None
from emotion.base.errors import UserError
from emotion.live import label_frames
found = {}
for name in ("litert", "onnx"):
    frames = list(label_frames(f"gray/exports/{name}", "face.png", outputs=".", smoothing=0))
    found[name] = [face.raw for frame, faces in frames for face in faces]
sys.modules["onnxruntime"] = None
sys.modules.pop("emotion.inference.runtimes", None)
try:
    list(label_frames("gray/exports/onnx", "face.png", outputs="."))
except UserError as error:
    found["absent"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(outputs: Path, common: Path) -> Path:
    """A folder with the run `gray`, two exports of it, and a picture of a face; do not change it."""
    from emotion.export import export

    with made_once(common / "live-exports") as made:
        if made:
            shutil.copytree(outputs / "gray", made / "gray")
            config = compose("train", "dataset=folder", "dataset.root=gone")
            OmegaConf.save(config, made / "gray" / "config.yaml", resolve=True)
            for name in ("litert", "onnx"):
                export(compose("export", "run=gray", f"outputs='{made}'", f"format={name}"))
            image, _ = synthetic.frame(3, 3)
            assert cv2.imwrite(str(made / "face.png"), image)
    return common / "live-exports"


def _python(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def test_litert_and_onnx_need_no_tensorflow(folder: Path) -> None:
    done = _python(["-c", _LABEL], folder)
    found = json.loads(done.stdout)
    assert len(found["litert"]) == len(found["onnx"]) == 1  # the face
    np.testing.assert_allclose(found["onnx"], found["litert"], atol=1e-4)
    assert "model.onnx: needs ONNX Runtime, which cannot be imported here" in found["absent"]
    assert "pip install onnxruntime" in found["absent"]


def test_both_say_what_the_checkpoint_says(folder: Path, models) -> None:
    pictures = [synthetic.picture(1, number, 64, 1.0) for number in range(20)]
    expected = engines.load(engines.find("gray", folder), "keras").classify(pictures)
    for name in ("litert", "onnx"):
        classifier = engines.load(engines.find(f"gray/exports/{name}", folder))
        np.testing.assert_allclose(classifier.classify(pictures), expected, rtol=0, atol=1e-4)
        classifier.warm_up()
        assert classifier.classify([]).shape == (0, 7)


def test_the_command_takes_an_export(folder: Path, tmp_path: Path) -> None:
    line = ["-m", "emotion.live", "run=latest/exports/onnx", f"outputs={folder}", "display=none"]
    line += [f"source={folder / 'face.png'}", f"log={tmp_path / 'faces.jsonl'}"]
    done = _python(line, tmp_path)
    assert done.stdout.startswith("run gray/exports/onnx on ")
    (record,) = [json.loads(text) for text in (tmp_path / "faces.jsonl").read_text().splitlines()]
    expected = engines.load(engines.find("gray/exports/onnx", folder)).contract.labels
    assert record["label"] in (*expected, "uncertain")
