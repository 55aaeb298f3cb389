"""Image search for several emotions at once: what was found before, then query after query until enough is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.base.interrupts import Stop
from emotion.collect import bing, counts
from emotion.collect.candidates import discard, staged
from emotion.collect.collector import Collector
from emotion.collect.counts import Counts
from emotion.collect.fetching import Settings

log = logging.getLogger("emotion.collect")

STAGING = ".staging"


def search_all(cfg: DictConfig, root: Path, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    """Search for several emotions in parallel until enough of each is kept or nothing more comes; return notes.

    Raises:
        UserError: An emotion without queries, or a folder that cannot be written to.
    """
    queries = {e: [str(q) for q in cfg.queries.get(e) or ()] for e in emotions}
    for emotion in emotions:
        if not queries[emotion]:
            raise UserError(f"queries.{emotion}: nothing to search for. Set queries.{emotion}=['{emotion} face']")
    wanted, staging = cfg.per_emotion, root / STAGING
    with counts.progress(dict.fromkeys(emotions, wanted), collector.kept) as counted:
        for candidate in staged(staging):
            if candidate.key in collector:
                discard(candidate)
            elif candidate.emotion in emotions and collector.kept(candidate.emotion) < wanted and not stop():
                counted.add(collector.take(candidate))
                discard(candidate)
        short = [e for e in emotions if collector.kept(e) < wanted]
        if not short:
            return [f"Nothing to do: {wanted:,} images of each requested emotion are there."]
        settings = Settings(**cfg.search, max_pixels=cfg.max_pixels)
        search = _Search(wanted, settings, staging, collector, counted, stop)
        with ThreadPoolExecutor(cfg.search.parallel) as pool:
            jobs = [pool.submit(search.run, emotion, queries[emotion]) for emotion in short]
            wait(jobs, return_when=FIRST_EXCEPTION)
            search.failed = any(job.done() and job.exception() is not None for job in jobs)
        for job in jobs:
            job.result()
    return [*search.notes, *_shortages(cfg, collector, short, stop)]


@dataclass
class _Search:
    """What the searches of one command share; each emotion's runs in a thread."""

    wanted: int
    settings: Settings
    staging: Path
    collector: Collector
    counted: Counts
    interrupted: Callable[[], bool]
    failed: bool = False
    notes: list[str] = field(default_factory=list)

    def run(self, emotion: str, queries: Sequence[str]) -> None:
        """Search for one emotion until enough is kept."""
        again = partial(self.collector.again, emotion=emotion)
        for query in queries:
            results = bing.search(emotion, query, self.settings, self.staging, self.collector, self.stopped, again)
            try:
                with closing(results) as candidates:
                    while not self._is_done(emotion) and (candidate := next(candidates, None)):
                        self.counted.add(self.collector.take(candidate))
                        discard(candidate)
            except bing.OutOfTime as error:
                self.notes.append(f"{emotion}: {error}")
                return
            except bing.GaveUp as error:
                log.warning("%s: %s", emotion, error)

    def stopped(self) -> bool:
        """Whether the command was interrupted, or another search has failed."""
        return self.failed or self.interrupted()

    def _is_done(self, emotion: str) -> bool:
        return self.stopped() or self.collector.kept(emotion) >= self.wanted


def _shortages(cfg: DictConfig, collector: Collector, emotions: Sequence[str], stop: Stop) -> list[str]:
    short = {e: n for e in emotions if (n := collector.kept(e)) < cfg.per_emotion}
    if not short or stop():
        return []
    kept = ", ".join(f"{e} {n:,}" for e, n in short.items())
    return [
        f"Fewer than per_emotion={cfg.per_emotion:,}: {kept}. One query finds only so many images: add phrasings "
        f"(queries.{next(iter(short))}=[...]), relax the filters (search.size=null, search.face=null, min_face=...), "
        f"or add your own images (source=folder path=...)"
    ]
