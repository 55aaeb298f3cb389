"""Evaluation tells whose figures it writes, claims only what it checked, and survives damaged run folders."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import evaluate, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import cache, seen, sources, synthetic
from emotion.data.examples import Splits
from emotion.evaluate import loading
from emotion.faces.labels import EMOTIONS
from emotion.inference import priors
from emotion.inference.classifier import predict
from emotion.inference.runtimes import Traced
from emotion.metrics import calibration
from emotion.runs import checkpoints, trial
from tests.conftest import TINY, compose, emotion
from tests.helpers.tiers import rest_nightly

pytestmark = pytest.mark.slow

SAME = ("dataset=synthetic", *(t for t in TINY if t.startswith("dataset.")))
OTHER = ("dataset=synthetic", "dataset.per_emotion=30", "dataset.image_size=48", "dataset.split_seed=9")


@pytest.fixture
def run(trained: runs.Run, tmp_path: Path) -> runs.Run:
    """A copy of the trained run, to be changed."""
    shutil.copytree(trained.path, tmp_path / "run")
    return runs.Run(tmp_path / "run", "run")


def _evaluate(run: runs.Run, *options: str) -> dict[str, Any]:
    return evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50", *options))


def _evaluation(run: runs.Run) -> Path:
    (folder,) = (run.path / "evaluations").iterdir()
    return folder


def test_the_last_checkpoint_is_recorded_as_itself(run: runs.Run) -> None:
    model = checkpoints.load(run.checkpoint())
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    model.save(run.checkpoint("last"))
    before = files.read_json(run.path / "metrics.json")
    _evaluate(run, "checkpoint=last")
    folder = _evaluation(run)
    assert folder.name == f"synthetic-{run.record().data['pixels'][:8]}-test-last"
    written = files.read_json(folder / "metrics.json")
    assert written["checkpoint"] == files.sha256(run.checkpoint("last")) != before["checkpoint"]
    assert written["test"]["negative_log_likelihood"] != before["test"]["negative_log_likelihood"]
    assert files.read_json(run.path / "metrics.json") == before


@pytest.mark.parametrize("split", ["train", "validation"])
def test_only_the_test_split_is_compared_with_the_training_data(run: runs.Run, split: str) -> None:
    score = _evaluate(run, f"split={split}", *OTHER)
    assert "leak_free" not in score
    report = (_evaluation(run) / "report.md").read_text()
    assert "pixel-identical" not in report
    assert "not checked" not in report


def test_the_test_split_of_other_data_is_compared_with_the_training_data(run: runs.Run) -> None:
    assert _evaluate(run, "split=test", *OTHER)["leak_free"]["excluded"] == 0
    assert "None of them is pixel-identical" in (_evaluation(run) / "report.md").read_text()
    with np.load(_evaluation(run) / "predictions.npz") as data:
        assert not data["test_leaked"].any()


def test_nothing_is_claimed_where_the_training_data_is_gone(
    run: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = run.config()
    cfg.dataset = compose("train", "dataset=folder", f"dataset.root={tmp_path / 'gone'}").dataset
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)
    (run.path / seen.FILE).unlink()
    assert "leak_free" not in _evaluate(run, "split=test", *OTHER)
    report = (_evaluation(run) / "report.md").read_text()
    assert "not checked: the training data is no longer there" in report
    assert "None of them" not in report
    assert "the training data is no longer there" in capsys.readouterr().out
    with np.load(_evaluation(run) / "predictions.npz") as data:
        assert "test_leaked" not in data


def test_training_data_is_found_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10 * len(EMOTIONS)):
        path = tmp_path / "faces" / EMOTIONS[number % len(EMOTIONS)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), synthetic.picture(0, number, 48, 0.3))
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg = compose("train", "dataset=folder", "dataset.root='~/faces'")
    run = runs.create(tmp_path / "run", tmp_path, cfg)
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)  # older runs did not expand the home folder
    found = loading.training_data(run)
    assert isinstance(found, Splits)
    runs.update(run, data={"pixels": found.fingerprint["pixels"]})
    assert loading.training_data(run) is not None
    runs.update(run, data={"pixels": "another fingerprint"})
    assert loading.training_data(run) is None, "other pictures are there by now"
    runs.update(run, data={})
    for path in (tmp_path / "faces").rglob("*.png"):
        path.write_bytes(b"")
    assert loading.training_data(run) is None, "its pictures cannot be read"
    cfg.dataset.root = "~/nowhere"
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)
    assert loading.training_data(run) is None


def test_the_same_pictures_by_another_name_are_the_runs_own(run: runs.Run) -> None:
    before = files.read_json(run.path / "metrics.json")
    cfg = run.config()
    cfg.dataset = compose("train", "dataset=folder", "dataset.root=moved-away").dataset
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)
    score = _evaluate(run, *SAME)
    assert score["leak_free"]["excluded"] == 0
    assert not (run.path / "evaluations").exists()
    after = files.read_json(run.path / "metrics.json")
    assert after["test"]["accuracy"]["value"] == before["test"]["accuracy"]["value"]
    assert after["test"]["bootstrap"] == 50


def test_a_quick_evaluation_leaves_the_runs_figures_as_they_are(run: runs.Run) -> None:
    before = (run.path / "metrics.json").read_bytes()
    assert files.read_json(run.path / "metrics.json")["validation"]["bootstrap"] == 50
    for split in ("validation", "test"):
        evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=20", f"split={split}"))
    assert (run.path / "metrics.json").read_bytes() == before
    folders = sorted((run.path / "evaluations").iterdir())
    assert [folder.name[19:] for folder in folders] == ["test-bootstrap20", "validation-bootstrap20"]
    assert "bootstrap, 20 resamples of the images" in (folders[0] / "report.md").read_text()
    evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=60", "split=validation"))
    after = files.read_json(run.path / "metrics.json")
    assert (after["validation"]["bootstrap"], after["test"]["bootstrap"]) == (60, 50)
    assert "60 (validation) and 50 (test) resamples" in (run.path / "report.md").read_text()


@pytest.mark.nightly
def test_where_the_network_looked_is_drawn_for_its_mistakes(run: runs.Run) -> None:
    _evaluate(run, "explain=2")
    assert "![Where the network looked](explained.png)" in (run.path / "report.md").read_text()
    assert (run.path / "explained.png").is_file()
    _evaluate(run)
    assert not (run.path / "explained.png").exists()


def test_flipped_answers_are_averaged_and_written_apart(run: runs.Run) -> None:
    before = files.read_json(run.path / "metrics.json")
    _evaluate(run, "tta=flip")
    assert files.read_json(run.path / "metrics.json") == before
    (folder,) = (run.path / "evaluations").glob("synthetic-????????-test-flip")
    assert files.read_json(folder / "metrics.json")["tta"] == "flip"
    assert "Test-time augmentation" in (folder / "report.md").read_text()
    splits = sources.load(run.config().dataset)
    pictures = np.stack([cache.prepared(splits.test, i, run.contract()) for i in range(len(splits.test))])
    model = Traced(checkpoints.load(run.checkpoint()))
    mean = (predict(model, pictures) + predict(model, pictures[:, :, ::-1])) / 2
    with np.load(folder / "predictions.npz") as saved:
        expected = calibration.apply(mean.astype(np.float32), run.contract().temperature)
        np.testing.assert_allclose(saved["test_probabilities"], expected, atol=1e-5)


def test_two_sets_of_other_data_do_not_share_a_folder(run: runs.Run) -> None:
    _evaluate(run, *OTHER)
    _evaluate(run, *OTHER, "dataset.per_emotion=20")
    assert len(list((run.path / "evaluations").iterdir())) == 2


def test_batch_size_is_used(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion.data import pipeline

    sizes, real = [], pipeline.evaluation

    def watched(store: Any, batch_size: int) -> Any:
        sizes.append(batch_size)
        return real(store, batch_size=batch_size)

    monkeypatch.setattr(pipeline, "evaluation", watched)
    _evaluate(run, "batch_size=7")
    assert sizes == [7]


@pytest.mark.parametrize(("factor", "said"), [(np.nan, "not numbers"), (None, "no probabilities")])
def test_answers_that_are_none_are_refused(
    run: runs.Run, factor: float | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = checkpoints.load(run.checkpoint())
    if factor is None:
        model = keras.Model(model.input, keras.layers.Rescaling(2.0)(model.output))
    else:
        model.set_weights([weight * factor for weight in model.get_weights()])
    model.save(run.best)
    monkeypatch.setattr(trial, "fault", lambda path: None)
    with pytest.raises(UserError, match=said):
        _evaluate(run)


def test_a_checkpoint_of_another_network_is_refused(
    run: runs.Run, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(models["rgb"].folder / "checkpoints" / "best.keras", run.best)
    monkeypatch.setattr(trial, "fault", lambda path: None)  # which is tested by itself
    with pytest.raises(UserError, match="not of the same run"):
        _evaluate(run)


@pytest.mark.parametrize("keep", [0, 100, -1000], ids=["empty", "head", "cut"])
def test_a_damaged_checkpoint_is_named(run: runs.Run, keep: int) -> None:
    path = run.checkpoint()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"best\.keras: damaged.*train again or restore it"):
        _evaluate(run)


def test_a_checkpoint_with_damaged_content_ends_without_a_traceback(run: runs.Run, tmp_path: Path) -> None:
    path = run.checkpoint()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    done = emotion("evaluate", f"run={run.path}", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "best.keras: " in done.stderr
    assert "train again or restore it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", rest_nightly([b"PK\x03\x04 and then nothing", b"", b"not a zip"]))
def test_damaged_predictions_count_as_absent(run: runs.Run, content: bytes) -> None:
    (run.path / "predictions.npz").write_bytes(content)
    _evaluate(run, "split=validation")
    with np.load(run.path / "predictions.npz") as data:
        assert {name.partition("_")[0] for name in data} == {"validation"}


@pytest.mark.parametrize("content", rest_nightly(["epoch,loss\n1,abc\n", "epoch,loss\n1,2,3\n", "", "\0\0"]))
def test_a_damaged_history_costs_the_drawing_alone(run: runs.Run, content: str) -> None:
    (run.path / "history.csv").write_text(content)
    (run.path / "history.png").unlink()
    _evaluate(run)
    assert "history.png" not in (run.path / "report.md").read_text()
    assert "confusion_matrix.png" in (run.path / "report.md").read_text()


def test_a_deleted_picture_is_left_out_of_the_report(run: runs.Run) -> None:
    (run.path / "confusion_matrix.png").unlink()
    _evaluate(run, "split=validation")
    report = (run.path / "report.md").read_text()
    assert "confusion_matrix.png" not in report
    assert "reliability.png" in report
    _evaluate(run)
    assert "confusion_matrix.png" in (run.path / "report.md").read_text()


@pytest.mark.nightly
def test_answers_for_another_prior_are_scored_beside_those_of_training(run: runs.Run) -> None:
    before = files.read_json(run.path / "metrics.json")
    shares = run.contract().prior
    assert shares == pytest.approx((1 / 7,) * 7, abs=0.01), "drawn faces come in equal numbers"
    setting = "prior={happy: 0.9, sad: 0.1}"
    score = _evaluate(run, setting)
    assert files.read_json(run.path / "metrics.json") == before
    assert score["target_prior"] == dict.fromkeys(EMOTIONS, 0.0) | {"happy": 0.9, "sad": 0.1}
    assert score["as_trained"]["accuracy"]["value"] == before["test"]["accuracy"]["value"]
    answered = np.array(score["confusion_matrix"]).sum(axis=0)
    assert answered[EMOTIONS.index("happy")] + answered[EMOTIONS.index("sad")] == score["n"]
    (folder,) = (run.path / "evaluations").glob("synthetic-????????-test-prior-??????")
    report = (folder / "report.md").read_text()
    assert "prior of training" in report
    assert "happy 90.0 %" in report
    assert _evaluate(run, "prior=training")["accuracy"] == before["test"]["accuracy"]
    estimated = _evaluate(run, "prior=estimate")
    assert sum(estimated["target_prior"].values()) == pytest.approx(1)


def test_shares_that_were_not_recorded_are_computed_from_the_runs_data_or_refused(
    run: runs.Run, tmp_path: Path
) -> None:
    recorded = run.contract()
    replace(recorded, prior=None).save(run.path / "contract.json")
    score = _evaluate(run, "prior=balanced")
    assert score["target_prior"] == pytest.approx(dict.fromkeys(EMOTIONS, 1 / 7))
    assert priors.contract(run, "estimate").prior == recorded.prior
    cfg = run.config()
    cfg.dataset = compose("train", "dataset=folder", f"dataset.root={tmp_path / 'gone'}").dataset
    OmegaConf.save(cfg, run.path / "config.yaml", resolve=True)
    with pytest.raises(
        UserError, match=r"does not record the class shares .* its data is not at .* Take prior=training"
    ):
        _evaluate(run, "prior=balanced", *OTHER)


def test_a_wrong_prior_is_named_before_anything_is_read(run: runs.Run) -> None:
    shutil.rmtree(run.checkpoints)
    for value, message in (("balancd", "Did you mean 'balanced'"), ("{happy: 0.4}", "sum to 0.4, must sum to 1")):
        with pytest.raises(UserError, match=message):
            priors.contract(run, compose("evaluate", f"run={run.path}", f"prior={value}").prior)
