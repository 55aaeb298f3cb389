"""Finding runs by id, a beginning of one, path, or the names ``latest``, ``best`` and ``pretrained``."""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.base.errors import UserError
from emotion.base.words import counted, listed
from emotion.runs import published, record
from emotion.runs.folder import Run, id_of
from emotion.runs.record import RunRecord

log = logging.getLogger(__name__)

#: Why a run cannot do what is asked of it; None where it can.
Unfit = Callable[[Run, RunRecord], str | None]


def unusable(run: Run, record: RunRecord) -> str | None:
    """Why a run should not label images unless it is named: it failed, or has no model."""
    if record.status == "failed":
        return "failed"
    has_model = run.has_best or (run.path / "model.tflite").is_file()
    return None if has_model else f"{'published' if record.published else record.status}, without a model"


def unresumable(run: Run, record: RunRecord) -> str | None:
    """Why the training of a run cannot be resumed. One that is done can, with more epochs."""
    if record.adopted or record.published:
        return "adopted" if record.adopted else "published"
    return None if run.has_state or record.status == "running" else f"{record.status} before its first epoch ended"


def untrained(_: Run, record: RunRecord) -> str | None:
    """Why there is no training to repeat."""
    return "adopted" if record.adopted else None


def unscored(_: Run, record: RunRecord) -> str | None:
    """Why a run cannot be compared with others."""
    return record.status if record.status != "done" else None if record.scores else "not scored"


def listing(root: Path) -> list[Run]:
    """All runs below a folder, oldest first by id."""
    folders = sorted(p.parent for p in root.glob(f"**/{record.NAME}")) if root.is_dir() else []
    return [_settled(Run(path, id_of(path, root)), root) for path in folders]


def resolve(run: Any, outputs: str | Path, unfit: Unfit = unusable) -> Run:
    """Find a run by id, unique prefix of an id, path of its folder, ``latest``, ``best`` or ``pretrained``.

    ``latest`` is the run that was made last of those that can do what is asked; ``pretrained`` the one that ships with
    the package. ``best`` is the finished run with the highest validation macro-F1 among those trained on the same data
    as the last finished one, since scores on different data do not compare. A line says why it is that run.

    Args:
        run: What the user typed.
        outputs: The folder that holds the runs.
        unfit: Which runs ``latest`` and ``best`` pass over.

    Raises:
        UserError: No such run, or several, have that name; names the nearest ids.
    """
    root = Path(outputs)
    found = _resolve(str(run), root, unfit)
    for folder in (found.path, found.checkpoints):
        files.sweep(folder)
    return _settled(found, root)


def _settled(run: Run, root: Path) -> Run:
    """A run with the place for what is made of it, where its own folder is to stay as it is."""
    name = published.shipped_name(run.path)
    if name is not None:
        return Run(run.path, f"{published.SHIPPED}/{name}", root / published.SHIPPED_RESULTS / name)
    edition = published.edition(run.path)
    return run if edition is None else replace(run, elsewhere=root / published.RESULTS / edition)


def _resolve(name: str, root: Path, unfit: Unfit) -> Run:
    if not name.strip():
        raise UserError("run: the name is empty; give an id, a path, latest or best")
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"run: '{name}' begins with ~, but no user has that name; write the whole path") from None
    if record.is_run(path):
        return Run(path, id_of(path, root))
    if record.is_run(root / name):
        return Run(root / name, name)
    outer = record.around(path)
    if outer is not None and path.exists():
        raise UserError(f"run: '{name}' is inside a run; name the run's own folder: run={outer}")
    installed = published.find_shipped(name)
    if installed is not None:
        return Run(installed, installed.name)
    everything = listing(root)
    if not everything:
        other = f", or take the one that ships with emotion: run={published.SHIPPED}" if published.shipped_ids() else ""
        raise UserError(f"run: there are no runs under '{root}'. Train one first: python -m emotion.train{other}")
    if name in ("latest", "best"):
        return (_latest if name == "latest" else _best)(_read(everything), root, unfit)
    return _by_prefix(name, path, root, everything)


def _by_prefix(name: str, path: Path, root: Path, everything: list[Run]) -> Run:
    matches = [r for r in everything if r.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    ids = [r.id for r in everything]
    if matches:
        first = ", ".join(r.id for r in matches[:5])
        more = ", ..." if len(matches) > 5 else ""
        raise UserError(f"run: '{name}' fits {len(matches)} runs ({first}{more}); write more of the one you mean")
    if path.is_dir():
        within = ", ".join(str(r.path) for r in listing(path)[-3:])
        raise UserError(
            f"run: '{name}' is a folder but no run's, without run.json; "
            + (f"below it are {within}" if within else "name the folder that emotion.train made")
        )
    words = ["latest", "best", *([published.SHIPPED] if published.shipped_ids() else [])]
    near = difflib.get_close_matches(name, [*ids, *words[2:]], n=3, cutoff=0.3) or ids[-3:]
    raise UserError(f"run: no run '{name}' under '{root}'. Nearest: {', '.join(near)}; also: {', '.join(words)}")


Known = list[tuple[Run, RunRecord]]


def _read(runs: list[Run]) -> Known:
    """The runs with their records, the one that was made last at the end; damaged ones are left out with a line."""
    known: Known = []
    for run in runs:
        try:
            known.append((run, run.record()))
        except UserError as error:
            log.warning("%s; left out", error)
    return sorted(known, key=lambda pair: (pair[1].created, pair[0].id))


def _latest(known: Known, root: Path, unfit: Unfit) -> Run:
    passed_over: list[str] = []
    for run, written in reversed(known):
        reason = unfit(run, written)
        if reason is None:
            if passed_over:
                _say(root, f"latest is {run.id}; passed over: {listed(passed_over)}")
            return run
        passed_over.append(f"{run.id} ({reason})")
    raise UserError(f"run: no run under '{root}' can be the latest here: {listed(passed_over) or 'all are damaged'}")


def _best(known: Known, root: Path, unfit: Unfit) -> Run:
    scored = [
        (written.scores["validation"]["macro_f1"], run, written)
        for run, written in known
        # An adopted network may have been trained on the very images that others are validated on.
        if written.status == "done" and not written.adopted and unfit(run, written) is None
        if written.scores.get("validation", {}).get("macro_f1") is not None
    ]  # fmt: skip
    if not scored:
        raise UserError(f"run: no run under '{root}' is finished, so none is best. Try run=latest")
    data = scored[-1][2]
    pool = [entry for entry in scored if entry[2].pixels == data.pixels]
    score, run, _ = max(pool, key=lambda entry: entry[0])
    others = len(scored) - len(pool)
    name = f"{data.data.get('dataset') or 'their data'} ({(data.pixels or 'no fingerprint')[:8]})"
    why = f"best is {run.id}: validation macro-F1 {100 * score:.1f} %, "
    why += f"the highest of {len(pool)} finished runs on {name}" if len(pool) > 1 else f"the one finished run on {name}"
    if others:
        why += f", the data of the last one; {counted(others, 'run')} on other data not compared"
    _say(root, why)
    return run


@functools.cache
def _say(_: Path, message: str) -> None:
    """Say it once: a name may be looked up by several parts of a command."""
    log.warning("%s", message)
