"""A wrong export command: one message that says what to do next, before TensorFlow is imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emotion import runs
from emotion.runs import exports
from tests.conftest import REPOSITORY, emotion

pytestmark = pytest.mark.slow

MISTAKES = {
    "": "run: no value given. Set it with run=...",
    "run=lost": "run: no run 'lost' under",
    "run=small format=tflite": "format: 'tflite' is not one of litert, onnx, saved_model. Did you mean 'litert'?",
    "run=small quantize=int4": "quantize: 'int4' is not one of float16, dynamic, int8. Did you mean 'int8'?",
    "run=small format=onnx quantize=int8": "quantize: format=onnx is float32 only; leave quantize out, or choose",
    "run=small format=saved_model quantize=dynamic": "quantize: format=saved_model is float32 only",
    "run=small calibration=0": "calibration: 0 is out of range, must be from 1 to",
    "run=small tolerance.accuracy=2": "tolerance.accuracy: 2.0 is out of range, must be from 0 to 1",
    "run=small tolerance.accurcy=1": "tolerance.accurcy: no such key. Did you mean 'tolerance.accuracy'?",
    "run=small quantise=int8": "quantise: no such key. Did you mean 'quantize'?",
    "run=small dataset=folder": "dataset.root: no value given",
    "run=small folder=small": "folder: 'small' exists and holds something other than an export",
    "run=small folder=small/run.json/x": "small/run.json: File exists; the export cannot be written. Make room, or",
    "run=small folder=.": "folder: '.' is no name for a new folder",
    "run=small folder=a/..": "folder: 'a/..' is no name for a new folder",
    "run=small folder=~nobody-of-that-name/x": "there is no such user here",
    "run=small/exports": "is inside a run; name the run's own folder",
    "run=bare": "run bare (done) has no best checkpoint",
    "run=torn": "damaged",
    "run=small format=onnx -tf2onnx": "format=onnx needs tf2onnx, which is not installed here. pip install",
    "run=small format=onnx -onnx -onnxruntime": "format=onnx needs onnx, onnxruntime, which are not installed here",
    "run=small -tensorflow": "exporting needs TensorFlow, which is not installed here. pip install tensorflow",
}

_CODE = """
import json, sys
from emotion.config import cli
from emotion.base.errors import UserError
from emotion.export import export
said = []
for line in json.load(sys.stdin):
    words = line.split()
    absent = [word[1:] for word in words if word.startswith("-")]
    sys.modules.update(dict.fromkeys(absent))
    try:
        export(cli.request("export", ["outputs=.", *(word for word in words if word[0] != "-")]).cfg)
    except UserError as error:
        said.append(str(error))
    for name in absent:
        del sys.modules[name]
    assert "tensorflow" not in sys.modules and "onnxruntime" not in sys.modules, line
print(json.dumps(said))
"""


@pytest.fixture
def outputs(run: runs.Run) -> Path:
    folder = run.path.parent
    (run.path / "exports").mkdir()
    shutil.copytree(run.path, folder / "bare", ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(run.path, folder / "torn")
    (folder / "torn" / "run.json").write_text("{")
    return folder


def test_mistakes_are_answered_before_tensorflow_is_imported(outputs: Path) -> None:
    line = [sys.executable, "-c", _CODE]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run(
        line,
        input=json.dumps(list(MISTAKES)),
        cwd=outputs,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    for (line_, expected), message in zip(MISTAKES.items(), said, strict=True):
        assert expected in message, f"{line_}: {message}"
    assert {p.name for p in outputs.iterdir()} == {"small", "bare", "torn"}


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    done = emotion("export", "run=lost", f"outputs={tmp_path}", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: run: there are no runs under '{tmp_path}'. Train one first: python -m emotion.train, or take the one "
        "that ships with emotion: run=pretrained"
    ]
    assert "calibration" in emotion("export", "--help", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_what_may_be_replaced(tmp_path: Path) -> None:
    assert exports.may_be_replaced(tmp_path / "missing")
    folder = tmp_path / "export"
    folder.mkdir()
    assert exports.may_be_replaced(folder)
    (folder / "model.tflite").write_bytes(b"x")
    assert not exports.may_be_replaced(folder)  # somebody's model, but no export of ours
    (folder / "report.json").write_text('{"format": "litert"}')
    assert exports.may_be_replaced(folder)
    (tmp_path / "link").symlink_to(folder)
    assert not exports.may_be_replaced(tmp_path / "link")
    (folder / "notes.txt").write_text("mine")
    assert not exports.may_be_replaced(folder)
    assert not exports.may_be_replaced(folder / "notes.txt")
