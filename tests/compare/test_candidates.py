"""What is read of a run, and what is said of one that is not fit to be compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emotion import runs
from emotion.base import files
from emotion.compare import candidates
from emotion.runs.folder import Run
from tests.helpers import folders

LABELS = folders.truth(140)
P = folders.answers(LABELS, 0.8)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return folders.make(tmp_path, "a", labels=LABELS, probabilities=P)


def _why(run: Run, split: str = "test") -> str:
    found, (unfit,) = candidates.read([run], split)
    assert not found
    assert unfit.run is run
    return unfit.why


def test_answers_do_not_depend_on_the_order_of_the_pictures(run: Run, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(LABELS))
    leaked = np.arange(len(LABELS)) % 5 == 0
    a = folders.make(tmp_path, "b", labels=LABELS, probabilities=P, leaked=leaked)
    b = folders.make(tmp_path, "c", labels=LABELS, probabilities=P, leaked=leaked, order=order)
    one, other = folders.read(a, b)
    assert one.pictures == other.pictures
    for name in ("labels", "predicted", "leaked"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.leaked is not None
    assert one.leaked.sum() == leaked.sum()


def test_the_fingerprint_is_the_one_that_training_records(run: Run) -> None:
    from emotion.data.examples import Examples
    from emotion.data.fingerprint import fingerprint

    with np.load(run.path / "predictions.npz") as data:
        labels, hashes = data["test_labels"].astype(np.int64), data["test_hashes"]
    none = np.zeros((len(labels), 1, 1), np.uint8)
    wanted = fingerprint("x", {"test": Examples(labels, hashes, images=none)})["pixels_by_split"]["test"]
    assert folders.read(run)[0].pictures == wanted


def test_other_labels_of_the_same_pictures_are_other_data(run: Run, tmp_path: Path) -> None:
    changed = LABELS.copy()
    changed[0] = (changed[0] + 1) % 7
    other = folders.make(tmp_path, "b", labels=changed, probabilities=P)
    one, two = folders.read(run, other)
    assert one.pictures != two.pictures


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _wrong_rows(path: Path) -> None:
    with np.load(path) as data:
        arrays = {k: data[k] for k in data.files}
    arrays["test_probabilities"] = arrays["test_probabilities"] * 2
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("predictions.npz", Path.unlink, "it has no predictions.npz; make it: python -m emotion.evaluate run="),
        ("predictions.npz", _cut, "damaged"),
        ("predictions.npz", _flip, "regenerate it: python -m emotion.evaluate run="),
        ("predictions.npz", _wrong_rows, "rows are not probabilities"),
        ("predictions.npz", lambda p: p.write_bytes(b""), "damaged"),
        ("predictions.npz", lambda p: np.savez(p, test_labels=np.zeros(3)), "holds none of the test split"),
        ("metrics.json", _cut, "delete it and regenerate it: python -m emotion.evaluate run="),
        ("metrics.json", Path.unlink, "no such file"),
        ("run.json", lambda p: p.write_text("{"), "damaged"),
        ("run.json", lambda p: p.write_text("{}"), "it gives no status"),
        ("config.yaml", lambda p: p.write_text("a: ["), "cannot be read"),
        ("config.yaml", lambda p: p.write_text("- 1"), "not a run's config"),
        ("config.yaml", Path.unlink, "no such file"),
        ("contract.json", lambda p: p.write_text("7"), "damaged (holds int"),
    ],
)
def test_a_damaged_run_is_told_with_the_next_step(
    run: Run, file: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(run.path / file)
    assert said in _why(run)


@pytest.mark.parametrize(
    ("status", "advice"),
    [("failed", "train.log"), ("interrupted", "resume="), ("running", "resume=")],
)
def test_a_run_that_is_not_done_is_told_with_the_next_step(run: Run, status: str, advice: str) -> None:
    """One that says it is running, and whose process is gone, is interrupted."""
    runs.update(run, status=status)
    assert advice in _why(run)


def test_a_split_that_was_not_scored_is_named(run: Run) -> None:
    with np.load(run.path / "predictions.npz") as data:
        arrays = {k: data[k] for k in data.files if k.startswith("test_")}
    np.savez(run.path / "predictions.npz", **arrays)
    assert folders.read(run)
    assert "split=validation" in _why(run, "validation")


def test_figures_of_an_older_checkpoint_are_stale(run: Run) -> None:
    assert not folders.read(run)[0].stale
    (run.path / "checkpoints" / "best.keras").write_bytes(b"another")
    assert folders.read(run)[0].stale


def test_a_checkpoint_that_is_gone_makes_nothing_stale(run: Run) -> None:
    (run.path / "checkpoints" / "best.keras").unlink()
    assert not folders.read(run)[0].stale


def test_many_checkpoints_are_hashed_only_where_they_are_younger(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_HASHED_BYTES", 0)
    checkpoint, figures = run.path / "checkpoints" / "best.keras", run.path / "metrics.json"
    checkpoint.write_bytes(b"another")
    os.utime(checkpoint, (1, 1))
    assert not folders.read(run)[0].stale
    os.utime(figures, (0, 0))
    assert folders.read(run)[0].stale


def test_sections_of_a_config_are_parsed_as_the_whole_is(run: Run) -> None:
    import yaml

    text = (run.path / "config.yaml").read_text()
    assert candidates._parsed(text) == yaml.safe_load(text)
    text = "# head\na:\n- 1\n- b: 2\n\nb: {x: 'y\n  z'}\nc: |\n  d: 1\n  e\n"
    assert candidates._parsed(text) == yaml.safe_load(text)


def test_a_record_without_data_does_no_harm(run: Run) -> None:
    record = files.read_json(run.path / "run.json")
    files.write_json(run.path / "run.json", {k: v for k, v in record.items() if k not in ("data", "commit")})
    assert folders.read(run)[0].labels.shape == LABELS.shape
