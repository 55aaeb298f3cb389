"""What a comparison is made of; every view of it (table, Markdown, CSV, page, plots) reads these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        runs: Its runs, by seed.
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


@dataclass(frozen=True)
class Difference:
    """The better of two entries against the other, on the same images.

    Attributes:
        better: Name of the entry with the higher value of the metric that the board is ranked by.
        worse: Name of the other.
        metric: ``accuracy`` or ``macro_f1``.
        gain: How much better, a fraction, with the interval of the paired bootstrap.
        p: Of the paired test, before correction.
        p_holm: After Holm's correction over the board's differences.
        significant: Whether the corrected test and the interval both exclude no difference.
    """

    better: str
    worse: str
    metric: str
    gain: Figure
    p: float
    p_holm: float
    significant: bool


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
        verdict: Sentences, the first about the best two.
        notes: What a reader must know to judge it.
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
