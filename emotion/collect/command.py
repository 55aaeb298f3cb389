"""One collect command from start to end: lock, sources, review pages, the table, and the commands to type next."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omegaconf import DictConfig

from emotion.base import locks
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, Stop, interruption
from emotion.collect import counts, decisions, held_out, image_search, local_images, review
from emotion.collect.candidates import Candidate
from emotion.collect.collector import Collector
from emotion.collect.counts import Outcome
from emotion.collect.screening import Criteria
from emotion.config.typed import as_typed
from emotion.data.crop_margin import CropMargin
from emotion.data.manifest import KEPT, Manifest
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS

_SOURCE = "emotion.collect"


def collect(cfg: DictConfig) -> Outcome:
    """See :func:`emotion.collect.collect`."""
    root = Path(cfg.root).expanduser()
    if cfg.apply is not None:
        return _apply(root, cfg.apply)
    against = None if cfg.against is None else held_out.load(str(cfg.against), root)
    if cfg.source == "folder":
        local_images.check(str(cfg.path), cfg.emotion, root)
    criteria = _criteria(cfg)
    _create(root)
    with _locked(root), interruption() as stop:
        manifest = Manifest.open(root)
        before = len(manifest.lines())
        _check_cut(root, manifest, criteria)
        collector = Collector(root, criteria, manifest, against)
        _save_contract(root, cfg.crop_margin, manifest)
        notes = _collect_from(cfg, root, collector, stop)
        _save_contract(root, cfg.crop_margin, manifest)
        outcome = counts.count(manifest.records())
        review.write(root, manifest.records(), only_missing=len(manifest.lines()) == before)
    counts.show(outcome)
    if collector.unrecorded:
        notes.append(
            f"{len(collector.unrecorded):,} more images in {root} have no record: they were not collected, and keep "
            f"the emotion of their folder"
        )
    for note in notes:
        print(note)
    _print_next(root, outcome)
    if stop.signal is not None:
        print("interrupted; the same command resumes from here")
        raise KeyboardInterrupt if stop.signal == signal.SIGINT else Interrupted
    return outcome


def _apply(root: Path, paths: object) -> Outcome:
    with _locked(root):
        manifest = Manifest.open(root)
        for line in decisions.apply(root, manifest, paths):
            print(line)
        outcome = counts.count(manifest.records())
        counts.show(outcome)
        _print_audit(root)
        return outcome


# ------------------------------------------------------------------------------------------------------ the folder


def _create(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"root: '{root}' cannot be created ({error.strerror}); set root=... to another place") from None


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold a folder's lock; UserError where another process holds it, or there is no such folder."""
    if not root.is_dir():
        raise UserError(f"root: no such folder '{root}'. Set root=<the folder of the collected images>")
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(root))
        except UserError:
            raise UserError(f"root: another collect is at work in '{root}'. Wait for its end, or stop it") from None
        except OSError as error:
            raise UserError(f"root: '{root}' cannot be written to ({error.strerror})") from None
        yield


def _criteria(cfg: DictConfig) -> Criteria:
    return Criteria(
        contract=Contract(cfg.size, cfg.size, cfg.colour, float(cfg.crop_margin), cfg.interpolation),
        faces=cfg.faces,
        min_face=cfg.min_face,
        min_sharpness=cfg.min_sharpness,
        max_pixels=cfg.max_pixels,
        **cfg.detector,
    )


def _check_cut(root: Path, manifest: Manifest, criteria: Criteria) -> None:
    """A dataset's images must be cut alike, or the cut would reveal the class: else a UserError."""
    last = next((r for r in reversed(manifest.records()) if r["decision"] == KEPT and r.get("crop")), None)
    for key, wanted in criteria.cut.items():
        there = last["crop"].get(key) if last else wanted
        if there != wanted:
            raise UserError(
                f"{key}: the images in '{root}' were made with {key}={there}, now it is {wanted}. "
                f"Give {key}={there}, or set root=... to another folder"
            )


def _save_contract(root: Path, margin: float, manifest: Manifest) -> None:
    there = CropMargin.load(root)
    if there is None or there.source == _SOURCE:  # a margin that was measured since is more accurate
        kept = sum(record["decision"] == KEPT for record in manifest.records())
        CropMargin(float(margin), _SOURCE, kept).save(root)


# ----------------------------------------------------------------------------------------------------- the sources


def _collect_from(cfg: DictConfig, root: Path, collector: Collector, stop: Stop) -> list[str]:
    """Collect from the config's source; return notes for the user."""
    if cfg.source == "bing":
        return image_search.search_all(cfg, root, collector, [cfg.emotion] if cfg.emotion else list(EMOTIONS), stop)
    if cfg.source == "camera":
        from emotion.collect import camera

        camera.label(0 if cfg.path is None else cfg.path, collector, stop)
        return []
    path = str(cfg.path)
    if cfg.source == "video":
        frames = local_images.frames(path, cfg.emotion, cfg.stride, collector, stop)
        return _take_all(frames, {cfg.emotion: None}, collector, stop)
    totals = local_images.count(path, cfg.emotion)
    return _take_all(local_images.images(path, cfg.emotion, collector), totals, collector, stop)


def _take_all(
    candidates: Iterable[Candidate], total: dict[str, int | None], collector: Collector, stop: Stop
) -> list[str]:
    note = ["Nothing to do: every image is in the manifest already."]
    with counts.progress(total, collector.kept) as counted:
        for candidate in candidates:
            counted.add(collector.take(candidate))
            note = []
            if stop():
                break
    return note


# ------------------------------------------------------------------------------------------------------ what is next


def _print_next(root: Path, outcome: Outcome) -> None:
    rows = [row for row in outcome.rows if row.unreviewed or row.quarantined]
    if rows:
        print(
            f"\n{sum(row.unreviewed for row in rows):,} labels come from the search query alone, "
            f"{sum(row.quarantined for row in rows):,} images are in quarantine. Review them:"
        )
        for row in rows:
            print(f"  {(root / review.name(row.emotion)).absolute().as_uri()}")
        print("then apply the decisions that these pages save:")
        print(f"  python -m emotion.collect {as_typed('root', root)} 'apply=<where you saved it>/decisions-*.json'")
    _print_audit(root)


def _print_audit(root: Path) -> None:
    print()
    for command in ("audit", "train"):
        print(f"python -m emotion.{command} dataset=folder {as_typed('dataset.root', root)}")
