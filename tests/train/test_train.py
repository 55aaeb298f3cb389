"""A training run from the command line: what it leaves, and that it can be trusted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import metrics, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.config.checks import validate
from emotion.data import cache, sources
from emotion.data.examples import Examples, Splits
from emotion.evaluate import evaluate
from emotion.faces import images as faces
from emotion.faces.contract import Contract
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS
from emotion.inference import engines
from emotion.metrics import calibration
from emotion.runs.history import read_history
from emotion.train import train
from tests.conftest import TINY, compose, emotion
from tests.helpers.tiers import rest_nightly

pytestmark = pytest.mark.slow


def test_a_run_folder_holds_what_the_contract_says(trained: runs.Run) -> None:
    names = {p.relative_to(trained.path).as_posix() for p in trained.path.rglob("*") if p.is_file()}
    assert {
        ".hydra/config.yaml", "train.log", "config.yaml", "run.json", "contract.json", "checkpoints/best.keras",
        "checkpoints/last.keras", "model.tflite", "metrics.json", "predictions.npz", "history.csv",
        "confusion_matrix.png", "reliability.png", "history.png", "report.md",
    } <= names  # fmt: skip
    record = trained.record()
    assert record.status == "done"
    assert record.error is None
    assert record.objective["name"] == "val_macro_f1"
    assert record.data["counts"]["train"]["happy"] == 16
    assert record.parameters > 1000
    assert record.command.startswith("python -m emotion.train dataset.per_emotion=24")
    assert not [n for n in names if "/.new-" in n or "/." in n.replace(".hydra", "")], "no half-written files"


@pytest.mark.nightly
def test_each_image_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times: Counter[bytes] = Counter()
    prepared = cache.prepared

    def counted(examples: Examples, row: int, contract: Contract) -> Image:
        times[bytes(examples.hashes[row])] += 1
        return prepared(examples, row, contract)

    monkeypatch.setattr(cache, "prepared", counted)
    train(compose("train", *TINY, "trainer.epochs=1"), tmp_path / "run")
    assert len(times) == 7 * 24
    assert set(times.values()) == {1}, "for training, validation, scores, calibration and the export together"


def test_the_metrics_are_those_of_the_predictions(trained: runs.Run) -> None:
    metrics = files.read_json(trained.path / "metrics.json")
    with np.load(trained.path / "predictions.npz") as data:
        for split in ("validation", "test"):
            probabilities, labels = data[f"{split}_probabilities"], data[f"{split}_labels"]
            assert probabilities.shape == (28, 7)
            np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
            accuracy = (probabilities.argmax(1) == labels).mean()
            assert metrics[split]["accuracy"]["value"] == pytest.approx(accuracy)
    # What was validated in training is what the saved checkpoint gives.
    best = trained.record().best_epoch
    row = read_history(trained.path / "history.csv")[best - 1]
    assert metrics["validation"]["accuracy"]["value"] == pytest.approx(row["val_accuracy"], abs=1e-6)
    assert metrics["validation"]["macro_f1"]["value"] == pytest.approx(row["val_macro_f1"], abs=1e-5)


def test_another_process_in_another_folder_evaluates_it(trained: runs.Run, tmp_path: Path) -> None:
    copy = tmp_path / "somewhere" / "else"
    shutil.copytree(trained.path, copy)
    before = files.read_json(copy / "metrics.json")
    done = emotion("evaluate", f"run={copy}", "bootstrap=50", cwd=tmp_path)
    assert "test split (drawn faces, people of their own, seed 0), 28 images" in done.stdout
    assert files.read_json(copy / "metrics.json") == before
    assert not (tmp_path / "outputs").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["somewhere"], "nothing is left in the working directory"


@pytest.mark.nightly
def test_other_data_is_scored_beside_the_runs_own(trained: runs.Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy)
    other = ("dataset=synthetic", "dataset.per_emotion=30", "dataset.split_seed=9")
    evaluate(compose("evaluate", f"run={copy}", "bootstrap=50", *other))
    (folder,) = (copy / "evaluations").glob("synthetic-????????-all")
    scored = files.read_json(folder / "metrics.json")
    assert scored["data"] != files.read_json(copy / "metrics.json")["data"]
    assert (folder / "report.md").is_file()


@pytest.mark.nightly
def test_a_stale_export_is_made_again(trained: runs.Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy)
    (copy / "model.tflite").unlink()
    evaluate(compose("evaluate", f"run={copy}", "bootstrap=50", "split=validation"))
    assert (copy / "model.tflite").is_file()


def test_changed_data_is_refused(trained: runs.Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained.path, copy)
    cfg = OmegaConf.load(copy / "config.yaml")
    cfg.dataset.split_seed = 3
    OmegaConf.save(cfg, copy / "config.yaml", resolve=True)
    done = emotion("evaluate", f"run={copy}", cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "was made with other data" in done.stderr


def tiny(folder: Path, *more: str) -> dict[str, object]:
    cfg = compose("train", *TINY, "trainer.deterministic=true", f"outputs={folder}", *more)
    validate(cfg)
    return train(cfg, folder / "run")


def weights(folder: Path) -> list[np.ndarray]:
    import keras

    return keras.saving.load_model(folder / "run" / "checkpoints" / "best.keras", compile=False).get_weights()


def test_the_same_seed_gives_the_same_weights_and_the_test_split_plays_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny(tmp_path / "a")
    real = sources.load

    def with_another_test(cfg: object) -> Splits:
        splits = real(cfg)  # type: ignore[arg-type]
        noise = np.random.default_rng(0).integers(0, 255, splits.test.images.shape, np.uint8)
        return replace(splits, test=replace(splits.test, images=noise, labels=splits.test.labels[::-1]))

    monkeypatch.setattr(sources, "load", with_another_test)
    second = tiny(tmp_path / "b")
    for one, two in zip(weights(tmp_path / "a"), weights(tmp_path / "b"), strict=True):
        np.testing.assert_array_equal(one, two)
    assert first["objective"] == second["objective"]
    assert first["scores"]["test"] != second["scores"]["test"]  # type: ignore[index]
    monkeypatch.undo()
    tiny(tmp_path / "c", "seed=1")
    assert any((one != two).any() for one, two in zip(weights(tmp_path / "a"), weights(tmp_path / "c"), strict=True))


def test_leaked_test_pictures_are_left_out_of_the_second_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sources.load

    def leaking(cfg: object) -> Splits:
        splits = real(cfg)  # type: ignore[arg-type]
        images, hashes = splits.test.images.copy(), splits.test.hashes.copy()
        images[:5], hashes[:5] = splits.train.images[:5], splits.train.hashes[:5]
        images[5], hashes[5] = splits.validation.images[5], splits.validation.hashes[5]
        return replace(splits, test=replace(splits.test, images=images, hashes=hashes))

    monkeypatch.setattr(sources, "load", leaking)
    score = tiny(tmp_path)["scores"]["test"]  # type: ignore[index]
    assert score["n"] == 28
    assert score["leak_free"]["excluded"] == 6
    assert score["leak_free"]["n"] == 22
    assert "leak-free" in (tmp_path / "run" / "report.md").read_text().lower()


@pytest.mark.nightly
def test_confidence_is_calibrated_on_validation(tmp_path: Path, trained: runs.Run) -> None:
    assert trained.contract().temperature == 1.0, "28 pictures say too little"
    tiny(tmp_path, "dataset.per_emotion=40", "dataset.validation_fraction=0.45", "trainer.epochs=1")
    run = runs.Run(tmp_path / "run", "run")
    temperature = run.contract().temperature
    assert temperature != 1.0
    with np.load(run.path / "predictions.npz") as saved:
        shown, labels = saved["validation_probabilities"], saved["validation_labels"]
    raw = calibration.apply(shown, 1 / temperature)
    assert (raw.argmax(axis=1) == shown.argmax(axis=1)).all()
    losses = [metrics.score(p, labels, bootstrap=0)["negative_log_likelihood"]["value"] for p in (raw, shown)]
    assert losses[1] < losses[0]
    # Live video shows the same probabilities as evaluation, not the model's own.
    splits = sources.load(run.config().dataset)
    pictures = [faces.prepare(image, run.contract()) for image in splits.validation.images[:8]]
    live = engines.load(run).probabilities(np.stack(pictures))
    np.testing.assert_allclose(live, shown[:8], atol=1e-4)


@pytest.mark.parametrize(
    "options",
    rest_nightly([
        ["trainer.optimizer=rmsprop", "trainer.strategy=mirrored", "trainer.schedule=constant",
         "augmentation.cutmix=1", "model.stage_dropout=0.1", "dataset.cache=none", "trainer.monitor=val_loss"],
        ["trainer.precision=bfloat16", "trainer.ema=0.9", "augmentation=strong", "trainer.class_weight=sqrt"],
        ["trainer.optimizer=sgd", "trainer.learning_rate=0.05", "trainer.clip_norm=1", "trainer.label_smoothing=0.1",
         "model.residual=true", "model.squeeze_excitation=true", "model.colour=rgb", "dataset.cache=disk"],
    ]),
)  # fmt: skip
def test_options_train_and_their_export_equals_the_checkpoint(tmp_path: Path, options: list[str]) -> None:
    result = tiny(tmp_path, *options, "trainer.calibrate=false")
    record = files.read_json(tmp_path / "run" / "run.json")
    assert record["tflite"]["max_difference"] <= 1e-4
    # The checkpoint gives what was validated: with EMA the averaged weights, with bfloat16 within its rounding.
    row = read_history(tmp_path / "run" / "history.csv")[record["best_epoch"] - 1]
    score = result["scores"]["validation"]  # type: ignore[index]
    assert score["negative_log_likelihood"]["value"] == pytest.approx(row["val_loss"], rel=0.02)


def test_mobilenet_v2_trains_in_phases_from_a_weights_file(tmp_path: Path, shared: Path) -> None:
    path = next((shared / "weights").glob("mobilenet_v2_weights_*0.35*"))
    cfg = compose(
        "train", *[t for t in TINY if not t.startswith("model.")], "model=mobilenet_v2", "model.input_size=48",
        "model.alpha=0.35", f"model.weights={path}", "model.frozen_epochs=1", "model.batch_norm_frozen_epochs=2",
        "trainer.epochs=2", f"outputs={tmp_path}",
    )  # fmt: skip
    train(cfg, tmp_path / "run")
    history = read_history(tmp_path / "run" / "history.csv")
    assert [row["epoch"] for row in history] == [1, 2]
    assert history[1]["learning_rate"] < history[0]["learning_rate"] / 5
    assert files.read_json(tmp_path / "run" / "run.json")["tflite"]["max_difference"] <= 1e-4


def test_nan_stops_the_run_and_names_rate_and_epoch(tmp_path: Path) -> None:
    heavy = ", ".join(f"{emotion}: 1e38" for emotion in EMOTIONS)  # weights that overflow float32
    with pytest.raises(UserError, match=r"loss became (nan|inf) in (step|epoch|the validation).*learning rate"):
        tiny(tmp_path, f"trainer.class_weight={{{heavy}}}")
    record = files.read_json(tmp_path / "run" / "run.json")
    assert record["status"] == "failed"
    assert "learning rate" in record["error"]


def test_early_stopping(tmp_path: Path) -> None:
    tiny(tmp_path, "trainer.epochs=8", "trainer.patience=1", "trainer.min_delta=0.9")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["stopped_early"]
    assert record["epoch"] == 2
    assert len(read_history(tmp_path / "run" / "history.csv")) == 2


def test_too_few_pictures_for_a_batch_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer\.batch_size"):
        tiny(tmp_path, "trainer.batch_size=4096")


def test_a_full_disk_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(UserError, match="MB free"):
        tiny(tmp_path)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.nightly
def test_a_disk_that_fills_up_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion.train import state

    real, calls = state.save, []

    def failing(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", "state.npz")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(state, "save", failing)
    with pytest.raises(UserError, match=r"No space left.*resume="):
        tiny(tmp_path, "trainer.epochs=3")
    monkeypatch.undo()
    assert state.load(tmp_path / "run" / "checkpoints" / "state.npz").progress.epoch == 1
    assert files.read_json(tmp_path / "run" / "run.json")["status"] == "failed"
