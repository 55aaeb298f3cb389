"""Scores on other datasets in the card: those of the network that is published, and nobody else's under its name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotion import metrics, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.labels import EMOTIONS
from emotion.inference import report
from emotion.metrics import slices
from emotion.publish import elsewhere
from tests.publish.conftest import publishing

_LABELS = np.arange(280) % 7
_OURS, _THEIRS = "aa" * 32, "bb" * 32


def _scores(seed: int, right: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    answered = np.where(rng.random(280) < right, _LABELS, rng.integers(0, 7, 280))
    return metrics.score(
        np.asarray(0.9 * np.eye(7)[answered] + 0.1 / 7, np.float32), _LABELS, names=EMOTIONS, bootstrap=0
    )


def _evaluated(folder: Path, *entries: dict[str, Any]) -> Path:
    """What ``emotion.evaluate datasets=[...]`` leaves; an entry says run, dataset, checkpoint and scores."""
    listed = []
    for number, entry in enumerate(entries):
        scores = files.as_json(entry["scores"])
        where = folder / f"evaluation{number}"
        where.mkdir(parents=True)
        files.write_json(where / "metrics.json", {"checkpoint": entry["checkpoint"], "data": "d", "all": scores})
        named = {"run": entry["run"], "dataset": entry["dataset"], "split": "all", "labels": list(EMOTIONS)}
        listed.append(named | {"folder": where.name})
    files.write_json(folder / runs.ACROSS, {"evaluations": listed})
    return folder


def _entry(run: str, dataset: str, checkpoint: str, seed: int = 0, right: float = 0.6, **more: Any) -> dict[str, Any]:
    return {"run": run, "dataset": dataset, "checkpoint": checkpoint, "scores": _scores(seed, right) | more}


def test_own_scores_come_first_then_those_of_the_trained_prior_then_others(tmp_path: Path) -> None:
    sliced = slices.score(_LABELS % 2 == 0, {"light": np.where(_LABELS % 2 == 0, "bright", "dark")})
    first = _evaluated(
        tmp_path / "first",
        _entry("theirs", "web", _THEIRS, 1, 0.4),
        _entry("20261130_cnn", "web", _OURS, slices=sliced, as_trained=_scores(3, 0.5)),
    )
    second = _evaluated(tmp_path / "second", _entry("20261130_cnn", "lab", _OURS, 2, 0.8))
    found = elsewhere.read([first, second], _OURS)
    rows = found.rows("mine")
    assert list(rows) == ["mine", "mine, prior of training", "theirs"]
    assert {name: list(row) for name, row in rows.items()} == {
        "mine": ["web", "lab"], "mine, prior of training": ["web"], "theirs": ["web"],
    }  # fmt: skip
    tables = report.across_tables(rows)
    value = 100 * rows["mine"]["lab"]["accuracy"]["value"]
    assert f"{value:.1f} %" in tables["Accuracy"].split("\n")[2]
    assert tables["Accuracy"].count("–") == 2, "neither of the others was scored on lab"
    (gap,) = found.gaps()
    assert gap.startswith("web, light: 100.0 points of accuracy between bright and dark")


def test_the_card_of_a_published_run_has_them(annas: runs.Run, tmp_path: Path) -> None:
    ours = files.sha256(annas.checkpoint())
    source = _evaluated(tmp_path / "e", _entry("annas", "web", ours), _entry("theirs", "web", _THEIRS, 1, 0.4))
    publishing(annas, tmp_path / "mine", f"evaluations='{source}'")
    card = (tmp_path / "mine" / "README.md").read_text()
    section = card.split("## On other datasets")[1].split("\n## ")[0]
    for heading in report.ACROSS:
        assert f"{report.METRICS[heading]}:\n" in section
    assert [line.split(" | ")[0] for line in section.splitlines() if line.startswith(("| mine", "| theirs"))] == [
        "| mine", "| theirs",
    ] * 4  # fmt: skip
    assert "annas" not in section
    publishing(annas, tmp_path / "plain")
    assert "On other datasets" not in (tmp_path / "plain" / "README.md").read_text()


@pytest.mark.nightly
def test_rounded_weights_are_scored_elsewhere_once_they_are_published(annas: runs.Run, tmp_path: Path) -> None:
    place = tmp_path / "half"
    entry = _entry("half", "web", files.sha256(annas.checkpoint()))
    of_the_run = _evaluated(tmp_path / "before", entry)
    with pytest.raises(UserError, match=r"of the rounded network, and .* has none yet"):
        publishing(annas, place, "half=true", f"evaluations='{of_the_run}'")
    assert not place.exists()
    publishing(annas, place, "half=true")
    first = files.sha256(runs.Run(place, "half").checkpoint())
    with pytest.raises(UserError, match="none is of the network that is published"):
        publishing(annas, place, "half=true", f"evaluations='{of_the_run}'")
    source = _evaluated(tmp_path / "after", entry | {"checkpoint": first})
    publishing(annas, place, "half=true", f"evaluations=['{source}']")
    assert files.sha256(runs.Run(place, "half").checkpoint()) == first, "published again it is the same file"
    assert "## On other datasets" in (place / "README.md").read_text()


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets.json: no such file; this makes it: python -m emotion.evaluate"):
        elsewhere.read([tmp_path], _OURS)
    twice = _evaluated(tmp_path / "twice", _entry("a", "web", _OURS), _entry("a", "web", _OURS))
    with pytest.raises(UserError, match="a was scored on 'web' more than once"):
        elsewhere.read([twice], _OURS)
    source = _evaluated(tmp_path / "other", _entry("a", "web", _OURS), _entry("b", "web", _THEIRS))
    with pytest.raises(UserError, match=r"none is of the network .*checkpoint cccccccc"):
        elsewhere.read([source], "cc" * 32)
    listed = files.read_json(source / runs.ACROSS)
    listed["evaluations"][1]["labels"] = [*EMOTIONS, "contempt"]
    files.write_json(source / runs.ACROSS, listed)
    with pytest.raises(UserError, match="a and b answer different emotions"):
        elsewhere.read([source], _OURS)
    for nothing in ('{"evaluations": 3}', '{"evaluations": []}'):
        (source / runs.ACROSS).write_text(nothing)
        with pytest.raises(UserError, match="lists no evaluations; make it again"):
            elsewhere.read([source], _OURS)
    (source / runs.ACROSS).write_text('{"evaluations": [{"run": 3}]}')
    with pytest.raises(UserError, match=r"damaged, \{'run': 3\} is no evaluation"):
        elsewhere.read([source], _OURS)
    files.write_json(source / runs.ACROSS, {"evaluations": [listed["evaluations"][0] | {"split": "test"}]})
    with pytest.raises(UserError, match="has no scores of test"):
        elsewhere.read([source], _OURS)
    metrics_file = source / "evaluation0" / "metrics.json"
    whole = files.read_json(metrics_file)
    damages: list[dict[str, Any]] = [
        {"balanced_accuracy": None}, {"slices": {"light": 3}}, {"bootstrap": "many"}, {"as_trained": {}},
    ]  # fmt: skip
    for damage in damages:
        lacking = {key: value for key, value in (whole["all"] | damage).items() if value is not None}
        files.write_json(metrics_file, whole | {"all": lacking})
        files.write_json(source / runs.ACROSS, {"evaluations": [listed["evaluations"][0]]})
        with pytest.raises(UserError, match=r"evaluation0/metrics.json: damaged, its scores of all lack figures"):
            elsewhere.read([source], _OURS)
    shutil.rmtree(source / "evaluation0")
    with pytest.raises(UserError, match=r"metrics.json: no such file"):
        elsewhere.read([source], _OURS)
