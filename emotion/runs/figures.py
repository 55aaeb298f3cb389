"""``metrics.json``: a run's or an export's scores per split, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion.base import guarded
from emotion.base.errors import UserError
from emotion.runs.folder import ACROSS

NAME = "metrics.json"
_DATASETS = {"fer2013": "FER2013", "ferplus": "FER+", "folder": "own images", "synthetic": "drawn faces"}
_INTERVAL = dict[str, float | None]
_METRICS = ("accuracy", "macro_f1", "balanced_accuracy", "top2_accuracy", "negative_log_likelihood",
            "expected_calibration_error")  # fmt: skip
#: The command that makes a list of evaluations, for errors.
EVALUATE_ACROSS = "python -m emotion.evaluate 'run=[...]' 'datasets=[...]'"
#: What the code reads of an evaluation in a list of several.
_LISTED = {"run": str, "dataset": str, "split": str, "labels": list[str], "folder": str}
#: What the code reads of a split's scores.
_SCORES: dict[str, Any] = {"n": int, "per_class": dict[str, dict[str, Any]], **dict.fromkeys(_METRICS, _INTERVAL)}


def name(data: Mapping[str, Any]) -> str:
    """What a fingerprint's data is called, for people: ``FER2013``, ``own images``."""
    kind = str(data.get("dataset") or "unknown data")
    return str(data.get("recognised") or "own images") if kind == "folder" else _DATASETS.get(kind, kind)


def test_set(data: Mapping[str, Any], split: str) -> str:
    """What a split's images are, for people: ``FER2013 PublicTest``, ``own images, random split, seed 0``.

    Args:
        data: A fingerprint, see :mod:`emotion.data.fingerprint`.
        split: ``train``, ``validation``, ``test`` or ``all``.
    """
    called, parts = name(data), data.get("splits") or {}
    if split == "all":
        return f"{called}, all images"
    return f"{called}{'' if is_official(data, split) else ','} {parts.get(split, f'{split} split')}"


def is_official(data: Mapping[str, Any], split: str) -> bool:
    """Whether a split is one that the dataset's authors published, whole and unchanged."""
    return split in (data.get("official") or ())


def read_metrics(folder: Path, again: str) -> dict[str, Any]:
    """The content of ``metrics.json``; ``again`` is the command that makes it, for the errors.

    Raises:
        UserError: It is missing or damaged.
    """
    path = folder / NAME
    found = guarded.read_json(path, f"score the run again: {again}")
    fault = guarded.misfit(found, {"checkpoint": str, "data": str, "tta": str})
    for split in ("train", "validation", "test", "all"):
        scores = found.get(split, {})
        if not isinstance(scores, dict):
            fault = fault or f"{split} is {str(scores)[:40]!r}, expected an object"
            continue
        fault = fault or guarded.misfit(scores, _SCORES, f"{split}.")
        for label, row in (scores.get("per_class") or {}).items() if fault is None else ():
            fault = fault or guarded.misfit(row, dict.fromkeys(row, _INTERVAL | int), f"{split}.per_class.{label}.")
    if fault is not None:
        raise UserError(f"{path}: damaged, its {fault}; score the run again: {again}")
    return found


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The evaluations that ``emotion.evaluate datasets=[...]`` listed in a folder.

    Returns:
        Of each ``run``, ``dataset``, ``split``, ``labels`` and ``folder``, which is relative to the given one.

    Raises:
        UserError: There is no list, or it is damaged.
    """
    advice = f"make it again: {EVALUATE_ACROSS}"
    if not (folder / ACROSS).exists():
        raise UserError(f"{folder / ACROSS}: no such file; this makes it: {EVALUATE_ACROSS}")
    listed = guarded.read_json(folder / ACROSS, advice).get("evaluations")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{folder / ACROSS}: lists no evaluations; {advice}")
    for one in listed:
        if not isinstance(one, dict) or any(not guarded.fits(one.get(key), kind) for key, kind in _LISTED.items()):
            raise UserError(f"{folder / ACROSS}: damaged, {str(one)[:60]} is no evaluation; {advice}")
    return listed
