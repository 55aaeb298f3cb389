from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from emotion.faces import Box
from emotion.live import loop
from emotion.live.classifier import Classifier
from emotion.live.source import Frame


class Recorder:
    """A sink that remembers."""

    def __init__(self, draws: bool = False, ends_at: int | None = None, fails_at: int | None = None) -> None:
        self.draws, self.ends_at, self.fails_at = draws, ends_at, fails_at
        self.seen: list[int] = []
        self.faces: list[int] = []
        self.drawn: list[bool] = []
        self.closed = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    def write(self, frame, faces, annotated) -> bool:
        if frame.index == self.fails_at:
            raise RuntimeError("the sink is broken")
        self.seen.append(frame.index)
        self.faces.append(len(faces))
        self.drawn.append(bool((frame.image != annotated).any()))
        return frame.index != self.ends_at


def _frames(count: int, sizes: tuple[tuple[int, int], ...] = ((120, 160),)) -> Iterator[Frame]:
    for i in range(count):
        yield Frame(i, i / 10, np.full((*sizes[i % len(sizes)], 3), 90, np.uint8))


def _two(image: np.ndarray) -> list[Box]:
    return [Box(10, 20, 50, 50), Box(90, 40, 40, 40)]


@pytest.fixture
def classifier(models) -> Classifier:
    return Classifier(models["gray"].tflite, models["gray"].contract)


def test_every_sink_gets_every_frame_and_the_summary_counts(classifier: Classifier) -> None:
    drawing, plain = Recorder(draws=True), Recorder()
    summary = loop.run(_frames(6), _two, classifier, [drawing, plain])
    assert drawing.seen == plain.seen == list(range(6))
    assert drawing.faces == [2] * 6
    assert all(drawing.drawn)
    assert drawing.closed
    assert plain.closed
    assert (summary.frames, summary.faces) == (6, 12)
    assert tuple(summary.stages) == loop.STAGES
    assert all(0 <= p50 <= p95 for p50, p95 in summary.stages.values())
    assert sum(summary.shares.values()) == pytest.approx(1)
    assert tuple(summary.shares) == classifier.contract.labels


def test_nothing_is_drawn_that_nobody_sees(classifier: Classifier) -> None:
    sink = Recorder(draws=False)
    loop.run(_frames(2), _two, classifier, [sink])
    assert not any(sink.drawn)


def test_frames_without_faces(classifier: Classifier) -> None:
    sink = Recorder(draws=True)
    summary = loop.run(_frames(3), lambda image: [], classifier, [sink])
    assert sink.faces == [0, 0, 0]
    assert (summary.frames, summary.faces, summary.shares) == (3, 0, {})
    assert "frames 3, faces 0" in loop.report(summary)


def test_no_frames_at_all(classifier: Classifier) -> None:
    summary = loop.run([], _two, classifier)
    assert (summary.frames, summary.stages) == (0, {})
    assert "frames 0" in loop.report(summary)


def test_frames_may_change_their_size(classifier: Classifier) -> None:
    sink = Recorder(draws=True)
    assert loop.run(_frames(6, ((120, 160), (240, 320), (40, 30))), _two, classifier, [sink]).frames == 6


def test_a_sink_can_end_the_loop_and_the_others_still_get_that_frame(classifier: Classifier) -> None:
    first, second = Recorder(ends_at=2), Recorder()
    assert loop.run(_frames(9), _two, classifier, [first, second]).frames == 3
    assert second.seen == [0, 1, 2]


def test_sinks_are_closed_when_one_breaks(classifier: Classifier) -> None:
    good, broken = Recorder(), Recorder(fails_at=1)
    with pytest.raises(RuntimeError, match="broken"):
        loop.run(_frames(9), _two, classifier, [good, broken])
    assert good.closed
    assert broken.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_loop_between_two_frames(classifier: Classifier, number: int) -> None:
    sink = Recorder()

    def detector(image: np.ndarray) -> list[Box]:
        if len(sink.seen) == 3:
            os.kill(os.getpid(), number)  # in the middle of the fourth frame
        return _two(image)

    before = signal.getsignal(number)
    with loop.interruption() as stopped:
        summary = loop.run(_frames(100), detector, classifier, [sink], stopped)
    assert stopped.signal == number
    assert summary.frames == 4
    assert sink.seen == [0, 1, 2, 3]
    assert sink.closed
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait() -> None:
    with loop.interruption() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
