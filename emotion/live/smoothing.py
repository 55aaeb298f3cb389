"""Smoothed probabilities: each track is averaged over time, and its label changes only with cause."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emotion.faces.face import UNCERTAIN

#: Another label is shown as soon as it leads by this much, or has led by less for this many seconds (measured:
#: docs/decisions/smoothing.md).
LEAD, PATIENCE = 0.12, 0.5
#: The same where "uncertain" is shown: less, since no label has to give way.
LEAD_FROM_UNCERTAIN, PATIENCE_FROM_UNCERTAIN = 0.08, 0.25


@dataclass(slots=True)
class _State:
    sums: list[float]
    weight: float
    time: float
    shown: int | None
    since: float | None = None  # when the present challenge to what is shown began


class Smoother:
    """Averages each track's probabilities with weights that fade with age, and picks the label to show.

    An observation's weight is ``exp(-age / seconds)``, and weights are normalised. That is exponential smoothing
    without a bias at the start, exact for irregular times, so the result does not depend on the frame rate.

    What is shown keeps being shown (hysteresis) until another label leads by :data:`LEAD`, or for :data:`PATIENCE`.
    "Uncertain" is shown as soon as the shown label's probability falls below ``min_confidence``, and left by a like
    rule, sooner. So a label is never shown with less than ``min_confidence``.

    Args:
        seconds: Time constant; 0 takes every frame by itself, without hysteresis.
        min_confidence: Least probability of a label that is shown.
        labels: The contract's.
    """

    def __init__(self, seconds: float, min_confidence: float, labels: Sequence[str]) -> None:
        self._seconds, self._least, self._labels = seconds, min_confidence, tuple(labels)
        self._states: dict[int, _State] = {}

    def update(self, track: int, time: float, raw: Sequence[float]) -> tuple[tuple[float, ...], str, float]:
        """Take one observation.

        Args:
            track: Its number; see :mod:`emotion.live.tracker`.
            time: The frame's, in seconds.
            raw: ``[labels]`` probabilities.

        Returns:
            Smoothed probabilities, the label to show (or :data:`emotion.faces.face.UNCERTAIN`), and that label's own
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
