"""Saved films that play: H.264 with the source's sound and times, and VP9; judged by readers of another kind."""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.live import film, sinks
from emotion.live.film import Film
from emotion.live.saving import save_sink
from emotion.live.sinks import Video
from emotion.video import source
from emotion.video.frame import Frame, Stream
from tests.helpers import chromium, mp4

av: Any = pytest.importorskip("av")

SIZE = (96, 64)


def _frame(number: int, size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    image = np.full((size[1], size[0], 3), 60, np.uint8)
    image[:, : 8 * (number % 8) + 8] = (40, 200, 90)
    return image


def _film(
    path: Path, times: list[float], codec: str = "mp3", shape: Fraction | None = None, rate: int = 48_000
) -> Path:
    """A film with frames at these times, and a second of sound for each of its seconds."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 90_000)
        if shape:
            video.codec_context.sample_aspect_ratio = shape
        sound = file.add_stream(codec, rate=rate)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(_frame(number), format="bgr24")
            frame.pts, frame.time_base = round(90_000 * time), Fraction(1, 90_000)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        draw, length = np.random.default_rng(0), sound.codec_context.frame_size or 1024
        for place in range(0, int(rate * times[-1]), length):
            data = draw.integers(-9000, 9000, (1, 2 * length), np.int16)
            heard = av.AudioFrame.from_ndarray(data, format="s16", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = rate, place, Fraction(1, rate)
            file.mux(sound.encode(heard))
        file.mux(sound.encode(None))
    return path


def _save(path: Path, target: Path, stride: int = 1) -> list[float]:
    """Save a film as live does, without labels; the times of its frames."""
    times = []
    with source.opened(path, stride=stride) as stream, save_sink(target, stream, stride) as sink:
        for frame in stream.frames:
            times.append(frame.time)
            sink.write(frame, [], frame.image)
    return times


def _read(path: Path) -> tuple[list[float], Any, list[tuple[str, float, float]]]:
    """Times of the frames, the video stream, and codec, first and last second of each sound."""
    with av.open(str(path)) as file:
        times = [float(frame.time) for frame in file.decode(video=0)]
    sounds = []
    with av.open(str(path)) as file:
        shown = file.streams.video[0]
        about = shown.codec_context.name, shown.width, shown.height, shown.sample_aspect_ratio
        for place, audio in enumerate(file.streams.audio):
            file.seek(0)
            heard = list(file.decode(audio=place))
            sounds.append((audio.codec_context.name, heard[0].time, heard[-1].time + heard[-1].samples / 48_000))
    return times, about, sounds


VARIABLE = [0.0, 0.04, 0.08, 0.5, 0.51, 0.9, 1.4, 1.45, 1.9, 2.0]


@pytest.mark.parametrize(
    ("given", "sound", "saved", "heard"),
    [
        ("given.mp4", "aac", "saved.mp4", "aac"),
        ("given.mp4", "mp3", "saved.mp4", "mp3float"),
        ("given.ts", "aac", "saved.mp4", "aac"),
        ("given.mkv", "pcm_s16le", "saved.mp4", "aac"),
        ("given.mkv", "libopus", "saved.mp4", "aac"),
        ("given.mkv", "libopus", "saved.webm", "opus"),
        ("given.mp4", "aac", "saved.webm", "opus"),
    ],
)
def test_times_and_sound_are_the_source_s(tmp_path: Path, given: str, sound: str, saved: str, heard: str) -> None:
    source_file = _film(tmp_path / given, VARIABLE, sound)
    seen = _save(source_file, tmp_path / saved)
    times, (codec, width, height, _), sounds = _read(tmp_path / saved)
    assert (codec, width, height) == ("h264" if saved.endswith("mp4") else "vp9", *SIZE)
    assert seen == pytest.approx(VARIABLE, abs=0.0015)
    _has(times, seen)
    ((name, first, last),) = sounds
    assert name == heard
    assert (first, last) == (pytest.approx(0.0, abs=0.06), pytest.approx(2.0, abs=0.12))


def _has(times: list[float], wanted: list[float]) -> None:
    """Each wanted time is that of a frame, and frames are repeated between them, neither densely nor far apart."""
    for time in wanted:
        assert min(abs(time - t) for t in times) < 0.0015, time
    assert min(np.diff(times)) > 0.008
    assert max(np.diff(times)) < 0.15


def test_a_stride_keeps_times_and_sound(tmp_path: Path) -> None:
    _save(_film(tmp_path / "given.mp4", VARIABLE), tmp_path / "third.mp4", stride=3)
    times, _, ((_, _, last),) = _read(tmp_path / "third.mp4")
    _has(times, VARIABLE[::3])
    assert last == pytest.approx(2.0, abs=0.12)


@pytest.mark.parametrize("rate", [4_000, 22_254, 192_000])
def test_sound_of_a_rate_that_the_encoder_does_not_know(tmp_path: Path, rate: int) -> None:
    _save(_film(tmp_path / "given.mkv", VARIABLE, "pcm_s16le", rate=rate), tmp_path / "saved.mp4")
    times, _, ((codec, first, last),) = _read(tmp_path / "saved.mp4")
    _has(times, VARIABLE)
    assert (codec, first) == ("aac", pytest.approx(0, abs=0.03))
    assert last == pytest.approx(VARIABLE[-1], abs=0.12)


def test_what_the_encoder_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = np.zeros((64, 16_640, 3), np.uint8)
    stream = Stream("a", "pictures", 1.0, iter(()), 1)
    with pytest.raises(UserError, match=r"a side of 16640 pixels is too long for .mp4 .*save as .avi"):
        Film(tmp_path / "wide.mp4", stream, 5).write(Frame(0, 0.0, wide), [], wide)
    monkeypatch.setitem(film._KINDS, ".mp4", replace(film._KINDS[".mp4"], longest=20_000))
    with pytest.raises(UserError, match=r"save: cannot write '.*wide.mp4': Generic error"):
        Film(tmp_path / "wide.mp4", stream, 5).write(Frame(0, 0.0, wide), [], wide)


def test_a_film_whose_sound_breaks_off_is_saved_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decode = film._encoded

    def breaks_off(*given: Any) -> Iterator[Any]:
        yield from itertools.islice(decode(*given), 10)
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")

    monkeypatch.setattr(film, "_encoded", breaks_off)
    _save(_film(tmp_path / "given.mkv", VARIABLE, "pcm_s16le"), tmp_path / "saved.mp4")
    times, _, ((_, _, last),) = _read(tmp_path / "saved.mp4")
    _has(times, VARIABLE)
    assert last < 0.5
    assert "Invalid data found when processing input); the video continues" in caplog.text


def test_pixels_that_are_not_square_keep_the_shape_of_things(tmp_path: Path) -> None:
    given = _film(tmp_path / "given.mp4", [0.0, 0.1, 0.2], shape=Fraction(4, 3))
    _save(given, tmp_path / "saved.mp4")
    codec, width, height, shape = _read(tmp_path / "saved.mp4")[1]
    assert (codec, width, height) == ("h264", SIZE[0] * 4 // 3, SIZE[1])
    assert shape in (None, 1)


@pytest.mark.parametrize("name", ["saved.mp4", "saved.webm"])
def test_a_film_that_is_to_be_turned_is_saved_upright(tmp_path: Path, name: str) -> None:
    path = mp4.film(tmp_path / "given.mp4", mp4.grey(5, 96, 64))
    mp4.rotation(path, 90)
    _save(path, tmp_path / name)
    with av.open(str(tmp_path / name)) as file:
        frame = next(file.decode(video=0))
    assert (frame.width, frame.height, frame.rotation) == (64, 96, 0)


def test_a_camera_that_was_away_leaves_no_gap(tmp_path: Path) -> None:
    stream = Stream("camera 0", "camera", 25.0, iter(()))
    with save_sink(tmp_path / "saved.mp4", stream) as sink:
        for number, time in enumerate((5.0, 5.1, 5.05, 900.0, 900.1)):
            sink.write(Frame(number, time, _frame(number)), [], _frame(number))
    times = _read(tmp_path / "saved.mp4")[0]
    assert times == pytest.approx([0.0, 0.1, 0.1, 2.1, 2.2], abs=0.002)
    assert times == sorted(set(times))


@pytest.mark.parametrize("size", [(95, 63), (640, 16), (16, 640), (1280, 720)])
def test_frames_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    stream = Stream("clip", "video", 25.0, iter(()))
    with save_sink(tmp_path / "saved.mp4", stream) as sink:
        for number in range(3):
            other = _frame(number, size if number != 1 else (64, 48))
            sink.write(Frame(number, number / 25, other), [], other)
    times, about, _ = _read(tmp_path / "saved.mp4")
    assert about[1:3] == (size[0] // 2 * 2, size[1] // 2 * 2)
    assert len(times) == 3


def test_faults_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream("clip", "video", 25.0, iter(()))
    with pytest.raises(UserError, match="no such folder"):
        save_sink(tmp_path / "a" / "b.mp4", stream)
    with pytest.raises(UserError, match="too small"), save_sink(tmp_path / "tiny.mp4", stream) as sink:
        sink.write(Frame(0, 0.0, _frame(0, (8, 8))), [], _frame(0, (8, 8)))
    monkeypatch.setattr(sinks, "LEAST_FREE", 1 << 60)
    with pytest.raises(UserError, match="nearly full"), save_sink(tmp_path / "full.mp4", stream) as sink:
        sink.write(Frame(0, 0.0, _frame(0)), [], _frame(0))


def test_without_pyav_a_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = Stream("clip", "video", 25.0, iter(()))
    assert isinstance(save_sink(tmp_path / "a.mp4", stream), Film)
    monkeypatch.setattr(film, "can_write", lambda suffix: False)
    with caplog.at_level(logging.INFO):
        assert isinstance(save_sink(tmp_path / "a.mp4", stream), Video)
    assert "pip install 'emotion[video]'" in caplog.text
    assert "browsers and phones do not play" in caplog.text
    caplog.clear()
    assert isinstance(save_sink(tmp_path / "a.webm", stream), Video)
    assert caplog.text == ""


def test_the_last_frame_is_seen_as_long_as_in_the_source(tmp_path: Path) -> None:
    path = mp4.film(tmp_path / "given.mp4", mp4.grey(30))
    mp4.slow_end(path, 29, 1, 20)  # the last one for a second
    for name in ("saved.mp4", "saved.webm"):
        _save(path, tmp_path / name)
        with av.open(str(tmp_path / name)) as file:
            assert file.duration / 1e6 == pytest.approx(29 / 20 + 1, abs=0.03)


@pytest.mark.slow
def test_both_kinds_play_in_a_browser(drawn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in (("a.mp4", "video/mp4"), ("a.webm", "video/webm"), ("plain.webm", "video/webm")):
        if name.startswith("plain"):  # by OpenCV
            monkeypatch.setattr(film, "can_write", lambda suffix: False)
        frames: Iterator[Frame] = itertools.islice(source.frames(drawn[0]), 12)
        with save_sink(tmp_path / name, Stream("clip", "video", 12.0, iter(()))) as sink:
            for frame in frames:
                sink.write(frame, [], frame.image)
        data = base64.b64encode((tmp_path / name).read_bytes()).decode()
        page_file = tmp_path / f"{name}.html"
        page_file.write_text(f"<!DOCTYPE html><video muted src='data:{kind};base64,{data}'></video>")
        (tmp_path / name.replace(".", "-")).mkdir()
        with chromium.opened(page_file, tmp_path / name.replace(".", "-")) as page:
            page.evaluate("document.querySelector('video').play()")
            page.until("document.querySelector('video').ended")
            shape = "[document.querySelector('video').videoWidth, document.querySelector('video').videoHeight]"
            assert page.evaluate(shape) == [640, 360]
        assert cv2.VideoCapture(str(tmp_path / name)).isOpened()
