"""The audit itself: measure, find what is the same, judge, and write the derived crop margin down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from emotion.audit import distributions, framing, label_noise, measuring, quality, votes
from emotion.audit.pictures import Pictures
from emotion.audit.report import Report, findings
from emotion.data import crop_margin, duplicates
from emotion.data.crop_margin import CropMargin
from emotion.data.examples import SPLITS, Splits
from emotion.data.folder import show
from emotion.faces.images import UnreadableImageError
from emotion.runs.folder import Run

_NAME = "emotion.audit"


def examine(dataset: DictConfig, splits: Splits, limits: Any, judges: Sequence[Run] = ()) -> Report:
    """Find a dataset's faults, and write the crop margin that follows from its framing into its contract.

    Args:
        dataset: The dataset's node of the config.
        splits: What was loaded by it.
        limits: Gives ``min_side`` and ``limits``, see ``conf/audit.yaml``.
        judges: Runs whose predictions judge the labels.

    Raises:
        UserError: A run that does not fit the dataset, or an OpenCV without cascades.
    """
    if judges:
        label_noise.check(judges, splits.labels)
    pictures = Pictures.of(splits)
    cache_dir = Path(dataset.cache_dir).expanduser()
    root = Path(dataset.root).expanduser() if dataset.get("root") else None
    doubts = label_noise.doubts(pictures, judges) if judges else None  # seconds; a mistake there ends it early
    key = f"{dataset.name} {root.resolve() if root else ''}"
    measured = measuring.measure(pictures, cache_dir, key)
    bounds = quality.Limits(limits.min_side, limits.limits.no_face, limits.limits.imbalance, limits.limits.label_noise)
    noise = [label_noise.finding(pictures, doubts, bounds.label_noise)] if doubts else []
    framed = framing.of(measured)
    cast = votes.read(dataset, pictures)
    return Report(
        dataset=dataset.name,
        root=show(root) if root else None,
        pictures=pictures,
        findings=findings(pictures, measured, _repeated(splits, cache_dir), bounds, noise),
        failed=(),
        framing=framed,
        contract=_contract(framed, root),
        distributions=distributions.of(pictures, measured),
        not_faces=None if cast is None else votes.not_faces(cast, quality.blank(measured), quality.no_face(measured)),
        contradicted=None if cast is None or doubts is None else votes.contradicted(cast, pictures, doubts),
    )


def _repeated(splits: Splits, cache_dir: Path) -> duplicates.Duplicates:
    parts = {split: splits[split] for split in SPLITS}
    try:
        perceptual = {split: duplicates.perceptual_hashes(examples, cache_dir) for split, examples in parts.items()}
    except UnreadableImageError:  # a file went away since it was found; identical images are known by their hashes
        return duplicates.find(parts)
    return duplicates.find(parts, perceptual)


def _contract(framed: framing.Framing, root: Path | None) -> str:
    """Write the derived margin into the dataset's contract; say what became of it."""
    if framed.margin is None:
        return "No crop margin is written."
    override = f"set dataset.crop_margin={framed.margin:g} when you train"
    if root is None:
        return f"There is no folder to write it to: {override}."
    place = crop_margin.path_in(root)
    there = CropMargin.load(root)
    if there is not None and there.source != _NAME:
        return (
            f"{show(place)} gives {there.crop_margin:g}, which {there.source} wrote, and stays; to "
            f"train with what was measured, {override}."
        )
    try:
        CropMargin(framed.margin, _NAME, framed.pictures).save(root)
    except OSError as error:
        return f"{show(place)} cannot be written ({error.strerror}): {override}."
    return f"Written to {show(place)}, from where training takes it."
