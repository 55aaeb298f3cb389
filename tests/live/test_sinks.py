from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.live import sinks
from emotion.live.saving import save_sink
from emotion.live.sinks import Pictures, Video
from emotion.video.frame import Frame, Stream
from emotion.video.source import frames, opened


def _picture(height: int = 48, width: int = 64, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "OUT.MP4", "wörter und mehr.mp4"])
def test_video_has_every_frame_its_size_and_its_rate(tmp_path: Path, name: str) -> None:
    with Video(tmp_path / name, 12.5) as sink:
        for i in range(9):
            assert sink.write(Frame(i, i / 12.5, _picture()), [], _picture(value=20 * i))
    got = list(frames(tmp_path / name))
    assert [f.image.mean() for f in got] == pytest.approx([20 * i for i in range(9)], abs=4)
    assert got[0].image.shape == (48, 64, 3)
    assert cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)


def test_a_frame_of_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    with Video(tmp_path / "out.avi", 10) as sink:
        for i, (height, width) in enumerate([(48, 64), (48, 32), (200, 300), (1, 1)]):
            sink.write(Frame(i, i / 10, _picture()), [], _picture(height, width))
    got = [f.image for f in frames(tmp_path / "out.avi")]
    assert [g.shape for g in got] == [(48, 64, 3)] * 4
    assert got[1][:, 20:44].mean() > 190  # the picture in the middle
    assert got[1][:, :12].mean() < 10  # black beside it


@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 200), st.integers(16, 200))
def test_fitting_keeps_the_proportions(height: int, width: int, to_height: int, to_width: int) -> None:
    fitted = sinks.fit(_picture(height, width), (to_width, to_height))
    assert fitted.shape == (to_height, to_width, 3)
    rows, columns = np.flatnonzero(fitted.any(axis=(1, 2))), np.flatnonzero(fitted.any(axis=(0, 2)))
    assert len(rows) == to_height or len(columns) == to_width
    scale = min(to_height / height, to_width / width)
    assert abs(len(rows) - height * scale) <= 1
    assert abs(len(columns) - width * scale) <= 1


def test_a_recording_of_a_slow_camera_keeps_its_time(tmp_path: Path) -> None:
    with Video(tmp_path / "out.mp4", 30, steady=True) as sink:
        for i in range(10):
            sink.write(Frame(i, i / 10, _picture()), [], _picture(value=20 * i))
    assert len(list(frames(tmp_path / "out.mp4"))) == 28  # 0.9 s and the first frame


def test_a_recording_of_a_fast_camera_keeps_its_time(tmp_path: Path) -> None:
    with Video(tmp_path / "out.mp4", 10, steady=True) as sink:
        for i in range(60):
            sink.write(Frame(i, i / 60, _picture()), [], _picture())
    assert len(list(frames(tmp_path / "out.mp4"))) == 10


def test_a_source_that_was_away_or_whose_clock_jumps_does_not_stretch_its_recording(tmp_path: Path) -> None:
    with Video(tmp_path / "out.avi", 10, steady=True) as sink:
        for i, time in enumerate([0.0, 0.1, 3600.1, 3600.2, 0.0, 0.1, 0.2]):
            sink.write(Frame(i, time, _picture()), [], _picture())
    # 0.1 s, a pause that is cut to two seconds, 0.1 s, a step back that counts for nothing, and 0.2 s.
    assert len(list(frames(tmp_path / "out.avi"))) == 1 + 1 + 20 + 1 + 2


def test_odd_sizes_lose_one_line_and_no_more(tmp_path: Path) -> None:
    for ending in sinks.CODECS:
        with Video(tmp_path / f"out{ending}", 10) as sink:
            for i in range(3):
                sink.write(Frame(i, i / 10, _picture()), [], _picture(101, 67))
        assert next(frames(tmp_path / f"out{ending}")).image.shape == (100, 66, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("out.mkv", r"must end in \.mp4 or \.webm or \.avi"),
        ("out", r"must end in \.mp4 or \.webm or \.avi"),
        ("missing/out.mp4", "no such folder.*mkdir -p"),
        ("folder.mp4", "is a folder"),
    ],
)
def test_a_video_that_cannot_be_is_refused_before_the_first_frame(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=message):
        Video(tmp_path / name, 25)


def test_a_missing_codec_is_not_a_silent_no_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sinks.CODECS, ".mp4", "????")  # no encoder has this name
    with pytest.raises(UserError, match=r"cannot write .* with codec"), Video(tmp_path / "out.mp4", 25) as sink:
        sink.write(Frame(0, 0.0, _picture()), [], _picture())


def test_tiny_frames_are_refused_before_the_encoder_aborts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too small"), Video(tmp_path / "out.mp4", 25) as sink:
        sink.write(Frame(0, 0.0, _picture(3, 3)), [], _picture(3, 3))


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["mp4", "avi"])
def test_a_disk_that_takes_no_more_is_noticed(tmp_path: Path, ending: str) -> None:
    """A process that may write 20 kB to a file stands for a full disk: OpenCV swallows both."""
    code = (
        "import resource, sys; import numpy as np\n"
        "from emotion.base.errors import UserError\n"
        "from emotion.live.sinks import Video; from emotion.video.frame import Frame\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)\n"
        "try:\n"
        "    with Video(sys.argv[1], 25) as sink:\n"
        "        for i in range(300): sink.write(Frame(i, i / 25, noise), [], noise)\n"
        "except UserError as error: print(error)\n"
    )
    video = tmp_path / f"out.{ending}"
    done = subprocess.run([sys.executable, "-c", code, str(video)], capture_output=True, text=True)
    assert f"save: '{video}' could not be written whole" in done.stdout, done.stderr


def test_a_video_ends_whole_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Video(tmp_path / "out.mp4", 25) as sink:
        for i in range(5):
            sink.write(Frame(i, i / 25, _picture()), [], _picture())
        monkeypatch.setattr(sinks, "LEAST_FREE", 1 << 62)
        with pytest.raises(UserError, match="nearly full; the video is whole"):
            sink.write(Frame(5, 0.2, _picture()), [], _picture())
    assert len(list(frames(tmp_path / "out.mp4"))) == 5


@pytest.mark.slow
def test_an_avi_of_a_killed_process_lacks_no_more_than_256_kb(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; import numpy as np\n"
        "from emotion.live.sinks import Video; from emotion.video.frame import Frame\n"
        "noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)\n"
        "with Video(sys.argv[1], 25) as sink:\n"
        "    for i in range(300): sink.write(Frame(i, i / 25, noise), [], noise)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    video = tmp_path / "out.avi"
    done = subprocess.run([sys.executable, "-c", code, str(video)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    capture = cv2.VideoCapture(str(video))
    played = sum(1 for _ in iter(lambda: capture.read()[0], False))
    assert (300 - 1 - played) * video.stat().st_size / played <= 2**18


# ---------------------------------------------------------------------------------------------------------- pictures


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of pictures of different kinds, one of them in a folder below."""
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.jpg", "ü c.bmp", "d.pgm", "sub/a.png"]):
        image = _picture(40 + number, 50)
        cv2.imencode(Path(name).suffix, image[..., 0] if name.endswith("pgm") else image)[1].tofile(folder / name)
    return folder


def _save(source: Path | str, target: str) -> None:
    with opened(source) as stream, save_sink(target, stream) as sink:
        for frame in stream.frames:
            assert sink.write(frame, [], 255 - frame.image)


def _content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_of_pictures_becomes_a_folder_of_the_same_names(album: Path, tmp_path: Path) -> None:
    before = _content(album)
    _save(album, f"{tmp_path}/out/labelled/")
    made = _content(tmp_path / "out" / "labelled")
    assert set(made) == {"a.png", "b.jpg", "ü c.bmp", "d.pgm.png"}
    for name, data in made.items():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert (
            image.shape
            == cv2.imdecode(
                np.frombuffer(before[name.removesuffix(".png") if "pgm" in name else name], np.uint8), cv2.IMREAD_COLOR
            ).shape
        )
        assert abs(image.mean() - 55) < 2
    _save(album, f"{tmp_path}/out/labelled")  # once more, without the slash, over what is there
    assert _content(tmp_path / "out" / "labelled") == made
    assert _content(album) == before


def test_pictures_of_a_glob_keep_their_folders(album: Path, tmp_path: Path) -> None:
    _save(f"{album}/**/a.png", str(tmp_path / "out"))
    assert set(_content(tmp_path / "out")) == {"a.png", "sub/a.png"}


def test_a_globs_way_up_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with Pictures(tmp_path / "out", "x") as sink:
        sink.write(Frame(0, 0.0, _picture(), "../../evil.png"), [], _picture())
    assert set(_content(tmp_path)) == {"out/_/_/evil.png"}


@pytest.mark.parametrize("name", ["out.png", "OUT.JPG", "new.webp"])
def test_one_picture_becomes_one_picture(album: Path, tmp_path: Path, name: str) -> None:
    _save(album / "b.jpg", str(tmp_path / name))
    assert set(_content(tmp_path)) - {f"album/{n}" for n in _content(album)} == {name}
    image = cv2.imread(str(tmp_path / name))
    assert image is not None
    assert abs(image.mean() - 55) < 2


def test_one_picture_may_also_go_into_a_folder(album: Path, tmp_path: Path) -> None:
    _save(album / "b.jpg", str(tmp_path / "out"))
    assert set(_content(tmp_path / "out")) == {"b.jpg"}


def test_pictures_may_become_a_video_too(album: Path, tmp_path: Path) -> None:
    _save(album, str(tmp_path / "out.avi"))
    assert len(list(frames(tmp_path / "out.avi"))) == 4


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("album", "album", "holds the source"),
        ("album/", "album/../album/", "holds the source"),
        ("album/*.png", "album", "holds the source"),
        ("album/**/a.png", "album", "holds the source"),
        ("album/a.png", "album", "holds the source"),
        ("album/a.png", "album/a.png", "is the source itself"),
        ("album", "out.png", r"has several; give a folder: save=labelled/"),
        ("album", "out.gif", r"must be a folder .* or end in one of"),
        ("album", "album/a.png/", "is a file"),
        ("album/a.png", "missing/out.png", "no such folder"),
    ],
)
def test_pictures_that_cannot_be_saved_there_are_refused(
    album: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, message: str
) -> None:
    monkeypatch.chdir(album.parent)
    before = _content(album)
    with pytest.raises(UserError, match=message):
        _save(source, target)
    assert _content(album) == before


def test_a_link_to_the_source_is_replaced_not_followed(album: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to(album / "a.png")
    before = _content(album)
    _save(album, str(tmp_path / "out"))
    assert _content(album) == before
    assert not (tmp_path / "out" / "a.png").is_symlink()


def test_a_folder_without_the_right_to_write_is_refused(album: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match="may not be written"):
        _save(album, str(tmp_path / "locked" / "out"))


@pytest.mark.parametrize("target", ["out", "out/", "out.png"])
def test_a_video_is_not_saved_as_pictures(tmp_path: Path, target: str) -> None:
    stream = Stream("clip.mp4", "video", 25.0, iter(()))
    with pytest.raises(UserError, match=r"must end in \.mp4 or \.webm or \.avi"):
        save_sink(f"{tmp_path}/{target}", stream)


@pytest.mark.parametrize(("kind", "count"), [("video", 4), ("camera", 10)])
def test_stride_keeps_the_speed(tmp_path: Path, kind: str, count: int) -> None:
    """Every third of ten frames: a file is saved at a third of its rate, a camera at its own."""
    with save_sink(tmp_path / "out.avi", Stream("x", kind, 12.0, iter(())), stride=3) as sink:
        for i in range(0, 10, 3):
            sink.write(Frame(i, i / 12, _picture()), [], _picture())
    assert len(list(frames(tmp_path / "out.avi"))) == count
    rate = 4.0 if kind == "video" else 12.0
    assert cv2.VideoCapture(str(tmp_path / "out.avi")).get(cv2.CAP_PROP_FPS) == pytest.approx(rate)
