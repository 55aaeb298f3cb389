"""An export in its checkpoint's place: scored on the same pictures, compared with its run and others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare import compare
from emotion.evaluate import evaluate
from emotion.inference.classifier import Classifier
from emotion.runs import exports, selection
from tests.conftest import compose
from tests.export.conftest import exporting, network
from tests.helpers.once import made_once
from tests.helpers.trainings import tree

pytestmark = pytest.mark.slow

INT8 = ("format=litert", "quantize=int8", "tolerance.accuracy=0.1", "accept=true")


@pytest.fixture(scope="module")
def outputs(learnt: runs.Run, common: Path) -> Path:
    """A folder with the run ``small``, its int8 and ONNX exports, and the scores of all three; do not change it."""
    with made_once(common / "scored") as folder:
        if folder:
            run = runs.Run(Path(shutil.copytree(learnt.path, folder / "small")), "small")
            for kind in (INT8, ("format=onnx",)):
                exporting(run, *kind)
            for name in ("small", "small/exports/litert-int8", "small/exports/onnx"):
                scored(folder, name)
    return common / "scored"


def scored(outputs: Path, name: str, *overrides: str) -> None:
    evaluate(compose("evaluate", f"run='{name}'", f"outputs='{outputs}'", "bootstrap=50", *overrides))


def test_its_scores_are_of_its_own_answers(outputs: Path, learnt: runs.Run) -> None:
    from emotion.inference import held_out

    splits = held_out.load(learnt, None, needed=True)
    assert splits is not None
    folder = outputs / "small" / "exports" / "litert-int8"
    contract = learnt.contract()
    model = Classifier(folder / "model.tflite", contract)
    pictures = held_out.read(splits.test, contract)
    says = np.concatenate([model.probabilities(pictures[i : i + 1]) for i in range(len(pictures))])
    with np.load(folder / "evaluation" / "predictions.npz") as stored:
        np.testing.assert_allclose(stored["test_probabilities"], says, atol=1e-3)
        assert stored["test_hashes"].tolist() == splits.test.hashes.tolist()
    with np.load(outputs / "small" / "predictions.npz") as of_run:
        assert np.abs(of_run["test_probabilities"] - says).max() > 1e-4, "not the checkpoint's answers"
    accuracy = files.read_json(folder / "evaluation" / "metrics.json")["test"]["accuracy"]["value"]
    assert accuracy == pytest.approx((says.argmax(axis=1) == splits.test.labels).mean())
    assert "| Export | litert-int8" in (folder / "evaluation" / "report.md").read_text()


@pytest.mark.nightly
def test_scoring_an_export_leaves_its_run_as_it_is(outputs: Path) -> None:
    before = {name: digest for name, digest in tree(outputs).items() if "evaluation" not in name}
    scored(outputs, "small/exports/litert-int8", "split=validation")
    assert {name: digest for name, digest in tree(outputs).items() if "evaluation" not in name} == before
    metrics = files.read_json(outputs / "small" / "exports" / "litert-int8" / "evaluation" / "metrics.json")
    assert {"test", "validation"} <= set(metrics)


def test_it_is_compared_with_its_run(outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["small", "small/exports/litert-int8", str(outputs / "small" / "exports" / "onnx")]
    listed = ",".join(f"'{name}'" for name in names)
    asked = (f"runs=[{listed}]", f"outputs='{outputs}'", f"folder='{tmp_path / 'comparison'}'", "resamples=100")
    (board,) = compare(compose("compare", *asked, "latency=measured"))
    by_export = {entry.settings.get("export"): entry for entry in board.entries}
    assert set(by_export) == {None, "litert-int8", "onnx"}
    int8, onnx, run = by_export["litert-int8"], by_export["onnx"], by_export[None]
    assert run.accuracy == onnx.accuracy, "float32 exports answer alike"
    assert int8.file_bytes == (outputs / "small" / "exports" / "litert-int8" / "model.tflite").stat().st_size
    assert int8.name.endswith("export=litert-int8")
    assert None not in (int8.latency_ms, onnx.latency_ms)
    assert any("steps of LiteRT and ONNX Runtime" in note for note in board.notes)
    assert (tmp_path / "comparison" / "comparison.html").is_file()
    assert "export=litert-int8" in capsys.readouterr().out

    (board,) = compare(compose("compare", *asked, "latency=recorded"))
    recorded = {entry.settings.get("export"): entry.latency_ms for entry in board.entries}
    report = files.read_json(outputs / "small" / "exports" / "litert-int8" / "report.json")
    assert recorded["litert-int8"] == report["latency_ms"]["export"]


def test_a_glob_over_runs_names_their_exports(outputs: Path) -> None:
    names = ["sm*/exports/litert-int8", "small/exports/litert-int8", f"{outputs}/small/exports/litert-int8"]
    (found,) = selection.select(names, outputs)
    assert found.run.export == outputs / "small" / "exports" / "litert-int8"
    with pytest.raises(UserError, match=r"no run under .* matches 'sm\*/exports/none'"):
        selection.select("sm*/exports/none", outputs)


@pytest.mark.nightly
def test_folders_of_runs_may_be_called_exports(outputs: Path, tmp_path: Path) -> None:
    place = tmp_path / "exports"
    shutil.copytree(outputs / "small", place / "run1")
    for name in (f"{place}/run1", str(place), f"{place}/*"):
        (found,) = selection.select(name, place)
        assert (found.run.path, found.run.export) == (place / "run1", None)
    scored(place, f"{place}/run1")
    (found,) = selection.select(f"{place}/run1/exports/onnx", place)
    assert found.run.export == place / "run1" / "exports" / "onnx"


@pytest.mark.nightly
def test_what_is_made_anew_has_no_scores_yet(run: runs.Run) -> None:
    folder = run.path.parent
    exporting(run, *INT8)
    scored(folder, "small/exports/litert-int8")
    exporting(run, *INT8)
    assert not (run.path / "exports" / "litert-int8" / "evaluation").exists()
    with pytest.raises(UserError, match=r"no predictions.npz; make it: .* run=\S*small/exports/litert-int8"):
        compare(compose("compare", "runs='small/exports/litert-int8'", f"outputs='{folder}'"))


def test_mistakes(run: runs.Run, tmp_path: Path) -> None:
    folder, place = run.path.parent, run.path / "exports" / "litert-int8"
    with pytest.raises(UserError, match="has no export 'litert-int8'"):
        scored(folder, "small/exports/litert-int8")
    with pytest.raises(UserError, match=r"^runs: run small has no export 'litert-int8'"):
        compare(compose("compare", "runs='small/exports/litert-int8'", f"outputs='{folder}'"))
    exporting(run, *INT8)
    with pytest.raises(UserError, match="checkpoint: leave out 'last'"):
        scored(folder, "small/exports/litert-int8", "checkpoint=last")
    shutil.copytree(place, tmp_path / "given-away")
    with pytest.raises(UserError, match=r"whose run is not available"):
        scored(folder, str(tmp_path / "given-away"))
    assert exports.as_run(str(place), folder) == exports.as_run("small/exports/litert-int8", folder)
    network().save(run.checkpoint())
    with pytest.raises(UserError, match=r"older checkpoint; export again: python -m emotion\.export"):
        scored(folder, "small/exports/litert-int8")
    with pytest.raises(UserError, match=r"^runs: \S+litert-int8 was made from an older checkpoint"):
        compare(compose("compare", "runs='small/exports/litert-int8'", f"outputs='{folder}'"))
    os.truncate(place / "model.tflite", 100)
    with pytest.raises(UserError, match=r"model.tflite: damaged"):
        scored(folder, "small/exports/litert-int8")
