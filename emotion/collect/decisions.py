"""Bringing into a dataset what a person decided on its review pages: ``collect root=... apply=decisions-angry.json``.

A rejected picture moves to ``.quarantine``, an accepted one into the dataset; nothing is deleted.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import ListConfig

from emotion.base import files
from emotion.base.errors import UserError, did_you_mean
from emotion.base.words import listed
from emotion.collect import review
from emotion.collect.placing import move, reconcile
from emotion.data.manifest import ACCEPTED, KEPT, REJECTED, Manifest, Record, now
from emotion.faces.labels import EMOTIONS


@dataclass(frozen=True)
class Decisions:
    """A decisions file: of each picture what the page showed, and what was decided."""

    path: Path
    emotion: str
    saved: str
    by_file: dict[str, tuple[str, str]]


def apply(root: Path, manifest: Manifest, given: object) -> list[str]:
    """Apply decisions files; what fits not at all changes nothing.

    Args:
        root: The dataset's folder, which this process holds.
        manifest: Of this folder.
        given: A path, a glob, or a list of them.

    Returns:
        A sentence for each file.

    Raises:
        UserError: No such file, not a page's, of another dataset, or older than what has happened since.
    """
    reconcile(root, manifest)
    chosen, said = _newest([read(path) for path in _paths(given)])
    state = {r["file"]: r for r in manifest.records() if r.get("file")}
    for each in chosen:
        _check(root, each, state, manifest)
    for each in chosen:
        events = [
            {"event": "review", "file": file, "decision": decision, "by": each.path.name, "time": now()}
            for file, (_, decision) in each.by_file.items()
            if state[file].get("reviewed") != decision
        ]
        if events:
            manifest.append(*events)
        for event in events:
            move(root, event["file"], KEPT if event["decision"] == ACCEPTED else REJECTED)
        rejected = sum(event["decision"] == REJECTED for event in events)
        said.append(f"{each.path}: {len(events) - rejected:,} pictures accepted, {rejected:,} rejected" if events else
                    f"{each.path}: applied already")  # fmt: skip
    review.write(root, manifest.records())
    return said


def read(path: Path) -> Decisions:
    """Read a decisions file.

    Raises:
        UserError: It is missing, or not what a review page saves.
    """
    try:
        content = files.read_json(path)
        emotion, saved, listed = content["emotion"], str(content["saved"]), content["decisions"]
        by_file = {str(d["file"]): (str(d["shown"]), str(d["decision"])) for d in listed}
    except UserError as error:
        raise UserError(f"apply: {error}") from None
    except (KeyError, TypeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"apply: {path} is not what a review page saves ({what}); save it there again") from None
    wrong = {decision for _, decision in by_file.values()} - {ACCEPTED, REJECTED}
    if emotion not in EMOTIONS or wrong:
        what = f"emotion is '{emotion}'" if emotion not in EMOTIONS else f"a decision is '{min(wrong)}'"
        raise UserError(f"apply: {path} is not what a review page saves ({what}); save it there again")
    return Decisions(path, emotion, saved, by_file)


def _paths(given: object) -> list[Path]:
    each = [str(item) for item in given] if isinstance(given, list | tuple | ListConfig) else [str(given)]
    found: list[Path] = []
    for text in each:
        path = Path(text).expanduser()
        matches = [path] if path.is_file() else [Path(p) for p in sorted(glob.glob(str(path)))]  # noqa: PTH207
        if not matches:
            inside = [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else []
            raise UserError(
                f"apply: no such file '{text}'.{did_you_mean(path.name, inside)} Browsers save into their downloads "
                f"folder: apply='~/Downloads/decisions-*.json'"
            )
        found += [p for p in matches if p not in found]
    return found


def _newest(some: Sequence[Decisions]) -> tuple[list[Decisions], list[str]]:
    """Of several files for an emotion the one that was saved last."""
    newest: dict[str, Decisions] = {}
    for each in sorted(some, key=lambda d: d.saved):
        newest[each.emotion] = each
    said = [f"{d.path}: left out, {newest[d.emotion].path} was saved later" for d in some if d not in newest.values()]
    return list(newest.values()), said


def _check(root: Path, given: Decisions, state: dict[str, Record], manifest: Manifest) -> None:
    unknown = [f for f in given.by_file if f not in state or state[f]["emotion"] != given.emotion]
    if unknown:
        raise UserError(
            f"apply: {given.path} is of another dataset than '{root}': {listed(unknown, 3)} was never collected there "
            f"as {given.emotion}. Set root=<the dataset whose {review.name(given.emotion)} saved it>"
        )
    changed = [
        f"{file} was {shown} and is now {state[file]['decision']}"
        for file, (shown, decision) in given.by_file.items()
        if state[file]["decision"] not in (shown, KEPT if decision == ACCEPTED else REJECTED)
    ]
    if changed:
        review.write(root, manifest.records())
        raise UserError(
            f"apply: {given.path} is older than what has happened since: {listed(changed, 3)}. Open "
            f"{root / review.name(given.emotion)} again, which is made anew, load this file there to keep your clicks, "
            f"look at the pictures that have changed, and save"
        )
