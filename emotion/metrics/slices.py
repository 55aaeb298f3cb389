"""Accuracy by slices of the images, such as their source or their light, and whether slices really differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotion.metrics.bootstrap import entry
from emotion.metrics.holm import holm
from emotion.metrics.proportions import wilson

#: Slices of fewer images are listed, not tested.
LEAST = 20

Texts = NDArray[np.str_]


def score(correct: ArrayLike, columns: Mapping[str, Texts]) -> dict[str, Any]:
    """Score each slice of each column.

    Intervals are Wilson's (1927). Two slices of :data:`LEAST` images or more are tested by the z test of two
    proportions; p values are corrected over all pairs of all columns (Holm 1979), as the largest gap of many is large
    by chance.

    Args:
        correct: bool ``[N]``, whether each image was labelled right.
        columns: Name to the slice of each image, str ``[N]``; images whose slice is empty are left out.

    Returns:
        Column to ``slices``, a list from the highest accuracy to the lowest of ``{"slice", "n", "accuracy": {"value",
        "low", "high"}}``, and ``gap``, None or ``{"best", "worst", "points", "p"}``, p after correction.
    """
    right = np.asarray(correct, np.bool_)
    tables = {name: _slices(right, values) for name, values in columns.items()}
    pairs = [(name, i, j) for name, rows in tables.items() for i, j in _pairs(rows)]
    corrected = holm([_p(tables[name][i], tables[name][j]) for name, i, j in pairs]) if pairs else np.zeros(0)
    gaps: dict[str, dict[str, Any]] = {}
    for (name, i, j), p in zip(pairs, corrected, strict=True):
        best, worst = tables[name][i], tables[name][j]
        points = best["accuracy"]["value"] - worst["accuracy"]["value"]
        if name not in gaps or points > gaps[name]["points"]:
            gaps[name] = {"best": best["slice"], "worst": worst["slice"], "points": points, "p": float(p)}
    return {name: {"slices": rows, "gap": gaps.get(name)} for name, rows in tables.items()}


def quarters(values: ArrayLike, unit: str = "") -> Texts:
    """Four slices of equally many images by a quantity, float ``[N]``: ``to 57``, ``57 to 80``, ...; "" for NaN.

    Where most values are equal, fewer.
    """
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return np.full(len(numbers), "")
    edges = np.unique(np.percentile(numbers[known], (25, 50, 75)))
    place = np.searchsorted(edges, numbers, side="left")
    texts = _texts(edges.tolist())
    words = [f"to {texts[0]}", *(f"{a} to {b}" for a, b in pairwise(texts)), f"above {texts[-1]}"]
    names = np.array([f"{word}{unit}" for word in words])
    slices = np.full(len(numbers), "", names.dtype)
    slices[known] = names[place[known]]
    return slices


def _texts(edges: list[float]) -> list[str]:
    """Three digits, and whole numbers from 100 up; more where two would look equal."""
    for more in range(15):
        texts = [f"{e:.{more}f}" if 100 <= abs(e) < 1e9 else f"{e:.{3 + more}g}" for e in edges]
        if len(set(texts)) == len(texts):
            break
    return texts


def _slices(right: NDArray[np.bool_], values: Texts) -> list[dict[str, Any]]:
    rows = []
    for value in np.unique(values[values != ""]).tolist():
        own = right[values == value]
        rows.append({"slice": value, "n": len(own), "accuracy": entry(own.mean(), *wilson(own.sum(), len(own)))})
    return sorted(rows, key=lambda row: -row["accuracy"]["value"])


def _pairs(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    large = [i for i, row in enumerate(rows) if row["n"] >= LEAST]
    return [(i, j) for k, i in enumerate(large) for j in large[k + 1 :]]


def _p(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Two-sided p value of equal accuracies."""
    (a, n), (b, m) = ((row["accuracy"]["value"], row["n"]) for row in (first, second))
    pooled = (a * n + b * m) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return math.erfc(abs(a - b) / error / math.sqrt(2)) if error > 0 else 1.0
