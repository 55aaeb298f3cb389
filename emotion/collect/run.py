"""One collect command from start to end: lock, sources, review pages, the table, and what to type next."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omegaconf import DictConfig

from emotion.base import locks
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, Stop, interruption
from emotion.collect import decisions, held_out, own_pictures, progress, review, searching, table
from emotion.collect.candidates import Candidate
from emotion.collect.collector import Collector
from emotion.collect.commands import typed
from emotion.collect.screening import Screen
from emotion.collect.table import Outcome
from emotion.data.crop_margin import CropMargin
from emotion.data.manifest import KEPT, Manifest
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS

log = logging.getLogger("emotion.collect")

_OURS = "emotion.collect"


def collect(cfg: DictConfig) -> Outcome:
    """See :func:`emotion.collect.collect`.

    Raises:
        UserError: As there.
        KeyboardInterrupt: Asked to stop by Ctrl-C; everything is on disk and the table is printed.
        Interrupted: The same by SIGTERM or SIGHUP.
    """
    root = Path(cfg.root).expanduser()
    if cfg.apply is not None:
        with _alone(root):
            return _apply(root, cfg.apply)
    held = None if cfg.against is None else held_out.load(str(cfg.against), root)
    if cfg.source == "folder":
        own_pictures.check(str(cfg.path), root)
        own_pictures.count(str(cfg.path), cfg.emotion)  # a mistake in it is told before anything is made
    screen = _screen(cfg)
    _make(root)
    with _alone(root), interruption() as stop:
        manifest = Manifest.open(root)
        before = len(manifest.lines())
        _check_cut(root, manifest, screen)
        collector = Collector(root, screen, manifest, held)
        _save_contract(root, cfg.crop_margin, manifest)
        emotions = [cfg.emotion] if cfg.emotion else list(EMOTIONS)
        notes = _SOURCES[cfg.source](cfg, root, collector, emotions, stop)
        _save_contract(root, cfg.crop_margin, manifest)
        outcome = table.count(manifest.records())
        review.write(root, manifest.records(), only_missing=len(manifest.lines()) == before)
    table.show(outcome)
    if collector.unrecorded:
        notes.append(
            f"{len(collector.unrecorded):,} more pictures lie in {root} without a record: they were not collected, and "
            f"count as you sorted them"
        )
    for note in notes:
        print(note)
    _say_next(cfg, root, outcome)
    if stop.signal is not None:
        print("interrupted; the same command goes on from here")
        raise KeyboardInterrupt if stop.signal == signal.SIGINT else Interrupted
    return outcome


# ------------------------------------------------------------------------------------------------------ the folder


def _make(root: Path) -> None:
    try:
        (root / searching.STAGING).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"root: '{root}' cannot be made ({error.strerror}); set root=... to another place") from None


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold a folder while it is collected in.

    Raises:
        UserError: Another process does, or there is none.
    """
    if not root.is_dir():
        raise UserError(f"root: no such folder '{root}'. Set root=<where was collected to>")
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(root))
        except UserError:
            raise UserError(f"root: another collect is at work in '{root}'. Wait for its end, or stop it") from None
        except OSError as error:
            raise UserError(f"root: '{root}' cannot be written to ({error.strerror})") from None
        yield


def _screen(cfg: DictConfig) -> Screen:
    return Screen(
        contract=Contract(cfg.size, cfg.size, cfg.colour, float(cfg.crop_margin), cfg.interpolation),
        faces=cfg.faces,
        min_face=cfg.min_face,
        min_sharpness=cfg.min_sharpness,
        max_pixels=cfg.max_pixels,
        **cfg.detector,
    )


def _check_cut(root: Path, manifest: Manifest, screen: Screen) -> None:
    """A dataset's pictures are cut alike, or the cut gives the class away.

    Raises:
        UserError: Those that are there are cut otherwise.
    """
    last = next((r for r in reversed(manifest.records()) if r["decision"] == KEPT and r.get("crop")), None)
    if last is None:
        return
    for key, wanted in screen.cut.items():
        there = last["crop"].get(key)
        if there != wanted:
            raise UserError(
                f"{key}: the pictures in '{root}' were made with {key}={there}, now it is {wanted}. "
                f"Give {key}={there}, or set root=... to another folder"
            )


def _save_contract(root: Path, margin: float, manifest: Manifest) -> None:
    there = CropMargin.load(root)
    if there is not None and there.source != _OURS:  # measured since, which is nearer to the truth
        return
    kept = sum(record["decision"] == KEPT for record in manifest.records())
    CropMargin(float(margin), _OURS, kept).save(root)


def _apply(root: Path, given: object) -> Outcome:
    manifest = Manifest.open(root)
    for line in decisions.apply(root, manifest, given):
        print(line)
    outcome = table.count(manifest.records())
    table.show(outcome)
    _say_audit(root)
    return outcome


# ----------------------------------------------------------------------------------------------------- the sources


def _from_folder(cfg: DictConfig, root: Path, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    counts = own_pictures.count(str(cfg.path), cfg.emotion)
    if not counts:
        raise UserError(f"path: no pictures in '{cfg.path}'" + (f" of {cfg.emotion}" if cfg.emotion else ""))
    total: dict[str, int | None] = dict(counts)
    return _take_all(own_pictures.pictures(str(cfg.path), cfg.emotion, collector), total, collector, stop)


def _from_video(cfg: DictConfig, root: Path, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    frames = own_pictures.frames(str(cfg.path), cfg.emotion, cfg.stride, collector, stop)
    return _take_all(frames, {cfg.emotion: None}, collector, stop)


def _take_all(found: Iterator[Candidate], total: dict[str, int | None], collector: Collector, stop: Stop) -> list[str]:
    new = 0
    with progress.shown(total, collector.kept) as bars:
        for candidate in found:
            bars.add(collector.take(candidate))
            new += 1
            if stop():
                break
    return [] if new else ["Nothing to do: every picture there is in the manifest already."]


def _from_camera(cfg: DictConfig, root: Path, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    from emotion.collect import camera

    camera.label(0 if cfg.path is None else cfg.path, collector, stop)
    return []


_SOURCES = {"bing": searching.search_all, "folder": _from_folder, "video": _from_video, "camera": _from_camera}


# ------------------------------------------------------------------------------------------------------ what is next


def _say_next(cfg: DictConfig, root: Path, outcome: Outcome) -> None:
    unreviewed = sum(row.unreviewed for row in outcome.rows)
    waiting = sum(row.quarantined for row in outcome.rows)
    if unreviewed or waiting:
        rows = [row.emotion for row in outcome.rows if row.unreviewed or row.quarantined]
        print(
            f"\n{unreviewed:,} labels are only what was searched for, {waiting:,} pictures are in quarantine. Look:\n"
            + "\n".join(f"  {(root / review.name(e)).absolute().as_uri()}" for e in rows)
            + f"\nthen apply what these pages save:\n  python -m emotion.collect {typed('root', root)} "
            + "'apply=<where you saved it>/decisions-*.json'"
        )
    _say_audit(root)


def _say_audit(root: Path) -> None:
    for number, command in enumerate(("audit", "train")):
        print("\n" * (not number) + f"python -m emotion.{command} dataset=folder {typed('dataset.root', root)}")
