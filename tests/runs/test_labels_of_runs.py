"""Runs on data with other labels than one of seven: votes of several people, an eighth class, no test to speak of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.config.checks import validate
from emotion.data import sources
from emotion.data.examples import Examples
from emotion.data.synthetic import picture
from emotion.evaluate import evaluate
from emotion.faces.labels import CONTEMPT, EMOTIONS
from emotion.train import train
from tests.conftest import compose

pytestmark = pytest.mark.slow

SMALL = ("model.stages=[8,16]", "trainer.epochs=1", "trainer.batch_size=32", "trainer.bootstrap=50")


def votes_of(folder: Path, count: int = 350) -> Path:
    """Drawn faces in FER2013's format, with votes in FER+'s: a person in three sees another emotion."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    fer = {"angry": 0, "disgusted": 1, "fearful": 2, "happy": 3, "sad": 4, "surprised": 5, "neutral": 6}
    plus = ["neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful", CONTEMPT, "unknown", "NF"]
    pictures, votes = ["emotion,pixels,Usage"], []
    votes.append("Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF")
    for n in range(count):
        face = cv2.cvtColor(cv2.resize(picture(0, n, 48, 0.3), (48, 48)), cv2.COLOR_BGR2GRAY)
        name = EMOTIONS[n % 7]
        usage = "PublicTest" if n % 5 == 0 else "Training"
        pictures.append(f"{fer[name]},{' '.join(map(str, face.ravel()))},{usage}")
        row = np.zeros(10, int)
        row[plus.index(CONTEMPT if n % 10 == 3 else name)] = 7
        row[rng.integers(0, 8)] += 3
        votes.append(f"{usage},fer{n:07d}.png," + ",".join(map(str, row)))
    (folder / "fer2013.csv").write_text("\n".join(pictures) + "\n")
    (folder / "fer2013new.csv").write_text("\n".join(votes) + "\n")
    return folder


def test_eight_classes_and_soft_targets_from_training_to_the_report(tmp_path: Path) -> None:
    root = votes_of(tmp_path / "fer")
    options = ["dataset=ferplus", f"dataset.root={root}", "dataset.contempt=keep", "dataset.label_mode=probability"]
    cfg = compose(
        "train", *options, *SMALL, "augmentation.mixup=0.2", "trainer.class_weight=sqrt", f"outputs={tmp_path}"
    )
    validate(cfg)
    scores = train(cfg, tmp_path / "run")["scores"]
    run = runs.resolve(str(tmp_path / "run"), tmp_path)
    assert run.contract().labels == (*EMOTIONS, CONTEMPT)
    assert run.record().data["counts"]["train"][CONTEMPT] > 10
    agreement = scores["test"]["agreement"]
    with np.load(tmp_path / "run" / "predictions.npz") as saved:
        p, v = saved["test_probabilities"], saved["test_votes"]
    assert p.shape == v.shape == (scores["test"]["n"], 8)
    assert agreement["human_agreement"]["value"] == pytest.approx(v[np.arange(len(v)), p.argmax(1)].mean())
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Agreement with people" in report
    assert CONTEMPT in report

    seven = compose("evaluate", f"run={tmp_path / 'run'}", "dataset=synthetic", "dataset.per_emotion=10")
    with pytest.raises(UserError, match=r"those of run .* are angry"):
        evaluate(seven)

    replace(run.contract(), temperature=0.5).save(run.path / "contract.json")
    again = evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50"))
    losses = [each["negative_log_likelihood"]["value"] for each in (again, scores["test"])]
    assert losses[0] != pytest.approx(losses[1], abs=0.01), "calibrated"
    for name, figure in again["agreement"].items():
        assert figure["value"] == pytest.approx(agreement[name]["value"], abs=1e-6), "before calibration"


@pytest.mark.nightly
def test_any_of_several_labels_is_fitted_and_mixing_is_refused(tmp_path: Path) -> None:
    root = votes_of(tmp_path / "fer")
    options = ["dataset=ferplus", f"dataset.root={root}", "dataset.label_mode=multi_target", f"outputs={tmp_path}"]
    with pytest.raises(UserError, match=r"augmentation\.mixup: with"):
        validate(compose("train", *options, *SMALL, "augmentation.mixup=0.2"))
    with pytest.raises(UserError, match=r"trainer\.label_smoothing"):
        validate(compose("train", *options, *SMALL, "trainer.label_smoothing=0.1"))
    cfg = compose("train", *options, *SMALL)
    splits = sources.load(cfg.dataset)
    assert (splits.train.targets.sum(axis=1) == 2).any()
    train(cfg, tmp_path / "run")
    row = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert float(dict(zip(row[0].split(","), row[1].split(","), strict=True))["loss"]) < np.log(7) + 0.5


@pytest.mark.nightly
def test_collected_pictures_train_before_anybody_has_reviewed_them(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    lines = []
    for n in range(7 * 20):
        path = root / EMOTIONS[n % 7] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture(0, n, 48, 0.4))
        lines.append({"key": str(n), "decision": "kept", "file": f"{EMOTIONS[n % 7]}/{n}.png", "label_source": "query"})
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files.write_json(root / "dataset.json", {"crop_margin": 0.1, "source": "emotion.collect", "pictures": 140})
    cfg = compose("train", "dataset=folder", f"dataset.root={root}", *SMALL, f"outputs={tmp_path}")
    assert list(train(cfg, tmp_path / "run")["scores"]) == ["validation"]
    run = runs.resolve(str(tmp_path / "run"), tmp_path)
    assert run.record().status == "done"
    assert run.contract().crop_margin == 0.1
    assert "This is no test split" in (run.path / "report.md").read_text()
    with pytest.raises(UserError, match="the test split of this data has no images"):
        evaluate(compose("evaluate", f"run={run.path}"))


def test_examples_say_where_they_come_from() -> None:
    rows = Examples(
        np.zeros(2, int), np.array([b"a", b"b"]), images=np.zeros((2, 4, 4), np.uint8), rows=np.array([7, 9])
    )
    assert rows.take(np.array([1])).name_of(0) == "row 9"
    files_ = Examples(np.zeros(1, int), np.array([b"a"]), paths=np.array(["x/y.png"]))
    assert files_.name_of(0) == "x/y.png"
