"""The audit itself: measure, find repeated images, judge, and write the derived crop margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from emotion.audit import distributions, label_noise, quality, repeats, votes
from emotion.audit.distributions import Distribution
from emotion.audit.finding import Finding
from emotion.audit.pictures import Pictures
from emotion.audit.votes import Contradicted, NotFaces
from emotion.config.commands import FINDINGS
from emotion.data import crop_margin, duplicates, framing, measuring
from emotion.data.crop_margin import CropMargin
from emotion.data.examples import SPLITS, Splits
from emotion.data.folder import show
from emotion.data.framing import Framing
from emotion.faces.formats import UnreadableImageError
from emotion.runs.folder import Run

_NAME = "emotion.audit"


@dataclass(frozen=True, eq=False)
class Report:
    """What an audit found.

    Attributes:
        dataset: The dataset's name in the config.
        root: Where it is; None where it is drawn.
        pictures: Its images.
        findings: In the order in which they are reported.
        failed: Names of the findings that ``fail_on`` names and that exceed their limits.
        framing: Where the faces are in the images.
        contract: What became of the derived crop margin, a sentence.
        distributions: Brightness, contrast, sharpness, width and height.
        not_faces: How the finds of non-faces stand against FER+'s votes, where these are there.
        contradicted: The same for doubted labels.
    """

    dataset: str
    root: str | None
    pictures: Pictures
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]
    framing: Framing
    contract: str
    distributions: tuple[Distribution, ...]
    not_faces: NotFaces | None = None
    contradicted: Contradicted | None = None

    def finding(self, name: str) -> Finding:
        return next(f for f in self.findings if f.name == name)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images per label, by split."""
        labels = self.pictures.splits.labels
        by_split = {split: self.pictures.labels[self.pictures.split == i] for i, split in enumerate(SPLITS)}
        counts = {split: np.bincount(rows, minlength=len(labels)).tolist() for split, rows in by_split.items()}
        return {split: dict(zip(labels, count, strict=True)) for split, count in counts.items()}


def examine(dataset: DictConfig, splits: Splits, cfg: DictConfig, judges: Sequence[Run]) -> Report:
    """Find a dataset's faults, and write the crop margin that follows from its framing into its contract.

    Args:
        dataset, splits: The dataset's node of the config, and what was loaded by it.
        cfg: Gives ``min_side``, ``limits`` and ``fail_on``, see ``conf/audit.yaml``.
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
    findings = {
        finding.name: finding
        for finding in (
            *repeats.judge(pictures, _repeated(splits, cache_dir)),
            *quality.judge(pictures, measured, cfg.min_side, cfg.limits),
            *(
                [label_noise.finding(pictures, doubts, cfg.limits.label_noise, cfg.limits.run_accuracy)]
                if doubts
                else []
            ),
        )
    }
    fail_on = [cfg.fail_on] if isinstance(cfg.fail_on, str) else cfg.fail_on or []
    framed = framing.of(measured)
    cast = votes.read(dataset, pictures)
    return Report(
        dataset=dataset.name,
        root=show(root) if root else None,
        pictures=pictures,
        findings=tuple(findings[name] for name in FINDINGS if name in findings),
        failed=tuple(name for name in FINDINGS if name in findings and findings[name].met and name in fail_on),
        framing=framed,
        contract=_contract(framed, root, dataset.name),
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


def _contract(framed: Framing, root: Path | None, name: str) -> str:
    """Write the derived margin into the dataset's contract; return what became of it, in a sentence.

    Photos that are not face crops are called so.
    """
    if root is not None and name == "folder" and framing.are_photos(framed):
        what, cut = framing.photos(framed, root)
        return f"{what[0].upper()}{what[1:]}. {cut}. {_margin(framed, root)}"
    return _margin(framed, root)


def _margin(framed: Framing, root: Path | None) -> str:
    if framed.margin is None:
        return "No crop margin is written."
    override = f"set dataset.crop_margin={framed.margin:g} when you train"
    if root is None:
        return f"There is no folder to write it to: {override}."
    place = crop_margin.path_in(root)
    stored = CropMargin.load(root)
    if stored is not None and stored.source != _NAME:
        return (
            f"{show(place)} gives {stored.crop_margin:g}, which {stored.source} wrote, and stays; to "
            f"train with what was measured, {override}."
        )
    try:
        CropMargin(framed.margin, _NAME, framed.pictures).save(root)
    except OSError as error:
        return f"{show(place)} cannot be written ({error.strerror}): {override}."
    return f"Written to {show(place)}, from where training takes it."
