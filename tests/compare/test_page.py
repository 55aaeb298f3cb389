from __future__ import annotations

import base64
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion.compare import disagreements, page, pictures
from emotion.compare.board import Board, Difference, Entry, Figure
from emotion.compare.disagreements import Predictions
from emotion.data.fingerprint import hash_pixels
from emotion.faces.labels import EMOTIONS
from emotion.runs.folder import Run
from emotion.runs.history import write_history

_VOID = {"meta", "img", "br"}
_ODD = """<script>alert("x")</script> & 'quoted' 表情 </style>"""


class Page(HTMLParser):
    """A page's elements and their text; fails where tags are not closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.texts["body"][0].split())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder dataset of noise: no two pictures are alike."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("test", 4)):
        for emotion in EMOTIONS:
            folder = tmp_path / "data" / split / emotion
            folder.mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 256, (20 if i else 300, 16 if i else 240), np.uint8)
                assert cv2.imwrite(str(folder / f"{i}.png"), image)
    return tmp_path / "data"


def _dataset(root: Path) -> dict[str, Any]:
    return {
        "name": "folder", "root": str(root), "numbering": None, "ignore": [], "max_unreadable": 0.0, "limit": None,
        "validation_fraction": 0.3, "test_fraction": 0.1, "split_seed": 0, "cache_dir": str(root.parent / "cache"),
    }  # fmt: skip


def _truth(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and labels of the test split, as the pictures lie there."""
    paths = [(label, p) for label, e in enumerate(EMOTIONS) for p in sorted((root / "test" / e).iterdir())]
    images = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for _, p in paths]
    return np.array([hash_pixels(i) for i in images], "S16"), np.array([label for label, _ in paths])  # type: ignore[arg-type]


def _run(folder: Path, root: Path, probabilities: np.ndarray, seed: int = 0, shuffled: int | None = None) -> Run:
    folder.mkdir(parents=True)
    hashes, labels = _truth(root)
    order = np.arange(len(labels)) if shuffled is None else np.random.default_rng(shuffled).permutation(len(labels))
    np.savez(
        folder / "predictions.npz",
        test_probabilities=probabilities[order].astype(np.float32),
        test_labels=labels[order].astype(np.int8),
        test_hashes=hashes[order],
    )
    config = {"model": {"name": "cnn"}, "dataset": _dataset(root), "seed": seed}
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    (folder / "run.json").write_text(json.dumps({"status": "done", "best_epoch": 2}))
    rows = [{"epoch": float(e), "val_accuracy": 0.2 * e, "val_macro_f1": 0.1 * e} for e in (1, 2, 3)]
    write_history(folder / "history.csv", rows)
    return Run(folder, f"sweep/{folder.name}")


def _answers(labels: np.ndarray, wrong: Sequence[int]) -> np.ndarray:
    """90 % sure and right, but in some rows, where the next emotion is answered, each time a bit less surely."""
    said, confidence = labels.copy(), np.full((len(labels), 1), 0.9)
    said[list(wrong)] = (said[list(wrong)] + 1) % 7
    confidence[list(wrong), 0] -= 0.05 * np.arange(len(wrong))
    return np.where(np.arange(7) == said[:, None], confidence, (1 - confidence) / 6)


def _entry(name: str, runs: Sequence[Run], accuracy: float, latency: float | None = 1.5) -> Entry:
    figure = Figure(accuracy, accuracy - 0.05, accuracy + 0.05, 0.01 if len(runs) > 1 else None)
    return Entry(
        name=name, runs=tuple(runs), seeds=tuple(range(len(runs))), accuracy=figure, macro_f1=figure,
        leak_free_accuracy=None, rarest_recall=figure, calibration_error=Figure(0.03), parameters=1_090_583,
        multiply_adds=24_000_000, file_bytes=4_360_000, latency_ms=latency, peak_memory_bytes=1_200_000_000,
        training_seconds=857.8, settings={"trainer.learning_rate": 0.1},
    )  # fmt: skip


def _board(entries: Sequence[Entry], **changes: Any) -> Board:
    pairs = [(a, b) for i, a in enumerate(entries) for b in entries[i + 1 :]]
    board = Board(
        data="drawn noise", pixels="ab" * 32, split="test", labels=EMOTIONS, rarest="disgusted", n=28,
        entries=tuple(entries),
        differences=tuple(
            Difference(a.name, b.name, "accuracy", Figure(0.1, 0.02, 0.2), 0.0004, 0.004, True) for a, b in pairs
        ),
        verdict=("one beats two by 10.0 points (95 % interval 2.0 to 20.0, p = 0.004).",) if pairs else (),
        notes=("Latency: as recorded.",),
    )  # fmt: skip
    return dataclasses.replace(board, **changes)


@pytest.fixture
def pair(data: Path) -> Board:
    """Two entries: the first is wrong in rows 0 and 1, the second, whose runs store them shuffled, in 2, 3 and 4."""
    _, labels = _truth(data)
    outputs = data.parent / "outputs"
    one = _run(outputs / "a", data, _answers(labels, (0, 1)))
    two = [_run(outputs / f"b{s}", data, _answers(labels, (2, 3, 4)), seed=s, shuffled=s) for s in (0, 1)]
    return _board([_entry("one", [one], 0.93), _entry("two", two, 0.89, 0.7)])


def _written(path: Path, *boards: Board, pictures: int = 24) -> Page:
    page.write(path, boards, pictures)
    return Page(path.read_text(encoding="utf-8"))


def _images(parsed: Page) -> list[np.ndarray]:
    found = []
    for attributes in parsed.all("img"):
        kind, _, encoded = str(attributes["src"]).partition(",")
        assert kind == "data:image/png;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        found.append(image)
    return found


@pytest.mark.slow
def test_page_has_all_parts_in_order(pair: Board, tmp_path: Path) -> None:
    parsed = _written(tmp_path / "c.html", pair)
    assert parsed.texts["h1"] == ["Comparison of one and two"]
    assert parsed.texts["h2"] == ["drawn noise: test, test (28 images)"]
    assert parsed.texts["h3"] == [
        "All entries", "Accuracy against cost", "Which differences are significant?", "Training",
        "Confusion matrices", "Recall of each emotion", "Most confident mistakes of the best",
        "Images on which the best two disagree most",
        "Limits of this comparison",
    ]  # fmt: skip
    assert parsed.text.index(pair.verdict[0]) < parsed.text.index("All entries")
    assert "Latency: as recorded." in parsed.texts["li"]
    assert "sweep/b1" in parsed.texts["code"]
    assert (tmp_path / "pareto.png").is_file()


@pytest.mark.slow
def test_table_is_best_first_with_values_to_sort_by(pair: Board, tmp_path: Path) -> None:
    page.write(tmp_path / "c.html", [pair], 0)
    text = (tmp_path / "c.html").read_text()
    table = text[text.index("<table") : text.index("</table>")]
    assert "sortable" in table
    rows = table.split("<tr>")[2:]
    assert [re.findall(r'scope="row" data-value="(\w+)"', row) for row in rows] == [["one"], ["two"]]
    assert 'data-value="0.93">93.0<small>88.0–98.0</small>' in rows[0]
    assert "89.0 ± 1.0" in rows[1]
    assert "4.36 MB" in rows[0]
    assert "14.3 min" in rows[0]
    assert "Leak-free" not in table  # nothing is known of it
    assert '<td class="best" data-value="0.7">0.7</td>' in rows[1]
    assert all("◆" in row for row in rows)  # one is better, two is faster


@pytest.mark.slow
def test_page_needs_nothing_from_outside(pair: Board, tmp_path: Path) -> None:
    parsed = _written(tmp_path / "c.html", pair)
    text = (tmp_path / "c.html").read_text()
    assert "//" not in re.sub(r"base64,[^\"]*|// .*", "", text)
    assert {tag for tag, _ in parsed.elements}.isdisjoint({"link", "iframe", "object", "form"})
    for _, attributes in parsed.elements:
        for name in ("src", "href", "xlink:href"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none';")


@pytest.mark.slow
def test_page_can_be_read_without_seeing_it(pair: Board, tmp_path: Path) -> None:
    parsed = _written(tmp_path / "c.html", pair)
    assert all(a.get("alt") for a in parsed.all("img"))
    plots = [a for a in parsed.all("svg") if a.get("role") == "img"]
    assert len(plots) == 3
    assert all(a.get("aria-label") for a in plots)
    assert all(a.get("scope") in ("row", "col") for a in parsed.all("th"))
    assert parsed.all("html")[0]["lang"] == "en"
    ids = [a["id"] for _, a in parsed.elements if a.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_names_are_shown_as_they_are_whatever_they_hold(pair: Board, tmp_path: Path) -> None:
    one, two = pair.entries
    odd = [dataclasses.replace(one, name=_ODD, settings={_ODD: _ODD}), dataclasses.replace(two, name="b\udcff\x00")]
    board = _board(odd, data=_ODD, verdict=(_ODD,), notes=(_ODD,), pixels=_ODD)
    parsed = _written(tmp_path / "c.html", board)
    assert len(parsed.all("script")) == 1
    assert len(parsed.all("style")) == 1
    assert parsed.text.count(_ODD) >= 8
    assert parsed.texts["h4"][0] == _ODD


@pytest.mark.slow
def test_the_right_pictures_are_shown(pair: Board, data: Path, tmp_path: Path) -> None:
    parsed = _written(tmp_path / "c.html", pair)
    mistakes, shown = _images(parsed)[:2], _images(parsed)[2:]
    files = [p for e in EMOTIONS for p in sorted((data / "test" / e).iterdir())]
    expected = [cv2.imread(str(files[row]), cv2.IMREAD_GRAYSCALE) for row in (2, 3, 4, 0, 1)]
    assert len(shown) == 5
    for image, original in zip(shown, expected, strict=True):
        assert original is not None
        if original.shape[0] == 300:  # large ones are shrunk
            assert image.shape == (192, 154)
            original = cv2.resize(original, (154, 192), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(image, original)
    cards = [text for text in parsed.texts["li"] if text.startswith("label")]
    assert cards[:2] == ["labelangry2 %saiddisgusted 90 %", "labelangry3 %saiddisgusted 85 %"]
    np.testing.assert_array_equal(mistakes[1], shown[4])
    assert cards[2] == "labelangryoneangry 90 % ✓twodisgusted 90 % ✗angry 2 %"
    assert cards[6] == "labelangryonedisgusted 85 % ✗angry 3 %twoangry 90 % ✓"
    assert "one is wrong on 2 images of 28." in parsed.text
    assert (
        "Of 28 images, by the mean of their seeds' probabilities, both have 23 right and neither has 0." in parsed.text
    )
    assert "Only one has 3 right, only two 2." in parsed.text
    assert "This page holds 5 images" in parsed.text


@pytest.mark.slow
def test_as_many_pictures_as_asked_for_half_in_each_direction(pair: Board, tmp_path: Path) -> None:
    assert len(_images(_written(tmp_path / "c.html", pair, pictures=2))) == 2 + 2, "of mistakes, and of disagreements"
    none = _written(tmp_path / "c.html", pair, pictures=0)
    assert none.all("img") == []
    assert "pictures=0" in none.text
    assert "share it with care" not in none.text


@pytest.mark.slow
def test_changed_data_shows_no_wrong_picture(pair: Board, data: Path, tmp_path: Path) -> None:
    replaced = np.zeros((20, 16), np.uint8)
    assert cv2.imwrite(str(data / "test" / "angry" / "2.png"), replaced)
    (data / "test" / "angry" / "3.png").unlink()
    parsed = _written(tmp_path / "c.html", pair)
    assert len(_images(parsed)) == 2 + 3
    assert all(image.any() for image in _images(parsed))
    assert "2 of 5 images are not shown" in parsed.text


@pytest.mark.slow
def test_data_that_is_gone_is_said(pair: Board, data: Path, tmp_path: Path) -> None:
    data.rename(data.with_name("elsewhere"))
    parsed = _written(tmp_path / "c.html", pair)
    assert parsed.all("img") == []
    assert "The images are not shown" in parsed.text
    assert f"no such folder '{data}'" in parsed.text
    assert "Only one has 3 right" in parsed.text


@pytest.mark.slow
def test_damaged_files_cost_their_part_of_the_page_only(pair: Board, tmp_path: Path) -> None:
    (pair.entries[1].runs[0].path / "predictions.npz").write_bytes(b"PK")
    (pair.entries[0].runs[0].path / "history.csv").write_text("epoch,val_accuracy\n1,x\n")
    parsed = _written(tmp_path / "c.html", pair)
    assert "python -m emotion.evaluate run=" in parsed.text
    assert "history.csv: damaged" in parsed.text
    assert parsed.texts["h4"] == ["one"]  # its confusion matrix


@pytest.mark.slow
def test_latency_that_is_not_known_brings_multiply_adds(pair: Board, tmp_path: Path) -> None:
    one, two = pair.entries
    some = dataclasses.replace(pair, entries=(dataclasses.replace(one, latency_ms=None), two))
    parsed = _written(tmp_path / "c.html", some)
    labels = [str(a["aria-label"]) for a in parsed.all("svg") if a.get("role") == "img"]
    assert "latency" in labels[0]
    assert "multiply-adds" in labels[1]
    assert "Not shown, as their cost is unknown: one." in parsed.text
    bare = [dataclasses.replace(e, latency_ms=None, multiply_adds=None, parameters=None) for e in pair.entries]
    (tmp_path / "pareto.png").unlink()
    parsed = _written(tmp_path / "c.html", dataclasses.replace(pair, entries=tuple(bare)))
    assert "Neither latency nor multiply-adds" in parsed.text
    assert not (tmp_path / "pareto.png").exists()


@pytest.mark.slow
def test_boards_on_different_data_are_apart(pair: Board, tmp_path: Path) -> None:
    other = dataclasses.replace(pair, data="other data", entries=pair.entries[:1], differences=(), verdict=())
    parsed = _written(tmp_path / "c.html", pair, other)
    assert "2 different sets of images or labels" in parsed.text
    assert [a["href"] for a in parsed.all("a")] == ["#b1", "#b2"]
    assert [a["id"] for a in parsed.all("section")] == ["b1", "b2"]
    assert (tmp_path / "pareto-2.png").is_file()


@pytest.mark.slow
def test_many_entries_stay_readable(pair: Board, tmp_path: Path) -> None:
    one, two = pair.entries
    many = [dataclasses.replace((one, two)[i % 2], name=f"entry {i}", latency_ms=1.0 + i) for i in range(60)]
    parsed = _written(tmp_path / "c.html", dataclasses.replace(_board(many[:20]), entries=tuple(many)), pictures=0)
    assert len([a for a in parsed.all("div") if a.get("class") == "matrix"]) == 6
    assert "The best 12 of 60 entries." in parsed.text
    assert "175 more differences" in parsed.text
    assert parsed.text.count("entry 59") == 2  # in the ranking and among the runs


def test_predictions_of_shuffled_runs_are_aligned(pair: Board) -> None:
    one, two = (disagreements.read(entry, "test") for entry in pair.entries)
    np.testing.assert_array_equal(one.hashes, two.hashes)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(two.probabilities[0], two.probabilities[1])
    assert np.trace(one.confusion()) == pytest.approx(7 - 2 / 4)
    assert np.bincount(one.labels).tolist() == [4] * 7


def test_disagreements_are_those_that_differ_in_answer_widest_first() -> None:
    labels = np.zeros(4, np.int64)
    hashes = np.array([b"a", b"b", b"b", b"d"], "S16")
    right = [(0.9, 0.1), (0.8, 0.2), (0.8, 0.2), (0.6, 0.4)]
    wrong = [(0.51, 0.49), (0.1, 0.9), (0.2, 0.8), (0.4, 0.6)]
    first, second = (Predictions(hashes, labels, np.array([p], np.float32)) for p in (right, wrong))
    nearer, further = disagreements._most(first, second, 9)
    assert [d.hash for d in nearer] == [b"b", b"d"]  # the answer on a is the same; b is there once
    assert nearer[0].second.confidence == pytest.approx(0.9)
    assert nearer[0].second.truth == pytest.approx(0.1)
    assert further == []
    assert disagreements._tally(first, second) == (1, 3, 0, 0)
    assert len(disagreements._most(second, first, 1)[1]) == 1


@pytest.mark.slow
def test_drawn_faces_are_found_again(tmp_path: Path) -> None:
    from emotion.data import synthetic

    dataset = OmegaConf.create({
        "name": "synthetic", "per_emotion": 10, "image_size": 32, "noise": 0.5, "limit": None, "split_seed": 3,
        "validation_fraction": 0.2, "test_fraction": 0.2,
    })  # fmt: skip
    splits = synthetic.load(dataset)
    OmegaConf.save({"model": {}, "dataset": dataset}, tmp_path / "config.yaml")
    entry = _entry("one", [Run(tmp_path, "one")], 0.5)
    wanted = [bytes(splits.test.hashes[1]), bytes(splits.validation.hashes[0])]
    found, reasons = pictures.find([entry], wanted)
    assert reasons == []
    assert splits.test.images is not None
    assert splits.validation.images is not None
    np.testing.assert_array_equal(found[wanted[0]], splits.test.images[1])
    np.testing.assert_array_equal(found[wanted[1]], splits.validation.images[0])


@pytest.mark.slow
def test_the_page_imports_neither_tensorflow_nor_scikit_learn_nor_pyplot() -> None:
    code = (
        "import sys; from emotion.compare import page; "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
