import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from emotion.data.augment import key
from emotion.data.mixing import beta, blend, mix, paste
from tests.helpers.properties import max_examples

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 10, 12, 3)).astype(np.uint8)
TARGETS = np.eye(4, 7, dtype=np.float32)


def batch_key(step):
    return key(0, tf.constant(0), tf.constant(step))


def number(value):
    return tf.constant(value, tf.float32)


@given(st.floats(0, 1))
@max_examples(25)
def test_mixup_by_hand(share):
    pictures, targets = blend(tf.constant(PICTURES), tf.constant(TARGETS), number(share))
    partner = np.roll(PICTURES, 1, axis=0)
    expected = share * PICTURES.astype(float) + (1 - share) * partner
    assert pictures.dtype == tf.uint8
    assert np.abs(pictures.numpy() - expected).max() <= 0.501
    np.testing.assert_allclose(targets, share * TARGETS + (1 - share) * np.roll(TARGETS, 1, axis=0), atol=1e-6)


@given(st.floats(0, 1), st.floats(0, 0.999), st.floats(0, 0.999))
@max_examples(50)
def test_cutmix_targets_follow_the_pixels_really_pasted(share, down, right):
    dark, light = np.zeros((1, 10, 12, 1), np.uint8), np.full((1, 10, 12, 1), 255, np.uint8)
    pair = tf.constant(np.concatenate([dark, light]))
    pictures, targets = paste(
        pair, tf.constant(np.eye(2, dtype=np.float32)), number(share), number(down), number(right)
    )
    pasted = (pictures.numpy()[0, :, :, 0] == 255).mean()
    np.testing.assert_allclose(targets, [[1 - pasted, pasted], [pasted, 1 - pasted]], atol=1e-6)
    assert pasted <= 1 - share + 0.2  # rounding to pixels; cutting off at the border only makes it less
    np.testing.assert_array_equal(255 - pictures.numpy()[0], pictures.numpy()[1])


def test_cutmix_by_hand():
    # A quarter of the area: half of each side, 5 x 6 pixels, centred at row 5, column 6.
    pictures, targets = paste(tf.constant(PICTURES), tf.constant(TARGETS), number(0.75), number(0.5), number(0.5))
    expected = PICTURES.copy()
    expected[:, 3:8, 3:9] = np.roll(PICTURES, 1, axis=0)[:, 3:8, 3:9]
    np.testing.assert_array_equal(pictures, expected)
    np.testing.assert_allclose(targets, 0.75 * TARGETS + 0.25 * np.roll(TARGETS, 1, axis=0))


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_targets_sum_to_1_and_a_key_repeats(alphas):
    for step in range(5):
        first = mix(tf.constant(PICTURES), tf.constant(TARGETS), batch_key(step), **alphas)
        again = mix(tf.constant(PICTURES), tf.constant(TARGETS), batch_key(step), **alphas)
        assert first[0].dtype == tf.uint8
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
        np.testing.assert_allclose(tf.reduce_sum(first[1], axis=1), np.ones(4), rtol=1e-6)


def test_off_and_probability_0_change_nothing():
    for alphas in ({}, {"mixup": 1.0, "cutmix": 1.0, "probability": 0.0}):
        pictures, targets = mix(tf.constant(PICTURES), tf.constant(TARGETS), batch_key(0), **alphas)
        np.testing.assert_array_equal(pictures, PICTURES)
        np.testing.assert_array_equal(targets, TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize(("probability", "low", "high"), [(1.0, 1.0, 1.0), (0.5, 0.3, 0.7)])
def test_probability_is_the_share_of_batches(probability, low, high):
    mixing = tf.function(
        lambda step: mix(
            tf.constant(PICTURES), tf.constant(TARGETS), key(0, 0, step), mixup=5.0, probability=probability
        )[1]
    )
    mixed = [bool((mixing(tf.constant(step)).numpy() != TARGETS).any()) for step in range(100)]
    assert low <= np.mean(mixed) <= high


@pytest.mark.slow
def test_where_both_are_on_each_is_picked():
    mixing = tf.function(
        lambda step: mix(tf.constant(PICTURES), tf.constant(TARGETS), key(0, 0, step), mixup=5.0, cutmix=1.0)[0]
    )
    either = np.stack([PICTURES, np.roll(PICTURES, 1, axis=0)])
    pasted = [bool((mixing(tf.constant(s)).numpy() == either).any(axis=0).all()) for s in range(60)]
    assert 0.25 < np.mean(pasted) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_beta_has_the_right_moments_and_is_never_nan(alpha):
    draw = tf.function(lambda step: beta(alpha, key(1, 0, step)))
    drawn = np.array([draw(tf.constant(step)).numpy() for step in range(1500)])
    assert ((drawn >= 0) & (drawn <= 1)).all()
    variance = 1 / (4 * (2 * alpha + 1))
    np.testing.assert_allclose(drawn.mean(), 0.5, atol=4 * np.sqrt(variance / 1500))
    np.testing.assert_allclose(drawn.var(), variance, rtol=0.15)
