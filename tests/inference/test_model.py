"""Three lines of Python: ``emotion.load``, ``predict``, ``session``, ``video``, and what they answer."""

from __future__ import annotations

import csv
import gc
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

import emotion
from emotion import load
from emotion.base.errors import UserError
from emotion.data import synthetic
from emotion.faces.images import Box, Image
from emotion.live.__main__ import run
from emotion.video import source
from tests.conftest import compose


@pytest.fixture(scope="module")
def model() -> emotion.Model:
    return load("pretrained")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six drawn faces on pictures of different sizes, and a picture without a face."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"face{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), synthetic.frame(number, number, (320 + 16 * number, 240), noise=0.3)[0])
    cv2.imwrite(str(folder / "none.png"), np.full((120, 160, 3), 127, np.uint8))
    return [*paths, folder / "none.png"]


def _bgr(path: Path) -> Image:
    return cv2.imread(str(path))  # type: ignore[return-value]


@pytest.mark.slow
def test_import_is_immediate_and_names_are_there() -> None:
    code = (
        "import sys, emotion; heavy = {'cv2', 'numpy', 'tensorflow', 'omegaconf'} & set(sys.modules); "
        "assert not heavy, heavy; from emotion import load, Model; assert 'tensorflow' not in sys.modules\n"
        "try: emotion.lod\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("module 'emotion' has no attribute 'lod'\n", "")


@pytest.mark.slow
def test_files_arrays_and_pillow_images_get_one_answer(model: emotion.Model, photos: list[Path]) -> None:
    path = photos[0]
    bgr = _bgr(path)
    pictures = model.predict([str(path), path, bgr, PIL.Image.open(path), PIL.Image.open(path).convert("RGBA")])
    colours = model.predict(
        [bgr[:, :, ::-1], np.dstack([bgr[:, :, ::-1], np.full_like(bgr[:, :, 0], 255)])], channels="rgb"
    )
    assert len(pictures[0]) > 0
    assert {p.faces for p in (*pictures, *colours)} == {pictures[0].faces}
    assert [p.name for p in pictures] == [str(path), str(path), None, None, None]
    assert [p.frame for p in pictures] == [0, 1, 2, 3, 4]
    assert {(p.width, p.height) for p in pictures} == {(320, 240)}
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    answers = model.predict([gray, gray[:, :, None], PIL.Image.fromarray(gray)])
    assert {p.faces for p in answers} == {answers[0].faces}
    assert len(answers[0]) > 0


@pytest.mark.slow
def test_one_input_is_a_list_of_one_and_a_batch_one_answer_each(model: emotion.Model, photos: list[Path]) -> None:
    one = model.predict(photos[1])
    assert len(one) == 1
    assert model.predict(str(photos[1])) == one
    assert len(model.predict(_bgr(photos[1]))) == 1
    batch = np.stack([_bgr(photos[1])] * 3)
    assert [p.faces for p in model.predict(batch)] == [one[0].faces] * 3
    assert [p.faces for p in model.predict(_bgr(p) for p in photos)] == [p.faces for p in model.predict(photos)]
    assert len(model.predict([])) == 0


@pytest.mark.slow
def test_rows_are_what_the_command_logs(model: emotion.Model, photos: list[Path], tmp_path: Path) -> None:
    log = tmp_path / "faces.csv"
    run(compose("live", f"source={photos[0].parent}", f"log={log}", "display=none"))
    with log.open(newline="") as file:
        reader = csv.DictReader(file)
        logged = list(reader)
    rows = model.predict(photos).to_rows()
    assert [*rows[0], "note"] == reader.fieldnames
    logged = [row for row in logged if row.pop("note") != "no face"]
    assert len(rows) == len(logged) >= 6
    for row, expected in zip(rows, logged, strict=True):
        assert Path(row.pop("name")).name == expected.pop("name")
        assert {key: "" if value is None else str(value) for key, value in row.items()} == expected


def test_exif_orientation_is_respected(model: emotion.Model, photos: list[Path], tmp_path: Path) -> None:
    upright, turned = tmp_path / "upright.jpg", tmp_path / "turned.jpg"
    picture = PIL.Image.open(photos[2])
    picture.save(upright, quality=98)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right to show it
    picture.rotate(90, expand=True).save(turned, quality=98, exif=exif)
    answers = model.predict([upright, turned, PIL.Image.open(turned)])
    assert {(p.width, p.height) for p in answers} == {picture.size}
    boxes = [p[0].box for p in answers]
    for box in boxes[1:]:
        assert (box.x, box.y, box.width) == pytest.approx((boxes[0].x, boxes[0].y, boxes[0].width), abs=6)


def _bad(photos: list[Path], folder: Path) -> list[Any]:
    cut = folder / "cut.png"
    cut.write_bytes(photos[0].read_bytes()[:2000])
    text = folder / "<script>.jpg"
    text.write_text("no picture")
    return [
        cut, text, folder / "missing.jpg", folder, np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4), np.uint8), 7, None, "x" * 300, "a\0b", "~nobody-of-this-name/x.jpg", b"no picture",
    ]  # fmt: skip


@pytest.mark.slow
def test_an_input_that_cannot_be_read_is_an_answer(model: emotion.Model, photos: list[Path], tmp_path: Path) -> None:
    bad = _bad(photos, tmp_path)
    mixed = [photos[0], *bad, photos[1]]
    answers = model.predict(mixed)
    assert [p.error is None for p in answers] == [True, *[False] * len(bad), True]
    assert all(len(answers[i]) for i in (0, -1))
    assert all(not p.faces and (p.width, p.height) == (0, 0) for p in answers[1:-1])
    assert len(answers.errors) == len(bad)
    said = dict(answers.errors)
    assert said[str(tmp_path / "missing.jpg")] == "No such file or directory"
    assert "is a folder" in said[str(tmp_path)]
    assert "float32" in said["input 5"]
    for item in bad:
        with pytest.raises(UserError, match=r"^(input 1|.*/.*|x+|a\0b): \S"):
            model.predict([photos[0], item], strict=True)


def test_bytes_and_open_files_are_one_input(model: emotion.Model, photos: list[Path]) -> None:
    data = photos[0].read_bytes()
    (expected,) = model.predict(photos[0])
    for answers in (model.predict(data), model.predict([data]), model.predict([bytearray(data)])):
        assert [p.faces for p in answers] == [expected.faces]
    with photos[0].open("rb") as file:
        (answer,) = model.predict(file)
    assert answer.error is not None
    assert "file.read()" in answer.error


@pytest.mark.slow
def test_a_prior_that_is_to_be_estimated_is_in_sessions_and_videos(drawn: Any, photos: list[Path]) -> None:
    plain, estimating = load("pretrained", prior="training"), load("pretrained", prior="estimate")
    row = [0.01, 0.02, 0.02, 0.6, 0.2, 0.1, 0.05]
    both = []
    for model in (plain, estimating):
        session = model.session(smoothing=0)._session
        both.append([session.label(0.4 * i, [Box(10, 10, 80, 80)], [row])[0].probabilities for i in range(300)][-1])
    assert max(abs(a - b) for a, b in zip(*both, strict=True)) > 0.02
    films = [
        [f.probabilities for _, faces in m.video(drawn[0], smoothing=0) for f in faces] for m in (plain, estimating)
    ]
    assert films[0] != films[1]
    for refused in (lambda: estimating.predict(photos), lambda: next(estimating.video(photos[0]))):
        with pytest.raises(UserError, match=r"prior: estimate needs faces that are followed .* prior=\"balanced\""):
            refused()


def test_wrong_options(model: emotion.Model, photos: list[Path]) -> None:
    with pytest.raises(UserError, match="faces: 'hole' is not one of search, whole"):
        model.predict(photos, faces="hole")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="channels: 'gbr'"):
        model.predict(photos, channels="gbr")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"run: (no run 'nothing'|there are no runs)"):
        load("nothing")


@pytest.mark.slow
def test_whole_pictures_are_classified_as_evaluation_does(model: emotion.Model) -> None:
    faces = [np.random.default_rng(i).integers(0, 256, (60, 50, 3), np.uint8) for i in range(40)]
    answers = model.predict(faces, faces="whole")
    expected = model.classifier.classify(faces)
    assert np.allclose([p[0].probabilities for p in answers], expected, atol=1e-6)
    assert {(p[0].box.width, p[0].box.height) for p in answers} == {(50, 60)}


@pytest.mark.slow
def test_threads_share_a_model(model: emotion.Model, photos: list[Path]) -> None:
    alone = model.predict(photos)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda _: model.predict(photos), range(12)))
    assert all(answers == alone for answers in together)


@pytest.mark.slow
def test_a_session_gives_what_the_video_gives(model: emotion.Model, drawn: Any) -> None:
    session = model.session()
    stepped = [session.step(frame.image, frame.time) for frame in source.frames(drawn[0])]
    played = [faces for _, faces in model.video(drawn[0])]
    assert stepped == played
    assert len({face.track for faces in stepped for face in faces}) >= 2
    assert [p.frame for p in played] == list(range(24))
    mirrored = model.session(channels="rgb")
    assert [mirrored.step(f.image[:, :, ::-1], f.time) for f in source.frames(drawn[0])] == played
    session.reset()
    again = session.step(next(source.frames(drawn[0])).image)
    assert {face.track for face in again}.isdisjoint({face.track for faces in stepped for face in faces})
    with pytest.raises(UserError, match="frame: is an array of float64"):
        session.step(np.zeros((9, 9)))


@pytest.mark.slow
def test_answers_of_a_video_do_not_keep_its_frames(model: emotion.Model, drawn: Any) -> None:
    def collected() -> Iterator[Any]:
        yield from (faces for _, faces in model.video(drawn[0], max_frames=4))

    answers = list(collected())
    gc.collect()
    assert [answer._image() for answer in answers] == [None] * 4
    assert "<svg" not in answers[0]._repr_html_()


def test_a_notebook_shows_the_picture_with_its_boxes(model: emotion.Model, photos: list[Path], tmp_path: Path) -> None:
    answers = model.predict([photos[0], _bgr(photos[1]), *_bad(photos, tmp_path)[:2]])
    page = answers._repr_html_()
    assert page.count("<svg") == page.count("data:image/jpeg;base64,") == 2
    boxes = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)"', page)
    assert boxes == [tuple(map(str, (f.box.x, f.box.y, f.box.width))) for p in answers for f in p]
    assert "<script>" not in page
    assert "&lt;script&gt;.jpg: not an image" in page
    many = model.predict([np.zeros((30, 30), np.uint8)] * 30)
    assert "and 18 more" in many._repr_html_()


def test_answers_travel_to_other_processes(model: emotion.Model, photos: list[Path]) -> None:
    answers = model.predict(_bgr(photos[0]))
    copy = pickle.loads(pickle.dumps(answers))
    assert copy == answers
    assert copy[0]._image() is None
