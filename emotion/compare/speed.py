"""What an answer costs in time: the exports of a board's entries, measured in turns or as they were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from emotion.base.errors import UserError
from emotion.compare.board import Entry
from emotion.runs import exports

#: So many are measured in one sitting; more would take minutes, or gigabytes for the models.
MOST_MEASURED = 12
_ROUNDS = 100
_ENGINES = {"litert": "LiteRT", "onnx": "ONNX Runtime", "saved_model": "TensorFlow"}


def timed(entries: Sequence[Entry], how: str) -> tuple[list[Entry], list[str]]:
    """Give entries their latency: one image, one thread, median, in milliseconds.

    Args:
        entries: With the latency that their training, or export, recorded.
        how: ``measured``, ``recorded``, or ``auto``: measured where there are at most :data:`MOST_MEASURED`.

    Returns:
        The entries, and notes that say how it was come by.
    """
    if how == "recorded" or (how == "auto" and len(entries) > MOST_MEASURED):
        notes = ["Latency: as each training or export recorded it at its end, on the machine of that time."]
        if all(entry.latency_ms is None for entry in entries):
            notes = ["Latency: not recorded by these runs; latency=measured measures it."]
        return list(entries), notes
    found: dict[str, float] = {}
    engines: set[str] = set()
    notes = []
    for start in range(0, len(entries), MOST_MEASURED):
        some, by, faults = _measured(entries[start : start + MOST_MEASURED])
        found |= some
        engines |= by
        notes += faults
    if found:
        how = " and ".join(sorted(engines))
        notes.insert(0, f"Latency: measured here in turns, median of {_ROUNDS} steps of {how}, one image, one thread.")
    return [replace(entry, latency_ms=found.get(entry.name)) for entry in entries], notes


def _measured(entries: Sequence[Entry]) -> tuple[dict[str, float], set[str], list[str]]:
    """Latencies by entry, what ran the models, and why some were not measured."""
    from emotion.inference.classifier import Classifier
    from emotion.inference.latency import medians

    steps, engines, faults = {}, set(), []
    for entry in entries:
        run = entry.runs[0]
        try:
            contract = run.contract()
            classifier = Classifier(exports.model_of(run), contract, threads=1)
        except UserError as error:
            faults.append(f"Latency of {entry.name}: not measured. {error}")
            continue
        # Noise, not black: an export may take a shortcut through zeros.
        picture = np.random.default_rng(0).integers(0, 256, (1, *contract.shape), dtype=np.uint8)
        engines.add(_ENGINES[classifier.engine])
        steps[entry.name] = partial(classifier.probabilities, picture)
    return (medians(steps, rounds=_ROUNDS) if steps else {}), engines, faults
