from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.base.errors import UserError
from emotion.faces.images import Box
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.faces.labels import EMOTIONS
from emotion.live import timeline
from emotion.live.timeline import Timeline
from emotion.video.frame import Frame
from emotion.video.palette import colour

IMAGE = np.zeros((8, 8, 3), np.uint8)


def _face(track: int | None, label: str = "happy", share: float = 0.8) -> Face:
    rest = (1 - share) / 6
    probabilities = tuple(share if e == label else rest for e in EMOTIONS)
    return Face(Box(1, 2, 30, 30), label if share > 0.3 else UNCERTAIN, share, probabilities, (), track)


def _draw(path: Path, scene: dict[float, list[Face]]) -> np.ndarray:
    with Timeline(path, EMOTIONS) as sink:
        for i, (time, found) in enumerate(scene.items()):
            assert sink.write(Frame(i, time, IMAGE), found, IMAGE)
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def _where(picture: np.ndarray, label: str) -> np.ndarray:
    return np.all(np.abs(picture.astype(int) - colour(label)) <= 3, axis=2)


def _area(picture: np.ndarray) -> np.ndarray:
    """The picture without its legend."""
    return picture[:-40]


@pytest.mark.slow
def test_a_change_and_a_gap_are_seen_where_they_are(tmp_path: Path) -> None:
    times = [i / 10 for i in range(101)]
    scene = {
        t: [] if 4 < t < 6 else [_face(1, "happy" if t <= 4 else "sad"), *([_face(2, "angry")] if t < 2 else [])]
        for t in times
    }
    picture = _area(_draw(tmp_path / "t.png", scene))
    happy, sad, angry = (np.flatnonzero(_where(picture, e).sum(axis=0) > 20) for e in ("happy", "sad", "angry"))
    left, right = happy[0], sad[-1]  # 0 and 10 seconds
    width = right - left
    assert (happy[-1] - left) / width == pytest.approx(0.4, abs=0.02)
    assert (sad[0] - left) / width == pytest.approx(0.6, abs=0.02)
    assert (angry[-1] - left) / width == pytest.approx(0.2, abs=0.02)
    # A row for each: below all of the first track's label there is the second's.
    first = np.flatnonzero(_where(picture, "sad").sum(axis=1) > 0.3 * width)
    second = np.flatnonzero(_where(picture, "angry").sum(axis=1) > 0.15 * width)
    assert second[-1] > first[-1] + 30


@pytest.mark.slow
def test_uncertain_answers_are_marked(tmp_path: Path) -> None:
    sure = _area(_draw(tmp_path / "a.png", {t / 10: [_face(1)] for t in range(50)}))
    unsure = _area(_draw(tmp_path / "b.png", {t / 10: [_face(1, share=0.2)] for t in range(50)}))
    assert _where(sure, UNCERTAIN).sum() < 200 < _where(unsure, UNCERTAIN).sum()


def test_a_face_of_a_single_frame_is_seen(tmp_path: Path) -> None:
    picture = _area(_draw(tmp_path / "t.png", {t / 10: [_face(1, "sad")] if t == 30 else [] for t in range(600)}))
    assert _where(picture, "sad").sum() > 50


@pytest.mark.parametrize(
    "scene",
    [{}, {0.0: []}, {0.0: [_face(1)]}, {t / 5: [] for t in range(20)}, {0.0: [_face(None)], 1.0: [_face(None)]}],
    ids=["no frame", "one frame", "one frame with a face", "no face", "pictures that stand alone"],
)
def test_there_is_a_picture_whatever_came(tmp_path: Path, scene: dict[float, list[Face]]) -> None:
    picture = _draw(tmp_path / "t.png", scene)
    assert (picture < 128).any()  # it says something


@pytest.mark.slow
def test_many_tracks_are_cut_to_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    from emotion.reports import canvas

    heading = canvas.heading
    monkeypatch.setattr(canvas, "heading", lambda f, t, n="": (notes.append(n), heading(f, t, n))[1])
    scene = {t / 10: [_face(k) for k in range(1, 31) if t <= 10 * k] for t in range(0, 300, 5)}
    picture = _draw(tmp_path / "t.png", scene)
    assert picture.shape[0] < 2000
    assert notes == [
        "30 tracks in 0:30; smoothed probabilities, and below them the label that was shown\n"
        "10 shorter tracks are left out"
    ]


def test_memory_is_bounded_in_length_and_in_tracks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timeline, "MOST_POINTS", 100)
    monkeypatch.setattr(timeline, "MOST_TRACKS", 10)
    sink = Timeline(tmp_path / "t.png", EMOTIONS)
    for i in range(5000):
        label = "happy" if i < 2500 else "sad"
        sink.write(Frame(i, i / 25, IMAGE), [_face(1, label), _face(2 + i // 20)], IMAGE)
    assert len(sink._tracks) <= 11
    assert len(sink._tracks) + sink._forgotten == 1 + 250
    kept = sink._tracks[1]
    times, values, shown = kept.observations()
    assert kept.count == 5000
    assert 50 <= len(times) <= 100
    assert (times[0], kept.last) == (0.0, pytest.approx(199.96))
    assert np.diff(times).max() < 3 * np.diff(times).min()  # thinned evenly
    assert values.shape == (len(times), 7)
    assert (shown == np.where(times < 100, 3, 5)).all()
    assert (values.argmax(axis=1) == shown).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [("t.jpg", r"must end in \.png"), ("no/t.png", "no such folder"), ("folder.png", "is a folder")],
)
def test_a_timeline_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=f"timeline: .*{message}"):
        Timeline(tmp_path / name, EMOTIONS)


def test_a_folder_that_is_gone_at_the_end_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    with pytest.raises(UserError, match="timeline: cannot write"), Timeline(tmp_path / "gone" / "t.png", EMOTIONS):
        (tmp_path / "gone").rmdir()


def test_an_error_elsewhere_is_not_hidden_and_the_picture_is_drawn(tmp_path: Path) -> None:
    sink = Timeline(tmp_path / "t.png", EMOTIONS)
    sink.write(Frame(0, 0.0, IMAGE), [_face(1)], IMAGE)
    with pytest.raises(ZeroDivisionError), sink:
        print(1 / 0)
    assert cv2.imread(str(tmp_path / "t.png")) is not None
    assert [p.name for p in tmp_path.iterdir()] == ["t.png"]


@pytest.mark.slow
def test_matplotlib_is_imported_at_the_end_only() -> None:
    code = (
        "import sys; from emotion.live.timeline import Timeline; from emotion.live import face_log, sinks\n"
        "print([m for m in ('matplotlib', 'scipy', 'tensorflow') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
