"""Which runs are named: ``runs=all``, a glob over ids, a list of ids and paths, the folder of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from emotion import runs
from emotion.base.errors import UserError
from emotion.runs import exports, finding

_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Selected:
    """A run, and whether it was named itself: such a run must be fit to be compared, others may be left out."""

    run: runs.Run
    named: bool


def select(wanted: Any, outputs: str | Path) -> list[Selected]:
    """Find the runs that ``wanted`` names, each once, in the order of its first naming.

    Args:
        wanted: ``all``; an id, a unique prefix of one, the path of a run's folder, ``latest`` or ``best`` as
            :func:`emotion.runs.resolve` takes them, also with ``/exports/<export>``; the folder, id or prefix of a
            sweep, which means its runs; a glob that ids, paths or folders of sweeps match; or a list of these, also as
            one text with commas.
        outputs: The folder that holds the runs.

    Raises:
        UserError: No run has such a name.
    """
    root = Path(outputs)
    by_folder: dict[tuple[Path, Path | None], Selected] = {}
    listed: list[runs.Run] | None = None
    for word in _words(wanted, root):
        if listed is None and not _is_run(word, root):
            listed = runs.listing(root)
        for selected in _matching(word, root, listed or []):
            key = selected.run.path.resolve(), selected.run.export and selected.run.export.resolve()
            if key not in by_folder or selected.named:
                by_folder[key] = selected
    return list(by_folder.values())


def _words(wanted: Any, root: Path) -> list[str]:
    entries = wanted if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    words = [part for entry in entries for part in _parts(str(entry), root)]
    if not words:
        raise UserError("runs: an empty list. Name runs, such as runs=[<id>,<id>], or runs=all")
    return words


def _parts(word: str, root: Path) -> list[str]:
    before = word.partition(f"/{exports.FOLDER}/")[0]
    if "," not in word or Path(before).exists() or (root / before).exists():
        return [word.strip()] if word.strip() else []
    return [part.strip() for part in word.split(",") if part.strip()]


def _is_run(word: str, root: Path) -> bool:
    return any(runs.is_run(folder) or (folder / "report.json").is_file() for folder in (_path(word), root / word))


def _path(word: str) -> Path:
    try:
        return Path(word).expanduser()
    except RuntimeError:  # ~ and no user's name; runs.resolve explains it
        return Path(word)


def _matching(word: str, root: Path, everything: list[runs.Run]) -> Iterator[Selected]:
    if _is_run(word, root):
        yield Selected(_resolve(word, root), named=True)
        return
    if word == "all":
        if not everything:
            raise UserError(f"runs: there are no runs under '{root}'. Train one first: python -m emotion.train")
        yield from (Selected(run, named=False) for run in everything)
        return
    for folder in (_path(word), root / word):
        within = [runs.resolve(run.path, root) for run in runs.listing(folder)]
        if within:
            yield from (Selected(run, named=False) for run in within)
            return
    if _GLOB & set(word):
        matching = [run for run in everything if _matches(word, run, root)] or list(_exports(word, root, everything))
        if not matching:
            ids = ", ".join(run.id for run in everything[-3:])
            raise UserError(f"runs: no run under '{root}' matches '{word}'. " + (f"The last are: {ids}" if ids else ""))
        yield from (Selected(run, named=False) for run in matching)
        return
    prefixed = [run for run in everything if run.id.startswith(word)]
    if len(prefixed) > 1 and len({_sweep(run, word) for run in prefixed}) == 1:
        yield from (Selected(run, named=False) for run in prefixed)
        return
    yield Selected(_resolve(word, root), named=True)


def _resolve(word: str, root: Path) -> runs.Run:
    try:
        return exports.as_run(word, root) or runs.resolve(word, root, finding.unscored)
    except UserError as error:
        message = str(error).removeprefix("run: ").replace(": run=", ": runs=")
        raise UserError(f"runs: {message.replace('; also: latest', '; also: all, latest')}") from None


def _exports(pattern: str, root: Path, everything: list[runs.Run]) -> Iterator[runs.Run]:
    """The exports of a glob over runs, ``*_cnn/exports/litert-int8``, of runs that have one."""
    before, mark, name = pattern.rpartition(f"/{exports.FOLDER}/")
    for run in everything if mark else ():
        folder = run.results / exports.FOLDER / name
        if _matches(before, run, root) and (folder / "report.json").is_file():
            yield _resolve(str(folder), root)


def _matches(pattern: str, run: runs.Run, root: Path) -> bool:
    """Whether a glob fits a run's id or path, or those of a folder that it is in."""
    parts = run.id.split("/")
    ids = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(name, pattern) for i in ids for name in (i, (root / i).as_posix()))


def _sweep(run: runs.Run, prefix: str) -> str:
    """The sweep that a run is in, if the prefix is one of the sweep's id; else the run's own id."""
    head, slash, _ = run.id[len(prefix) :].partition("/")
    return f"{prefix}{head}/" if slash else run.id
