from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from emotion import metrics
from emotion.faces.labels import EMOTIONS
from emotion.inference import report
from emotion.metrics import slices
from emotion.reports import markdown
from emotion.reports.evaluation import confusion_matrix
from emotion.reports.training import history as plot_history


def _predictions(seed: int = 0, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, n)
    logits = rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[y]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), y


def _write(folder: Path, scores: dict[str, Any], **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "title": "cnn on fer2013",
        "facts": {"data": "fer2013", "seed": "0"},
        "scores": scores,
        "plots": {},
    }
    report.write(folder / "report.md", **{**arguments, **changes})
    return (folder / "report.md").read_text(encoding="utf-8")


def _shown(metric: dict[str, float]) -> str:
    return f"{100 * metric['value']:.1f} % ({100 * metric['low']:.1f} to {100 * metric['high']:.1f})"


def _tables(text: str) -> list[list[list[str]]]:
    """Every table of a Markdown text: its rows of cells, heading first, without the rule."""
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    split = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()] for block in blocks]
    return [[[cell.strip() for cell in line] for line in lines if "---" not in line[0]] for lines in split]


def test_slices_have_their_accuracies(tmp_path: Path) -> None:
    correct = np.arange(400) % 4 > 0
    found = slices.score(correct, {"light": np.array(["day", "night"]).repeat(200)})
    text = _write(tmp_path, {"test": metrics.score(*_predictions(), bootstrap=40) | {"slices": found}})
    (table,) = (t for t in _tables(text) if t[0][0] == "By")
    assert table[0] == ["By", "Slice", "Images", "Accuracy"]
    assert all(re.match(r"75\.0 % \(\d", row[3]) for row in table[1:])


def test_headline_has_the_official_and_the_leak_free_figure(tmp_path: Path) -> None:
    p, y = _predictions()
    leaked = np.arange(400) % 10 == 0
    scores = {
        "validation": metrics.score(*_predictions(1), bootstrap=40),
        "test": metrics.score_with_leak_free(p, y, leaked, bootstrap=40),
    }
    scores["test"] |= {"test_set": "FER2013 PublicTest", "official": True}
    test, clean = scores["test"], scores["test"]["leak_free"]
    text = _write(tmp_path, scores)
    official, without = text.split("\n\n")[1].splitlines()
    assert official.startswith("**Test split, official (FER2013 PublicTest): ")
    assert f"accuracy {_shown(test['accuracy'])}, macro-F1 {_shown(test['macro_f1'])}" in official
    assert "400 images" in official
    assert f"accuracy {_shown(clean['accuracy'])}, macro-F1 {_shown(clean['macro_f1'])}" in without
    assert "Without the 40 that are pixel-identical to a training or validation image" in without
    assert "on 360" in without


def test_a_random_split_is_not_called_official_and_few_images_are_named(tmp_path: Path) -> None:
    p, y = _predictions(n=60)
    score = metrics.score_with_leak_free(p, y, np.zeros(60, bool), bootstrap=20)
    score |= {"test_set": "own images, random split, seed 0", "official": False}
    text = _write(tmp_path, {"test": score})
    assert "**Test split (own images, random split, seed 0): " in text
    assert "official" not in text
    assert f"Few images of angry ({score['per_class']['angry']['support']}), " in text


def test_tables_hold_every_metric_of_every_split(tmp_path: Path) -> None:
    p, y = _predictions()
    validation = metrics.score(*_predictions(1), bootstrap=40)
    test = metrics.score_with_leak_free(p, y, np.arange(400) < 20, bootstrap=40)
    scores, classes, facts = _tables(_write(tmp_path, {"validation": validation, "test": test}))
    assert scores[0] == ["", "validation", "test", "test, leak-free"]
    assert scores[1] == ["Images", "400", "400", "380"]
    shown = {row[0]: row[1:] for row in scores[2:]}
    columns = (validation, test, test["leak_free"])
    for heading, metric in {
        "Accuracy": "accuracy",
        "Macro-F1": "macro_f1",
        "Balanced accuracy": "balanced_accuracy",
        "Top-2 accuracy": "top2_accuracy",
        "Expected calibration error": "expected_calibration_error",
    }.items():
        assert shown[heading] == [_shown(column[metric]) for column in columns]
    nats = test["negative_log_likelihood"]
    assert shown["Negative log-likelihood (nats)"][1] == (
        f"{nats['value']:.3f} ({nats['low']:.3f} to {nats['high']:.3f})"
    )
    assert [row[0] for row in classes[1:]] == list(EMOTIONS)
    for name, support, *rest in classes[1:]:
        entry = test["per_class"][name]
        assert support == str(entry["support"])
        assert rest == [_shown(entry[metric]) for metric in ("precision", "recall", "f1")]
    assert facts[1:] == [["data", "fer2013"], ["seed", "0"]]


def test_confused_pairs_are_named_worst_first(tmp_path: Path) -> None:
    matrix = np.diag([100, 50, 100, 100, 100, 448, 2])
    matrix[EMOTIONS.index("sad"), EMOTIONS.index("neutral")] = 146
    matrix[EMOTIONS.index("fearful"), EMOTIONS.index("surprised")] = 100
    matrix[EMOTIONS.index("surprised"), EMOTIONS.index("happy")] = 3  # 60 %, of five pictures
    true, taken = np.nonzero(matrix)
    rows = np.repeat(np.arange(len(true)), matrix[true, taken])
    score = metrics.score(np.eye(7)[taken[rows]], true[rows], bootstrap=0)
    lines = re.findall(r"^- (.*)$", _write(tmp_path, {"test": score}), flags=re.MULTILINE)
    assert lines == [
        "fearful was taken for surprised 50.0 % of the time (100 of 200)",
        "sad was taken for neutral 24.6 % of the time (146 of 594)",
        "surprised was taken for happy 60.0 % of the time (3 of 5)",
    ]


def test_no_confusions_no_intervals_and_absent_classes(tmp_path: Path) -> None:
    y = np.array([0, 1, 1])
    text = _write(tmp_path, {"test": metrics.score_with_leak_free(np.eye(7)[y], y, np.ones(3, bool), bootstrap=0)})
    assert "every image was labelled right" in text
    assert "accuracy 100.0 %, macro-F1 100.0 %" in text
    assert "No intervals were computed" in text
    assert "Every one of them is pixel-identical to a training or validation image" in text
    assert ["sad", "0", "–", "–", "–"] in _tables(text)[1]


def test_nothing_leaked_says_so_and_adds_no_column(tmp_path: Path) -> None:
    p, y = _predictions()
    text = _write(tmp_path, {"test": metrics.score_with_leak_free(p, y, np.zeros(400, bool), bootstrap=20)})
    assert "None of them is pixel-identical to a training or validation image" in text
    assert _tables(text)[0][0] == ["", "test"]


def test_nothing_is_claimed_of_identical_pictures_where_none_were_looked_for(tmp_path: Path) -> None:
    score = metrics.score(*_predictions(), bootstrap=20)
    text = _write(tmp_path, {"validation": score, "test": score})
    assert "not checked: the training data is no longer there" in text
    assert "None of them" not in text
    for split in ("train", "validation"):
        text = _write(tmp_path, {split: score})
        assert "pixel-identical" not in text
        assert "not checked" not in text


def test_headline_without_a_test_split_is_the_last_one(tmp_path: Path) -> None:
    score = metrics.score(*_predictions(), bootstrap=20)
    assert "**Validation split: accuracy" in _write(tmp_path, {"train": score, "validation": score})
    with pytest.raises(ValueError, match="at least one split"):
        _write(tmp_path, {})


@pytest.mark.slow
def test_the_meaning_of_intervals_and_of_validation_is_told(tmp_path: Path) -> None:
    text = _write(tmp_path, {"test": metrics.score(*_predictions(), bootstrap=20)})
    assert "95 % intervals: Wilson's for rates" in text
    assert "the percentile bootstrap, 20 resamples of the images" in text
    mixed = {"validation": metrics.score(*_predictions(1), bootstrap=10), "test": metrics.score(*_predictions())}
    assert "bootstrap, 10 (validation) and 10,000 (test) resamples of the images" in _write(tmp_path, mixed)
    assert "another training seed" in text
    assert "validation split chose the checkpoint" in text


@pytest.mark.slow
def test_links_are_relative_and_lead_to_pictures(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    confusion_matrix(np.eye(7, dtype=int), tmp_path / "confusion_matrix.png")
    plot_history([{"epoch": 1, "loss": 1.0}], tmp_path / "plots/a (1).png", monitor="loss", best_epoch=1)
    text = _write(
        tmp_path,
        {"test": metrics.score(*_predictions(), bootstrap=0)},
        plots={"Confusion matrix": "confusion_matrix.png", "Training history": "plots/a (1).png"},
    )
    links = re.findall(r"^!\[(.+)\]\(([^() ]+)\)$", text, flags=re.MULTILINE)
    assert [caption for caption, _ in links] == ["Confusion matrix", "Training history"]
    for _, link in links:
        assert (tmp_path / unquote(link)).read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_is_not_there_is_refused_and_the_old_report_stays(tmp_path: Path) -> None:
    score = {"test": metrics.score(*_predictions(), bootstrap=0)}
    old = _write(tmp_path, score)
    (tmp_path / "here.png").touch()
    for link in ("missing.png", str(tmp_path / "here.png")):
        with pytest.raises(ValueError, match="draw it before the report"):
            _write(tmp_path, score, plots={"Missing": link})
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here.png", "report.md"]


def test_a_reader_of_the_old_report_keeps_it_whole(tmp_path: Path) -> None:
    score = {"test": metrics.score(*_predictions(), bootstrap=0)}
    old = _write(tmp_path, score)
    with (tmp_path / "report.md").open(encoding="utf-8") as reader:
        new = _write(tmp_path, score, title="another")
        assert reader.read() == old != new


def test_facts_are_shown_unchanged_and_the_command_can_be_copied(tmp_path: Path) -> None:
    command = "python -m emotion.train 'dataset.root=<a>|`b`' model=cnn"
    text = _write(
        tmp_path,
        {"test": metrics.score(*_predictions(), bootstrap=0)},
        facts={"root": "<here>|there", "stages": "2*3*4", "run": "sweep_1/_x_", "Command": command},
    )
    assert f"```sh\n{command}\n```" in text
    assert _tables(text)[-1][1:] == [["root", r"\<here>\|there"], ["stages", r"2\*3\*4"], ["run", r"sweep_1/\_x\_"]]


def test_table_aligns_numbers_right_and_keeps_its_shape() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a|b\nc", "n": 1, "score": None},
        {"name": "d", "n": "−2.5 %", "score": "3.1 (3 to 4)"},
    ]
    assert markdown.table(rows, {"name": "Name", "n": "N", "score": "Score", "none": "None"}) == (
        "| Name | N | Score | None |\n"
        "| --- | ---: | ---: | --- |\n"
        "| a\\|b c | 1 | – | – |\n"
        "| d | −2.5 % | 3.1 (3 to 4) | – |"
    )
    assert markdown.table([], ["a", "b"]) == "| a | b |\n| --- | --- |"
