"""FER+ (Barsoum et al. 2016): FER2013's images with the votes of ten people for each.

``fer2013new.csv`` lies beside ``fer2013.csv``, row for row. FER2013's own label agrees with the majority of the ten for
63 % of the images, so these are two benchmarks on the same pixels.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data import fer2013, fer_csv
from emotion.data.examples import Examples, Splits
from emotion.data.fingerprint import recognise_fer2013
from emotion.data.splits import assemble, held_out_note, hold_out
from emotion.faces.labels import CONTEMPT, EMOTIONS

FILE = "fer2013new.csv"
#: The file's columns of votes, in its order.
COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", CONTEMPT, "unknown", "NF")
NOT_A_FACE = COLUMNS.index("NF")

_OURS = ("neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful", CONTEMPT)
#: Column of each of our labels, contempt last.
_ORDER = np.array([_OURS.index(name) for name in (*EMOTIONS, CONTEMPT)])

Votes = np.ndarray[Any, np.dtype[np.uint8]]
Shares = np.ndarray[Any, np.dtype[np.float32]]


def load(cfg: DictConfig) -> Splits:
    """Load FER+; ``cfg`` is the dataset node, see ``conf/dataset/ferplus.yaml``.

    Validation and test hold the images for which most of the votes agree, whatever ``label_mode`` is, so that models
    of all modes are scored on the same images and labels. The mode says what is trained on; see :func:`targets`.

    Raises:
        UserError: One of the two files is missing or damaged, or they do not belong together.
    """
    if not cfg.root:
        raise UserError("dataset.root: no value given. Set dataset.root=<fer2013.csv, or the folder it is in>")
    source, notes = fer2013.find(Path(cfg.root).expanduser())
    if source.is_dir():
        raise UserError(
            f"{source}: folders of images; FER+ votes belong to the rows of fer2013.csv. Set dataset.root to that file"
        )
    table, hashes, read_notes = fer2013.read_csv(source, Path(cfg.cache_dir).expanduser())
    votes_path = Path(cfg.votes).expanduser() if cfg.votes else source.with_name(FILE)
    votes, usage = read_votes(votes_path)
    _check_rows(source, table, votes_path, usage)

    names = EMOTIONS if cfg.contempt == "drop" else (*EMOTIONS, CONTEMPT)
    agreed, shown = targets(votes, "majority", len(names)), shares(votes, len(names))
    fitted = agreed if cfg.label_mode == "majority" else targets(votes, cfg.label_mode, len(names))
    sure = np.asarray(agreed.any(axis=1))
    everything = Examples(
        labels=np.where(sure[:, None], agreed, fitted).argmax(axis=1).astype(np.int64),
        hashes=hashes,
        images=table.images,
        rows=np.arange(len(hashes)),
        targets=None if cfg.label_mode == "majority" else fitted,
        votes=shown,
    )
    parts, divided, origins = _divide(cfg, everything, table, sure, fitted.any(axis=1))
    lost = int((~sure & ~fitted.any(axis=1)).sum())
    notes = (
        *notes,
        *read_notes,
        f"FER+ votes read from {votes_path}: {lost:,} of {len(votes):,} images left out, on which the votes do not "
        f"agree or which they call no face or unknown{'' if cfg.contempt == 'keep' else ' or contempt'}.",
        *divided,
    )
    recognised = f"FER+ ({cfg.label_mode}) on {_recognise(table, hashes)}"
    loss = "any_target" if cfg.label_mode == "multi_target" else "cross_entropy"
    return assemble("ferplus", parts, cfg, notes=notes, labels=names, loss=loss, recognised=recognised, origins=origins)


def read_votes(path: Path) -> tuple[Votes, list[str]]:
    """Read the votes: uint8 ``[R, 10]`` in the order of :data:`COLUMNS`, and each row's Usage.

    A row without an image name is one that FER+ calls not a face; it keeps the votes of the file.

    Raises:
        UserError: With file and line: it is missing, its header is another, or a value is no number of votes.
    """
    usage: list[str] = []
    rows: list[list[int]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=start.count))
            header = next(reader, [])
            where = _columns(path, header)
            for fields in reader:
                if not any(fields):
                    continue
                row = [_votes(fields[i]) for i in where[1:]] if len(fields) == len(header) else [-1]
                if not all(0 <= v <= 255 for v in row):
                    raise UserError(
                        f"{path}, line {reader.line_num}: expected {len(COLUMNS)} numbers of votes, found "
                        f"'{','.join(fields[where[0] + 2 :])[:60]}'. Take the file from the FER+ repository again"
                    )
                usage.append(fields[where[0]].strip())
                rows.append(row)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. Put FER+'s fer2013new.csv beside fer2013.csv, or set dataset.votes=<where it is>"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not rows:
        raise UserError(f"{path}: a header and no rows. Take the file from the FER+ repository again")
    return np.array(rows, np.uint8), usage


def _columns(path: Path, header: list[str]) -> list[int]:
    """Where Usage and each of the votes stand; other columns, such as an index that pandas adds, are passed over."""
    names = [name.strip().casefold() for name in header]
    wanted = [name.casefold() for name in ("Usage", *COLUMNS)]
    if any(names.count(name) != 1 for name in wanted):
        found = "".join(c if c.isprintable() else "?" for c in ", ".join(header))[:80]
        raise UserError(
            f"{path}, line 1: expected the columns Usage, Image name, {', '.join(COLUMNS)}; found '{found}'. "
            f"Take fer2013new.csv from the FER+ repository"
        )
    return [names.index(name) for name in wanted]


def _votes(text: str) -> int:
    """A whole number, also as ``4.0``; -1 for anything else."""
    try:
        value = float(text)
    except ValueError:
        return -1
    return int(value) if value.is_integer() else -1


def targets(votes: Votes, mode: str, classes: int) -> Shares:
    """What is fitted, by the rules of FER+'s own code. In all modes single votes first count as mistakes.

    - ``majority``: the label that more than half of the votes are for.
    - ``probability``: the labels with most votes, one after the other until they hold three quarters of the votes;
      at most three, and more than half of the votes. Soft targets.
    - ``votes``: all labels with more than one vote, if they hold more than half of the votes. Soft targets that keep
      how people divide.
    - ``multi_target``: all labels with at least 30 % of the votes, if they hold more than half of them. Each counts as
      right.

    Images for which the rule gives no label are left out, and so are those that are mostly unknown or not a face.
    Contempt is left out with ``classes=7``: images that show it most, and its share of soft targets.

    Args:
        votes: uint8 ``[R, 10]``.
        mode: ``majority``, ``probability``, ``votes`` or ``multi_target``.
        classes: 7, or 8 with contempt.

    Returns:
        float32 ``[R, classes]``, in the order of our labels; rows sum to 1 (``multi_target``: are 0 or 1), or are all 0
        where an image is left out.
    """
    counted = np.where(votes > 1, votes, 0).astype(np.float64)
    total = counted.sum(axis=1, keepdims=True)
    if mode == "majority":
        chosen = counted * (counted > 0.5 * total)
    elif mode == "probability":
        chosen = _leading(counted, total)
    elif mode == "votes":
        chosen = np.where(np.arange(counted.shape[1]) < len(_OURS), counted, 0)
    else:
        chosen = counted * (counted >= 0.3 * total)
    valid = (chosen.sum(axis=1) > 0.5 * total[:, 0]) & (chosen.argmax(axis=1) < len(_OURS))
    ours = chosen[:, _ORDER] * valid[:, None]
    if classes == len(EMOTIONS):
        ours = ours[:, : len(EMOTIONS)] * (ours.argmax(axis=1) < len(EMOTIONS))[:, None]
    if mode == "multi_target":
        return np.asarray(ours > 0, np.float32)
    return np.asarray(ours / np.maximum(ours.sum(axis=1, keepdims=True), 1), np.float32)


def shares(votes: Votes, classes: int) -> Shares:
    """Of the votes for our labels, the share of each: float32 ``[R, classes]``; all 0 where there are none."""
    ours = votes[:, _ORDER[:classes]].astype(np.float32)
    return np.asarray(ours / np.maximum(ours.sum(axis=1, keepdims=True), 1))


def _leading(counted: np.ndarray[Any, Any], total: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The labels with most votes that together hold three quarters of them; nothing where that takes more than three.

    Labels with equally many votes come together. Unknown or not a face end the list, and count only as its first.
    """
    chosen = np.zeros_like(counted)
    left = counted.copy()
    open_rows = total[:, 0] > 0
    others = np.arange(counted.shape[1]) >= len(_OURS)
    while True:
        going = open_rows & (chosen.sum(axis=1) < 0.75 * total[:, 0]) & ((chosen > 0).sum(axis=1) < 3)
        if not going.any():
            break
        largest = left.max(axis=1, keepdims=True)
        going &= largest[:, 0] > 0
        next_ = (left == largest) & (left > 0) & going[:, None]
        ended = (next_ & others).any(axis=1)
        alone = ended & ~(chosen > 0).any(axis=1) & ~(next_ & ~others).any(axis=1)
        add = next_ & (~others | alone[:, None])
        chosen = np.where(add, counted, chosen)
        left = np.where(next_, 0, left)
        open_rows &= going & ~ended
    chosen[(chosen > 0).sum(axis=1) > 3] = 0
    return chosen


def _recognise(table: fer_csv.Table, hashes: np.ndarray[Any, Any]) -> str:
    """Which copy of FER2013 this is, by its own labels and pixels."""
    own = Examples(fer2013.OURS[table.emotions], hashes, images=table.images)
    trained = table.usage == fer_csv.USAGES.index("Training")
    known = recognise_fer2013({"train": own.take(trained), "test": own.take(~trained)})
    return known or "images that are not those of FER2013"


def _check_rows(source: Path, table: fer_csv.Table, path: Path, usage: list[str]) -> None:
    """Refuse votes of other rows: they would label every image wrongly without an error."""
    if len(usage) != len(table.images):
        raise UserError(
            f"{path}: {len(usage):,} rows, {source} has {len(table.images):,}. The two files belong together row for "
            f"row: take both as they were published"
        )
    wrong = [i for i, (a, b) in enumerate(zip(usage, table.usage, strict=True)) if a != fer_csv.USAGES[b]]
    if wrong and table.has_usage:
        raise UserError(
            f"{path}, line {wrong[0] + 2}: Usage is '{usage[wrong[0]]}', {source} has "
            f"'{fer_csv.USAGES[table.usage[wrong[0]]]}' in that row. The two files belong together row for row"
        )


def _divide(cfg: DictConfig, everything: Examples, table: fer_csv.Table, agreed: Any, fitted: Any) -> fer2013.Divided:
    """The official splits; validation held out of Training where PrivateTest is missing."""
    rows = {u: np.flatnonzero(table.usage == i) for i, u in enumerate(fer_csv.USAGES)}
    training = rows["Training"][fitted[rows["Training"]]]
    tests = {u: rows[u][agreed[rows[u]]] for u in ("PublicTest", "PrivateTest")}
    by_usage = {"Training": everything.take(training)}
    by_usage |= {u: replace(everything.take(r), targets=None) for u, r in tests.items() if len(r)}
    parts, sentences, origins = fer2013.official(by_usage)
    notes = list(sentences)
    for split, fraction in (("test", cfg.test_fraction), ("validation", cfg.validation_fraction)):
        if split in parts:
            continue
        train = parts["train"]
        sure = np.flatnonzero(agreed[train.rows])
        held = sure[hold_out(train.labels[sure], train.hashes[sure], fraction, cfg.split_seed)[1]]
        away = np.isin(train.hashes, train.hashes[held])  # copies of held out images on which votes do not agree
        parts[split] = replace(train.take(held), targets=None)
        parts["train"] = train.take(np.flatnonzero(~away))
        notes.append(held_out_note(split, len(held), len(train), fraction, cfg.split_seed))
    return parts, tuple(notes), origins
