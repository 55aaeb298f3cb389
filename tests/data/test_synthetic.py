from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.config.schema import CONF
from emotion.data import synthetic
from emotion.data.drawing import Expression, Figure, Light, Pose, box, centred, draw, facs, mix, people
from emotion.faces import images as faces
from emotion.faces.images import overlap
from emotion.faces.labels import EMOTIONS
from tests.helpers.properties import max_examples


def config(**values: object) -> DictConfig:
    """The real config, small."""
    cfg = OmegaConf.load(CONF / "dataset" / "synthetic.yaml")
    assert isinstance(cfg, DictConfig)
    small = {"per_emotion": 12, "image_size": 32, "cache_dir": "unused"}
    return OmegaConf.merge(cfg, small, values)  # type: ignore[return-value]


# --------------------------------------------------------------------------------------------------------- datasets


@pytest.mark.slow
def test_same_seed_same_pictures_other_seed_others() -> None:
    first, again, other = (synthetic.load(config(split_seed=seed)) for seed in (3, 3, 4))
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(first[split].images, again[split].images)
        np.testing.assert_array_equal(first[split].labels, again[split].labels)
        assert not set(first[split].hashes) & set(other[split].hashes)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_seed_survives_the_process_and_the_order_of_drawing() -> None:
    forwards = [synthetic.picture(5, i, 32, 1.0) for i in range(6)]
    synthetic._person.cache_clear()
    np.random.seed(99)
    backwards = [synthetic.picture(5, i, 32, 1.0) for i in reversed(range(6))]
    np.testing.assert_array_equal(forwards, backwards[::-1])


@pytest.mark.slow
def test_a_picture_does_not_depend_on_how_many_there_are() -> None:
    few, many = synthetic.load(config(per_emotion=10)), synthetic.load(config(per_emotion=13))
    hashes = [{h for split in ("train", "validation", "test") for h in data[split].hashes} for data in (few, many)]
    assert len(hashes[0]) == 70
    assert hashes[0] < hashes[1]


def test_splits_are_balanced_and_share_no_person() -> None:
    data = synthetic.load(config(per_emotion=20, validation_fraction=0.2, test_fraction=0.1))
    for split, count in {"train": 14, "validation": 4, "test": 2}.items():
        assert Counter(data[split].labels.tolist()) == dict.fromkeys(range(7), count)
        images = data[split].images
        assert images is not None
        assert images.shape == (7 * count, 32, 32, 3)
        assert images.dtype == np.uint8
    persons = synthetic._divide(config(per_emotion=20, validation_fraction=0.2, test_fraction=0.1))
    everyone = [k for part in persons.values() for k in part]
    assert sorted(everyone) == list(range(20))
    drawn = {synthetic._person(0, k) for k in everyone}
    assert len(drawn) == 20


@pytest.mark.slow
@given(st.integers(10, 400), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_every_split_has_people_near_its_share(count: int, validation: float, test: float) -> None:
    parts = synthetic._divide(config(per_emotion=count, validation_fraction=validation, test_fraction=test))
    assert len(parts["test"]) == max(1, round(count * test))
    assert len(parts["validation"]) == max(1, round(count * validation))
    assert sum(map(len, parts.values())) == count
    assert parts["train"]


def test_more_people_keep_most_of_the_others_where_they_were() -> None:
    few, many = (synthetic._divide(config(per_emotion=n)) for n in (200, 400))
    moved = [k for split in few for k in few[split] if k not in many[split]]
    assert len(moved) <= 4


def test_limit_caps_each_split_evenly() -> None:
    data = synthetic.load(config(per_emotion=20, limit=10))
    for split in ("train", "validation", "test"):
        counts = Counter(data[split].labels.tolist())
        assert sum(counts.values()) == 10
        assert set(counts.values()) == {1, 2}
    assert any("limited to 10" in note for note in data.notes)


def test_no_picture_left_to_train_on_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"dataset\.per_emotion: 10 .*validation_fraction=0\.5"):
        synthetic.load(config(per_emotion=10, validation_fraction=0.5, test_fraction=0.5))


def test_without_noise_the_same_person_changes_only_the_face() -> None:
    calm, happy = (synthetic.picture(0, EMOTIONS.index(name), 96, 0.0) for name in ("neutral", "happy"))
    mouth = np.abs(calm.astype(int) - happy)[60:84, 30:66].mean()
    assert mouth > 10


# ------------------------------------------------------------------------------------------------------ expressions


def test_prototypes_are_the_seven_and_differ() -> None:
    assert tuple(facs.PROTOTYPES) == EMOTIONS
    shown = [way for ways in facs.PROTOTYPES.values() for way in ways]
    assert len(set(shown)) == len(shown)
    assert all(0 <= getattr(way, unit) <= 1 for way in shown for unit in facs.UNITS)


@given(st.integers(0, 10_000), st.integers(0, 6), st.floats(0, 3))
def test_sampled_units_stay_in_range(seed: int, emotion: int, noise: float) -> None:
    how = facs.sample(np.random.default_rng(seed), emotion, noise)
    assert all(0 <= getattr(how, unit) <= 1 for unit in facs.UNITS)
    assert max(abs(how.asymmetry), abs(how.gaze_x), abs(how.gaze_y)) <= 1


@given(st.floats(0, 1))
def test_mix_is_linear_between_its_ends(share: float) -> None:
    a, b = facs.PROTOTYPES["sad"][0], facs.PROTOTYPES["surprised"][0]
    between = mix(a, b, share)
    for f in fields(Expression):
        low, high = sorted((getattr(a, f.name), getattr(b, f.name)))
        assert low - 1e-9 <= getattr(between, f.name) <= high + 1e-9
    assert mix(a, b, 0.0) == a
    assert mix(a, b, 1.0) == b


def test_interpolated_faces_change_smoothly() -> None:
    who = people.sample(np.random.default_rng(1))
    wall = np.full((200, 200, 3), 120, np.uint8)
    a, b = facs.PROTOTYPES["angry"][0], facs.PROTOTYPES["surprised"][0]
    steps = [draw(wall, [Figure(who, mix(a, b, t), Pose(100, 90, 45))], Light()) for t in np.linspace(0, 1, 31)]
    jumps = [float(np.abs(x.astype(int) - y).mean()) for x, y in pairwise(steps)]
    whole = float(np.abs(steps[0].astype(int) - steps[-1]).mean())
    assert min(jumps) > 0
    assert max(jumps) < 0.3 * whole


# ---------------------------------------------------------------------------------------------------------- drawing


@max_examples(60)
@given(
    st.integers(0, 10_000), st.floats(-300, 600), st.floats(-300, 600), st.floats(2, 300), st.floats(-40, 40),
    st.sampled_from(people.HAIR_STYLES), st.sampled_from(people.BEARDS),
)  # fmt: skip
def test_anyone_can_be_drawn_anywhere(
    seed: int, x: float, y: float, scale: float, angle: float, hair: str, beard: str
) -> None:
    rng = np.random.default_rng(seed)
    who = replace(people.sample(rng), hair=hair, beard=beard)
    figure = Figure(who, facs.sample(rng, seed % 7, 2.0), Pose(x, y, scale, angle, angle, angle))
    wall = np.full((150, 210, 3), 90, np.uint8)
    picture = draw(wall, [figure], Light(grain=5, blur=1))
    assert picture.shape == wall.shape
    assert picture.dtype == np.uint8
    assert (wall == 90).all()


@given(st.floats(0, 500), st.floats(0, 500), st.floats(10, 200), st.floats(-20, 20))
def test_centred_puts_the_box_there(x: float, y: float, scale: float, angle: float) -> None:
    who = people.sample(np.random.default_rng(0))
    where = box(centred(Figure(who, Expression(), Pose(7, 9, scale, angle, angle, angle)), x, y))
    assert where.width == where.height
    assert abs(where.x + where.width / 2 - x) <= 2
    assert abs(where.y + where.height / 2 - y) <= 2


# ------------------------------------------------------------------------------------------------ frames and videos


@pytest.mark.nightly
@pytest.mark.slow
def test_haar_finds_nine_in_ten_faces_where_they_are() -> None:
    cascade = faces.load_cascade()
    found: dict[int, list[bool]] = {e: [] for e in range(len(EMOTIONS))}
    overlaps = []
    for seed in range(25):
        for emotion in found:
            image, truth = synthetic.frame(seed, emotion)
            assert image.shape == (480, 640, 3)
            best = max((overlap(b, truth) for b in faces.detect(cascade, image)), default=0.0)
            found[emotion].append(best > 0.4)
            overlaps += [best] if best > 0.4 else []
    assert np.mean([hit for hits in found.values() for hit in hits]) >= 0.9
    assert min(np.mean(hits) for hits in found.values()) >= 0.75
    assert np.mean(overlaps) >= 0.8


@pytest.mark.nightly
@pytest.mark.slow
def test_haar_finds_every_skin_tone() -> None:
    cascade = faces.load_cascade()
    rates = []
    for tone in range(len(people.SKIN_TONES)):
        hits = []
        for n in range(21):
            rng = np.random.default_rng([tone, n])
            who, how = people.sample(rng, tone), facs.sample(rng, n % 7, 1.0)
            figure = centred(Figure(who, how, Pose(0, 0, 60, *rng.normal(0, 4, 3))), 160, 130)
            image = draw(np.full((260, 320, 3), 130, np.uint8), [figure], Light(blur=0.5, grain=4))
            hits.append(max((overlap(b, box(figure)) for b in faces.detect(cascade, image)), default=0) > 0.4)
        rates.append(np.mean(hits))
    assert min(rates) >= 0.8


def test_frame_is_deterministic_and_honours_its_size() -> None:
    (first, box_), (again, _) = (synthetic.frame(2, 3, size=(320, 200)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (200, 320, 3)
    assert 0 < box_.x < box_.x + box_.width < 320
    assert not np.array_equal(first, synthetic.frame(2, 4, size=(320, 200))[0])


@pytest.mark.slow
@pytest.mark.parametrize("persons", [1, 2])
def test_video_reads_back_with_its_truth(tmp_path: Path, persons: int) -> None:
    path = tmp_path / "faces.mp4"
    truth = synthetic.video(path, seconds=7.0, fps=10.0, size=(480, 270), persons=persons)
    assert len(truth) == 70
    assert [m.time for m in truth] == pytest.approx([n / 10 for n in range(70)])
    for person in range(persons):
        shown = [m.faces[person] for m in truth]
        assert {s.emotion for s in shown} == set(range(7))
        assert max(s.strength for s in shown) == 1.0
        middles = np.array([(s.box.x + s.box.width / 2, s.box.y + s.box.height / 2) for s in shown])
        assert np.abs(np.diff(middles, axis=0)).max() < 6
    cascade, capture, found, frames = faces.load_cascade(), cv2.VideoCapture(str(path)), [], 0
    while True:
        ok, image = capture.read()
        if not ok:
            break
        if frames % 3 == 0:
            boxes = faces.detect(cascade, np.asarray(image, np.uint8))
            found += [max((overlap(b, s.box) for b in boxes), default=0) > 0.4 for s in truth[frames].faces]
        frames += 1
    capture.release()
    assert frames == 70
    assert np.mean(found) >= 0.9


def test_video_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write a video there"):
        synthetic.video(tmp_path / "no such folder" / "faces.mp4", seconds=0.5)
