from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.data import synthetic
from emotion.faces import images
from emotion.faces.images import Box
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.faces.labels import EMOTIONS
from emotion.inference.classifier import Classifier
from emotion.video import smoothing
from emotion.video.smoothing import LINGERING, BoxStabiliser, Smoother

RATES = (5, 15, 30, 60)
SECONDS = 0.25


def _labels(rows: np.ndarray, rate: float, seconds: float = SECONDS, least: float = 0.0) -> list[str]:
    smoother = Smoother(seconds, least, EMOTIONS)
    return [smoother.update(1, i / rate, row)[1] for i, row in enumerate(rows.tolist())]


def _raw_labels(rows: np.ndarray, least: float = 0.0) -> list[str]:
    return [EMOTIONS[row.argmax()] if row.max() >= least else UNCERTAIN for row in rows]


def _flips(labels: list[str]) -> int:
    return sum(a != b for a, b in itertools.pairwise(labels))


def _noisy(mean: list[float], count: int, concentration: float, seed: int = 0) -> np.ndarray:
    """Probabilities around a mean, as a still face gives under a camera's noise."""
    return np.random.default_rng(seed).dirichlet(np.array(mean) * concentration, count)


CLOSE = [0.38, 0.05, 0.05, 0.06, 0.31, 0.10, 0.05]
SAD = [0.04, 0.02, 0.05, 0.02, 0.15, 0.70, 0.02]
LESS_SAD = [0.05, 0.03, 0.05, 0.05, 0.20, 0.60, 0.02]
MILD = [0.40, 0.05, 0.10, 0.05, 0.20, 0.15, 0.05]
HAPPY = [0.02, 0.02, 0.02, 0.80, 0.10, 0.02, 0.02]


@pytest.mark.parametrize("rate", RATES)
def test_noise_on_a_still_face_hardly_flips_its_label(rate: int) -> None:
    rows = _noisy(CLOSE, 120 * rate, 40)
    raw = _flips(_raw_labels(rows))
    assert raw > 20 * rate  # else there is nothing to remove
    assert _flips(_labels(rows, rate)) <= 0.2 * raw


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("before", "after", "least"),
    [
        *((HAPPY, SAD, 0.0), (SAD, HAPPY, 0.0), (CLOSE, HAPPY, 0.0), (HAPPY, MILD, 0.0), (MILD, SAD, 0.0)),
        *((HAPPY, SAD, 0.4), (SAD, HAPPY, 0.4), (CLOSE, HAPPY, 0.4), (HAPPY, LESS_SAD, 0.4), (MILD, SAD, 0.4)),
    ],
)
def test_a_real_change_is_followed_within_half_a_second(
    rate: int, before: list[float], after: list[float], least: float
) -> None:
    wanted = EMOTIONS[int(np.argmax(after))]
    for seed in range(20):
        rows = np.concatenate([_noisy(before, 2 * rate, 200, seed), _noisy(after, 2 * rate, 200, seed + 1)])
        labels = _labels(rows, rate, least=least)
        assert wanted not in labels[rate : 2 * rate]
        assert labels[2 * rate :].index(wanted) / rate <= 0.5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("least", [0.35, 0.4])
def test_an_answer_near_the_threshold_does_not_flicker(rate: int, least: float) -> None:
    rows = _noisy([least, *[(1 - least) / 6] * 6], 120 * rate, 60)
    raw = _flips(_raw_labels(rows, least))
    assert raw > 20 * rate
    # At 5 frames a second the average holds little more than one frame.
    assert _flips(_labels(rows, rate, least=least)) <= (0.2 if rate > 5 else 0.3) * raw


probabilities = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda p: [v / sum(p) for v in p])
observations = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.03, 0.2, 5.0, -1.0]), probabilities), max_size=30)


@given(observations, st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.25, 2.0]))
def test_the_answer_is_honest(seen, least: float, seconds: float) -> None:
    """Probabilities stay probabilities, and what is shown is shown with its own one, which is enough."""
    smoother, time = Smoother(seconds, least, EMOTIONS), 0.0
    for step, raw in seen:
        time += step
        smoothed, label, confidence = smoother.update(3, time, raw)
        assert sum(smoothed) == pytest.approx(1)
        assert min(smoothed) >= 0
        if label == UNCERTAIN:
            assert confidence == max(smoothed)
        else:
            assert confidence == smoothed[EMOTIONS.index(label)] >= least
            assert max(smoothed) - confidence < smoothing.LEAD


@given(st.lists(probabilities, min_size=1, max_size=20), st.floats(0, 1))
def test_zero_seconds_switch_smoothing_off(rows, least: float) -> None:
    smoother = Smoother(0.0, least, EMOTIONS)
    for i, row in enumerate(rows):
        smoothed, label, _ = smoother.update(1, i / 30, row)
        assert list(smoothed) == row
        assert label == _raw_labels(np.array([row]), least)[0]


def test_the_first_answer_is_the_first_observation_and_the_second_their_mean() -> None:
    smoother = Smoother(SECONDS, 0.0, EMOTIONS)
    assert smoother.update(1, 4.0, SAD) == (tuple(SAD), "sad", 0.70)
    smoothed, _, _ = smoother.update(1, 4.0 + 1e-9, HAPPY)
    np.testing.assert_allclose(smoothed, (np.array(SAD) + HAPPY) / 2, atol=1e-6)


def test_a_step_is_followed_exponentially_whatever_the_frame_rate() -> None:
    for rate in (10, 20, 40, 100):
        smoother = Smoother(0.5, 0.0, EMOTIONS)
        for i in range(-10 * rate, 0):
            smoother.update(1, i / rate, SAD)
        for i in range(rate):
            smoothed, _, _ = smoother.update(1, i / rate, HAPPY)
            share = (smoothed[3] - SAD[3]) / (HAPPY[3] - SAD[3])
            # The new frame counts for the time until the next one.
            assert share == pytest.approx(1 - math.exp(-(i + 1) / rate / 0.5), abs=1e-4)


def test_a_long_time_away_forgets_what_was() -> None:
    smoother = Smoother(SECONDS, 0.0, EMOTIONS)
    for i in range(100):
        smoother.update(1, i / 30, SAD)
    smoothed, label, _ = smoother.update(1, 60.0, HAPPY)
    np.testing.assert_allclose(smoothed, HAPPY, atol=1e-6)
    assert label == "happy"


def test_tracks_do_not_mix_and_are_forgotten() -> None:
    smoother = Smoother(SECONDS, 0.0, EMOTIONS)
    for i in range(10):
        smoother.update(1, i / 30, SAD)
        assert smoother.update(2, i / 30, HAPPY)[0] == pytest.approx(HAPPY)
    smoother.keep({2, 7})
    assert smoother.update(1, 0.4, HAPPY)[0] == tuple(HAPPY)  # as if never seen
    smoother.reset()
    assert smoother.update(2, 0.4, SAD)[0] == tuple(SAD)


def test_memory_stays_flat() -> None:
    smoother = Smoother(SECONDS, 0.0, EMOTIONS)
    for track in range(5000):
        smoother.update(track, track / 10, SAD)
        smoother.keep({track - 1, track})
    assert len(smoother._states) <= 2


@pytest.fixture(scope="module")
def still(trained) -> list[np.ndarray]:
    """What a real model says of drawn faces that keep still, under a camera's noise and a box that trembles."""
    classifier = Classifier(trained.tflite(), trained.contract())
    rng, found = np.random.default_rng(0), []
    for seed in range(12):
        image, box = synthetic.frame(seed, seed % 7, (320, 240))
        crops = []
        for _ in range(150):
            noisy = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
            dx, dy, grow = (int(v) for v in rng.integers(-2, 3, 3))
            crops.append(images.crop(noisy, Box(box.x + dx, box.y + dy, box.width + grow, box.height + grow), 0.0))
        found.append(classifier.classify(crops).astype(float))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_a_real_model_on_still_faces_hardly_flips(still: list[np.ndarray], rate: int) -> None:
    restless = [rows for rows in still if _flips(_raw_labels(rows)) >= 8]
    raw = sum(_flips(_raw_labels(rows)) for rows in restless)
    assert raw >= 30
    assert sum(_flips(_labels(rows, rate)) for rows in restless) <= 0.2 * raw


# ------------------------------------------------------------------------------------------------------- drawn boxes


def _face(x: float, y: float = 50, side: float = 100, track: int | None = 1, label: str = "happy") -> Face:
    return Face(Box(round(x), round(y), round(side), round(side)), label, 0.9, (0.9, 0.1), (0.8, 0.2), track)


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_still_face_trembles_less(rate: int) -> None:
    random, steady = np.random.default_rng(0), BoxStabiliser()
    found = [_face(200 + random.normal(0, 4), side=100 + random.normal(0, 4)) for _ in range(4 * rate)]
    drawn = [steady.update(i / rate, [face])[0] for i, face in enumerate(found)]
    steps = [np.abs(np.diff([face.box.x for face in faces])).mean() for faces in (found, drawn)]
    assert steps[1] < 0.75 * steps[0]
    assert np.mean([face.box.width for face in drawn]) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_a_moving_face_is_not_left(rate: int) -> None:
    """Two of its own widths a second: the box stays on it, whatever the frame rate."""
    steady = BoxStabiliser()
    for i in range(2 * rate):
        drawn = steady.update(i / rate, [_face(200 * i / rate)])[0]
        assert abs(drawn.box.x - 200 * i / rate) <= 20


def test_a_missed_frame_does_not_blink_but_a_face_that_left_is_gone() -> None:
    steady = BoxStabiliser()
    (drawn,) = steady.update(0.0, [_face(10)])
    assert steady.update(0.5 * LINGERING, []) == [drawn]
    assert steady.update(LINGERING, []) == [drawn]
    assert steady.update(LINGERING + 0.01, []) == []
    assert steady.update(0.1, []) == []


def test_faces_that_are_blurred_may_stay_longer() -> None:
    steady = BoxStabiliser(0.5)
    shown = steady.update(0.0, [_face(10)])
    assert steady.update(0.45, []) == shown
    assert steady.update(0.51, []) == []


def test_time_that_runs_back_shows_nothing_old() -> None:
    steady = BoxStabiliser()
    steady.update(5.0, [_face(10)])
    assert steady.update(1.0, []) == []


def test_a_cut_shows_nothing_old() -> None:
    steady = BoxStabiliser()
    steady.update(0.0, [_face(10)])
    steady.reset()
    assert steady.update(0.01, []) == []


def test_faces_without_tracks_pass() -> None:
    alone = [_face(10, track=None), _face(200, track=None)]
    assert BoxStabiliser().update(0.0, alone) == alone


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 5)), max_size=20))
def test_everything_but_the_box_is_kept(moves: list[tuple[int, int]]) -> None:
    steady = BoxStabiliser()
    for i, (x, track) in enumerate(moves):
        face = _face(x, track=track, label=f"label {i}")
        first, *lingering = steady.update(i / 30, [face])
        assert (first.label, first.track, first.probabilities) == (face.label, face.track, face.probabilities)
        assert track not in [other.track for other in lingering]
