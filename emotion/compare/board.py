"""What a comparison is made of, which every view of it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emotion.base import words
from emotion.runs.folder import Run


@dataclass(frozen=True)
class Figure:
    """A score: its value (the mean over seeds), a 95 % interval, and the standard deviation over seeds.

    Attributes:
        value: A fraction, such as 0.63 for 63 %.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end, likewise.
        deviation: Standard deviation over the seeds (n - 1); None with one seed.
    """

    value: float
    low: float | None = None
    high: float | None = None
    deviation: float | None = None


@dataclass(frozen=True)
class Entry:
    """A row: one run, or runs that differ only in the seed.

    Attributes:
        name: Short and unique in its board: the model, and the settings in which it differs from the other entries.
        runs: Its runs, by seed, and of each seed by fold.
        seeds: Their seeds; None of a network that was trained elsewhere.
        accuracy: On the whole split.
        macro_f1: On the whole split.
        leak_free_accuracy: Without images that training or validation held; None for other splits than test.
        rarest_recall: Recall of the board's rarest emotion.
        calibration_error: Expected calibration error.
        parameters: Of the network.
        multiply_adds: For one image.
        file_bytes: Size of ``model.tflite``, or of the export.
        latency_ms: Of the same, one image, one thread, median.
        peak_memory_bytes: The training process's largest resident memory.
        training_seconds: Mean over the runs.
        settings: Of its config, as dotted keys, what differs between the board's entries.
        folds: Runs of each seed: 1, or the folds of a cross-validation, which answer different images.
        validation: What it is ranked by where that is the validation split: the mean over its runs.
    """

    name: str
    runs: tuple[Run, ...]
    seeds: tuple[int | None, ...]
    accuracy: Figure
    macro_f1: Figure
    leak_free_accuracy: Figure | None
    rarest_recall: Figure | None
    calibration_error: Figure | None
    parameters: int | None
    multiply_adds: int | None
    file_bytes: int | None
    latency_ms: float | None
    peak_memory_bytes: int | None
    training_seconds: float | None
    settings: dict[str, Any]
    folds: int = 1
    validation: Figure | None = None


@dataclass(frozen=True)
class Difference:
    """The better of two entries against the other, on the same images.

    Attributes:
        better: Name of the entry with the higher value of this metric; of two equals the one that ranks higher.
        worse: Name of the other.
        metric: ``accuracy`` or ``macro_f1``.
        gain: How much better, a fraction, with the interval of the paired bootstrap.
        p: Of the paired test, before correction.
        p_holm: After Holm's correction over the board's differences.
        significant: Whether the corrected test and the interval both exclude no difference.
        test: What the test is called.
        comparisons: How many hypotheses the correction counts.
    """

    better: str
    worse: str
    metric: str
    gain: Figure
    p: float
    p_holm: float
    significant: bool
    test: str = "McNemar, mid-p"
    comparisons: int = 1


@dataclass(frozen=True)
class Effect:
    """A main effect, or an interaction of two keys; see :mod:`emotion.compare.effects`.

    Attributes:
        key: The key that was varied.
        better: Its value with the higher score.
        worse: The other value.
        within: Of an interaction the other key; empty for a main effect.
        stronger: Its value with which the difference between ``better`` and ``worse`` is larger.
        weaker: Its other value.
        metric: ``accuracy`` or ``macro_f1``.
        gain: The mean difference, or by how much it is larger; a fraction, 0 or more, with its interval.
        p, p_holm, significant, test, comparisons: As of :class:`Difference`.
        contexts: Over how many combinations of the other keys it is averaged.
        seeds: The fewest seeds of an entry in it.
    """

    key: str
    better: str
    worse: str
    within: str
    stronger: str
    weaker: str
    metric: str
    gain: Figure
    p: float
    p_holm: float
    significant: bool
    contexts: int
    seeds: int
    comparisons: int
    test: str


@dataclass(frozen=True)
class Board:
    """Entries that were scored on the same images, best first, and what can be said of their differences.

    Attributes:
        data: Description of the images, such as ``FER2013 as published``.
        pixels: Fingerprint of the split that was scored.
        split: ``test`` or ``validation``.
        labels: Emotions in their order.
        rarest: The emotion with the fewest images in the split.
        n: Images in the split.
        entries: Best first.
        differences: Best against each other entry; all pairs where there are few.
        verdict: Sentences: about the keys that were varied, then about the best entry.
        notes: What a reader must know to judge it.
        test_set: What the images are, such as ``FER2013 PublicTest``.
        ranked_on: The split whose scores give the order, ``validation`` or ``test``.
        rank_by: The metric that gives it.
        resamples: Of the bootstrap.
        seed: What draws them.
        effects: Of each key that was varied.
        interactions: Of two such keys.
    """

    data: str
    pixels: str
    split: str
    labels: tuple[str, ...]
    rarest: str
    n: int
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    test_set: str = ""
    ranked_on: str = "test"
    rank_by: str = "accuracy"
    resamples: int = 0
    seed: int = 0
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Effect, ...] = ()

    @property
    def where(self) -> str:
        """The images that figures, intervals and tests are of: ``FER2013 PublicTest (3,589 images)``."""
        return f"{self.test_set or self.split} ({words.counted(self.n, 'image')})"


def points(fraction: float) -> str:
    """A difference of fractions in percentage points, such as ``1.9`` or ``−0.5``."""
    text = f"{100 * fraction:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "−")


def p_value(p: float) -> str:
    """``p = 0.004``, or ``p < 0.001``."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"
