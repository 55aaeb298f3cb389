"""Samplers and logit adjustment: what is drawn how often, which prior the answers then hold for."""

import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from emotion.data import pipeline, weights
from emotion.data.examples import Examples, Splits
from emotion.runs import Run
from emotion.train import distillation
from emotion.train.objectives import logit_adjusted

LABELS = np.repeat(np.arange(3), [60, 30, 6])


def train(labels: np.ndarray = LABELS, **columns: np.ndarray) -> Examples:
    return Examples(
        labels, np.arange(len(labels)).astype("S16"), images=np.zeros((len(labels), 8, 8), np.uint8), **columns
    )


def trainer(**keys: object):
    return OmegaConf.create({"label_smoothing": 0.0, "epochs": 4, "class_weight": "none", **keys})


def epoch(rates: np.ndarray, number: int, seed: int = 0) -> np.ndarray:
    return pipeline.drawn(rates, tf.constant(LABELS, tf.int32), 3, seed, tf.constant(number, tf.int64)).numpy()


@pytest.mark.parametrize(("sampler", "expected"), [("balanced", [32, 32, 32]), ("sqrt", [47.9, 33.9, 15.2])])
def test_an_epoch_has_the_classes_of_its_sampler(sampler, expected):
    rates = weights.rates(train(), trainer(sampler=sampler), 3)
    assert rates.mean() == pytest.approx(1)
    if sampler == "sqrt":
        root = np.sqrt([60, 30, 6])
        expected = 96 * root / root.sum()
    for number in range(3):
        rows = epoch(rates, number)
        assert len(rows) == 96
        np.testing.assert_allclose(np.bincount(LABELS[rows], minlength=3), expected, atol=1.01)
        drawn = np.bincount(rows, minlength=96)
        assert (np.abs(drawn - rates) < 1).all()  # each comes as often as its rate says, up to rounding


def test_every_batch_has_nearly_the_shares_of_the_epoch():
    rows = epoch(weights.rates(train(), trainer(sampler="balanced"), 3), 1)
    for batch in LABELS[rows].reshape(8, 12):
        np.testing.assert_allclose(np.bincount(batch, minlength=3), 4, atol=1)


def test_what_is_drawn_follows_from_seed_and_epoch_alone():
    rates = weights.rates(train(), trainer(sampler="balanced"), 3)
    np.testing.assert_array_equal(epoch(rates, 5), epoch(rates, 5))
    assert (epoch(rates, 5) != epoch(rates, 6)).any()
    assert (epoch(rates, 5) != epoch(rates, 5, seed=1)).any()


def test_the_rarest_images_take_turns():
    """Of 60 images drawn 32 times an epoch, nearly all are seen in eight epochs."""
    rates = weights.rates(train(), trainer(sampler="balanced"), 3)
    seen = np.unique(np.concatenate([epoch(rates, number) for number in range(8)]))
    assert (seen < 60).sum() >= 58


def test_images_of_equal_weight_are_each_drawn_once():
    assert weights.rates(train(), trainer(), 3) is None
    assert weights.rates(train(weights=np.full(96, 2.0)), trainer(), 3) is None
    rates = weights.rates(train(weights=np.where(LABELS == 2, 3.0, 1.0)), trainer(), 3)
    assert rates[-1] / rates[0] == pytest.approx(3)


def test_the_prior_is_what_is_presented_less_what_the_loss_takes_out():
    shares = np.array([60, 30, 6]) / 96
    names = ("a", "b", "c")
    np.testing.assert_allclose(weights.prior(train(), trainer(), names), shares, atol=1e-6)
    np.testing.assert_allclose(weights.prior(train(), trainer(sampler="balanced"), names), 1 / 3, atol=1e-6)
    np.testing.assert_allclose(weights.prior(train(), trainer(logit_adjustment=1.0), names), 1 / 3, atol=1e-6)
    half = np.sqrt(shares) / np.sqrt(shares).sum()
    np.testing.assert_allclose(weights.prior(train(), trainer(logit_adjustment=0.5), names), half, atol=1e-5)
    without = train(np.repeat([0, 2], [30, 10]))
    np.testing.assert_allclose(weights.prior(without, trainer(logit_adjustment=1.0), names), [0.5, 0, 0.5], atol=1e-6)


def test_the_adjusted_loss_by_hand():
    shares, answer, target = [0.5, 0.4, 0.1], np.array([[0.2, 0.3, 0.5]], np.float32), np.array([[0, 0, 1]], np.float32)
    adjusted = np.array([0.2, 0.3, 0.5]) * shares
    expected = -np.log(adjusted[2] / adjusted.sum())
    assert float(logit_adjusted(shares, 1.0)(target, answer)[0]) == pytest.approx(expected, rel=1e-5)
    assert float(logit_adjusted(shares, 0.0)(target, answer)[0]) == pytest.approx(-np.log(0.5), rel=1e-5)


@pytest.mark.nightly
@pytest.mark.slow
def test_adjusted_training_answers_for_equal_shares():
    """One feature, two classes that overlap, one nine times as frequent: the boundary comes to lie in the middle."""
    import keras

    rng = np.random.default_rng(0)
    labels = (rng.random(4000) < 0.1).astype(int)
    x = (rng.normal(size=4000) + 2.0 * labels).astype(np.float32)[:, None]
    share = np.bincount(labels) / 4000
    middles = {}
    for tau in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
        model.compile(keras.optimizers.Adam(0.05), loss=logit_adjusted(share, tau))
        model.fit(x, np.eye(2, dtype=np.float32)[labels], batch_size=500, epochs=40, verbose=0)
        grid = np.linspace(-2, 4, 601, dtype=np.float32)[:, None]
        middles[tau] = float(grid[np.argmax(model.predict(grid, verbose=0)[:, 1] > 0.5), 0])
    # Equal shares: x = 1, half way between the means. Shares of 0.9 and 0.1: 1 + log(9) / 2.
    assert middles[1.0] == pytest.approx(1.0, abs=0.15)
    assert middles[0.0] == pytest.approx(1 + np.log(9) / 2, abs=0.2)


def test_balanced_targets_by_hand(tmp_path):
    """Shares 0.6, 0.3 and 0.1: of an image that people see as half a, half c, c gets 6/7."""
    targets = np.array([[1, 0, 0]] * 5 + [[0.5, 0, 0.5]] * 2 + [[0, 1, 0]] * 3, np.float32)
    images = train(targets.argmax(axis=1), targets=targets)
    splits = Splits(images, images, images, fingerprint={}, labels=("a", "b", "c"))
    cfg = OmegaConf.create({"trainer": {"balanced_targets": True, "teacher": None}, "outputs": str(tmp_path)})
    fitted = distillation.with_targets(cfg, splits, Run(tmp_path, "x")).train.targets
    np.testing.assert_allclose(fitted[5], [1 / 7, 0, 6 / 7], atol=1e-5)
    np.testing.assert_allclose(fitted[[0, 9]], [[1, 0, 0], [0, 1, 0]], atol=1e-6)
    cfg.trainer.balanced_targets = False
    assert distillation.with_targets(cfg, splits, Run(tmp_path, "x")) is splits


@pytest.mark.slow
def test_teachers_answer_for_the_class_shares_of_the_targets(trained):
    answers = np.array([[0.5, 0.3, 0.2, 0, 0, 0, 0]], np.float32)
    contract = trained.contract()
    copy = Run(trained.path, "copy")
    moved = distillation._for_prior(copy, answers, np.full(7, 1 / 7))
    by_hand = answers / np.array(contract.prior)
    np.testing.assert_allclose(moved, by_hand / by_hand.sum(), atol=1e-5)
