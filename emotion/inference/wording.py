"""What is said beside scores, once a report: how their intervals were made, and what they leave out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotion.metrics.slices import LEAST
from emotion.reports.markdown import plain


def intervals(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """How the 95 % intervals of some splits were made; empty where there are none."""
    counts = {name: score["bootstrap"] for name, score in scores.items()}
    if not any(counts.values()):
        return ""
    drawn = " and ".join(
        f"{n:,}" + (f" ({', '.join(plain(name) for name in counts if counts[name] == n)})" if several else "")
        for n in dict.fromkeys(counts.values())
        for several in [len(set(counts.values())) > 1]
    )
    if all("intervals" in score for score in scores.values()):
        return (
            f"95 % intervals: Wilson's for rates (accuracy, top-2 accuracy, precision, recall, slices, and by way of "
            f"one the F1 of an emotion), for all else the percentile bootstrap, {drawn} resamples of the images"
        )
    return f"95 % bootstrap intervals, {drawn} resamples of the images"


def in_parentheses(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands in parentheses beside the figures of some splits, as a sentence."""
    text = intervals(scores)
    if not text:
        return "No intervals were computed (bootstrap=0), so do not read meaning into small differences."
    return f"In parentheses: {text}."


def meaning(score: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> str:
    """What a reader of these tables must know; the first of the scores is the headline's."""
    text = in_parentheses(scores)
    if score["bootstrap"]:
        text += (
            " They show "
            "how far a figure would move with another draw of as many images of the same kind. They treat images "
            "as independent, and leave out what another training seed, other cameras, other people or other taggers "
            f"would change.{_few(score)}"
        )
    return (
        f"{text} The validation split chose the checkpoint, so its own figures are flattering: choose between "
        "runs by validation, and quote the test split. Macro-F1 and balanced accuracy count every emotion that occurs "
        "equally, however rare. Both calibration errors compare confidence with accuracy in 15 bins: the expected one "
        "in bins of equal width, the adaptive one in bins of equally many images. They are never quite 0, even for "
        "honest confidence: chance alone leaves gaps in bins of few images."
    )


def _few(score: Mapping[str, Any]) -> str:
    """What bootstrap intervals of means over emotions leave out where an emotion has a handful of images."""
    rare = [
        f"{plain(n)} ({entry['support']})" for n, entry in score["per_class"].items() if 0 < entry["support"] < LEAST
    ]
    if not rare:
        return ""
    return (
        f" Few images of {', '.join(rare)}: intervals of macro-F1 and balanced accuracy are too narrow, as a handful "
        "of images does not show how its emotion varies."
    )
