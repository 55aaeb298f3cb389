"""FER2013 (Goodfellow et al. 2013): ``fer2013.csv``, ``icml_face_data.csv`` or a mirror in train/ and test/ folders.

The benchmark's splits: Training is fitted, PublicTest validates, PrivateTest is the test. Many copies lack PrivateTest;
PublicTest is the test there, and validation is held out from Training.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import fer_csv, folder
from emotion.data.examples import Examples, Splits
from emotion.data.fingerprint import hash_pixels, published_counts
from emotion.data.splits import assemble, complete
from emotion.faces.labels import EMOTIONS, NUMBERINGS

#: Part of the cache's key: raise it when parsing or hashing changes.
PARSER_VERSION = 1
_FILES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
#: Our label of each of FER2013's numbers.
OURS = np.array([EMOTIONS.index(NUMBERINGS["fer2013"][i]) for i in range(len(EMOTIONS))], np.int64)
#: Mirrors lack a few images now and then; more unreadable files than this fraction stop the run.
_MAX_UNREADABLE = 0.01


def load(cfg: DictConfig) -> Splits:
    """Load FER2013 from ``cfg.root``; ``cfg`` is the dataset node, see ``conf/dataset/fer2013.yaml``.

    Raises:
        UserError: It is not there, or not FER2013's format; see :func:`emotion.data.fer_csv.parse`.
    """
    if not cfg.root:
        raise UserError("dataset.root: no value given. Set dataset.root=<fer2013.csv, or the folder it is in>")
    cache_dir = Path(cfg.cache_dir).expanduser()
    source, notes = find(Path(cfg.root).expanduser())
    unreadable: tuple[tuple[str, str], ...] = ()
    if source.is_dir():
        mirror = _read_mirror(source, cache_dir)
        unreadable, read_notes = mirror.unreadable, mirror.notes
        parts, divided, origins = divide_mirror(mirror.parts)
    else:
        table, hashes, read_notes = read_csv(source, cache_dir)
        parts, divided, origins = _divide_table(source, table, hashes)
    parts, held_out = complete(parts, cfg.validation_fraction, cfg.test_fraction, cfg.split_seed)
    notes = (*notes, *read_notes, *divided, *held_out)
    return assemble("fer2013", parts, cfg, notes=notes, unreadable=unreadable, origins=origins)


def find(root: Path) -> tuple[Path, tuple[str, ...]]:
    """The CSV file, or the folder with ``train/`` and ``test/``, in ``root`` or one level deeper; and a note for it."""
    if root.is_file():
        return root, (f"FER2013 read from {root}.",)
    if not root.is_dir():
        raise UserError(f"dataset.root: no such file or folder '{root}'. Set dataset.root=<fer2013.csv or its folder>")
    folders = [root, *folder.folders_in(root)]
    candidates = [f / name for f in folders for name in _FILES if (f / name).is_file()]
    candidates += [f for f in folders if {"train", "test"} <= set(folder.split_folders(f))]
    if not candidates:
        inside = sorted(p.name for p in root.iterdir())[:10]
        raise UserError(
            f"{root}: neither {' nor '.join(_FILES)} nor train/ and test/ folders in it or one level deeper "
            f"(found: {', '.join(map(folder.show, inside)) or 'nothing'}). Set dataset.root=<where they are>"
        )
    # The one with the official splits first: fer2013.csv before icml_face_data.csv, both before folders.
    order = {name: i for i, name in enumerate(("fer2013.csv", "icml_face_data.csv", "", "train.csv"))}
    taken, *others = sorted(candidates, key=lambda p: order.get(p.name if p.is_file() else "", 2))
    also = f" Also there and not read: {', '.join(map(str, others))}." if others else ""
    return taken, (f"FER2013 read from {taken}.{also}",)


def read_csv(
    path: Path, cache_dir: Path | None, side: int = 48
) -> tuple[fer_csv.Table, np.ndarray[Any, Any], tuple[str, ...]]:
    """Parse and hash a CSV file of ``side`` x ``side`` pixels, or read what an earlier call left in the cache.

    Returns:
        The rows, their ``S16`` ``[N]`` pixel hashes, and notes for the log.
    """
    cached = None if cache_dir is None else _cache_path(path, cache_dir)
    notes: list[str] = []
    if cached is not None and cached.exists():
        try:
            return (*_read_cache(cached, side), ())
        except Exception as error:  # a damaged file can fail anywhere inside NumPy and zipfile
            notes.append(f"{cached}: damaged ({type(error).__name__}), regenerated.")
    table = fer_csv.parse(path, side=side)
    hashes = np.array([hash_pixels(image) for image in table.images], "S16")
    if cached is not None:
        try:
            _write_cache(cached, table, hashes)
        except OSError as error:
            notes.append(f"{cached.parent}: cannot be written ({error.strerror}), so the next start parses again.")
    return table, hashes, tuple(notes)


def _cache_path(path: Path, cache_dir: Path) -> Path:
    real = path.resolve()
    status = real.stat()
    where = hashlib.sha256(str(real).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    state = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} {PARSER_VERSION}".encode()).hexdigest()[:12]
    return cache_dir / f"fer2013-{where}-{state}.npz"


def _read_cache(path: Path, side: int) -> tuple[fer_csv.Table, np.ndarray[Any, Any]]:
    # Opened here because np.load leaves a damaged file open; zip's checksums catch flipped bits.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as z:
        images, emotions, usage, hashes = z["images"], z["emotions"], z["usage"], z["hashes"]
        has_usage = bool(z["has_usage"])
    n = len(images)
    if images.shape != (n, side, side) or images.dtype != np.uint8 or {len(emotions), len(usage), len(hashes)} != {n}:
        raise ValueError("arrays do not fit together")
    return fer_csv.Table(images, emotions, usage, has_usage), hashes


def _write_cache(path: Path, table: fer_csv.Table, hashes: np.ndarray[Any, Any]) -> None:
    with files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
        columns: dict[str, Any] = vars(table)
        np.savez(file, hashes=hashes, **columns)
    for stale in path.parent.glob(f"{path.name.rsplit('-', 1)[0]}-*.npz"):  # an older state of the same file
        if stale != path:
            stale.unlink(missing_ok=True)


def _divide_table(path: Path, table: fer_csv.Table, hashes: np.ndarray[Any, Any]) -> Divided:
    everything = Examples(labels=OURS[table.emotions], hashes=hashes, images=table.images, rows=np.arange(len(hashes)))
    rows = {usage: np.flatnonzero(table.usage == i) for i, usage in enumerate(fer_csv.USAGES)}
    by_usage = {usage: everything.take(r) for usage, r in rows.items() if len(r)}
    if "Training" not in by_usage:
        raise UserError(f"{path}: no row has the Usage Training (all are {' or '.join(by_usage)}): nothing to fit")
    if not table.has_usage:
        return {"train": by_usage["Training"]}, ("The CSV has no Usage column: all rows are taken for Training.",), {}
    return official(by_usage)


def _read_mirror(root: Path, cache_dir: Path) -> folder.Contents:
    splits = folder.split_folders(root)
    try:
        return folder.read(splits, numbering="fer2013", max_unreadable=_MAX_UNREADABLE, cache_dir=cache_dir)
    except UserError as error:
        raise UserError(
            f"{error}\nFER2013 has no such settings: use dataset=folder for a folder that is not FER2013's"
        ) from None


def divide_mirror(parts: dict[str, Examples]) -> Divided:
    """Tell PublicTest from PrivateTest in a mirror's ``test/``, by file names or else by counts per emotion."""
    if "validation" in parts:
        own: dict[str, str] = {
            split: f"the mirror's {split} folder" for split in ("validation", "test") if split in parts
        }
        return parts, ("The mirror has a validation folder: its splits are taken as they are.",), own
    test = parts["test"]
    assert test.paths is not None
    names = [Path(str(p)).name.lower() for p in test.paths]
    named = np.array([1 if n.startswith("publictest") else 2 if n.startswith("privatetest") else 0 for n in names])
    if (named > 0).all():
        by_usage = {
            u: test.take(np.flatnonzero(named == i)) for i, u in enumerate(fer_csv.USAGES) if (named == i).any()
        }
        return official({"Training": parts["train"], **by_usage})
    counts = np.bincount(test.labels, minlength=len(EMOTIONS))
    for usages in (("PublicTest",), ("PrivateTest",), ("PublicTest", "PrivateTest")):
        if (counts == published_counts(usages)).all():
            kind = f"holds {' and '.join(usages)}, by its counts per emotion"
            name = " and ".join(usages)
            break
    else:
        kind, name = (
            "names neither PublicTest nor PrivateTest, and its counts are neither's",
            "the mirror's test folder",
        )
    return parts, (f"The mirror's test folder {kind}: it is the test split.",), {"test": name}


#: Examples by split, sentences for the log, and what the splits that the dataset brings are called.
Divided = tuple[dict[str, Examples], tuple[str, ...], dict[str, str]]


def official(by_usage: dict[str, Examples]) -> Divided:
    """Official splits to ours: PrivateTest tests and PublicTest validates, or tests where the former is missing."""
    parts = {"train": by_usage["Training"]}
    tests = [usage for usage in ("PrivateTest", "PublicTest") if usage in by_usage]
    if not tests:
        return parts, ("PublicTest and PrivateTest are missing: test and validation are held out from Training.",), {}
    parts["test"] = by_usage[tests[0]]
    if len(tests) == 2:
        parts["validation"] = by_usage["PublicTest"]
        names = {"test": "PrivateTest", "validation": "PublicTest"}
        return parts, ("Official splits: PublicTest is validation, PrivateTest is test.",), names
    missing = "PublicTest" if tests == ["PrivateTest"] else "PrivateTest"
    note = f"{missing} is missing: {tests[0]} is test, validation is held out from Training."
    return parts, (note,), {"test": tests[0]}
