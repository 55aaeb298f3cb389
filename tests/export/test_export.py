"""Exports of each kind: what is in the folder, whether its figures are true, what becomes of one that is not equal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.export import NOT_EQUAL, NotEqualError, job
from emotion.faces.contract import Contract
from emotion.inference import engines
from emotion.runs import exports
from emotion.runs.exports import FILES
from tests.conftest import REPOSITORY, compose
from tests.export.conftest import CONTRACT, PEOPLE, exporting, network, put
from tests.helpers.once import made_once
from tests.helpers.trainings import tree

pytestmark = pytest.mark.slow

KINDS = ["litert", "litert-float16", "litert-dynamic", "litert-int8", "onnx", "saved_model"]

_ALONE = {
    "litert": "from ai_edge_litert.interpreter import Interpreter\n"
    "model = Interpreter('model.tflite').get_signature_runner('serving_default')\n"
    "found = model(image=pictures)['probabilities']\n",
    "onnx": "import onnxruntime\n"
    "found = onnxruntime.InferenceSession('model.onnx').run(['probabilities'], {'image': pictures})[0]\n",
    "saved_model": "import tensorflow as tf\n"
    "model = tf.saved_model.load('model/1').signatures['serving_default']\n"
    "found = model(image=tf.constant(pictures))['probabilities'].numpy()\n",
}


#: One of 70 pictures is more than a point.
WIDE = ("tolerance.accuracy=0.05", "tolerance.changed_labels=0.1")


def overrides(kind: str) -> list[str]:
    name, _, quantize = kind.partition("-")
    return [f"format={name}", *([f"quantize={quantize}", *WIDE] if quantize else [])]


@pytest.fixture(scope="module")
def made(learnt: runs.Run, common: Path) -> runs.Run:
    """A copy of the run with an export of each kind; do not change it."""
    with made_once(common / "exported") as folder:
        if folder:
            run = runs.Run(Path(shutil.copytree(learnt.path, folder / "small")), "small")
            for kind in KINDS:
                exporting(run, *overrides(kind))
    return runs.Run(common / "exported" / "small", "small")


@pytest.fixture(scope="module")
def reference(learnt: runs.Run, validation) -> np.ndarray:
    from emotion.runs import checkpoints

    return checkpoints.load(learnt.checkpoint()).predict(validation[0], verbose=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_reports_figures_are_what_live_says(made: runs.Run, kind: str, validation, reference) -> None:
    pictures, truth = validation
    folder = made.path / "exports" / kind
    report = files.read_json(folder / "report.json")
    found = engines.find(f"{made.path}/exports/{kind}", "nowhere")
    classifier = engines.load(found)
    assert classifier.engine == kind.partition("-")[0]
    says = classifier.probabilities(pictures)
    assert says.dtype == np.float32
    np.testing.assert_allclose(says.sum(axis=1), 1, atol=1e-5)
    difference = np.abs(says - reference).max()
    assert report["max_difference"] == pytest.approx(difference, abs=2e-6)
    assert report["changed_labels"] == (says.argmax(1) != reference.argmax(1)).sum()
    assert report["accuracy"]["export"] == pytest.approx((says.argmax(1) == truth).mean())
    assert report["accuracy"]["checkpoint"] == pytest.approx((reference.argmax(1) == truth).mean())
    assert report["accuracy"]["checkpoint"] > 0.3  # of seven: it has learnt something, so there is something to break
    for index, recall in enumerate(report["recall"].values()):
        assert recall["support"] == len(PEOPLE["val"])
        assert recall["export"] == pytest.approx((says.argmax(1) == index)[truth == index].mean())
    assert report["status"] == "done"
    assert report["pictures"] == len(pictures) == 7 * len(PEOPLE["val"])
    assert report["checkpoint"] == {"path": "../../checkpoints/best.keras", "sha256": files.sha256(made.checkpoint())}
    assert set(report["latency_ms"]) == {"export", "float32_litert"}
    assert all(value > 0 for value in report["latency_ms"].values())
    assert Contract.load(folder / "contract.json") == CONTRACT
    assert report["calibration"] == ({"split": "train", "pictures": 112} if kind == "litert-int8" else None)
    assert report["bytes"] == sum(p.stat().st_size for p in folder.rglob("*") if p.name.partition(".")[0] not in
                                  ("contract", "report") and p.is_file())  # fmt: skip
    if "-" not in kind:
        assert difference <= 1e-4
    else:
        assert 1e-6 < difference < {"float16": 0.01}.get(kind.partition("-")[2], 0.2)  # it was quantised
    text = (folder / "report.md").read_text()
    assert "**Equal to the checkpoint**" in text
    assert f"python -m emotion.live run={runs.Run(folder, kind).reference}`" in text


def test_quantised_files_are_smaller(made: runs.Run) -> None:
    ratio = {k: files.read_json(made.path / "exports" / k / "report.json")["size_ratio"] for k in KINDS}
    assert ratio["litert"] == 1
    assert ratio["litert-float16"] < 0.75
    assert ratio["litert-int8"] < 0.6


def test_int8_is_integers_inside_and_keeps_the_contract_outside(made: runs.Run) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(made.path / "exports" / "litert-int8" / "model.tflite"))
    types = {d["index"]: np.dtype(d["dtype"]).name for d in interpreter.get_tensor_details()}
    by_name = {op["op_name"]: [types.get(i) for i in op["inputs"]] for op in interpreter._get_ops_details()}
    assert by_name["CONV_2D"][:2] == by_name["FULLY_CONNECTED"][:2] == ["int8", "int8"]
    assert by_name["SOFTMAX"] == ["float32"]
    assert [interpreter.get_input_details()[0]["dtype"], interpreter.get_output_details()[0]["dtype"]] == [
        np.uint8, np.float32,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["litert", "onnx", "saved_model"])
def test_a_program_without_our_code_gets_the_same_answers(made: runs.Run, kind: str, validation, tmp_path) -> None:
    pictures, expected = validation[0][:1], None
    np.save(tmp_path / "pictures.npy", pictures)
    code = (
        f"import sys, numpy as np\npictures = np.load(r'{tmp_path / 'pictures.npy'}')\n{_ALONE[kind]}"
        f"assert 'emotion' not in sys.modules and 'keras' not in sys.modules or {kind == 'saved_model'}\n"
        f"np.save(r'{tmp_path / 'found.npy'}', found)\n"
    )
    folder = made.path / "exports" / kind
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120, capture_output=True)
    expected = engines.load(engines.find(folder, "nowhere")).probabilities(pictures)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-6)


def test_a_saved_model_needs_tensorflow_and_says_so(made: runs.Run) -> None:
    code = "import sys; sys.modules['tensorflow'] = None\nfrom emotion.inference import engines\n"
    code += f"engines.load(engines.find({str(made.path / 'exports' / 'saved_model')!r}, '.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    said = done.stderr.splitlines()[-1]
    assert "model/1: a SavedModel needs TensorFlow, which cannot be imported here" in said
    assert "export with format=litert or format=onnx, which do without" in said


@pytest.mark.nightly
def test_int8_asks_the_training_split_alone(run: runs.Run, root: Path, tmp_path: Path) -> None:
    own = tmp_path / "faces"
    shutil.copytree(root, own)
    arguments = [
        "quantize=int8",
        "tolerance.accuracy=1",
        "tolerance.changed_labels=1",
        "dataset=folder",
        f"dataset.root='{own}'",
    ]
    model = run.path / "exports" / "litert-int8" / "model.tflite"
    exporting(run, *arguments)
    before = model.read_bytes()
    _make_noise_of(own / "val", own / "test")
    report = exporting(run, *arguments)
    assert report["accuracy"]["checkpoint"] < 0.3  # it was judged by noise
    assert model.read_bytes() == before
    _make_noise_of(own / "train")
    exporting(run, *arguments)
    assert model.read_bytes() != before


def _make_noise_of(*folders: Path) -> None:
    rng = np.random.default_rng(0)
    for path in (p for folder in folders for p in folder.rglob("*.png")):
        assert cv2.imwrite(str(path), rng.integers(0, 256, (48, 48, 3), np.uint8))


# ---------------------------------------------------------------------------------------------------------- not equal


@pytest.mark.nightly
def test_an_export_that_int8_breaks_fails_and_leaves_no_model(root: Path, tmp_path: Path, validation, learnt, capsys):
    from emotion.runs import checkpoints

    good, model = checkpoints.load(learnt.checkpoint()), network(outlier=True)
    for layer in good.layers:
        if layer.name == "answer":
            kernel, bias = layer.get_weights()
            model.get_layer("answer").set_weights([np.vstack([kernel, np.zeros((1, 7))]), bias])
        elif layer.get_weights():
            next(m for m in model.layers if type(m) is type(layer)).set_weights(layer.get_weights())
    run = put(tmp_path / "broken", model, root)
    cfg = compose("export", f"run='{run.path}'", f"outputs='{tmp_path}'", "quantize=int8")
    with pytest.raises(SystemExit) as ended:
        job(cfg)
    assert ended.value.code == NOT_EQUAL == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: run broken: its litert-int8 export differs from its checkpoint: its accuracy is")
    assert "; the limit is 1 (" in said
    assert "Try quantize=dynamic" in said
    assert [p.name for p in (run.path / "exports").iterdir()] == ["litert-int8-failed"]
    failed = run.path / "exports" / "litert-int8-failed"
    assert set(tree(failed)) == {"report.json", "report.md", "contract.json"}
    report = files.read_json(failed / "report.json")
    assert report["status"] == "failed"
    assert report["failures"]
    assert report["moved"]
    assert "**Not equal to the checkpoint**" in (failed / "report.md").read_text()
    accepted = exporting(run, "quantize=int8", "accept=true")
    assert accepted["status"] == "done"
    assert accepted["warnings"] == report["failures"]
    text = (run.path / "exports" / "litert-int8" / "report.md").read_text()
    assert "**Warning: it differs from the checkpoint and was accepted all the same**" in text
    assert "accept=true" in text
    exports.find(f"{run.path}/exports/litert-int8", tmp_path).check()
    shutil.rmtree(run.path / "exports" / "litert-int8")
    with pytest.raises(SystemExit):
        job(cfg)
    with pytest.raises(
        UserError, match=r"differed from its checkpoint by more than the tolerance, .* discarded; see .*report\.md"
    ):
        engines.load(engines.find(failed, "nowhere"))


@pytest.mark.nightly
def test_a_failure_leaves_the_older_export_and_a_success_clears_up(run: runs.Run) -> None:
    place = run.path / "exports" / "litert-dynamic"
    abandoned, others = (place.with_name(f".new-{name}-killed") for name in ("litert-dynamic", "litert-int8"))
    for folder in (abandoned, others):
        (folder / "export").mkdir(parents=True)
        os.utime(folder, (0, 0))
    exporting(run, *overrides("litert-dynamic"))
    assert others.is_dir()
    assert not abandoned.exists()
    others.joinpath("export").rmdir()
    others.rmdir()
    before = tree(place)
    with pytest.raises(NotEqualError, match=r"a probability differs by .*tolerance\.probability"):
        exporting(run, "quantize=dynamic", "tolerance.probability=1e-9", "tolerance.accuracy=1", "accept=false")
    assert tree(place) == before
    assert (run.path / "exports" / "litert-dynamic-failed" / "report.json").is_file()
    exporting(run, *overrides("litert-dynamic"))
    assert [p.name for p in (run.path / "exports").iterdir()] == ["litert-dynamic"]


def test_a_checkpoint_that_is_not_numbers_is_told(root: Path, tmp_path: Path) -> None:
    model = network()
    model.set_weights([w * np.nan for w in model.get_weights()])
    run = put(tmp_path / "diverged", model, root)
    with pytest.raises(UserError, match=r"best\.keras: its outputs are not numbers \(NaN\)"):
        exporting(run)
    assert list((run.path / "exports").iterdir()) == []


# ---------------------------------------------------------------------------------------------------- data and folders


def test_without_its_data_float32_is_compared_on_drawn_faces(run: runs.Run, caplog, root: Path) -> None:
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace(str(root), "/nowhere"))
    report = exporting(run, "format=onnx")
    assert "its data is not at '/nowhere' any more. Comparing on drawn faces instead" in caplog.text
    assert (report["compared_on"], report["accuracy"], report["recall"]) == ("drawn faces", None, None)
    assert report["max_difference"] <= 1e-4
    assert "compared on drawn faces" in (run.path / "exports" / "onnx" / "report.md").read_text()
    with pytest.raises(UserError, match=r"its data is not at '/nowhere' any more\. .*dataset=\.\.\. dataset\.root="):
        exporting(run, "quantize=float16")
    with pytest.raises(UserError, match="not at '/nowhere'"):
        exporting(run, "tolerance.accuracy=0.01")


def test_other_data_is_refused(run: runs.Run) -> None:
    runs.update(run, data={"pixels": "0" * 64})
    with pytest.raises(UserError, match="holds other data than it was made with"):
        exporting(run, "quantize=dynamic")


def test_another_folder(run: runs.Run, tmp_path: Path, validation) -> None:
    place = tmp_path / "deep" / "to ship"
    exporting(run, f"folder='{place}'")
    assert not (run.path / "exports").exists()
    shipped = tmp_path / "elsewhere" / "model"
    shutil.copytree(place, shipped)  # the run is not at hand there
    found = engines.find(shipped, "nowhere")
    assert isinstance(found, exports.Exported)
    assert not found.is_stale()
    assert engines.load(found).probabilities(validation[0][:3]).shape == (3, 7)
    before = tree(place)
    (place / "mine.txt").write_text("keep me")
    with pytest.raises(UserError, match="exists and holds something other than an export"):
        exporting(run, f"folder='{place}'")
    assert tree(place) == before | {"mine.txt": files.sha256(place / "mine.txt")}
    for folder in (run.path, run.path / "checkpoints", run.path / "run.json"):
        with pytest.raises(UserError, match="something other than an export"):
            exporting(run, f"folder='{folder}'")
    assert {p.name for p in run.path.iterdir()} == {"run.json", "config.yaml", "contract.json", "checkpoints"}


def test_an_export_that_is_stopped_leaves_nothing(run: runs.Run) -> None:
    line = [sys.executable, "-m", "emotion.export", f"run={run.path}"]
    process = subprocess.Popen(line, cwd=REPOSITORY, stderr=subprocess.PIPE, env=os.environ)
    try:
        end = time.monotonic() + 60
        while not list(run.path.glob("exports/.new-*")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143, err
    assert list((run.path / "exports").iterdir()) == []


# --------------------------------------------------------------------------------------------------- reading an export


def test_finding_an_export(made: runs.Run) -> None:
    outputs = made.path.parent
    for name in ("latest/exports/onnx", "small/exports/onnx", "sm/exports/onnx", str(made.path / "exports" / "onnx")):
        found = engines.find(name, outputs)
        assert isinstance(found, exports.Exported)
        assert (found.path.resolve(), found.id) == ((made.path / "exports" / "onnx").resolve(), "small/exports/onnx")
    assert isinstance(engines.find("latest", outputs), runs.Run)
    with pytest.raises(UserError, match=r"has no export 'litert-in8'\. Did you mean 'litert-int8'\? It has: litert, "):
        engines.find("latest/exports/litert-in8", outputs)
    with pytest.raises(UserError, match="no run 'lost' under"):
        engines.find("lost/exports/onnx", outputs)


def test_a_damaged_export_is_refused(made: runs.Run, tmp_path: Path) -> None:
    for kind in ("onnx", "saved_model"):
        copy = tmp_path / "exports" / kind
        shutil.copytree(made.path / "exports" / kind, copy)
        file = copy / FILES[kind] if kind == "onnx" else copy / FILES[kind] / "saved_model.pb"
        file.write_bytes(file.read_bytes()[:-10])
        with pytest.raises(
            UserError, match=rf"damaged, not the file that was exported; .*run=small format={kind} folder="
        ):
            engines.load(engines.find(copy, "nowhere"))
        shutil.rmtree(copy / FILES[kind]) if kind == "saved_model" else file.unlink()
        with pytest.raises(UserError, match="missing; restore it, or export again"):
            engines.load(engines.find(copy, "nowhere"))
    record = copy / "report.json"
    for content in ("{", "[]", '{"status": "done"}', json.dumps(files.read_json(record) | {"format": "../../x"})):
        record.write_text(content)
        with pytest.raises(UserError, match=r"report\.json: .*(damaged|holds list|not an export's record)"):
            engines.find(copy, "nowhere")


def test_a_stale_export_is_used_with_a_warning(made: runs.Run, tmp_path: Path, caplog) -> None:
    shutil.copytree(made.path, tmp_path / "small")
    run = runs.Run(tmp_path / "small", "small")
    found = engines.find(run.path / "exports" / "onnx", "nowhere")
    engines.load(found)
    assert not caplog.records
    run.checkpoint().write_bytes(run.checkpoint().read_bytes() + b"x")
    engines.load(found)
    assert "small/exports/onnx is of an older checkpoint than run small has now. Export again: " in caplog.text
    assert f"python -m emotion.export run={run.reference} format=onnx" in caplog.text


def test_an_engine_that_does_not_run_the_export_is_refused(made: runs.Run) -> None:
    found = engines.find(made.path / "exports" / "onnx", "nowhere")
    with pytest.raises(UserError, match="engine: keras does not run small/exports/onnx; leave engine out"):
        engines.load(found, "keras")
