from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from emotion.config.schema import CONF, OPS
from emotion.data import corruptions
from emotion.data.augment import augment, fold, key, overlay, parse, rectangle
from emotion.data.geometry import flipping, resample, rotation, scaling, shearing, translation
from emotion.faces import images
from tests.helpers.properties import max_examples

SEED = key(3, tf.constant(1), tf.constant(2))


def smooth(count=4, height=32, width=32, channels=1, seed=0):
    """Pictures without sharp edges, so that two ways of resampling must agree closely."""
    coarse = np.random.default_rng(seed).integers(0, 255, (count, 5, 5, channels)).astype(np.uint8)
    fine = [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse]
    return np.stack(fine).reshape(count, height, width, channels)


def run(pictures, *ops, seed=SEED):
    return augment(tf.constant(pictures), parse(ops), seed).numpy()


def vector(value):
    return tf.constant([value], tf.float32)


# --------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPS)
def test_every_op_keeps_shape_and_type_repeats_by_key_and_differs_by_picture(name, channels):
    pictures = np.repeat(smooth(1, 64, 64, channels), 12, axis=0)
    op = {name: {"probability": 1.0 if name != "flip" else 0.5}}
    result = run(pictures, op)
    assert result.shape == pictures.shape
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, run(pictures, op))
    assert (result != pictures).any()
    assert len(np.unique(result.reshape(12, -1), axis=0)) >= (2 if name == "flip" else 6)  # weak blurs look alike
    assert (result != run(pictures, op, seed=key(3, tf.constant(1), tf.constant(3)))).any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("names", [*([name] for name in OPS), list(OPS)])
def test_probability_0_is_the_identity_bit_for_bit(names, channels):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 24, channels)).astype(np.uint8)
    np.testing.assert_array_equal(run(pictures, *({name: {"probability": 0.0}} for name in names)), pictures)


def test_no_ops_are_the_identity():
    pictures = smooth()
    np.testing.assert_array_equal(run(pictures), pictures)


def test_probability_is_the_share_of_pictures():
    pictures = np.repeat(smooth(1), 2000, axis=0)
    changed = (run(pictures, {"flip": {"probability": 0.3}}) != pictures).any(axis=(1, 2, 3))
    assert 0.26 < changed.mean() < 0.34  # four standard deviations


def test_the_same_op_twice_draws_twice():
    pictures = smooth()
    once, twice = ({"noise": {"sigma": 0.1}},), ({"noise": {"sigma": 0.1}},) * 2
    first = run(pictures, *once).astype(int) - pictures
    second = run(pictures, *twice).astype(int) - run(pictures, *once)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.5


def test_keys_differ_by_seed_epoch_step_and_constant():
    keys = {
        tuple(fold(key(seed, tf.constant(epoch), tf.constant(step)), constant).numpy())
        for seed in (0, 1, 2**31 - 1)
        for epoch in (0, 1, 99_999)
        for step in (0, 1, 10**6)
        for constant in (0, 1, 1 << 20, 1 << 21)
    }
    assert len(keys) == 3 * 3 * 3 * 4


def test_parse_fills_in_defaults_and_takes_bare_names():
    flip, rotate = parse([{"flip": None}, {"rotate": {"degrees": 3}}])
    assert (flip.name, flip["probability"]) == ("flip", 0.5)
    assert (rotate["degrees"], rotate["probability"]) == (3.0, 1.0)


def test_a_scale_of_0_is_refused():
    with pytest.raises(UserError, match=r"augmentation.ops\[1\].scale.low: 0 "):
        parse([{"flip": None}, {"scale": {"low": 0.0}}])


def test_order_counts():
    pictures = smooth()
    erase, darker = {"erase": {"probability": 1.0, "low": 0.3, "high": 0.3}}, {"contrast": {"low": 0.0, "high": 0.0}}
    erased_last = run(pictures, darker, erase)
    assert np.ptp(erased_last, axis=(1, 2, 3)).min() > 200
    assert np.ptp(run(pictures, erase, darker), axis=(1, 2, 3)).max() == 0


# ------------------------------------------------------------------------------------------------------------ geometry


@pytest.mark.parametrize("channels", [1, 3])
def test_flip_mirrors_exactly(channels):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 21, 30, channels)).astype(np.uint8)
    np.testing.assert_array_equal(run(pictures, {"flip": {"probability": 1.0}}), pictures[:, :, ::-1])


@given(
    st.floats(-3.0, 3.0),
    st.floats(0.6, 1.7),
    st.sampled_from([1, 3]),
    st.sampled_from([np.uint8, np.float32]),
)
@max_examples(25)
def test_rotation_and_scale_agree_with_warp_affine(angle, factor, channels, dtype):
    height, width = 36, 28
    picture = smooth(1, height, width, channels)
    # OpenCV turns counter-clockwise for a positive angle.
    forward = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -np.degrees(angle), factor)
    expected = cv2.warpAffine(picture[0], forward, (width, height), borderMode=cv2.BORDER_REPLICATE)
    result = resample(
        tf.constant(picture.astype(dtype)), tf.matmul(rotation(vector(angle)), scaling(vector(factor)))
    ).numpy()
    assert result.dtype == dtype
    np.testing.assert_allclose(result[0].reshape(expected.shape), expected, atol=3)


@given(st.integers(-12, 12), st.integers(-12, 12))
@max_examples(25)
def test_translation_moves_whole_pixels_and_repeats_the_border(right, down):
    picture = np.random.default_rng(1).integers(0, 256, (1, 16, 20, 1)).astype(np.uint8)
    result = resample(tf.constant(picture), translation(vector(right), vector(down))).numpy()[0]
    rows, columns = np.clip(np.arange(16) - down, 0, 15), np.clip(np.arange(20) - right, 0, 19)
    np.testing.assert_array_equal(result, picture[0][np.ix_(rows, columns)])


def test_shear_leans_upright_lines():
    picture = np.zeros((1, 21, 21, 1), np.uint8)
    picture[:, :, 10] = 255
    result = resample(tf.constant(picture), shearing(vector(np.pi / 4))).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(result.argmax(axis=1), np.arange(20, -1, -1))


@pytest.mark.slow
@given(
    st.floats(-0.4, 0.4), st.floats(-4, 4), st.floats(-4, 4), st.floats(0.8, 1.25), st.floats(-0.3, 0.3), st.booleans()
)
@max_examples(25)
def test_composed_geometry_equals_one_step_after_the_other(angle, right, down, factor, lean, flipped):
    picture = tf.constant(smooth(1, 48, 48).astype(np.float32))
    steps = [
        rotation(vector(angle)),
        translation(vector(right), vector(down)),
        flipping(tf.constant([flipped])),
        shearing(vector(lean)),
        scaling(vector(factor)),
    ]
    composed, sequential = steps[0], resample(picture, steps[0])
    for step in steps[1:]:
        composed = tf.matmul(composed, step)
        sequential = resample(sequential, step)
    inner = slice(12, 36)  # at the border, each step repeats what the one before had cut off
    at_once = resample(picture, composed).numpy()[0, inner, inner]
    np.testing.assert_allclose(at_once, sequential.numpy()[0, inner, inner], atol=8)


def test_each_picture_has_its_own_matrix_and_never_sees_its_neighbours():
    pictures = np.stack([np.full((8, 8, 1), value, np.uint8) for value in (0, 255, 0, 255)])
    matrices = tf.matmul(rotation(tf.constant([0.3, 1.0, 2.0, -1.0])), scaling(tf.constant([0.2, 0.5, 1.5, 0.3])))
    np.testing.assert_array_equal(resample(tf.constant(pictures), matrices).numpy(), pictures)


def test_batches_taller_than_opencv_takes():
    pictures = np.random.default_rng(0).integers(0, 256, (70, 512, 8, 1)).astype(np.uint8)
    flipped = resample(tf.constant(pictures), flipping(tf.constant([True] * 70))).numpy()
    np.testing.assert_array_equal(flipped, pictures[:, :, ::-1])


def test_translate_reaches_the_given_fraction_and_no_further():
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 2, (200, 64, 1))[..., np.newaxis]
    moved = (ramp[:, 32, 32, 0].astype(int) - run(ramp, {"translate": {"fraction": 0.1}})[:, 32, 32, 0]) / 2
    assert np.abs(moved).max() <= 6.5
    assert moved.max() > 5
    assert moved.min() < -5


# --------------------------------------------------------------------------------------------------------------- light


def test_brightness_is_one_offset_a_picture_within_delta():
    flat = np.full((300, 8, 8, 3), 100, np.uint8)
    change = run(flat, {"brightness": {"delta": 0.1}}).astype(int) - 100
    assert (np.ptp(change, axis=(1, 2, 3)) == 0).all()
    assert np.abs(change).max() <= 26
    assert change.max() > 20
    assert change.min() < -20


def test_contrast_stretches_about_the_pictures_mean():
    picture = np.array([[[[100], [140]]]], np.uint8)
    result = run(picture, {"contrast": {"low": 1.5, "high": 1.5}})
    np.testing.assert_array_equal(result, [[[[90], [150]]]])


def test_contrast_after_brightness_uses_the_mean_as_it_then_is():
    pictures = np.tile(np.array([100, 140], np.uint8), (50, 1))[:, np.newaxis, :, np.newaxis]
    bright = run(pictures, {"brightness": {"delta": 0.2}}).astype(int)
    both = run(pictures, {"brightness": {"delta": 0.2}}, {"contrast": {"low": 1.5, "high": 1.5}}).astype(int)
    np.testing.assert_allclose(both.mean(axis=(1, 2, 3)), bright.mean(axis=(1, 2, 3)), atol=1)
    assert (np.diff(both, axis=2) == 60).all()


def test_what_brightness_pushed_over_white_contrast_brings_back():
    pictures = np.tile(np.array([200, 240], np.uint8), (50, 1))[:, np.newaxis, :, np.newaxis]
    result = run(pictures, {"brightness": {"delta": 0.3}}, {"contrast": {"low": 0.1, "high": 0.1}})
    brightest = result[result[:, 0, 0, 0].argmax()].ravel().astype(int)
    assert brightest[0] < brightest[1] or brightest.min() == 255


def test_gamma_by_hand():
    pictures = np.array([0, 64, 128, 255], np.uint8).reshape(1, 2, 2, 1)
    result = run(pictures, {"gamma": {"low": 2.0, "high": 2.0}}).ravel()
    np.testing.assert_array_equal(result, [0, 16, 64, 255])


def test_noise_has_no_bias_and_at_most_sigma():
    flat = np.full((64, 32, 32, 1), 128, np.uint8)
    result = run(flat, {"noise": {"sigma": 0.05}}).astype(float) - 128
    assert abs(result.mean()) < 0.2
    assert 8 < result.std(axis=(1, 2, 3)).max() < 0.05 * 255 * 1.1


def test_blur_keeps_flat_pictures_and_agrees_with_opencv():
    flat = np.full((2, 9, 12, 3), 77, np.uint8)
    np.testing.assert_array_equal(run(flat, {"blur": {"sigma": 2.0, "probability": 1.0}}), flat)
    picture = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 40, 40, 1)).astype(np.uint8), 8, axis=0)
    results = run(picture, {"blur": {"sigma": 3.0, "probability": 1.0}})[:, 12:28, 12:28, 0].astype(int)
    sigmas = np.arange(0.05, 3.001, 0.01)
    blurred = [cv2.GaussianBlur(picture[0], (37, 37), float(s))[12:28, 12:28].astype(int) for s in sigmas]
    errors = [min(np.abs(result - b).max() for b in blurred) for result in results]
    assert max(errors) <= 3


# --------------------------------------------------------------------------------------------- cameras, light and files


def strength(*values):
    return tf.constant(values, tf.float32)


def test_motion_blur_averages_along_the_way_and_not_across_it():
    upright = np.zeros((2, 31, 31, 1), np.uint8)
    upright[:, :, 15] = 240
    across, along = corruptions.motion_blur(tf.constant(upright), strength(6, 6), strength(0, 0.5)).numpy()[..., 0]
    np.testing.assert_allclose(along, upright[0, ..., 0], atol=0.5)
    np.testing.assert_allclose(across[15, 13:18], 40, atol=3)  # 240 over six pixels
    assert across[15].sum() == pytest.approx(240, abs=1)
    assert (across[15, :11] == 0).all()


def test_motion_blur_of_no_length_is_the_identity_beside_a_long_one():
    pictures = smooth(2)
    still, moved = corruptions.motion_blur(tf.constant(pictures), strength(0, 9), strength(0.3, 0.3)).numpy()
    np.testing.assert_allclose(still, pictures[0], atol=1e-3)
    assert np.abs(moved - pictures[1]).max() > 5


def test_low_resolution_is_what_a_small_face_becomes():
    picture = np.random.default_rng(0).integers(0, 256, (1, 48, 60, 3)).astype(np.uint8)
    small = images.resize(picture[0], 24, 30, "area")
    expected = images.resize(small, 48, 60, "area").astype(int)
    result = corruptions.low_resolution(tf.constant(picture), strength(24)).numpy()[0]
    assert np.abs(result - expected).max() <= 1
    np.testing.assert_array_equal(corruptions.low_resolution(tf.constant(picture), strength(48)).numpy(), picture)


def test_jpeg_is_opencvs_at_the_quality_and_keeps_colours():
    picture = smooth(1, 40, 40, 3)
    for quality in (5, 50, 95):
        coded = cv2.imencode(".jpg", picture[0, ..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        expected = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(corruptions.jpeg(tf.constant(picture), strength(quality)).numpy()[0], expected)
    errors = [
        np.abs(corruptions.jpeg(tf.constant(picture), strength(q)).numpy() - picture).mean() for q in (1, 10, 50, 100)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("turn", [0.0, 0.25, 0.5, 0.75, 0.1])
def test_shadow_keeps_the_light_on_one_side_and_the_share_on_the_other(turn):
    flat = np.full((1, 64, 64, 1), 200, np.uint8)
    shaded = corruptions.shadow(tf.constant(flat), strength(0.4), strength(turn), strength(0.5), strength(0.1)).numpy()
    assert shaded.max() == 200
    assert shaded.min() == pytest.approx(80)
    assert shaded.mean() == pytest.approx(140, abs=1)  # an edge through the middle
    dark = np.argwhere(shaded[0, ..., 0] < 100).mean(axis=0) - 31.5
    assert np.cos(2 * np.pi * turn) * dark[1] + np.sin(2 * np.pi * turn) * dark[0] < -10


def test_occlude_covers_as_far_as_asked():
    picture = np.full((1, 50, 50, 1), 10, np.uint8)
    covered = corruptions.occlude(tf.constant(picture), strength(0.3), strength(0.0), strength(0.8)).numpy()[0, ..., 0]
    np.testing.assert_allclose(covered[:, :14], 204, atol=0.01)
    np.testing.assert_array_equal(covered[:, 16:], 10)


def test_jitter_has_the_measured_spread():
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 2, (500, 64, 1))[..., np.newaxis]
    moved = run(ramp, {"jitter": {"shift": 0.03, "size": 0.0}})[:, 32, 32, 0].astype(float)
    assert np.std(moved / 2) == pytest.approx(0.03 * 64, rel=0.15)
    sized = run(ramp, {"jitter": {"shift": 0.0, "size": 0.05}}).astype(float)
    widths = (sized[:, 32, 48, 0] - sized[:, 32, 16, 0]) / 64
    assert np.std(np.log(widths)) == pytest.approx(0.05, rel=0.2)


def test_what_is_rare_leaves_the_others_as_they_are():
    pictures = np.repeat(smooth(1), 400, axis=0)
    strong: dict[str, dict[str, float]] = {
        "noise": {"sigma": 0.5},
        "blur": {"sigma": 5.0},
        "low_resolution": {"low": 5, "high": 9},
    }
    for name in (*strong, "gamma", "motion_blur", "shadow", "occlude", "jpeg"):
        op = {name: {"probability": 0.2, **strong.get(name, {})}}
        changed = (run(pictures, op) != pictures).any(axis=(1, 2, 3))
        assert 0.1 < changed.mean() < 0.28, name


def test_wild_leaves_half_of_the_images_their_pixels():
    cfg = OmegaConf.load(CONF / "augmentation" / "wild.yaml")
    moving = "flip", "rotate", "translate", "scale", "jitter"
    still = [op for op in cfg.ops if next(iter(op)) not in moving]
    assert len(still) == 9
    pictures = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1)).astype(np.uint8), 1000, axis=0)
    same = (run(pictures, *OmegaConf.to_container(OmegaConf.create(still))) == pictures).all(axis=(1, 2, 3))
    assert 0.44 < same.mean() < 0.56


# ------------------------------------------------------------------------------------------------------------- erasing


@given(
    st.floats(0.0, 0.95),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
    st.tuples(st.integers(8, 64), st.integers(8, 64)),
)
@max_examples(50)
def test_rectangles_have_the_area_and_lie_inside(area, aspect, down, right, size):
    height, width = size
    x = tf.zeros([1, height, width, 1])
    rows, columns = rectangle(x, *(vector(v) for v in (area, aspect, down, right)))
    tall, wide = int(rows.numpy().sum()), int(columns.numpy().sum())
    for covered in (rows.numpy()[0], columns.numpy()[0]):
        assert np.abs(np.diff(covered.astype(int))).sum() <= 2  # one piece
    if 1 / 3 < height / width < 3:  # longer pictures cannot hold every area within the allowed ratios
        slack = 0.5 * (tall + wide) + 1  # half a pixel of rounding on each side
        assert abs(tall * wide - area * height * width) <= slack


def test_erase_changes_one_rectangle_of_the_given_area():
    pictures = np.full((200, 48, 48, 1), 128, np.uint8)
    changed = (run(pictures, {"erase": {"low": 0.1, "high": 0.2, "probability": 1.0}}) != 128)[..., 0]
    for picture in changed:
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert 0.09 * 48 * 48 < box < 0.22 * 48 * 48
        assert picture.sum() > 0.97 * box  # 1 in 256 random pixels is 128 again
    assert changed.any(axis=(0, 1)).all()  # borders too are erased at some time
    assert changed.any(axis=(0, 2)).all()


def test_overlay_takes_exactly_the_rectangle():
    generator = np.random.default_rng(0)
    under, over = generator.integers(0, 256, (2, 3, 7, 9, 3)).astype(np.uint8)
    rows, columns = generator.random((3, 7)) < 0.5, generator.random((3, 9)) < 0.5
    mask = (rows[:, :, np.newaxis] & columns[:, np.newaxis, :])[..., np.newaxis]
    result = overlay(tf.constant(under), tf.constant(over), tf.constant(rows), tf.constant(columns))
    np.testing.assert_array_equal(result.numpy(), np.where(mask, over, under))


def test_colour_stays_in_its_channel():
    red = np.zeros((16, 24, 24, 3), np.uint8)
    red[..., 0] = 200
    geometric: list[dict[str, Any]] = [{"flip": {}}, {"rotate": {}}, {"translate": {}}, {"scale": {}}, {"shear": {}}]
    result = run(red, *geometric, {"gamma": {}}, {"blur": {"probability": 1.0}})
    assert (result[..., 1:] == 0).all()
    assert (result[..., 0] > 100).all()
