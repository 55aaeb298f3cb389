"""Several datasets as one: ``dataset=mixed`` with ``dataset.parts``.

An image that several parts have is one image, with one label made of theirs (``dataset.fuse``). An image that any part
holds out is in training nowhere, nor is a copy of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError
from emotion.config import parts as config
from emotion.data import crop_margin, sources
from emotion.data.examples import SPLITS, Array, Examples, Splits, concatenate
from emotion.data.splits import assemble

#: Margins that differ less are taken as equal: two boxes of one face differ by more.
_SAME_MARGIN = 0.03


@dataclass(frozen=True)
class _Part:
    name: str
    splits: Splits
    weight: float
    margin: float


def load(cfg: DictConfig) -> Splits:
    """Load and join the parts; ``cfg`` is the dataset node, see ``conf/dataset/mixed.yaml``.

    The splits hold the images of all parts with the joined label, and in ``part_labels`` what each part says.

    Raises:
        UserError: A part cannot be loaded, or has other labels than the first, or targets with several right labels.
    """
    parts = _load(cfg)
    labels, margin = parts[0].splits.labels, crop_margin.for_live(cfg)[0]
    every = concatenate([_columns(part, i, len(parts), len(labels), margin) for i, part in enumerate(parts)])
    split = np.concatenate([np.repeat(np.arange(3), [len(p.splits[s]) for s in SPLITS]) for p in parts])
    part = np.repeat(np.arange(len(parts)), [sum(len(p.splits[s]) for s in SPLITS) for p in parts])
    image = _same_image(every.hashes, split == SPLITS.index("test"), part)

    first = np.unique(image, return_index=True)[1]
    strictest = np.zeros(len(first), np.int64)
    np.maximum.at(strictest, image, split)
    joined = replace(every.take(first), votes=None, **_joined(every, image, len(first), cfg.fuse))
    held = {s: joined.hashes[strictest >= SPLITS.index(s)] for s in ("validation", "test")}
    copies = {"train": np.isin(joined.hashes, held["validation"]), "validation": np.isin(joined.hashes, held["test"])}
    splits = {s: joined.take(np.flatnonzero(_in(strictest, i) & ~copies.get(s, False))) for i, s in enumerate(SPLITS)}
    splits |= {s: replace(splits[s], targets=None, weights=None) for s in ("validation", "test")}
    notes = [f"{p.name}: {note}" for p in parts for note in p.splits.notes]
    notes += _notes(parts, image, {s: int((_in(strictest, SPLITS.index(s)) & copies[s]).sum()) for s in copies})
    recognised = "; ".join(f"{p.name}: {p.splits.fingerprint['recognised'] or 'own images'}" for p in parts)
    unreadable = tuple(file for p in parts for file in p.splits.unreadable)
    assembled = assemble(
        "mixed", splits, cfg, notes=notes, unreadable=unreadable, labels=labels, recognised=f"mixed of {recognised}",
        origins=_origins(parts),
    )  # fmt: skip
    return replace(assembled, parts=tuple(p.name for p in parts))


def _origins(parts: list[_Part]) -> dict[str, str]:
    """What the held out splits are: the one name that all parts give them, or each part's. None is official."""
    found = {}
    for split in ("validation", "test"):
        names = [str(p.splits.fingerprint["splits"][split]) for p in parts]
        by_part = "; ".join(f"{p.name}: {name}" for p, name in zip(parts, names, strict=True))
        found[split] = f"{names[0]}, labels joined" if len(set(names)) == 1 else by_part
    return found


def _load(cfg: DictConfig) -> list[_Part]:
    parts: list[_Part] = []
    for (name, node), raw in zip(config.nodes(cfg).items(), cfg.parts, strict=True):
        try:
            splits = sources.load(node)
        except UserError as error:
            raise UserError(f"dataset.parts, {name}: {error}") from None
        if splits.loss != "cross_entropy":
            raise UserError(
                f"dataset.parts, {name}: label_mode=multi_target names several right labels, which cannot be joined "
                f"with those of other parts; set label_mode=probability"
            )
        if parts and splits.labels != parts[0].splits.labels:
            raise UserError(
                f"dataset.parts: {name} has the labels {', '.join(splits.labels)}, {parts[0].name} has "
                f"{', '.join(parts[0].splits.labels)}. Parts must have the same labels: set contempt=drop, or ignore"
            )
        weight = float(OmegaConf.select(raw, "weight", default=1.0))
        parts.append(_Part(name, splits, weight, crop_margin.for_live(node)[0]))
    return parts


def _columns(part: _Part, number: int, parts: int, classes: int, margin: float) -> Examples:
    """A part's images of all splits, with the columns that :func:`_joined` needs."""
    return concatenate([_of_split(part, s, number, parts, classes, margin) for s in SPLITS])


def _of_split(part: _Part, split: str, number: int, parts: int, classes: int, margin: float) -> Examples:
    examples = part.splits[split]
    one_hot = np.eye(classes, dtype=np.float32)[examples.labels]
    part_labels = np.full((len(examples), parts), -1, np.int64)
    part_labels[:, number] = examples.labels
    kept = (1 + 2 * margin) / (1 + 2 * part.margin) if part.margin > margin + _SAME_MARGIN else 1.0
    return Examples(
        labels=examples.labels,
        hashes=examples.hashes,
        images=examples.images,
        paths=examples.paths,
        origin=np.full(len(examples), "", np.str_) if examples.origin is None else examples.origin,
        rows=np.arange(len(examples)) if examples.rows is None else examples.rows,
        targets=one_hot if examples.targets is None else examples.targets,
        votes=np.zeros_like(one_hot) if examples.votes is None else examples.votes,
        kept=np.full(len(examples), kept, np.float32),
        part_labels=part_labels,
        weights=np.full(len(examples), part.weight, np.float32),
    )


def _same_image(hashes: Array, test: Array, part: Array) -> Array:
    """int64 ``[N]``: equal for what different parts have of one image.

    The k-th of a part's images with the same pixels is the k-th of another part's. Images of an official test stay
    apart from their copies elsewhere, so that a part's test keeps its images.
    """
    pixels = np.unique(hashes, return_inverse=True)[1] * 2 + test
    order = np.lexsort((np.arange(len(pixels)), part, pixels))
    run = np.r_[True, (np.diff(pixels[order]) != 0) | (np.diff(part[order]) != 0)]
    starts = np.flatnonzero(run)
    occurrence = np.empty(len(pixels), np.int64)
    occurrence[order] = np.arange(len(pixels)) - np.repeat(starts, np.diff(np.r_[starts, len(pixels)]))
    image: Array = np.unique(np.stack([pixels, occurrence], axis=1), axis=0, return_inverse=True)[1]
    return image.ravel()


def _joined(every: Examples, image: Array, count: int, fuse: str) -> dict[str, Array]:
    """The columns of each image that are made of all its parts': label, target, labels of the parts, weight."""
    columns = every.targets, every.votes, every.part_labels, every.weights
    targets, votes, part_labels, weights = (np.asarray(column) for column in columns)
    counted = np.ones(len(image), np.float32)
    voted = np.zeros(count, bool)
    if fuse == "votes":
        has_votes = votes.sum(axis=1) > 0
        voted[image[has_votes]] = True
        targets = np.where(has_votes[:, None], votes, targets)
        counted = np.where(voted[image] & ~has_votes, 0.0, 1.0).astype(np.float32)
    elif fuse == "first":
        counted = np.zeros(len(image), np.float32)
        counted[np.unique(image, return_index=True)[1]] = 1
    total, rows, weight = np.zeros((count, targets.shape[1]), np.float64), np.zeros(count), np.zeros(count)
    np.add.at(total, image, targets * counted[:, None])
    np.add.at(weight, image, weights)
    np.add.at(rows, image, 1)
    target = total / total.sum(axis=1, keepdims=True)
    labels = np.full((count, part_labels.shape[1]), -1, np.int64)
    np.maximum.at(labels, image, part_labels)
    # Of labels with equal shares the first part's.
    leading = np.where(target >= target.max(axis=1, keepdims=True) - 1e-9, 1.0, 0.0)
    own = np.array([next(v for v in row if v >= 0) for row in labels], np.int64)
    leading[np.arange(count), own] *= 2
    return {
        "labels": leading.argmax(axis=1).astype(np.int64),
        "targets": target.astype(np.float32),
        "part_labels": labels,
        "weights": (weight / rows).astype(np.float32),
    }


def _in(strictest: Array, split: int) -> Array:
    return np.asarray(strictest == split)


def _notes(parts: list[_Part], image: Array, copies: Mapping[str, int]) -> list[str]:
    shared = int((np.bincount(image) > 1).sum())
    notes = [f"Mixed of {', '.join(f'{p.name} (weight {p.weight:g})' for p in parts)}."]
    if shared:
        notes.append(f"{shared:,} images are in more than one part; their labels are joined.")
    for name, count in copies.items():
        if count:
            notes.append(f"Left out of {name}: {count:,} images with the pixels of one that is held out.")
    return notes
