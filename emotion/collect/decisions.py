"""Applying what the user decided on the review pages: ``collect root=... apply=decisions-angry.json``.

A rejected image moves to ``.quarantine``, an accepted one into the dataset; nothing is deleted.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from omegaconf import ListConfig

from emotion.base import files, guarded
from emotion.base.errors import UserError, did_you_mean
from emotion.base.words import listed
from emotion.collect import review
from emotion.collect.storage import move, reconcile
from emotion.data.manifest import ACCEPTED, KEPT, REJECTED, Manifest, Record, is_place, now
from emotion.faces.labels import EMOTIONS


@dataclass(frozen=True)
class Decisions:
    """A decisions file: for each crop, what the page showed and what was decided."""

    path: Path
    emotion: str
    saved: str
    by_file: dict[str, tuple[str, str]]


def apply(root: Path, manifest: Manifest, paths: object) -> list[str]:
    """Apply decisions files; if one of them does not fit, nothing is changed.

    Args:
        root, manifest: The dataset's folder, whose lock this process holds, and its manifest.
        paths: A path, a glob, or a list of them.

    Returns:
        A sentence per file.

    Raises:
        UserError: No such file, not saved by a page, of another dataset, or older than later changes.
    """
    reconcile(root, manifest)
    all_decisions = sorted((read(path) for path in _paths(paths)), key=lambda d: d.saved)
    newest = {d.emotion: d for d in all_decisions}
    notes = [
        f"{d.path}: left out, {newest[d.emotion].path} was saved later"
        for d in all_decisions
        if d is not newest[d.emotion]
    ]
    by_file = {r["file"]: r for r in manifest.records() if r.get("file")}
    for decisions in newest.values():
        _check(root, decisions, by_file, manifest)
    for decisions in newest.values():
        events = [
            {"event": "review", "file": file, "decision": decision, "by": decisions.path.name, "time": now()}
            for file, (_, decision) in decisions.by_file.items()
            if by_file[file].get("reviewed") != decision
        ]
        if events:
            manifest.append(*events)
        for event in events:
            move(root, event["file"], KEPT if event["decision"] == ACCEPTED else REJECTED)
        rejected = sum(event["decision"] == REJECTED for event in events)
        counts = f"{len(events) - rejected:,} images accepted, {rejected:,} rejected"
        notes.append(f"{decisions.path}: {counts if events else 'applied already'}")
    review.write(root, manifest.records())
    return notes


def read(path: Path) -> Decisions:
    """Read a decisions file.

    Raises:
        UserError: It is missing, or not what a review page saves.
    """
    try:
        content = files.read_json(path)
        problem = guarded.misfit(content, {"emotion": str, "saved": str, "decisions": list[dict[str, str]]}) or ""
        emotion, saved, rows = content["emotion"], str(content["saved"]), [] if problem else content["decisions"]
        by_file = {row["file"]: (row["shown"], row["decision"]) for row in rows}
        problem = problem or ("" if emotion in EMOTIONS else f"emotion is '{emotion}'")
        problem = problem or next((f"a file is {file[:100]!r}" for file in by_file if not is_place(file)), "")
        for _, decision in by_file.values():
            if decision not in (ACCEPTED, REJECTED):
                problem = f"a decision is '{decision}'"
    except UserError as error:
        raise UserError(f"apply: {error}") from None
    except (KeyError, TypeError) as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
    if problem:
        raise UserError(f"apply: {path} was not saved by a review page ({problem}); save it there again")
    return Decisions(path, emotion, saved, by_file)


def _paths(texts: object) -> list[Path]:
    paths: list[Path] = []
    for text in map(str, texts if isinstance(texts, list | tuple | ListConfig) else [texts]):
        path = Path(text).expanduser()
        matches = [path] if path.is_file() else [] if path.exists() else [Path(p) for p in sorted(glob.glob(str(path)))]  # noqa: PTH207
        if not matches:
            inside = [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else []
            if path.exists():
                raise UserError(f"apply: '{text}' is not a regular file; give one that a review page saved")
            raise UserError(
                f"apply: no such file '{text}'.{did_you_mean(path.name, inside)} Browsers save into their downloads "
                f"folder: apply='~/Downloads/decisions-*.json'"
            )
        paths += matches
    return list(dict.fromkeys(paths))


def _check(root: Path, decisions: Decisions, by_file: dict[str, Record], manifest: Manifest) -> None:
    unknown = [f for f in decisions.by_file if f not in by_file or by_file[f]["emotion"] != decisions.emotion]
    if unknown:
        raise UserError(
            f"apply: {decisions.path} is of another dataset than '{root}': {listed(unknown, 3)} was never collected "
            f"there as {decisions.emotion}. Set root=<the dataset whose {review.name(decisions.emotion)} saved it>"
        )
    changed = [
        f"{file} was {shown} and is now {by_file[file]['decision']}"
        for file, (shown, decision) in decisions.by_file.items()
        if by_file[file]["decision"] not in (shown, KEPT if decision == ACCEPTED else REJECTED)
    ]
    if changed:
        review.write(root, manifest.records())
        raise UserError(
            f"apply: {decisions.path} is older than later changes: {listed(changed, 3)}. Open "
            f"{root / review.name(decisions.emotion)} again, which was regenerated, load this file there to keep your "
            f"clicks, check the images that have changed, and save"
        )
