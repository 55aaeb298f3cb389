"""A published run is an ordinary one, and tells nothing of the machine that made it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import compare, evaluate, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import seen
from emotion.export import export
from emotion.inference import litert
from emotion.inference.classifier import Classifier
from emotion.publish import slim
from emotion.runs import exports
from tests.conftest import REPOSITORY, compose
from tests.helpers.trainings import tree
from tests.publish.conftest import TRACES, publishing

pytestmark = pytest.mark.slow

_RECORDS = {
    "README.md",
    "config.yaml",
    "contract.json",
    "history.csv",
    "metrics.json",
    "report.md",
    "run.json",
    seen.FILE,
}
_PICTURES = {"confusion_matrix.png", "failures.png", "history.png", "reliability.png"}
_MODEL = {"checkpoints/best.keras", "model.tflite"}


def _contents(path: Path) -> bytes:
    """A file's bytes; of a zip, also those of what is packed in it."""
    found = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            found += b"".join(packed.read(name) for name in packed.namelist())
    return found


def test_it_holds_what_a_run_needs_and_nothing_else(library: Path) -> None:
    assert set(tree(library / "drawn")) == _RECORDS | _PICTURES | _MODEL
    assert [p.name for p in library.iterdir()] == ["drawn"], "nothing is left beside it"


def test_it_tells_nothing_of_the_machine(library: Path, annas: runs.Run) -> None:
    for path in (p for p in (library / "drawn").rglob("*") if p.is_file()):
        content = _contents(path)
        for trace in (*TRACES, str(annas.path.parent), str(REPOSITORY), str(Path.home()) + "/"):
            assert trace.encode() not in content, f"{path.name} holds {trace}"
        if path.suffix in (".json", ".yaml", ".md", ".csv"):
            assert not re.search(r"(?<![\w.:/])/(home|tmp|root|work|usr|var)/", content.decode()), path.name
        if path.suffix == ".png":
            kinds = re.findall(rb"(?<=.{4})(IHDR|PLTE|IDAT|IEND|tEXt|zTXt|iTXt|eXIf|tIME|pHYs)", content)
            assert set(kinds) <= {b"IHDR", b"IDAT", b"IEND"}, f"{path.name} says more than its pixels"


def test_it_is_an_ordinary_run(library: Path, annas: runs.Run) -> None:
    run = runs.resolve(library / "drawn", "outputs")
    assert run.record().status == "done"
    assert run.tflite_fault() is None
    assert not litert.is_stale(run)
    assert files.sha256(run.checkpoint()) == files.sha256(annas.checkpoint())
    pictures = litert.drawn_faces(run.contract())[:8]
    answers = [Classifier(r.tflite(), r.contract()).probabilities(pictures) for r in (run, annas)]
    np.testing.assert_array_equal(answers[0], answers[1])
    metrics = [files.read_json(r.path / "metrics.json") for r in (run, annas)]
    assert metrics[0] == metrics[1]
    cfg = run.config()
    assert cfg.model == annas.config().model
    assert (cfg.outputs, cfg.dataset.cache_dir) == ("outputs", "~/.cache/emotion")
    record = run.record()
    taught = ["20261101_cnn", "20261102_cnn"]
    assert cfg.trainer.teacher == [teacher["run"] for teacher in record.teachers] == taught
    assert "20261101_cnn, 20261102_cnn" in (run.path / "README.md").read_text()
    assert record.command == "python -m emotion.train dataset.root=faces outputs=outputs"
    assert record.published == record.published | {"run": annas.path.name, "created": annas.record().created}


def test_every_figure_of_the_card_is_the_runs(library: Path) -> None:
    run = runs.Run(library / "drawn", "drawn")
    card = (run.path / "README.md").read_text()
    metrics, record = files.read_json(run.path / "metrics.json")["test"], run.record()
    for figure in (metrics["accuracy"], metrics["macro_f1"], metrics["expected_calibration_error"]):
        assert f"{100 * figure['value']:.1f} % ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})" in card
    for name, entry in metrics["per_class"].items():
        assert re.search(rf"\| {name} \| {entry['support']} \| .*{100 * entry['recall']['value']:.1f} %", card)
    assert f"{record.parameters:,}" in card
    assert f"{record.efficiency['latency_ms']:.2f} ms" in card
    assert f"{record.efficiency['multiply_adds'] / 1e6:.1f} million" in card
    assert record.command in card
    assert record.versions["keras"] in card
    for name, digest in tree(run.path).items():
        assert (f"| `{name}` | `{digest}` |" in card) == (name != "README.md")
    assert "Nobody is in them" in card, "the terms are those of its dataset"
    assert "FER2013" not in card
    picture = cv2.imread(str(run.path / "failures.png"))
    assert picture is not None
    assert picture.std() > 10


def test_a_summary_has_no_model(annas: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publishing(annas, tmp_path / "summary", "weights=false", "largest=1")
    said = capsys.readouterr().out
    for change in (
        "run.json: host left out",
        "config.yaml: outputs: now outputs",
        "trainer.teacher[0]: now 20261101_cnn",
    ):
        assert change in said, "what was changed is said"
    assert set(tree(tmp_path / "summary")) == _RECORDS | _PICTURES
    assert "The model's own files are not here" in (tmp_path / "summary" / "README.md").read_text()
    run = runs.resolve(tmp_path / "summary", "outputs")
    with pytest.raises(UserError, match="published without its model"):
        run.checkpoint()


def test_rounded_weights_are_smaller_and_are_what_the_figures_are_of(
    annas: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "half"
    shutil.copytree(annas.path, tmp_path / "run")
    slow = runs.Run(tmp_path / "run", "run")
    runs.update(slow, efficiency=slow.record().efficiency | {"latency_ms": 9876.5})
    publishing(slow, place, "half=true")
    run = runs.resolve(place, "outputs")
    assert 0 < run.record().efficiency["latency_ms"] < 9876, "of the smaller file, not of the run's own"
    assert run.tflite_fault() is None
    for name in _MODEL:
        assert (place / name).stat().st_size < 0.8 * (annas.path / name).stat().st_size
    said = run.record().published["half"]
    assert 0 < said["keras"] < slim.TOLERANCE
    metrics = files.read_json(place / "metrics.json")
    before = files.read_json(annas.path / "metrics.json")
    assert metrics["checkpoint"] == files.sha256(run.checkpoint())
    assert metrics["test"]["n"] == before["test"]["n"]
    assert metrics["test"]["bootstrap"] == before["test"]["bootstrap"]
    loss = [m["test"]["negative_log_likelihood"]["value"] for m in (metrics, before)]
    assert loss[0] != loss[1]
    assert loss[0] == pytest.approx(loss[1], abs=0.01)
    from emotion.runs import checkpoints

    for old, new in zip(*(checkpoints.load(r.checkpoint()).get_weights() for r in (annas, run)), strict=True):
        assert new.dtype == np.float32
        np.testing.assert_array_equal(new, old.astype(np.float16).astype(np.float32) if old.ndim > 1 else old)

    monkeypatch.chdir(tmp_path)
    report = export(
        compose(
            "export", f"run='{place}'", "quantize=float16", "tolerance.accuracy=0.1", "tolerance.changed_labels=0.1"
        )
    )
    assert report["size_ratio"] < 0.8, "size is held against a float32 file, not against the rounded one"


@pytest.mark.nightly
def test_a_run_is_published_for_another_prior_and_scored_for_it(annas: runs.Run, tmp_path: Path) -> None:
    place = tmp_path / "balanced"
    with pytest.raises(UserError, match=r"prior: .*set half=true too"):
        publishing(annas, place, "prior=balanced")
    publishing(annas, place, "half=true", "prior={happy: 0.75, sad: 0.25}")
    run = runs.resolve(place, "outputs")
    wanted = dict(zip(run.contract().labels, run.contract().target_prior or (), strict=True))
    assert {name: share for name, share in wanted.items() if share} == {"happy": 0.75, "sad": 0.25}
    scores = files.read_json(place / "metrics.json")["test"]
    assert scores["target_prior"]["happy"] == 0.75
    answered = np.array(scores["confusion_matrix"]).sum(axis=0)
    assert answered[[run.contract().labels.index(e) for e in wanted if not wanted[e]]].sum() == 0
    assert "answers are given for angry 0.0 %" in (place / "README.md").read_text()


def test_rounding_that_changes_answers_is_refused(
    annas: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim, "TOLERANCE", 0.0)
    with pytest.raises(UserError, match=r"half: rounding .* changes a probability by .* half=false"):
        publishing(annas, tmp_path / "half", "half=true")
    assert list(tmp_path.iterdir()) == [], "nothing is left of it"


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.fixture
def run(annas: runs.Run, tmp_path: Path) -> runs.Run:
    """A copy of the run, to be changed."""
    shutil.copytree(annas.path, tmp_path / "run")
    return runs.Run(tmp_path / "run", "run")


def test_too_large(annas: runs.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"largest: .* more than 0.1 MB .*best.keras .*model.tflite .*half=true"):
        publishing(annas, tmp_path / "new", "largest=0.1")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_finished_or_not_scored_is_refused(run: runs.Run) -> None:
    place = run.path.parent / "new"
    metrics = files.read_json(run.path / "metrics.json")
    files.write_json(run.path / "metrics.json", metrics | {"checkpoint": "ab" * 32})
    with pytest.raises(UserError, match="figures are of another checkpoint"):
        publishing(run, place)
    (run.path / "metrics.json").unlink()
    with pytest.raises(UserError, match="was not scored"):
        publishing(run, place)
    files.write_json(run.path / "metrics.json", metrics)
    (run.path / "model.tflite").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.tflite is damaged"):
        publishing(run, place)
    runs.update(run, status="failed")
    with pytest.raises(UserError, match="is failed, not done"):
        publishing(run, place)
    assert not place.exists()


def test_places_that_are_taken(run: runs.Run, library: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds something other than a published run"):
        publishing(run, run.path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something other than a published run"):
        publishing(run, tmp_path / "notes", "overwrite=true")
    with pytest.raises(UserError, match="is no folder"):
        publishing(run, tmp_path / "notes" / "a.txt")
    other = tmp_path / "drawn"
    shutil.copytree(library / "drawn", other)
    with pytest.raises(UserError, match=r"holds another run, 20261122-075340-000000_cnn.*overwrite=true"):
        publishing(run, other, "weights=false")
    publishing(run, other, "weights=false", "overwrite=true")
    assert json.loads((other / "run.json").read_text())["published"]["run"] == "run"
    with pytest.raises(UserError, match="largest"):  # its own newer edition may come, but for its size
        publishing(run, other, "largest=0.01")


def test_a_mistake_is_answered_before_tensorflow_is_imported(annas: runs.Run, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom emotion.publish import main\ntry:\n    main()\nfinally:\n"
        "    print([m for m in ('tensorflow', 'keras', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    line = [sys.executable, "-c", code, f"run='{annas.path}'", "folder=new", "half=true", "weights=false"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: half: "), done.stderr
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_scoring_it_leaves_its_folder_as_its_card_says(
    library: Path, annas: runs.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree(library)
    evaluate.evaluate(compose("evaluate", f"run='{library / 'drawn'}'", "bootstrap=50"))
    (made,) = (tmp_path / "outputs" / "evaluations-of-published").iterdir()
    assert made.name == f"{annas.path.name}-{files.sha256(annas.checkpoint())[:8]}"
    assert {"metrics.json", "predictions.npz", "report.md"} <= {p.name for p in made.iterdir()}
    compare.compare(compose("compare", f"runs=['{library / 'drawn'}']", "resamples=100", "latency=recorded"))
    assert "drawn" in capsys.readouterr().out
    export(
        compose(
            "export",
            f"run='{library / 'drawn'}'",
            "quantize=dynamic",
            "tolerance.accuracy=1",
            "tolerance.changed_labels=1",
        )
    )
    place = made / "exports" / "litert-dynamic"
    for name in (place, f"{library / 'drawn'}/exports/litert-dynamic"):
        evaluate.evaluate(compose("evaluate", f"run='{name}'", "bootstrap=50"))
    assert (place / "evaluation" / "predictions.npz").is_file()
    assert f"run={library / 'drawn'}" in exports.Exported(place, files.read_json(place / "report.json")).command()
    assert tree(library) == before


def test_published_below_the_outputs_folder_it_is_found_with_its_scores(library: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    shutil.copytree(library / "drawn", outputs / "published" / "drawn")
    (listed,) = runs.listing(outputs)
    assert listed == runs.resolve("published/drawn", outputs)
    evaluate.evaluate(compose("evaluate", "run=published/drawn", f"outputs='{outputs}'", "bootstrap=50"))
    asked = (f"outputs='{outputs}'", "resamples=100", "latency=recorded")
    (board,) = compare.compare(compose("compare", "runs=all", *asked))
    assert [run for entry in board.entries for run in entry.runs] == [listed]


def test_editions_of_a_run_have_results_of_their_own(tmp_path: Path) -> None:
    for name, weights in (("as-it-was", "ab" * 32), ("half", "cd" * 32)):
        (tmp_path / name).mkdir()
        record = {"status": "done", "published": {"run": "mine"}, "tflite": {"checkpoint": weights}}
        files.write_json(tmp_path / name / "run.json", record)
    names = {runs.resolve(tmp_path / name, "out").results.name for name in ("as-it-was", "half")}
    assert names == {"mine-abababab", "mine-cdcdcdcd"}


def test_a_damaged_record_names_no_folder_outside_the_outputs(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for origin, name in (
        ("../../x", "x"),
        ("/etc/x", "etc_x"),
        ("..", "odd"),
        (None, "odd"),
        ("sweep/3", "sweep_3"),
        ("a\0b", "a_b"),
        ("x" * 300, "x" * 100),
    ):
        files.write_json(tmp_path / "odd" / "run.json", {"status": "done", "published": {"run": origin}})
        results = runs.resolve(tmp_path / "odd", tmp_path / "out").results
        assert results == tmp_path / "out" / "evaluations-of-published" / name
