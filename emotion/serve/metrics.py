"""Counts for ``/metrics``, in Prometheus' text format, summed over all worker processes. Nothing else is recorded."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

import numpy as np

from emotion.faces.labelled import UNCERTAIN

ROUTES = ("pictures", "videos", "live", "infer", "other")
#: Upper ends of the classes of seconds, of one frame's or picture's work.
BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, float("inf"))

_HELP = {
    "emotion_requests_total": ("counter", "Answered requests by route and class of status; a visitor's socket is one."),
    "emotion_refused_total": ("counter", "Requests and frames that were refused, by code."),
    "emotion_pictures_total": ("counter", "Pictures and frames that were labelled, by route."),
    "emotion_faces_total": ("counter", "Faces by the label that was answered."),
    "emotion_work_seconds": ("histogram", "Seconds from decoding a picture to its answer."),
    "emotion_sessions": ("gauge", "Visitors who are connected."),
    "emotion_waiting": ("gauge", "Pieces of work that wait or are being done."),
}
Key = tuple[str, tuple[tuple[str, str], ...]]


class Metrics:
    """Counters in memory that processes share which are forked later; each writes to its own row.

    Args:
        labels: The contract's.
        codes: Of refusals.
        workers: How many processes there will be.
    """

    def __init__(self, labels: Sequence[str], codes: Sequence[str], workers: int = 1) -> None:
        keys: list[Key] = []
        statuses = ("2xx", "3xx", "4xx", "5xx")
        keys += [("emotion_requests_total", (("route", r), ("status", s))) for r in ROUTES for s in statuses]
        keys += [("emotion_refused_total", (("code", code),)) for code in codes]
        keys += [("emotion_pictures_total", (("route", r),)) for r in ROUTES]
        keys += [("emotion_faces_total", (("label", label),)) for label in (*labels, UNCERTAIN)]
        keys += [("emotion_work_seconds_bucket", (("le", f"{b:g}".replace("inf", "+Inf")),)) for b in BUCKETS]
        keys += [("emotion_work_seconds_sum", ()), ("emotion_work_seconds_count", ())]
        keys += [("emotion_sessions", ()), ("emotion_waiting", ())]
        self._places = {key: place for place, key in enumerate(keys)}
        memory = mmap.mmap(-1, 8 * workers * len(keys))
        self._rows = np.frombuffer(memory, np.float64).reshape(workers, len(keys))
        self.worker = 0  #: whose row is written to

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Add to a counter of this process; one whose labels are not foreseen is left alone."""
        place = self._places.get((name, tuple(labels.items())))
        if place is not None:
            self._rows[self.worker, place] += value

    def total(self, name: str, **labels: str) -> float:
        """The sum over all processes."""
        return float(self._rows[:, self._places[(name, tuple(labels.items()))]].sum())

    def forget(self, worker: int) -> None:
        """Take back what a process that died had open; what it has counted stays."""
        for name in ("emotion_sessions", "emotion_waiting"):
            self._rows[worker, self._places[(name, ())]] = 0

    def worked(self, route: str, seconds: float, labels: Sequence[str]) -> None:
        """Count a picture with the labels of its faces."""
        self.add("emotion_pictures_total", route=route)
        for label in labels:
            self.add("emotion_faces_total", label=label)
        for bucket in BUCKETS:
            if seconds <= bucket:
                self.add("emotion_work_seconds_bucket", le=f"{bucket:g}".replace("inf", "+Inf"))
        self.add("emotion_work_seconds_sum", seconds)
        self.add("emotion_work_seconds_count")

    def text(self) -> str:
        """All of them, in Prometheus' text format 0.0.4."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        sums, shown = self._rows.sum(axis=0), ""
        for (name, labels), place in self._places.items():
            family = next(f for f in _HELP if name.startswith(f))
            if family != shown:
                kind, words = _HELP[family]
                yield f"# HELP {family} {words}"
                yield f"# TYPE {family} {kind}"
                shown = family
            inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels)
            yield f"{name}{{{inner}}} {sums[place]:.9g}" if inner else f"{name} {sums[place]:.9g}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
