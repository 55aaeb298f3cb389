"""Averages over time: of each track's probabilities, from which its label follows, and of the boxes that are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emotion.faces.images import Box
from emotion.faces.labelled import UNCERTAIN, Face

#: Another label is shown as soon as it leads by this much, or has led by less for this many seconds (measured:
#: docs/decisions/smoothing.md).
LEAD, PATIENCE = 0.12, 0.5
#: The same where "uncertain" is shown: less, since no label has to give way.
LEAD_FROM_UNCERTAIN, PATIENCE_FROM_UNCERTAIN = 0.08, 0.25
#: Seconds over which a box's place and size are averaged: two or three frames, so that it keeps up with its face.
SETTLING = 0.08
#: Seconds for which a face that is missing stays drawn where it was, by default.
LINGERING = 0.2


@dataclass(slots=True)
class _State:
    sums: list[float]
    weight: float
    time: float
    shown: int | None
    since: float | None = None  # when the present challenge to what is shown began


class Smoother:
    """Averages each track's probabilities with weights that fade with age, and picks the label to show.

    An observation's weight is ``exp(-age / seconds)``, and weights are normalised, so the result does not depend on the
    frame rate. A label is shown (hysteresis) until another one leads by :data:`LEAD`, or for :data:`PATIENCE`, or until
    its probability falls below ``min_confidence``: then "uncertain" is shown, and left by a similar rule, sooner.

    Args:
        seconds: Time constant; 0 takes every frame by itself, without hysteresis.
        min_confidence: Least probability of a label that is shown.
        labels: The contract's.
    """

    def __init__(self, seconds: float, min_confidence: float, labels: Sequence[str]) -> None:
        self._seconds, self._least, self._labels = seconds, min_confidence, tuple(labels)
        self._states: dict[int, _State] = {}

    def update(self, track: int, time: float, raw: Sequence[float]) -> tuple[tuple[float, ...], str, float]:
        """Take a track's probabilities, float ``[labels]``, at a time in seconds.

        Returns:
            Smoothed probabilities, the label to show (or :data:`emotion.faces.labelled.UNCERTAIN`), and that label's
            smoothed probability; the highest one where the label is uncertain.
        """
        state = self._states.get(track)
        if state is None or self._seconds <= 0:
            self._states[track] = state = _State(list(raw), 1.0, time, None)
            top = max(range(len(raw)), key=raw.__getitem__)
            state.shown = top if raw[top] >= self._least else None
            return self._answer(tuple(raw), state.shown, top)
        decay = math.exp(-max(0.0, time - state.time) / self._seconds)
        state.sums = [decay * old + new for old, new in zip(state.sums, raw, strict=True)]
        state.weight = decay * state.weight + 1
        state.time = max(time, state.time)
        smoothed = tuple(total / state.weight for total in state.sums)
        top = max(range(len(smoothed)), key=smoothed.__getitem__)
        self._decide(state, smoothed, top)
        return self._answer(smoothed, state.shown, top)

    def keep(self, alive: set[int]) -> None:
        """Forget all other tracks."""
        if not self._states.keys() <= alive:
            self._states = {track: state for track, state in self._states.items() if track in alive}

    def reset(self) -> None:
        """Forget all tracks."""
        self._states.clear()

    def _decide(self, state: _State, smoothed: Sequence[float], top: int) -> None:
        if state.shown is not None and smoothed[state.shown] < self._least:
            state.shown = state.since = None
        if state.shown is None:
            lead, enough, patience = smoothed[top] - self._least, LEAD_FROM_UNCERTAIN, PATIENCE_FROM_UNCERTAIN
        else:
            lead, enough, patience = smoothed[top] - smoothed[state.shown], LEAD, PATIENCE
        if top == state.shown or lead < 0:
            state.since = None
            return
        state.since = state.time if state.since is None else state.since
        if lead >= enough or state.time - state.since >= patience:
            state.shown, state.since = top, None

    def _answer(self, smoothed: tuple[float, ...], shown: int | None, top: int) -> tuple[tuple[float, ...], str, float]:
        if shown is None:
            return smoothed, UNCERTAIN, smoothed[top]
        return smoothed, self._labels[shown], smoothed[shown]


@dataclass(frozen=True)
class _Drawn:
    face: Face
    edges: tuple[float, float, float, float]
    time: float


class BoxStabiliser:
    """Faces as they are drawn: without the detector's jitter, and without blinking where it misses a frame.

    A face that is missing stays drawn for ``lingering`` seconds. The log has the detected boxes.
    """

    def __init__(self, lingering: float = LINGERING) -> None:
        self._lingering = lingering
        self._drawn: dict[int, _Drawn] = {}

    def update(self, time: float, faces: Sequence[Face]) -> list[Face]:
        """The faces to draw in a frame at a time in seconds: those detected, then those that are briefly missing.

        Boxes are averaged; missing faces are as they were drawn last. A face without a track is returned as it is.
        """
        shown, now = [], dict[int, _Drawn]()
        for face in faces:
            if face.track is None:
                shown.append(face)
                continue
            edges = self._averaged(face, time)
            drawn = replace(face, box=Box(*(round(edge) for edge in edges)))
            now[face.track] = _Drawn(drawn, edges, time)
            shown.append(drawn)
        for track, drawn_before in self._drawn.items():
            if track not in now and 0 <= time - drawn_before.time <= self._lingering:
                now[track] = drawn_before
                shown.append(drawn_before.face)
        self._drawn = now
        return shown

    def reset(self) -> None:
        """Forget all, as after a cut."""
        self._drawn = {}

    def _averaged(self, face: Face, time: float) -> tuple[float, float, float, float]:
        edges = float(face.box.x), float(face.box.y), float(face.box.width), float(face.box.height)
        before = self._drawn.get(face.track or 0)
        if before is None:
            return edges
        decay = math.exp(-max(0.0, time - before.time) / SETTLING)
        x, y, width, height = (decay * old + (1 - decay) * new for old, new in zip(before.edges, edges, strict=True))
        return x, y, width, height
