"""The most confident mistakes, and where the network looked: on a network that is known to look at one corner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.base import files
from emotion.data.examples import Examples, Splits
from emotion.faces.contract import Contract
from emotion.inference import mistakes, scoring, summary, writing
from emotion.runs import predictions
from emotion.runs.folder import Run
from emotion.runs.predictions import Predictions

LABELS = ("angry", "happy")


class Corner:
    """A network that looks at the upper left 12 x 12 pixels alone: the brighter they are, the happier."""

    labels = 2

    def probabilities(self, images: Any) -> Any:
        bright = np.asarray(images, np.float32)[:, :12, :12].mean(axis=(1, 2, 3)) / 255
        happy = 1 / (1 + np.exp(-12 * (bright - 0.5)))
        return np.stack([1 - happy, happy], axis=1).astype(np.float32)


def _image(seed: int, corner: int) -> Any:
    image = np.random.default_rng(seed).integers(60, 120, (48, 48, 1), dtype=np.uint8)
    image[:12, :12] = corner
    return image


@pytest.mark.parametrize("corner", [255, 0])
def test_the_map_is_of_the_corner_that_the_network_looks_at(corner: int) -> None:
    model: Any = Corner()
    image = _image(0, corner)
    answer = int(model.probabilities(image[None])[0].argmax())
    found = mistakes.occlusion(model, image, answer)
    assert found.shape == (48, 48)
    assert found[:12, :12].min() > 0.004, "covering any place of the corner lowers the answer's probability"
    assert np.abs(found[20:, :]).max() == np.abs(found[:, 20:]).max() == 0, "no other place matters"
    assert max(map(int, np.unravel_index(found.argmax(), found.shape))) < 12


def test_a_map_has_every_pixel_of_images_that_are_no_squares() -> None:
    model: Any = Corner()
    found = mistakes.occlusion(model, np.full((40, 57, 3), 200, np.uint8), 1)
    assert found.shape == (40, 57)
    assert np.isfinite(found).all()


class Store:
    """Prepared images in memory."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def read(self, rows: Any) -> Any:
        return self.images[rows]


def _answered(count: int = 12) -> tuple[Examples, Any]:
    images = np.stack([_image(i, 20 * i) for i in range(count)])
    labels = np.zeros(count, np.int64)
    hashes = np.array([b"%016d" % i for i in range(count)], "S16")
    hashes[-1] = hashes[-2]
    return Examples(labels, hashes, images=images[..., 0], rows=np.arange(count) + 100), images


def test_the_surest_wrong_answers_come_first_and_copies_once() -> None:
    examples, images = _answered()
    p = Corner().probabilities(images)
    answered = Predictions(p, examples.labels.astype(np.int8), examples.hashes)
    found = mistakes.find(examples, answered, Store(images), 3)  # type: ignore[arg-type]
    wrong = np.flatnonzero(p.argmax(axis=1) == 1)
    assert len(wrong) > 3
    assert [m.row for m in found] == [11, 9, 8], "11 and 10 are copies"
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)
    assert {(m.truth, m.answer) for m in found} == {(0, 1)}
    np.testing.assert_array_equal(found[0].image, images[11])


@pytest.mark.slow
def test_sheets_and_the_table_are_written_and_go_with_their_answers(tmp_path: Path, monkeypatch: Any) -> None:
    examples, images = _answered()
    none = examples.take(np.arange(0))
    splits = Splits(none, none, examples, {"dataset": "folder", "pixels": "p", "counts": {}}, labels=LABELS)
    Contract(48, 48, labels=LABELS).save(tmp_path / "contract.json")
    run = Run(tmp_path, "=run")
    scorer = scoring.Scoring(run, splits, None, 50, calibrated=False, shown=5)
    raw = Corner().probabilities(images)
    store: Any = Store(images)
    scored = scorer.score("test", raw, store)
    assert scored.scores["test_set"] == "own images, test split"
    model: Any = Corner()
    maps = tuple(mistakes.occlusion(model, m.image, m.answer) for m in scored.mistakes[:2])
    monkeypatch.setattr(files, "sha256", lambda path: "0")
    monkeypatch.setattr(summary, "facts", lambda *a: {})
    writing.write(run, tmp_path, {"test": replace(scored, maps=maps)}, splits.fingerprint, tmp_path / "best.keras")
    sheet, explained = (cv2.imread(str(tmp_path / name)) for name in ("mistakes.png", "explained.png"))
    assert sheet is not None
    assert explained is not None
    orange = (explained[..., 2].astype(int) - explained[..., 0] > 100).any(axis=1)
    assert orange.any(), "the map shows where"
    text = (tmp_path / "report.md").read_text()
    assert "![Most confident mistakes](mistakes.png)" in text
    assert "![Where the network looked](explained.png)" in text
    lines = (tmp_path / predictions.TABLE).read_text().splitlines()
    assert lines[0] == "split,image,truth,answer,right,confidence,seen_in_training,p_angry,p_happy,calibrated"
    assert lines[1] == f"test,row 100,angry,angry,yes,{raw[0, 0]:.6f},,{raw[0, 0]:.6f},{raw[0, 1]:.6f},no"
    assert len(lines) == 13

    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (12, 1))
    right = {"test": scorer.score("test", sure, store)}
    writing.write(run, tmp_path, right, splits.fingerprint, tmp_path / "best.keras")
    assert not (tmp_path / "mistakes.png").exists(), "nothing is wrong any more"
    assert not (tmp_path / "explained.png").exists()


def test_names_are_below_the_folder_of_all_images_and_safe_in_a_spreadsheet(tmp_path: Path) -> None:
    def found(*names: str) -> Examples:
        n = len(names)
        return Examples(np.zeros(n, np.int64), np.zeros(n, "S16"), paths=np.array([f"/data/faces/{x}" for x in names]))

    splits = Splits(found("train/happy/a.png"), found("val/happy/b.png"), found("test/=c.png", "test/sad/d.png"), {})
    assert mistakes.names(splits, "test").tolist() == ["test/=c.png", "test/sad/d.png"]
    assert mistakes.names(splits, "all").tolist() == [
        "train/happy/a.png", "val/happy/b.png", "test/=c.png", "test/sad/d.png"
    ]  # fmt: skip
    answers = Predictions(
        np.array([[0.25, 0.75]], np.float32), np.zeros(1, np.int8), np.zeros(1, "S16"), names=np.array(["=c.png"])
    )
    predictions.write(tmp_path, {"test": answers})
    predictions.write_table(tmp_path, {"test": answers}, LABELS, calibrated=True)
    assert "test,'=c.png,angry,happy,no,0.750000,,0.250000,0.750000,yes" in (tmp_path / predictions.TABLE).read_text()
    again = predictions.read_folder(tmp_path, ["test"], "x", named=True)["test"]
    assert again.names.tolist() == ["=c.png"]
    assert predictions.read_folder(tmp_path, ["test"], "x")["test"].names is None
