"""Image search for several emotions at once: what was found before, then query after query until enough is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.base.interrupts import Stop
from emotion.collect import progress
from emotion.collect.collector import Collector
from emotion.collect.progress import Bars

if TYPE_CHECKING:
    from emotion.collect import bing

log = logging.getLogger("emotion.collect")

STAGING = ".staging"


def search_all(cfg: DictConfig, root: Path, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    """Search for several emotions side by side, until enough of each is kept or nothing more comes.

    Returns:
        What there is to say afterwards.

    Raises:
        UserError: An emotion without queries, or a folder that cannot be written to.
    """
    from emotion.collect import bing

    asked = {e: [str(q) for q in cfg.queries.get(e) or ()] for e in emotions}
    for emotion in emotions:
        if not asked[emotion]:
            raise UserError(f"queries.{emotion}: nothing to search for. Set queries.{emotion}=['{emotion} face']")
    wanted, staging = cfg.per_emotion, root / STAGING
    bars_total: dict[str, int | None] = dict.fromkeys(emotions, wanted)
    with progress.shown(bars_total, collector.kept) as bars:
        for candidate in bing.staged(staging):
            if candidate.key in collector:
                bing.discard(candidate)
            elif candidate.emotion in emotions and collector.kept(candidate.emotion) < wanted and not stop():
                bars.add(collector.take(candidate))
                bing.discard(candidate)
        short = [e for e in emotions if collector.kept(e) < wanted]
        if not short:
            return [f"Nothing to do: {wanted:,} pictures of each emotion that was asked for are there."]
        settings = bing.Settings(**cfg.search, max_pixels=cfg.max_pixels)
        remarks: list[str] = []
        failed = False

        def stopping() -> bool:
            return failed or stop()

        with ThreadPoolExecutor(cfg.search.parallel) as pool:
            work = [
                pool.submit(_search, e, asked[e], wanted, settings, staging, collector, bars, stopping, remarks)
                for e in short
            ]
            pending = set(work)
            while pending:
                done, pending = wait(pending, timeout=0.5)
                failed = failed or any(each.exception() is not None for each in done)
            for each in work:
                each.result()
    return [*remarks, *_shortages(cfg, collector, short, stop)]


def _search(
    emotion: str,
    queries: Sequence[str],
    wanted: int,
    settings: bing.Settings,
    staging: Path,
    collector: Collector,
    bars: Bars,
    stop: Callable[[], bool],
    remarks: list[str],
) -> None:
    """Search for one emotion until enough is kept."""
    from emotion.collect import bing

    def again(url: str) -> None:
        collector.again(url, emotion)

    for query in queries:
        if stop() or collector.kept(emotion) >= wanted:
            return
        try:
            found = bing.search(emotion, query, settings, staging, collector, stop, again)
            with closing(found):  # type: ignore[type-var]
                for candidate in found:
                    bars.add(collector.take(candidate))
                    if candidate.path is not None:
                        bing.discard(candidate)
                    if stop() or collector.kept(emotion) >= wanted:
                        return
        except bing.OutOfTime as error:
            remarks.append(f"{emotion}: {error}")
            return
        except bing.GaveUp as error:
            log.warning("%s: %s", emotion, error)


def _shortages(cfg: DictConfig, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    short = {e: n for e in emotions if (n := collector.kept(e)) < cfg.per_emotion}
    if not short or stop():
        return []
    few = ", ".join(f"{e} {n:,}" for e, n in short.items())
    return [
        f"Fewer than per_emotion={cfg.per_emotion:,}: {few}. Search gives only so many a query: add phrasings "
        f"(queries.{next(iter(short))}=[...]), ask for less (search.size=null, search.face=null, min_face=...), or add "
        f"your own pictures (source=folder path=...)"
    ]
