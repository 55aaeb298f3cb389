"""Latency of a comparison's entries: measured here in turns, or as each training or export recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emotion.base.errors import UserError
from emotion.compare.board import Entry
from emotion.runs import exports

#: So many are measured together; more would take minutes, or gigabytes for the models.
MOST_MEASURED = 12
_ROUNDS = 100
_ENGINES = {"litert": "LiteRT", "onnx": "ONNX Runtime", "saved_model": "TensorFlow"}


def timed(entries: Sequence[Entry], how: str) -> tuple[list[Entry], list[str]]:
    """Give entries their latency: one image, one thread, median, in milliseconds.

    Args:
        entries: With the latency that their training, or export, recorded.
        how: ``measured``, ``recorded``, or ``auto``: measured where there are at most :data:`MOST_MEASURED`.

    Returns:
        The entries, and notes on where the figures are from.
    """
    if how == "recorded" or (how == "auto" and len(entries) > MOST_MEASURED):
        notes = ["Latency: as each training or export recorded it at its end, on the machine of that time."]
        if all(entry.latency_ms is None for entry in entries):
            notes = ["Latency: not recorded by these runs; latency=measured measures it."]
        return list(entries), notes
    latencies: dict[str, float] = {}
    engines: set[str] = set()
    notes = []
    for start in range(0, len(entries), MOST_MEASURED):
        _measure(entries[start : start + MOST_MEASURED], latencies, engines, notes)
    if latencies:
        ran_by = " and ".join(sorted(engines))
        notes.insert(
            0, f"Latency: measured here in turns, median of {_ROUNDS} steps of {ran_by}, one image, one thread."
        )
    return [replace(entry, latency_ms=latencies.get(entry.name)) for entry in entries], notes


def _measure(entries: Sequence[Entry], latencies: dict[str, float], engines: set[str], notes: list[str]) -> None:
    """Add latencies by entry, what ran the models, and why some were not measured."""
    from emotion.inference import latency
    from emotion.inference.classifier import Classifier

    classifiers = {}
    for entry in entries:
        run = entry.runs[0]
        try:
            classifiers[entry.name] = Classifier(exports.model_of(run), run.contract())
            engines.add(_ENGINES[classifiers[entry.name].engine])
        except UserError as error:
            notes.append(f"Latency of {entry.name}: not measured. {error}")
    latencies.update(latency.measure(classifiers, _ROUNDS))
