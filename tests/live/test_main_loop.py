"""The loop with a real classifier and real threads; sinks that remember."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.base import interrupts
from emotion.config import commands
from emotion.faces.images import Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.inference.classifier import Classifier
from emotion.inference.labeller import Labeller
from emotion.inference.session import Settings
from emotion.live import annotate, label_frames, main_loop
from emotion.live.main_loop import STAGES, Summary, Tally, report
from emotion.video import source
from emotion.video.detector import Detector
from emotion.video.frame import Frame, Stream
from tests.conftest import REPOSITORY


class Recorder:
    """A sink that remembers."""

    def __init__(self, draws: bool = False, ends_at: int | None = None, fails_at: int | None = None) -> None:
        self.draws, self.ends_at, self.fails_at = draws, ends_at, fails_at
        self.seen: list[int] = []
        self.faces: list[list[Face]] = []
        self.drawn: list[bool] = []
        self.closed = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        if frame.index == self.fails_at:
            raise RuntimeError("the sink is broken")
        self.seen.append(frame.index)
        self.faces.append(list(faces))
        self.drawn.append(bool((frame.image != annotated).any()))
        return frame.index != self.ends_at


@pytest.fixture
def classifier(models) -> Classifier:
    return Classifier(models["gray"].tflite, models["gray"].contract)


@pytest.fixture(scope="module")
def pictures(drawn) -> list[Image]:
    return [frame.image for frame in source.frames(drawn[0])]


def _stream(pictures: Sequence[Image], kind: str = "video") -> Stream:
    return Stream("a test", kind, 12.0, (Frame(i, i / 12, p) for i, p in enumerate(pictures)), len(pictures))


def _run(
    stream: Stream,
    classifier: Classifier,
    sinks: Sequence[Recorder] = (),
    stop: interrupts.Stop | None = None,
    min_confidence: float = 0.0,
    mode: str = "fast",
) -> Summary:
    labeller = Labeller(
        stream, classifier, Settings(detector=commands.Detector(mode=mode), min_confidence=min_confidence)
    )
    return main_loop.run(labeller, sinks, annotate.compose(labeller.labels), stop)


@pytest.mark.slow
def test_every_sink_gets_every_frame_and_the_summary_counts(classifier: Classifier, pictures: list[Image]) -> None:
    drawing, plain = Recorder(draws=True), Recorder()
    summary = _run(_stream(pictures), classifier, [drawing, plain])
    assert drawing.seen == plain.seen == list(range(len(pictures)))
    assert drawing.faces == plain.faces
    assert all(drawing.drawn)
    assert drawing.closed
    assert plain.closed
    faces = [face for found in plain.faces for face in found]
    assert (summary.read, summary.processed, summary.dropped) == (len(pictures), len(pictures), 0)
    assert summary.faces == len(faces) > len(pictures)
    assert summary.tracks == max(face.track or 0 for face in faces)
    assert tuple(summary.stages) == STAGES
    assert all(0 <= p50 <= p95 for p50, p95 in summary.stages.values())
    assert summary.stages["detect"][0] > 0
    assert summary.shares == {
        label: pytest.approx(sum(face.label == label for face in faces) / len(faces)) for label in summary.shares
    }
    assert sum(summary.shares.values()) == pytest.approx(1)


@pytest.mark.slow
def test_threads_change_nothing(classifier: Classifier, pictures: list[Image]) -> None:
    """The loop gives what one thread gives that does one step after the other."""
    sink = Recorder()
    _run(_stream(pictures), classifier, [sink])
    detector = Detector()
    for picture, faces in zip(pictures, sink.faces, strict=True):
        alone = classifier.label(picture, detector(picture))
        assert [face.box for face in faces] == [face.box for face in alone]
        assert [face.raw for face in faces] == [face.probabilities for face in alone]


def test_nothing_is_drawn_that_nobody_sees(classifier: Classifier, pictures: list[Image]) -> None:
    sink = Recorder(draws=False)
    _run(_stream(pictures[:2]), classifier, [sink])
    assert not any(sink.drawn)


def test_weak_answers_are_uncertain(classifier: Classifier, pictures: list[Image]) -> None:
    summary = _run(_stream(pictures[:3]), classifier, min_confidence=1.0)
    assert set(summary.shares) == {UNCERTAIN}
    assert 1 / 7 < summary.highest < 1
    assert summary.pictures is None


def test_frames_without_faces(classifier: Classifier) -> None:
    summary = _run(_stream([np.full((120, 160, 3), 90, np.uint8)] * 3), classifier, [Recorder(draws=True)])
    assert (summary.processed, summary.faces, summary.tracks, summary.shares) == (3, 0, 0, {})
    assert "faces:  0" in report(summary)


def test_no_frames_at_all(classifier: Classifier) -> None:
    summary = _run(_stream([]), classifier)
    assert (summary.read, summary.stages) == (0, {})
    assert "frames: 0 read" in report(summary)


def test_frames_may_change_their_size(classifier: Classifier, pictures: list[Image]) -> None:
    shapes = [None, (320, 180), (64, 48), None]
    mixed = [p if s is None else cv2.resize(p, s) for p, s in zip(pictures, shapes, strict=False)]
    sink = Recorder(draws=True)
    assert _run(_stream(mixed), classifier, [sink]).processed == 4  # type: ignore[arg-type]
    assert sink.faces[0]
    assert sink.faces[3]


def test_a_cut_gives_new_tracks(classifier: Classifier, pictures: list[Image]) -> None:
    sink = Recorder()
    black = np.zeros_like(pictures[0])
    _run(_stream([*pictures[:4], black, *pictures[:4]]), classifier, [sink])
    before, after = ({face.track for faces in part for face in faces} for part in (sink.faces[:4], sink.faces[5:]))
    assert before
    assert after
    assert not before & after


def test_pictures_stand_alone(classifier: Classifier, pictures: list[Image]) -> None:
    sink = Recorder()
    summary = _run(_stream(pictures[:3], "pictures"), classifier, [sink], mode="exact")
    faces = [face for found in sink.faces for face in found]
    assert all(face.track is None and face.probabilities == face.raw for face in faces)
    assert (summary.tracks, summary.faces) == (0, len(faces))
    found = sum(map(bool, sink.faces))
    assert summary.pictures == {"with_face": found, "without_face": 3 - found, "unreadable": 0}
    assert f"images: {found} with a face, {3 - found} without, 0 that cannot be read" in report(summary)
    assert len({len(found) for found in sink.faces} - {0}) >= 1


@pytest.mark.slow
def test_a_live_source_is_never_waited_for(classifier: Classifier, pictures: list[Image]) -> None:
    """While a slow sink is at a frame, frames come and go; it gets the newest, and the summary counts the others."""
    sink, all_out = Recorder(), threading.Event()

    class Slow(Recorder):
        def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
            all_out.wait(60)
            return super().write(frame, faces, annotated)

    def frames() -> Iterator[Frame]:
        for i in range(200):
            yield Frame(i, i / 30, pictures[0])
        all_out.set()

    summary = _run(Stream("a camera", "camera", 30.0, frames()), classifier, [Slow(), sink])
    assert summary.read == 200
    assert summary.processed == len(sink.seen) < 15
    assert summary.dropped == 200 - summary.processed
    assert sink.seen == sorted(sink.seen)
    assert sink.seen[-1] == 199


def test_a_sink_can_end_the_loop_and_the_others_still_get_that_frame(
    classifier: Classifier, pictures: list[Image]
) -> None:
    first, second = Recorder(ends_at=2), Recorder()
    assert _run(_stream(pictures), classifier, [first, second]).processed == 3
    assert second.seen == [0, 1, 2]


def test_sinks_are_closed_when_one_breaks(classifier: Classifier, pictures: list[Image]) -> None:
    good, broken = Recorder(), Recorder(fails_at=1)
    with pytest.raises(RuntimeError, match="broken"):
        _run(_stream(pictures), classifier, [good, broken])
    assert good.closed
    assert broken.closed


def test_an_error_of_the_source_closes_the_sinks(classifier: Classifier, pictures: list[Image]) -> None:
    sink = Recorder()

    def frames() -> Iterator[Frame]:
        yield Frame(0, 0.0, pictures[0])
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        _run(Stream("a test", "video", 12.0, frames()), classifier, [sink])
    assert sink.seen == [0]
    assert sink.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_loop_between_two_frames(
    classifier: Classifier, pictures: list[Image], number: signal.Signals
) -> None:
    class Killer(Recorder):
        def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
            if frame.index == 3:
                os.kill(os.getpid(), number)
            return super().write(frame, faces, annotated)

    sink = Killer()
    before = signal.getsignal(number)
    with interrupts.interruption() as stopped:
        summary = _run(_stream(pictures), classifier, [sink], stopped)
    assert stopped.signal == number
    assert summary.processed == 4
    assert sink.seen == [0, 1, 2, 3]
    assert sink.closed
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait() -> None:
    with interrupts.interruption() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_tally_does_not_grow(classifier: Classifier) -> None:
    from emotion.inference.labeller import Labelled
    from emotion.live.main_loop import TIMED_FRAMES

    tally = Tally(classifier.contract.labels)
    item = Labelled(Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)), [], [], {"read": 0.5})
    for _ in range(TIMED_FRAMES + 10):
        tally.add(item, {"write": 0.25})
    assert len(tally._timings) == TIMED_FRAMES
    summary = tally.summary(read=TIMED_FRAMES + 13, dropped=3, seconds=1.0)
    assert (summary.read, summary.processed) == (TIMED_FRAMES + 13, TIMED_FRAMES + 10)
    assert summary.stages["read"] == (0.5, 0.5)
    assert summary.stages["write"] == (0.25, 0.25)


def test_label_frames_closes_its_threads_when_it_is_left(models, outputs: Path, drawn) -> None:
    for frame, faces in label_frames("gray", drawn[0], outputs=outputs):
        assert frame.index == 0
        assert faces
        break
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("emotion ")]


def test_label_frames_takes_other_settings(models, outputs: Path, drawn) -> None:
    exact = commands.Detector(mode="exact", min_size=0.3)
    found = list(label_frames("gray", drawn[0], outputs=outputs, max_frames=3, stride=2, detector=exact, smoothing=0))
    assert [frame.index for frame, _ in found] == [0, 2, 4]
    for _, faces in found:
        assert all(face.box.width >= 0.3 * 360 and face.probabilities == face.raw for face in faces)


def test_parity_with_evaluation(classifier: Classifier) -> None:
    """What the loop says of a picture's face is what the classifier says of the crop by itself."""
    from emotion.data import synthetic
    from emotion.faces.images import crop

    image, _ = synthetic.frame(1, 3, noise=0.3)
    sink = Recorder()
    _run(_stream([image], "pictures"), classifier, [sink])
    assert sink.faces[0]
    for face in sink.faces[0]:
        alone = classifier.classify([crop(image, face.box, classifier.contract.crop_margin)])[0]
        np.testing.assert_allclose(face.raw, alone, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_program_may_end_in_the_middle(models, outputs: Path, drawn, tmp_path: Path) -> None:
    """Its threads are in OpenCV and LiteRT just then, which takes the process down where they are not waited for."""
    code = (
        "import sys\n"
        "from emotion.live import label_frames\n"
        "held = label_frames('gray', sys.argv[1], outputs=sys.argv[2])\n"
        "print(next(held)[0].index)\n"
    )
    for _ in range(4):
        line = [sys.executable, "-c", code, str(drawn[0]), str(outputs)]
        done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
