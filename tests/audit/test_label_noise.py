"""Doubted labels: what was made wrong is found, and only pictures that a run was not trained on are judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import runs
from emotion.audit import label_noise, votes
from emotion.audit.pictures import Pictures
from emotion.base.errors import UserError
from emotion.data.examples import Examples, Splits
from emotion.data.ferplus import COLUMNS
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS

_CLASSES = len(EMOTIONS)


def dataset(labels: Any, copies: dict[int, int] | None = None) -> Pictures:
    """Half of the pictures are the test's; ``copies`` says which pictures have the pixels of which others."""
    n = len(labels)
    same = {i: i for i in range(n)} | (copies or {})
    hashes = np.array([b"picture %d" % same[i] for i in range(n)], "S16")
    whole = Examples(np.asarray(labels, np.int64), hashes, np.zeros((n, 8, 8), np.uint8), rows=np.arange(n))
    half = n // 2
    parts = {"train": whole.take(np.arange(half)), "test": whole.take(np.arange(half, n))}
    return Pictures.of(Splits(parts["train"], whole.take(np.arange(0)), parts["test"], fingerprint={}))


def judge(folder: Path, pictures: Pictures, rows: Any, probabilities: Any) -> runs.Run:
    """A run's folder with what it answered on these pictures of the dataset."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"status": "done"}')
    Contract(48, 48).save(folder / "contract.json")
    half = len(rows) // 2
    arrays = {}
    for split, part in {"validation": slice(None, half), "test": slice(half, None)}.items():
        arrays[f"{split}_hashes"] = pictures.hashes[rows][part]
        arrays[f"{split}_labels"] = pictures.labels[rows][part]
        arrays[f"{split}_probabilities"] = probabilities[part].astype(np.float32)
    np.savez(folder / "predictions.npz", **arrays)
    return runs.Run(folder, folder.name)


def answers(truth: Any, seed: int = 0) -> Any:
    """Probabilities of a good model."""
    shown = np.random.default_rng(seed).uniform(0.01, 0.12, (len(truth), _CLASSES))
    shown[np.arange(len(truth)), truth] += 1
    return shown / shown.sum(axis=1, keepdims=True)


def test_wrong_labels_are_found(tmp_path: Path) -> None:
    truth = np.arange(420) % _CLASSES
    given = truth.copy()
    wrong = np.arange(210, 420, 10)
    given[wrong] = (truth[wrong] + 3) % _CLASSES
    pictures = dataset(given)
    rows = np.arange(210, 420)
    run = judge(tmp_path / "run", pictures, rows, answers(truth[rows]))
    found = label_noise.doubts(pictures, [run])
    assert found.judged.tolist() == rows.tolist()
    assert set(found.flagged.tolist()) == set(wrong.tolist())
    assert found.noise == pytest.approx(len(wrong) / len(rows), abs=0.02)
    finding = label_noise.finding(pictures, found, allowed=0.05, least=0.6)
    assert finding.met
    assert finding.count == len(wrong)
    first = finding.groups[0].pictures[0]
    assert f"rather {EMOTIONS[truth[first]]}" in finding.groups[0].caption
    assert not label_noise.finding(pictures, found, allowed=0.5, least=0.6).met
    assert "90.0 % of them right" in finding.meaning


def test_a_weak_run_gives_no_share_of_wrong_labels(tmp_path: Path) -> None:
    """What it gets wrong itself would count as wrong labels."""
    truth = np.arange(420) % _CLASSES
    pictures = dataset(truth)
    rng = np.random.default_rng(0)
    said = np.where(rng.random(420) < 0.4, truth, rng.integers(0, _CLASSES, 420))
    found = label_noise.doubts(pictures, [judge(tmp_path / "run", pictures, np.arange(420), answers(said))])
    assert found.accuracy == pytest.approx((said == truth).mean())
    assert found.noise > 0.3, "though every label is right"
    weak = label_noise.finding(pictures, found, allowed=0.1, least=0.6)
    assert not weak.met
    assert "no share of wrong labels is given" in weak.meaning
    assert f"{100 * found.accuracy:.1f} % of them right" in weak.meaning
    assert weak.details["noise"] is None
    assert weak.groups, "the most doubtful are still listed"
    assert label_noise.finding(pictures, found, allowed=0.1, least=0.2).met


def test_several_runs_cover_more_and_are_averaged(tmp_path: Path) -> None:
    truth = np.arange(280) % _CLASSES
    pictures = dataset(truth)
    one = judge(tmp_path / "one", pictures, np.arange(0, 140), answers(truth[:140], 1))
    two = judge(tmp_path / "two", pictures, np.arange(70, 210), answers((truth[70:210] + 1) % _CLASSES, 2))
    found = label_noise.doubts(pictures, [one, two])
    assert found.judged.tolist() == list(range(210))
    assert found.runs == ("one", "two")
    both = np.arange(70, 140)
    first, second = answers(truth[:140], 1)[70:], answers((truth[70:210] + 1) % _CLASSES, 2)[:70]
    mean = (first + second)[np.arange(70), truth[both]] / 2
    assert found.self_confidence[both] == pytest.approx(mean, abs=1e-6)


def test_a_picture_with_a_copy_among_the_trained_is_not_judged(tmp_path: Path) -> None:
    truth = np.arange(280) % _CLASSES
    pictures = dataset(truth, copies={200: 3})  # a test picture that is in training too
    rows = np.arange(140, 280)
    run = judge(tmp_path / "run", pictures, rows, answers(truth[rows]))
    assert 200 not in label_noise.doubts(pictures, [run]).judged
    together = dataset(truth, copies={200: 201})  # both held out
    run = judge(tmp_path / "other", together, rows, answers(truth[rows]))
    assert {200, 201} <= set(label_noise.doubts(together, [run]).judged.tolist())


def test_runs_that_do_not_fit_are_mistakes(tmp_path: Path) -> None:
    truth = np.arange(280) % _CLASSES
    pictures, rows = dataset(truth), np.arange(140, 280)
    run = judge(tmp_path / "run", pictures, rows, answers(truth[rows]))
    with pytest.raises(UserError, match=r"its labels are angry.*the dataset's are happy, sad"):
        label_noise.check([run], ("happy", "sad"))
    others = Pictures(pictures.splits, pictures.split, pictures.row, pictures.labels, np.array([b"x"] * 280, "S16"))
    with pytest.raises(UserError, match="predicted none of these images"):
        label_noise.doubts(others, [run])
    few = judge(tmp_path / "few", pictures, rows[:9], answers(truth[rows[:9]]))
    with pytest.raises(UserError, match="predicted 9 of these images, too few"):
        label_noise.doubts(pictures, [few])
    (tmp_path / "run" / "predictions.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(UserError, match="damaged"):
        label_noise.doubts(pictures, [run])
    (tmp_path / "run" / "predictions.npz").unlink()
    with pytest.raises(UserError, match=r"has no predictions.npz"):
        label_noise.check([run])


# ------------------------------------------------------------------------------------------------------------ FER+


def cast(**by_column: int) -> list[int]:
    return [by_column.get(column, 0) for column in COLUMNS]


def test_the_plurality_of_votes() -> None:
    rows = np.array(
        [
            cast(happiness=6, neutral=4),
            cast(contempt=6, neutral=4),
            cast(sadness=5, neutral=5),
            cast(NF=10),
            cast(NF=5, anger=5),
            cast(unknown=6, anger=4),
            cast(anger=6, NF=4),
        ],
        np.uint8,
    )
    found = votes.plurality(rows)
    assert found[0] == EMOTIONS.index("happy")
    assert found[1] == -2
    assert found[2:6].tolist() == [-1, -1, -1, -1]
    assert found[6] == EMOTIONS.index("angry")
    assert votes.not_a_face(rows).tolist() == [False, False, False, True, True, False, False]


def test_finds_are_held_against_the_votes() -> None:
    rows = np.array([cast(NF=10), cast(NF=9, sadness=1), cast(happiness=10), cast(fear=10), cast(anger=10)], np.uint8)
    blank = np.array([True, False, False, True, False])
    faceless = np.array([True, False, True, True, False])
    found = votes.not_faces(rows, blank, faceless)
    assert (found.pictures, found.not_faces, found.blank, found.no_face, found.caught) == (5, 2, 1, 1, 1)
    assert (found.wrong_blank, found.wrong_no_face, found.wrong) == (1, 2, 2)
    assert "of the 3 faces they would throw out 1 and 2, together 2" in found.sentence()


def test_doubts_are_held_against_the_votes() -> None:
    happy, sad, angry = (EMOTIONS.index(name) for name in ("happy", "sad", "angry"))
    pictures = dataset([happy, happy, sad, sad, angry, angry])
    rows = np.array(
        [cast(sadness=9), cast(happiness=9), cast(happiness=9), cast(sadness=9), cast(NF=9), cast(contempt=9)], np.uint8
    )
    doubts = label_noise.Doubts(
        judged=np.arange(6),
        suggested=np.array([sad, sad, angry, sad, happy, angry]),
        self_confidence=np.full(6, 0.1),
        flagged=np.array([0, 2, 4]),
        noise=0.5,
        runs=("run",),
        accuracy=0.5,
    )
    found = votes.contradicted(rows, pictures, doubts)
    assert (found.flagged, found.contradicted, found.agreed) == (2, 2, 1)
    assert (found.others, found.others_contradicted) == (3, 1)
