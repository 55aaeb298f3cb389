"""Phases and learning-rate schedules."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from tests.conftest import compose

keras = pytest.importorskip("keras")
from emotion.models.build import build, contract_of  # noqa: E402
from emotion.train import optimizers, phases  # noqa: E402


@given(
    frozen=st.integers(0, 12),
    still=st.one_of(st.none(), st.integers(0, 12)),
    epochs=st.integers(1, 12),
)
def test_phases_cover_every_epoch_once(frozen: int, still: int | None, epochs: int) -> None:
    model = OmegaConf.create({"frozen_epochs": frozen, "batch_norm_frozen_epochs": still, "fine_tune_scale": 0.1})
    plan = phases.plan(model, epochs, 1.0)
    assert [e for p in plan for e in range(p.start, p.stop)] == list(range(epochs))
    for phase in plan:
        assert phase.frozen == (phase.start < frozen)
        assert phase.schedule_start <= phase.start < phase.stop <= phase.schedule_stop
        if still is None:
            assert phase.batch_norm_frozen


def small() -> tuple[Any, DictConfig]:
    cfg = compose("train", "model=mobilenet_v2", "model.weights=null", "model.alpha=0.35", "model.input_size=32").model
    return build(cfg, contract_of(cfg, 0.0)), cfg


@pytest.mark.slow
def test_what_is_trained_in_each_phase() -> None:
    model, cfg = small()
    head, whole, rest = phases.plan(cfg, 10, 1e-3)
    phases.apply(head, model)
    assert len(model.trainable_variables) == 2, "the dense layer alone"
    phases.apply(whole, model)
    names = {v.path for v in model.trainable_variables}
    assert not [n for n in names if n.endswith(("gamma", "beta"))]
    assert len(names) > 40
    phases.apply(rest, model)
    assert [v.path for v in model.trainable_variables if v.path.endswith("gamma")]


@pytest.mark.nightly
@pytest.mark.slow
def test_frozen_batch_norm_keeps_its_statistics() -> None:
    import numpy as np

    model, cfg = small()
    x = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1), dtype=np.uint8)
    y = np.eye(7)[[0] * 8]
    before = {w.path: keras.ops.convert_to_numpy(w) for w in model.non_trainable_weights if "moving" in w.path}
    for phase, moves in zip(phases.plan(cfg, 10, 1e-3), (False, False, True), strict=True):
        phases.apply(phase, model)
        model.compile("sgd", "categorical_crossentropy")
        model.train_on_batch(x, y)
        moved = [
            w.path for w in model.weights
            if w.path in before and not np.array_equal(keras.ops.convert_to_numpy(w), before[w.path])
        ]  # fmt: skip
        assert bool(moved) == moves


def test_freezing_a_model_without_a_backbone_is_refused() -> None:
    cfg = compose("train", "model.stages=[8]", "model.frozen_epochs=1").model
    with pytest.raises(UserError, match="no layer called 'backbone'"):
        phases.apply(phases.plan(cfg, 3, 0.1)[0], build(cfg, contract_of(cfg, 0.0)))


def rates(*overrides: str, steps: int = 10) -> list[float]:
    cfg = compose("train", *overrides)
    found = []
    for phase in phases.plan(cfg.model, cfg.trainer.epochs, cfg.trainer.learning_rate):
        optimizer = optimizers.build(cfg.trainer, phase, steps)
        assert int(optimizer.iterations) == 0, "averages and moments begin at step 0"
        for i in range((phase.stop - phase.start) * steps):
            optimizer.iterations.assign(i)
            found.append(float(optimizer.learning_rate))
    return found


@pytest.mark.slow
def test_warm_up_and_cosine() -> None:
    found = rates("trainer.epochs=10", "trainer.warmup_epochs=2", "trainer.learning_rate=0.1")
    assert found[0] == 0
    assert found[10] == pytest.approx(0.05)
    assert found[20] == pytest.approx(0.1)
    assert found[60] == pytest.approx(0.05, rel=1e-4)
    assert found[-1] < 1e-3
    assert max(found) == pytest.approx(0.1)


def test_constant_after_warm_up() -> None:
    found = rates(
        "trainer.epochs=4", "trainer.warmup_epochs=0.5", "trainer.learning_rate=0.1", "trainer.schedule=constant"
    )
    assert found[5:] == pytest.approx([0.1] * 35)


@pytest.mark.slow
def test_phases_share_one_schedule_after_the_head() -> None:
    found = rates(
        "model=mobilenet_v2", "model.frozen_epochs=2", "model.batch_norm_frozen_epochs=4", "model.fine_tune_scale=0.1",
        "trainer.epochs=10", "trainer.warmup_epochs=1", "trainer.learning_rate=0.1",
    )  # fmt: skip
    assert found[10:20] == pytest.approx([0.1] * 10), "the head trains at the full rate"
    tuning = found[20:]
    assert max(tuning) == pytest.approx(0.01)
    steps = [b - a for a, b in pairwise(tuning[11:])]
    assert all(step <= 1e-9 for step in steps), "no jump where batch norm thaws"
    assert tuning[-1] < 1e-4


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_every_optimizer_leaves_biases_and_batch_norm_undecayed(name: str) -> None:
    cfg = compose(
        "train", "model.stages=[8]", f"trainer.optimizer={name}", "trainer.weight_decay=0.5", "trainer.ema=0.9"
    )
    model = build(cfg.model, contract_of(cfg.model, 0.0))
    optimizer = optimizers.build(cfg.trainer, phases.plan(cfg.model, 2, 0.1)[0], 10)
    optimizer.build(model.trainable_variables)
    decayed = {v.path.rpartition("/")[2] for v in model.trainable_variables if optimizer._use_weight_decay(v)}
    assert decayed == {"kernel"}
    assert optimizer.use_ema


def test_macro_f1_is_that_of_the_report() -> None:
    import numpy as np

    from emotion import metrics
    from emotion.train.objectives import MacroF1

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 200)  # the seventh class does not occur
    probabilities = rng.dirichlet(np.ones(7), 200).astype(np.float32)
    metric = MacroF1(7)
    for part in (slice(0, 120), slice(120, 200)):
        metric.update_state(np.eye(7, dtype=np.float32)[labels[part]], probabilities[part])
    expected = metrics.score(probabilities, labels, bootstrap=0)["macro_f1"]["value"]
    assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_averaged_weights_begin_as_the_weights_in_every_phase() -> None:
    import numpy as np

    cfg = compose(
        "train", "model=mobilenet_v2", "model.frozen_epochs=1", "model.batch_norm_frozen_epochs=2", "trainer.epochs=3",
        "trainer.ema=0.999",
    )  # fmt: skip
    last = phases.plan(cfg.model, 3, 1e-3)[-1]
    assert last.start > last.schedule_start
    weight = keras.Variable(np.full(3, 5.0, np.float32), name="kernel")
    optimizer = optimizers.build(cfg.trainer, last, 10)
    optimizer.build([weight])
    for _ in range(5):
        optimizer.apply([np.full(3, 0.1, np.float32)], [weight])
    optimizer.finalize_variable_values([weight])
    assert keras.ops.convert_to_numpy(weight) == pytest.approx(5.0, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_averaged_weights_follow_from_the_start_and_then_decay_as_asked(name: str) -> None:
    import numpy as np

    for ema, steps, decays in ((0.999, 40, [(1 + n) / (10 + n) for n in range(1, 40)]), (0.5, 60, None)):
        cfg = compose("train", f"trainer.optimizer={name}", f"trainer.ema={ema}", "trainer.schedule=constant")
        weight = keras.Variable(np.full(3, 5.0, np.float32), name="kernel")
        optimizer = optimizers.build(cfg.trainer, phases.plan(cfg.model, 3, 1e-2)[-1], 10)
        optimizer.build([weight])
        seen = []
        for _ in range(steps):
            optimizer.apply([np.full(3, 0.1, np.float32)], [weight])
            seen.append(keras.ops.convert_to_numpy(weight))
        average = seen[0]
        for value, decay in zip(seen[1:], decays or [min(0.5, (1 + n) / (10 + n)) for n in range(1, 60)], strict=True):
            average = decay * average + (1 - decay) * value
        optimizer.finalize_variable_values([weight])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), average, rtol=1e-5)
