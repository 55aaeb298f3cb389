"""What ``timeline=`` draws: the probabilities of each track over time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.faces.labelled import UNCERTAIN, Face
from emotion.live.sinks import Sink, check_target
from emotion.video import palette
from emotion.video.frame import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Matrix = np.ndarray[Any, np.dtype[Any]]

#: Most observations per track, tracks in memory, and tracks that are drawn: a camera may run for weeks.
MOST_POINTS, MOST_TRACKS, MOST_ROWS = 2400, 200, 20
#: Seconds without a face that are drawn as a gap.
GAP = 0.5
#: Seconds between two marks of the time axis.
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


class _Track:
    """A track's observations; every second one is dropped when they become many."""

    def __init__(self) -> None:
        self.times, self.values, self.shown = array("d"), array("f"), array("b")
        self.count = 0
        self.first = self.last = 0.0
        self._apart = 0.0

    @property
    def duration(self) -> float:
        return self.last - self.first

    def add(self, time: float, probabilities: Sequence[float], shown: int) -> None:
        self.first = time if self.count == 0 else self.first
        self.last = max(self.last, time)
        self.count += 1
        if self.times and time < self.times[-1] + self._apart:
            return
        self.times.append(time)
        self.values.extend(probabilities)
        self.shown.append(shown)
        if len(self.times) > MOST_POINTS:
            self._apart = 2 * self.duration / MOST_POINTS
            times = np.array(self.times)  # one observation per interval stays: evenly in time, none alone is lost
            keep = np.unique(np.floor((times - self.first) / max(self._apart, 1e-9)), return_index=True)[1]
            self.values = array("f", np.array(self.values).reshape(len(times), -1)[keep].tobytes())
            self.times, self.shown = array("d", times[keep].tobytes()), array("b", np.array(self.shown)[keep].tobytes())

    def observations(self) -> tuple[Matrix, Matrix, Matrix]:
        """Times, probabilities ``[times, labels]``, and indices of the labels that were shown, -1 for uncertain."""
        times = np.array(self.times)
        return times, np.array(self.values, np.float64).reshape(len(times), -1), np.array(self.shown)


class Timeline(Sink):
    """Collects each track's smoothed probabilities, and draws them to a PNG file, new or replaced, at the end.

    Raises:
        UserError: An ending other than ``.png``, no such folder, or a file that cannot be written.
    """

    draws = False

    def __init__(self, path: str | Path, labels: Sequence[str]) -> None:
        self.path = Path(path).expanduser()
        if self.path.suffix.lower() != ".png":
            raise UserError(f"timeline: '{path}' must end in .png, such as timeline=faces.png")
        check_target("timeline", self.path)
        self._labels = tuple(labels)
        self._numbers = {label: i for i, label in enumerate(self._labels)}
        self._tracks: dict[int, _Track] = {}
        self._forgotten = 0
        self._end = 0.0

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            files.write_bytes(self.path, self._draw())
        except OSError as failure:
            if kind is None:
                raise UserError(f"timeline: cannot write '{self.path}': {failure.strerror}") from None

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        self._end = max(self._end, frame.time)
        for face in faces:
            if face.track is not None:
                track = self._tracks.setdefault(face.track, _Track())
                track.add(frame.time, face.probabilities, self._numbers.get(face.label, -1))
        if len(self._tracks) > MOST_TRACKS:
            self._forget({face.track for face in faces})
        return True

    def _forget(self, present: set[int | None]) -> None:
        """Drop the shorter half of the tracks, except those that are still there."""
        past = sorted((t.duration, t.count, i) for i, t in self._tracks.items() if i not in present)
        for _, _, i in past[: MOST_TRACKS // 2]:
            del self._tracks[i]
            self._forgotten += 1

    def _draw(self) -> bytes:
        from matplotlib.image import imsave  # Matplotlib takes a second to import, and is needed only now
        from matplotlib.patches import Patch
        from matplotlib.ticker import FuncFormatter, MultipleLocator

        from emotion.reports import canvas

        ranked = sorted(self._tracks, key=lambda i: (-self._tracks[i].duration, -self._tracks[i].count, i))
        chosen = sorted(ranked[:MOST_ROWS], key=lambda i: (self._tracks[i].first, i))
        left_out = len(ranked) - len(chosen) + self._forgotten
        count = max(1, len(chosen))
        row = 1.5 if count <= 3 else 0.95 if count <= 8 else 0.62  # inches
        data = BytesIO()
        with canvas.figure_of(11, 1.35 + row * count) as figure:
            note = f"{len(ranked) + self._forgotten} tracks" if len(ranked) != 1 or self._forgotten else "1 track"
            note = f"{note} in {_clock(self._end)}; smoothed probabilities, and below them the label that was shown"
            note += f"\n{left_out} shorter tracks are left out" if left_out else ""
            canvas.heading(figure, "Expressions over time", note if chosen else f"no face in {_clock(self._end)}")
            axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
            for ax in axes:
                ax.set(ylim=(-0.18, 1), yticks=[], xlim=(0, max(self._end, 1e-3)))
                ax.spines["left"].set_visible(False)
            for ax, number in zip(axes, chosen, strict=False):
                self._draw_track(ax, number, self._tracks[number])
            step = next((step for step in _STEPS if self._end / step <= 10), self._end / 10)
            axes[-1].xaxis.set_major_locator(MultipleLocator(step))
            axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))
            if chosen:
                handles = [Patch(facecolor=_hex(name), label=name) for name in (*self._labels, UNCERTAIN)]
                figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.2)
            imsave(data, canvas.picture_of(figure, None), format="png", dpi=canvas.DPI)
        return data.getvalue()

    def _draw_track(self, ax: Axes, number: int, track: _Track) -> None:
        from emotion.reports import canvas

        times, values, shown = track.observations()
        usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        # Half the usual distance before and after, so that a single observation is seen too.
        half = max(self._end / 2500, usual / 2)
        breaks = np.flatnonzero(np.diff(times) > max(GAP, 2.5 * usual))
        starts, ends = np.append(0, breaks + 1), np.append(breaks, len(times) - 1)
        # Where a part begins or ends the probabilities step from and to nothing: one area for all parts draws fast.
        at = np.concatenate([np.repeat(times[starts] - half, 2), times, np.repeat(times[ends] + half, 2)])
        rows = np.concatenate([np.repeat(starts, 2), np.arange(len(times)), np.repeat(ends, 2)])
        weights = np.concatenate([np.tile([0, 1], len(starts)), np.ones(len(times)), np.tile([1, 0], len(ends))])
        order = np.argsort(at, kind="stable")
        area = (values[rows] * weights[:, None])[order]
        ax.stackplot(at[order], area.T, colors=[_hex(label) for label in self._labels], linewidth=0)
        edges = np.concatenate([times[:1] - half, (times[1:] + times[:-1]) / 2])
        until = np.append(edges[1:], times[-1] + half)
        edges[starts], until[ends] = times[starts] - half, times[ends] + half
        for number_shown in np.unique(shown):
            label = self._labels[number_shown] if number_shown >= 0 else UNCERTAIN
            bars = [(edges[i], until[i] - edges[i]) for i in np.flatnonzero(shown == number_shown)]
            ax.broken_barh(bars, (-0.18, 0.13), color=_hex(label), linewidth=0)
        name = f"track {number}\n{_clock(track.duration)}"
        ax.set_ylabel(name, rotation=0, ha="right", va="center", color=canvas.INK, labelpad=8)


def _hex(label: str) -> str:
    blue, green, red = palette.colour(label)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _clock(seconds: float) -> str:
    """Minutes and seconds; also hours if any, and tenths below ten seconds."""
    if seconds < 10 and round(seconds, 1) != round(seconds):
        return f"0:{seconds:04.1f}"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
