"""The file that a run resumes from: all variables in their order, progress, and what does not fit is refused."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.train import state

PROGRESS = state.Progress(
    epoch=3, best=0.625, best_epoch=2, wait=1, seconds=12.5, history=[{"epoch": 1.0, "loss": 0.1}, {"epoch": 2.0}]
)


@pytest.fixture
def model() -> keras.Model:
    """Six layers, so that there are more than ten variables, each with values of its own; a seed among them."""
    layers = [layer for units in (3, 4, 5, 6, 7, 2) for layer in (keras.layers.Dense(units), keras.layers.Dropout(0.5))]
    made = keras.Sequential([keras.Input((4,)), *layers])
    made.compile(optimizer="adam", loss="mse")
    made.optimizer.build(made.trainable_variables)
    _fill(made, 0)
    return made


def _fill(model: keras.Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for variable in _all(model):
        variable.assign(rng.integers(0, 1000, tuple(variable.shape)).astype(variable.dtype))


def _all(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def _values(model: keras.Model) -> list[Any]:
    return [keras.ops.convert_to_numpy(v).tolist() for v in _all(model)]


def test_all_that_a_training_needs_comes_back(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    state.save(path, PROGRESS, model)
    before = _values(model)
    assert len(model.variables) > 10
    _fill(model, 1)
    saved = state.load(path)
    assert saved.progress == PROGRESS
    state.restore(model.variables, saved.model, "model")
    assert _values(model)[: len(model.variables)] == before[: len(model.variables)]
    assert _values(model)[len(model.variables) :] != before[len(model.variables) :]
    state.restore(model.optimizer.variables, saved.optimizer, "optimizer")
    assert _values(model) == before
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_the_state_before_stays_where_writing_fails(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.npz"
    state.save(path, PROGRESS, model)
    whole = path.read_bytes()

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"PK half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        state.save(path, state.Progress(epoch=4), model)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("change", ["shorter", "longer", "other shapes"])
def test_a_model_that_is_another_now_is_not_half_restored(model: keras.Model, change: str) -> None:
    values = [keras.ops.convert_to_numpy(v) + 1 for v in model.variables]
    values = {
        "shorter": values[:-1],
        "longer": [*values, np.zeros(3)],
        "other shapes": [*values[:-1], np.zeros((*values[-1].shape, 1))],
    }[change]
    before = _values(model)
    with pytest.raises(UserError, match="the saved model does not fit this model"):
        state.restore(model.variables, values, "model")
    assert _values(model) == before


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _progress(**values: Any) -> Any:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


WHOLE = _npz(progress=_progress(epoch=1), **{"model/0": np.zeros(50)})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        WHOLE[:-30],
        _npz(**{"model/0": np.zeros(3)}),  # no progress
        _npz(progress=np.frombuffer(b"{", np.uint8)),
        _npz(progress=_progress(epoch=1, unheard_of=2)),
        _npz(progress=_progress(epoch=1), **{"model/0": np.array([print], dtype=object)}),  # would run code
        WHOLE.replace(bytes(200), b"\1" * 200, 1),  # a flipped bit: the archive's sum does not fit
    ],
    ids=["empty", "no archive", "cut off", "no progress", "no JSON", "unknown field", "pickled", "altered"],
)
def test_a_damaged_state_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"state\.npz: damaged.+; train again"):
        state.load(path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stopped before its first epoch ended"):
        state.load(tmp_path / "state.npz")


def test_arrays_are_read_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    arrays = {f"{name}/{i}": np.array(100 * k + i) for k, name in enumerate(("model", "optimizer")) for i in range(12)}
    path.write_bytes(_npz(progress=_progress(epoch=7), **dict(sorted(arrays.items()))))
    saved = state.load(path)
    assert saved.progress == state.Progress(epoch=7)
    assert [int(v) for v in saved.model] == list(range(12))
    assert [int(v) for v in saved.optimizer] == list(range(100, 112))
    assert zipfile.is_zipfile(path)


def test_a_run_that_will_not_fit_on_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    asked: list[Any] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: asked.append(folder) or usage(10**9, 0, 48_000_000))
    state.check_space(tmp_path, 1_000_000)  # 2 x 6 files of 4 bytes a parameter
    with pytest.raises(UserError, match=r"48 MB free, the run needs about 50 MB\. Make room or set outputs="):
        state.check_space(tmp_path, 1_050_000)
    with pytest.raises(UserError, match="48 MB free, the run needs about 48 MB"):
        state.check_space(tmp_path, 1_000_001)
    assert asked == [tmp_path] * 3
