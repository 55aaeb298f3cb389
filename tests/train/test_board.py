"""What TensorBoard finds in the folders of runs and sweeps, read back from the event files or asked of TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

from emotion import runs
from emotion.base import files
from emotion.runs import swept
from emotion.runs.history import read_history
from emotion.train import board
from tests.conftest import TINY, compose
from tests.helpers import boards

pytestmark = pytest.mark.slow


def events(run: runs.Run) -> dict[str, list[Any]]:
    """Every tag's events; each writer makes a file of its own."""
    found: dict[str, list[Any]] = {}
    for path in sorted(swept.board(run).glob("events.*")):
        one = EventAccumulator(str(path), size_guidance={"tensors": 0})
        one.Reload()
        for tag in one.Tags()["tensors"]:
            found.setdefault(tag, []).extend(one.Tensors(tag))
    return found


def scalars(run: runs.Run) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    for tag, found in events(run).items():
        for event in found:
            array = make_ndarray(event.tensor_proto)
            if array.dtype.kind == "f" and array.shape == ():
                values.setdefault(tag, {})[event.step] = float(array)
    return values


def test_scalars_of_each_epoch_and_the_final_scores(trained: runs.Run) -> None:
    history, found = read_history(trained.path / "history.csv"), scalars(trained)
    for row in history:
        step = int(row["epoch"])
        assert found["loss/train"][step] == pytest.approx(row["loss"], rel=1e-5)
        assert found["schedule/learning_rate"][step] == pytest.approx(row["learning_rate"], rel=1e-4, abs=1e-9)
        assert found["loss/validation"][step] == pytest.approx(row["val_loss"], rel=1e-5)
        assert found["macro_f1/validation"][step] == pytest.approx(row["val_macro_f1"], rel=1e-5)
    metrics = files.read_json(trained.path / "metrics.json")
    for split in ("validation", "test"):
        for name, shown in (("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
            (value,) = found[f"Result/{split} {shown}"].values()
            assert value == pytest.approx(metrics[split][name]["value"])
    error = metrics["test"]["expected_calibration_error"]["value"]
    assert list(found["test/expected_calibration_error"].values()) == [pytest.approx(error)]


def test_pictures_and_text(trained: runs.Run) -> None:
    found = events(trained)
    assert {"config", "augmented_examples", "confusion_matrix/test", "confusion_matrix/validation"} <= set(found)
    for split, sheet in (("test", "mistakes.png"), ("validation", "mistakes_validation.png")):
        shown = found[f"most_confident_mistakes/{split}"][0].tensor_proto.string_val
        width, height = int(shown[0]), int(shown[1])
        assert cv2.imread(str(trained.path / sheet)).shape[:2] == (height, width)
    assert "stages:" in found["config"][0].tensor_proto.string_val[0].decode()


def test_a_run_alone_shows_what_was_typed(trained: runs.Run) -> None:
    given = board.hyperparameters(trained, trained.config())
    wanted = {"model": "cnn", "dataset": "synthetic", "seed": 0, "trainer.batch_size": 32}
    assert wanted.items() <= given.items()
    assert given["model.stages"] == "[8,16]"
    assert not [key for key in given if key.startswith(("outputs", "hydra"))]
    path = next(p for p in swept.board(trained).glob("events.*") if b"session_start_info" in p.read_bytes())
    found = EventAccumulator(str(path))
    found.Reload()
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.group_name == trained.id
    assert set(start.hparams) == set(given)


def job(folder: Path, number: int, epochs: int = 3, **given: str) -> runs.Run:
    """A job of a sweep that was trained, as far as TensorBoard knows: its events with a short made-up history."""
    cfg = compose("train", *TINY)
    swept_by = {k.replace("__", "."): v for k, v in given.items()}
    run = runs.create(folder / str(number), folder.parent, cfg, swept=swept_by)
    with board._writer(run).as_default():
        hparams.hparams(board.hyperparameters(run, cfg), trial_id=board.trial_id(run))
    scalars = board.Scalars(run)
    scalars.on_train_begin()
    scalars.set_model(_Model())
    for epoch in range(epochs):
        score = 0.4 + 0.1 * epoch + 0.01 * (number % 7)
        logs = {"loss": 2 - score, "accuracy": score, "macro_f1": score - 0.05}
        scalars.on_epoch_end(epoch, logs | {f"val_{name}": value - 0.02 for name, value in logs.items()})
    scalars.on_train_end()
    value = {"value": 0.6 + 0.01 * (number % 7)}
    scored: dict[str, Any] = {"accuracy": value, "macro_f1": value, "expected_calibration_error": value}
    scored |= {"per_class": {"happy": 1, "sad": 1}, "confusion_matrix": [[3, 1], [1, 3]]}
    board.write_scores(run, {"validation": scored, "test": scored}, epochs, 60.0)
    return run


class _Model:
    class optimizer:  # noqa: N801 - as Keras has it
        learning_rate = 0.001


@pytest.mark.nightly
def test_a_sweep_in_tensorboard_is_named_by_what_differs_and_ticks_what_matters(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path / "sweep", 2 * i + seed, model="cnn", augmentation=augmentation, seed=str(seed))
        for i, augmentation in enumerate(("light", "strong"))
        for seed in range(2)
    ]
    other = job(tmp_path / "other", 0, trainer__learning_rate="1e-3", model__stages="[8,16]")
    with boards.served(swept.tensorboard(tmp_path / "sweep")) as tensorboard:
        found = tensorboard.runs(4)
        experiment = tensorboard.ask("data/plugin/hparams/experiment", {"experimentName": ""})
        columns = [{"hparam": h["name"]} for h in experiment["hparamInfos"]]
        columns += [{"metric": m["name"]} for m in experiment["metricInfos"]]
        rows = tensorboard.ask(
            "data/plugin/hparams/session_groups",
            {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": columns, "startIndex": 0,
             "sliceSize": 100},
        )["sessionGroups"]  # fmt: skip
    assert found == [
        "model=cnn, augmentation=light, seed=0", "model=cnn, augmentation=light, seed=1",
        "model=cnn, augmentation=strong, seed=0", "model=cnn, augmentation=strong, seed=1",
    ]  # fmt: skip
    assert {h["name"] for h in experiment["hparamInfos"]} == {"model", "augmentation", "seed"}
    ticked = [m["name"]["tag"] for m in experiment["metricInfos"][:5]]  # as TensorBoard's page does
    assert ticked == [
        "Result/test accuracy", "Result/test macro-F1", "Result/validation accuracy", "Result/validation macro-F1",
        "Training/minutes",
    ]  # fmt: skip
    assert {row["name"] for row in rows} == {f"{i} of sweep" for i in range(len(jobs))}
    assert {row["hparams"]["augmentation"] for row in rows} == {"light", "strong"}
    with boards.served(swept.tensorboard(tmp_path)) as tensorboard:
        assert "other/tb-jobs/learning_rate=1e-3, stages=[8,16]" in tensorboard.runs(5)
    assert board.hyperparameters(other, other.config()) == {"trainer.learning_rate": 0.001, "model.stages": "[8,16]"}


def test_names_of_jobs_are_folders_of_their_own(tmp_path: Path) -> None:
    long = runs.create(
        tmp_path / "s" / "3", tmp_path, compose("train", *TINY), swept={"model.stages": "[" + "8," * 99 + "8]"}
    )
    path = runs.create(tmp_path / "s" / "4", tmp_path, compose("train", *TINY), swept={"dataset.root": "a/../b"})
    assert swept.board(path) == tmp_path / "s" / "tb-jobs" / "root=a-..-b, job=4"
    assert swept.board(long).name.endswith(", job=3")
    assert len(swept.board(long).name.encode()) < 200
    assert swept.name({"model.width": 1, "data.width": 2, "trainer.learning_rate": 0.00012345}) == (
        "model.width=1, data.width=2, learning_rate=0.0001234"
    )


def test_trials_are_named_by_number_and_values(tmp_path: Path) -> None:
    cfg, values = compose("train", *TINY), {"trainer.learning_rate": 0.00123456, "model": "cnn"}
    first = runs.create(tmp_path / "s" / "trials" / "7", tmp_path, cfg)
    second = runs.create(first.path / "executions" / "1", tmp_path, cfg)
    for execution, run in enumerate((first, second)):
        runs.update(run, seed=execution, trial={"number": 7, "execution": execution, "values": values})
    jobs = tmp_path / "s" / "trials" / "tb-jobs"
    assert swept.board(first) == jobs / "trial=7, learning_rate=0.001235, model=cnn"
    assert swept.board(second) == jobs / "trial=7, learning_rate=0.001235, model=cnn, seed=1"
    assert board.hyperparameters(second, cfg) == values | {"seed": 1}
    assert swept.tensorboard(tmp_path / "s" / "trials").endswith("trials")
