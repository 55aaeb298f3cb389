"""What TensorBoard finds in a run's folder, read back from the event files."""

from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from emotion import runs
from emotion.base import files
from emotion.train import board
from tests.conftest import TINY, compose

pytestmark = pytest.mark.slow


def events(run: runs.Run, part: str) -> EventAccumulator:
    found = EventAccumulator(str(run.path / "tb" / part), size_guidance={"tensors": 0})
    found.Reload()
    return found


def scalars(run: runs.Run, part: str) -> dict[str, dict[int, float]]:
    from tensorboard.util.tensor_util import make_ndarray

    found = events(run, part)
    values: dict[str, dict[int, float]] = {}
    for tag in found.Tags()["tensors"]:
        for event in found.Tensors(tag):
            array = make_ndarray(event.tensor_proto)
            if array.dtype.kind == "f" and array.shape == ():
                values.setdefault(tag, {})[event.step] = float(array)
    return values


def test_scalars_of_each_epoch_and_the_final_scores(trained: runs.Run) -> None:
    from emotion.runs.history import read_history

    history = read_history(trained.path / "history.csv")
    train, validation = scalars(trained, "train"), scalars(trained, "validation")
    for row in history:
        step = int(row["epoch"])
        assert train["epoch/loss"][step] == pytest.approx(row["loss"], rel=1e-5)
        assert train["epoch/learning_rate"][step] == pytest.approx(row["learning_rate"], rel=1e-4, abs=1e-9)
        assert validation["epoch/loss"][step] == pytest.approx(row["val_loss"], rel=1e-5)
        assert validation["epoch/macro_f1"][step] == pytest.approx(row["val_macro_f1"], rel=1e-5)
    metrics = files.read_json(trained.path / "metrics.json")
    test = scalars(trained, "test")
    assert list(test["final/accuracy"].values()) == [pytest.approx(metrics["test"]["accuracy"]["value"])]
    assert list(scalars(trained, "")["test_macro_f1"].values()) == [pytest.approx(metrics["test"]["macro_f1"]["value"])]


def test_pictures_and_text(trained: runs.Run) -> None:
    assert {"config", "augmented_examples"} <= set(events(trained, "").Tags()["tensors"])
    assert "confusion_matrix" in events(trained, "test").Tags()["tensors"]
    text = events(trained, "").Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert "stages:" in text


def test_hyperparameters_are_there_under_the_runs_id(trained: runs.Run) -> None:
    found = events(trained, "")
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    values = {k: v.number_value or v.string_value for k, v in start.hparams.items()}
    assert values["trainer.batch_size"] == 32
    assert values["model.name"] == "cnn"
    assert values["model.stages"] == "[8, 16]"
    assert values["dataset.name"] == "synthetic"


def test_every_swept_key_is_a_hyperparameter_and_none_is_left_out() -> None:
    flat = board.hyperparameters(compose("train", *TINY))
    assert {"seed", "trainer.learning_rate", "augmentation.mixup", "dataset.per_emotion", "model.dropout"} <= set(flat)
    assert None not in flat.values()
    assert all(isinstance(v, bool | int | float | str) for v in flat.values())
    assert not [k for k in flat if k.startswith(("dataset.cache_dir", "outputs", "resume"))]
