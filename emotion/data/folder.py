"""Images in class folders: ``<root>/<emotion>/*`` or ``<root>/{train,val,test}/<emotion>/*``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from emotion.base.errors import UserError, did_you_mean
from emotion.base.litter import is_litter
from emotion.data import folds, manifest
from emotion.data.examples import SPLITS, Examples, Splits, concatenate
from emotion.data.fingerprint import fingerprint
from emotion.data.pixel_index import hash_files
from emotion.data.splits import assemble, complete, limit
from emotion.data.subjects import with_groups
from emotion.faces.labels import EMOTIONS, index_of

#: How people spell the folders of the splits, in any case.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {word: split for split, words in SPLIT_FOLDERS.items() for word in words}
_LAYOUTS = (
    f"Expected <root>/<emotion>/* or <root>/{{train,val,test}}/<emotion>/*, with the emotions {', '.join(EMOTIONS)}"
)
#: What lies beside images and is none; everything else is tried.
NO_PICTURES = (".txt", ".csv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".ini", ".db", ".html")
_SHOWN = 10


@dataclass(frozen=True)
class Contents:
    """The contents of a folder."""

    parts: dict[str, Examples]  #: the splits that have a folder; ``train`` is all images where none has
    unreadable: tuple[tuple[str, str], ...]  #: ``(path, reason)`` of each file that was left out
    notes: tuple[str, ...]  #: sentences for the log


def load(cfg: DictConfig) -> Splits:
    """Load and divide a folder of images; ``cfg`` is the dataset node, see ``conf/dataset/folder.yaml``.

    Raises:
        UserError: See :func:`layout`, :func:`read`, :func:`emotion.data.subjects.with_groups`,
            :func:`emotion.data.folds.divide` and :func:`emotion.data.splits.hold_out`.
    """
    if not cfg.root:
        raise UserError("dataset.root: no value given. Set dataset.root=<the folder that holds the class folders>")
    root = Path(cfg.root).expanduser()
    contents = _contents(cfg)
    testable = None if cfg.get("test_unreviewed") else manifest.reviewed(root, contents.parts["train"])
    parts, grouped = with_groups(cfg, root, manifest.with_origins(root, contents.parts))
    origins = dict.fromkeys(contents.parts, "its own folder")
    if cfg.get("folds") is not None:
        origins = {"test": f"fold {cfg.fold} of {cfg.folds}, seed {cfg.split_seed}"}
        parts, folded = folds.divide(parts, cfg, testable)
        grouped += folded
    parts, notes = complete(
        parts, cfg.validation_fraction, cfg.test_fraction, cfg.split_seed, alike=True, testable=testable
    )
    notes = (*contents.notes, *grouped, *notes)
    return assemble("folder", parts, cfg, notes=notes, unreadable=contents.unreadable, origins=origins)


def load_whole(cfg: DictConfig) -> Splits:
    """All images of a folder, undivided, as ``test``; ``cfg`` is as for :func:`load`."""
    contents = _contents(cfg, trains=False)
    every = concatenate(list(contents.parts.values()))
    every = every if cfg.limit is None else limit(every, cfg.limit, cfg.split_seed)
    none = every.take(np.arange(0))
    marks = fingerprint("folder", {"train": none, "validation": none, "test": every})
    return Splits(none, none, every, fingerprint=marks, unreadable=contents.unreadable, notes=contents.notes)


def _contents(cfg: DictConfig, trains: bool = True) -> Contents:
    root, ignore = Path(cfg.root).expanduser(), tuple(str(name) for name in cfg.ignore)
    return read(
        layout(root, ignore, trains),
        numbering=cfg.numbering,
        ignore=ignore,
        max_unreadable=cfg.max_unreadable,
        cache_dir=Path(cfg.cache_dir).expanduser(),
    )


def layout(root: Path, ignore: Sequence[str] = (), trains: bool = True) -> dict[str, Path]:
    """Which folder holds which split; ``{"train": root}`` where the class folders lie in the root itself.

    Raises:
        UserError: No such folder, two folders for a split, folders beside the splits, no training folder where
            ``trains``, or a name in ``ignore`` that no folder has.
    """
    if not root.is_dir():
        problem = f"{root} is a file, must be a folder" if root.exists() else f"no such folder '{root}'"
        raise UserError(f"dataset.root: {problem}. Set dataset.root=<the folder that holds the class folders>")
    root = root.absolute()
    top = folders_in(root)
    splits = split_folders(root, ignore)
    if splits:
        other_folders = [f.name for f in _without(top, ignore) if f not in splits.values()]
        names = ", ".join(f.name for f in splits.values())
        if other_folders:
            near = did_you_mean(other_folders[0].lower(), _SPLIT_OF)
            raise UserError(
                f"{show(root)}: beside {names} there is {', '.join(map(show, other_folders))}, which is no split."
                f"{near} Rename it, or leave it out: {_ignore_hint(other_folders)}"
            )
        if trains and "train" not in splits:
            raise UserError(f"{show(root)}: found {names} but no train folder. {_LAYOUTS}")
    present = {f.name.lower() for folder in (root, *splits.values()) for f in folders_in(folder)}
    unused = [name for name in ignore if name.lower() not in present]
    if unused:
        near = did_you_mean(unused[0].lower(), present)
        raise UserError(f"dataset.ignore: no folder in {show(root)} is called {', '.join(map(show, unused))}.{near}")
    return splits or {"train": root}


def split_folders(root: Path, ignore: Sequence[str] = ()) -> dict[str, Path]:
    """Split -> the folder in ``root`` that is called after it; empty where there is none.

    Raises:
        UserError: Two folders mean the same split.
    """
    splits: dict[str, Path] = {}
    for folder in _without(folders_in(root), ignore):
        split = _SPLIT_OF.get(folder.name.lower())
        if split in splits:
            raise UserError(
                f"{show(root)}: {splits[split].name} and {folder.name} both mean the {split} split. Merge them, "
                f"or leave one out: {_ignore_hint([folder.name])}"
            )
        if split is not None:
            splits[split] = folder
    return {split: splits[split] for split in SPLITS if split in splits}


def may_be_image(name: str) -> bool:
    """Whether a file of this name is to be tried: neither hidden, nor a system's litter, nor text beside the images."""
    return not is_litter(name) and not name.lower().endswith(NO_PICTURES)


def folders_in(folder: Path) -> list[Path]:
    """The folders, and links to folders, in a folder, sorted, without hidden ones and what systems leave there."""
    try:
        inside = sorted(folder.iterdir())
        return [f for f in inside if not is_litter(f.name, folder=True) and f.is_dir()]
    except OSError as error:
        raise UserError(f"{show(folder)}: cannot be listed: {error.strerror}") from None


def read(
    splits: Mapping[str, Path],
    *,
    numbering: str | None = None,
    ignore: Sequence[str] = (),
    max_unreadable: float = 0.0,
    cache_dir: Path | None = None,
) -> Contents:
    """Find, decode once and hash every image of these splits.

    Args:
        splits: Split -> folder that holds its class folders; see :func:`layout`.
        numbering, ignore, max_unreadable, cache_dir: As in ``conf/dataset/folder.yaml``.

    Raises:
        UserError: With paths: no class folders, an unknown or an empty one, too many unreadable files.
    """
    root = Path(os.path.commonpath(list(splits.values())))
    names: list[str] = []
    targets: list[tuple[int, int]] = []  # split and label of each name
    notes: list[str] = []
    for split, folder in splits.items():
        for label, class_folders in _classes(folder, numbering, ignore, notes).items():
            files = [str(f.relative_to(root) / name) for f in class_folders for name in _files(f, notes)]
            if not files:
                raise UserError(
                    f"{', '.join(map(show, class_folders))}: no images in it. Add some, remove the folder, "
                    f"or leave it out: {_ignore_hint([f.name for f in class_folders])}"
                )
            names += files
            targets += [(SPLITS.index(split), label)] * len(files)

    hashes, perceptual, reasons, index_notes = hash_files(root, names, cache_dir)
    for i, name in enumerate(names):
        if any("\ud800" <= c <= "\udfff" for c in name):  # TensorFlow cannot take such a path
            reasons[i] = "its name is not valid UTF-8"
    unreadable = tuple((show(root / names[i]), reason) for i, reason in sorted(reasons.items()))
    _judge_unreadable(root, unreadable, len(names), max_unreadable)
    keep = np.array([i for i in range(len(names)) if i not in reasons], np.int64)
    part, labels = np.array(targets, np.int64)[keep].T
    for split_label in sorted(set(targets) - set(zip(part.tolist(), labels.tolist(), strict=True))):
        path, reason = next((show(root / names[i]), reasons[i]) for i in reasons if targets[i] == split_label)
        raise UserError(
            f"{path}: {reason}; and no other image of '{EMOTIONS[split_label[1]]}' in {SPLITS[split_label[0]]} is "
            f"readable. Repair them, or leave their folder out with dataset.ignore"
        )
    paths = np.array([str(root / names[i]) for i in keep], np.str_)
    everything = Examples(labels, hashes[keep], paths=paths, perceptual=perceptual[keep])
    parts = {split: everything.take(np.flatnonzero(part == SPLITS.index(split))) for split in splits}
    return Contents(parts, unreadable, (*notes, *index_notes))


def show(path: str | Path) -> str:
    """A path as one printable line, whatever its characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def _classes(folder: Path, numbering: str | None, ignore: Sequence[str], notes: list[str]) -> dict[int, list[Path]]:
    """Label -> its folders in one split's folder."""
    folders = _without(folders_in(folder), ignore)
    classes: dict[int, list[Path]] = {}
    unknown: dict[Path, UserError] = {}
    for class_folder in folders:
        try:
            classes.setdefault(index_of(class_folder.name, numbering), []).append(class_folder)
        except UserError as error:
            unknown[class_folder] = error
    if not classes and not any(f.name.isdecimal() for f in unknown):
        found = ", ".join(show(f.name) for f in folders[:_SHOWN]) + (", ..." if len(folders) > _SHOWN else "")
        nested = next((f for f in folders if any(_means_something(g.name) for g in folders_in(f))), None)
        hint = f" Did you mean dataset.root={show(nested)}?" if nested else ""
        raise UserError(f"{show(folder)}: no class folders in it (found: {found or 'no folders'}). {_LAYOUTS}.{hint}")
    number = next((f for f in unknown if numbering is None and f.name.isdecimal()), None)
    if number is not None:
        raise UserError(f"{show(number)}: {unknown[number]}")
    if unknown:
        lines = "\n".join(f"{show(path)}: {show(str(error))}" for path, error in unknown.items())
        raise UserError(
            f"{lines}\nRename what is an emotion, leave out the rest: {_ignore_hint(f.name for f in unknown)}"
        )
    for label, same in classes.items():
        # A link beside the folder that it leads to is not a second class folder.
        classes[label] = same = list({f.resolve(): f for f in reversed(same)}.values())[::-1]
        if len(same) > 1:
            notes.append(f"{' and '.join(map(show, same))} are both '{EMOTIONS[label]}': merged.")
    absent = [e for i, e in enumerate(EMOTIONS) if i not in classes]
    if absent:
        notes.append(f"{show(folder)}: no folder for {', '.join(absent)}.")
    return dict(sorted(classes.items()))


def _files(folder: Path, notes: list[str]) -> list[str]:
    """Sorted names of the files that may be images."""
    names, folders = [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not may_be_image(entry.name):
                    continue
                try:
                    folders += entry.is_dir() and not is_litter(entry.name, folder=True)
                    # Pipes and devices are never opened, reading them may not end. Dead links are unreadable files.
                    if entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
                        names.append(entry.name)
                except OSError:  # a link to itself
                    names.append(entry.name)
    except OSError as error:
        raise UserError(f"{show(folder)}: cannot be listed: {error.strerror}") from None
    if folders:
        notes.append(f"{show(folder)}: the {folders} folders inside it were not searched.")
    return sorted(names)


def _judge_unreadable(root: Path, unreadable: tuple[tuple[str, str], ...], total: int, allowed: float) -> None:
    if len(unreadable) <= allowed * total:
        return
    lines = [f"  {path}: {reason}" for path, reason in unreadable[:_SHOWN]]
    if len(unreadable) > _SHOWN:
        lines.append(f"  and {len(unreadable) - _SHOWN} more")
    raise UserError(
        f"{show(root)}: {len(unreadable)} of {total} files are unreadable, more than "
        f"dataset.max_unreadable={allowed:g} allows:\n"
        + "\n".join(lines)
        + "\nRepair or remove them, or raise dataset.max_unreadable"
    )


def _without(folders: Iterable[Path], ignore: Sequence[str]) -> list[Path]:
    names = {name.lower() for name in ignore}
    return [f for f in folders if f.name.lower() not in names]


def _means_something(name: str) -> bool:
    try:
        return name.lower() in _SPLIT_OF or index_of(name) >= 0
    except UserError:
        return False


def _ignore_hint(names: Iterable[str]) -> str:
    quoted = [n if n.replace("_", "").isalnum() else f'"{show(n)}"' for n in names]
    hint = f"dataset.ignore=[{','.join(quoted)}]"
    return f"'{hint}'" if '"' in hint else hint
