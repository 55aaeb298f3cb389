"""Image search by bing-image-downloader: a faulty page or host costs one image at most.

settings = bing.Settings(licence="public")  # one for a whole command: its clock starts now
for candidate in bing.staged(staging): ...  # what an interrupted command had downloaded
for candidate in bing.search("happy", "happy face", settings, staging, known, stop): ...
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator
from pathlib import Path

from emotion.collect import bing_staging
from emotion.collect.bing_results import Results
from emotion.collect.bing_settings import Settings
from emotion.collect.bing_staging import discard, staged
from emotion.collect.candidates import Candidate
from emotion.collect.fetching import Fetcher, FetchError, Stopped

__all__ = ["GaveUp", "OutOfTime", "Settings", "discard", "search", "staged"]

_BARREN_PAGES = 3  # pages in a row without a new link, after which a query is exhausted


class GaveUp(Exception):  # noqa: N818 - a query gives up, nothing is wrong
    """This query cannot continue; what it had found before was yielded. The message is one line for the log."""


class OutOfTime(GaveUp):
    """The whole command's time is up: no other query needs to be tried."""


def search(
    emotion: str,
    query: str,
    settings: Settings,
    staging: Path,
    known: Container[str],
    stop: Callable[[], bool],
    again: Callable[[str], None] = lambda url: None,
) -> Generator[Candidate, None, None]:
    """Search, and download one image each time that the next one is asked for.

    It ends when Bing shows nothing new on three pages in a row, or soon after ``stop()`` is true. Searches may run in
    several threads; an address that two of them find is downloaded by one.

    Args:
        emotion: What the images are collected for.
        query: Words for Bing.
        settings: Shared by all searches of a command.
        staging: Where images are stored; see :mod:`emotion.collect.bing_staging`.
        known: Addresses (candidates' ``key``) that need no request.
        stop: Polled 20 times a second.
        again: Called with each address that is skipped because it is ``known`` or another search has it.

    Yields:
        Candidates, with a staged file or with a ``failure``: one of the reasons of
        :mod:`emotion.collect.fetching`, ``not a picture`` or ``too many pixels``.

    Raises:
        GaveUp: Bing's page could not be downloaded, or shows no result that the package can read.
        OutOfTime: ``settings.deadline`` is over.
        UserError: The staging folder cannot be written to.
    """
    results = Results(query, settings, staging, Fetcher(settings, stop))
    barren = 0
    try:
        while barren < _BARREN_PAGES:
            links = results.next_page()
            barren = 0 if links else barren + 1
            for link in links:
                wanted = results.candidate(link, emotion)
                candidate = None if wanted.key in known else _download(wanted, results, settings, staging)
                if candidate is None:
                    again(wanted.key)
                else:
                    yield candidate
        if not results.shown:
            raise GaveUp(f"'{query}': Bing shows no results, or no longer as bing-image-downloader reads them")
    except FetchError as failure:
        raise GaveUp(f"'{query}': Bing's results cannot be downloaded ({failure.reason})") from None
    except Stopped:
        if settings.expired:
            raise OutOfTime(f"'{query}': the time limit of the whole collection (search.deadline) is reached") from None


def _download(wanted: Candidate, results: Results, settings: Settings, staging: Path) -> Candidate | None:
    """The candidate with its image or its failure; None where it is another search's."""
    if settings.claims.setdefault(wanted.key, wanted) is not wanted:  # atomic
        return None
    if wanted.failure is not None:
        return wanted
    earlier = bing_staging.read(staging, wanted.key)
    if earlier is not None:
        return earlier if earlier.emotion == wanted.emotion else None
    try:
        return results.download(wanted)
    except BaseException:
        del settings.claims[wanted.key]
        raise
