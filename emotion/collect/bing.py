"""Image search by bing-image-downloader: a faulty page or host costs one image at most.

The package asks Bing for a page of results and cuts the images' addresses out by a regular expression;
:class:`emotion.collect.fetching.Fetcher` downloads pages and images. Each result has an attribute ``m="{escaped
JSON}"`` with the image's address (``murl``), the page that shows it (``purl``) and a title (``t``).
"""

from __future__ import annotations

import html
import importlib.util
import io
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Container, Generator
from dataclasses import dataclass, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate, read_staged, stage
from emotion.collect.fetching import Fetcher, FetchError, Settings, Stopped, normalised
from emotion.faces import decoding

_BARREN_PAGES = 3  # pages in a row without a new link, after which a query is exhausted
_PAGE = 50  # results per request; Bing may send fewer
_MAX_PAGE_BYTES = 8_000_000
_MAX_INVALID = 300  # characters that are kept of an invalid address, which may be a whole image as data:
#: ``search.licence`` -> Bing's name for it; ``any`` filters nothing.
_LICENCES = {
    "any": None,
    "creative_commons": "licenseType-Any",
    "public": "license-L1",
    "share": "license-L2_L3_L4_L5_L6_L7",
    "share_commercially": "license-L2_L3_L4",
    "modify": "license-L2_L3_L5_L6",
    "modify_commercially": "license-L2_L3",
}


class GaveUp(Exception):  # noqa: N818 - a query gives up, nothing is wrong
    """This query cannot continue; its candidates so far were yielded. The message is one line for the log."""


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
        emotion, query: What the images are collected for, and the words for Bing.
        settings, staging: Shared by all searches of a command; see :mod:`emotion.collect.candidates`.
        known: Addresses (candidates' ``key``) that need no request.
        stop: Polled 20 times a second.
        again: Called with each address that is skipped because it is ``known`` or another search has it.

    Yields:
        Candidates, with a staged file or with a ``failure``.

    Raises:
        GaveUp: Bing's page could not be downloaded, or shows no result that the package can read.
        OutOfTime: ``settings.deadline`` is over.
        UserError: The staging folder cannot be written to.
    """
    results = _Results(emotion, query, settings, staging, Fetcher(settings, stop))
    barren = 0
    try:
        while barren < _BARREN_PAGES:
            links = results.next_page()
            barren = 0 if links else barren + 1
            for link in links:
                wanted = results.candidate(link)
                if wanted.key not in known and (candidate := results.download(wanted)):
                    yield candidate
                else:
                    again(wanted.key)
        if not results.shown:
            raise GaveUp(f"'{query}': Bing shows no results, or no longer as bing-image-downloader reads them")
    except FetchError as failure:
        raise GaveUp(f"'{query}': Bing's results cannot be downloaded ({failure.reason})") from None
    except Stopped:
        if settings.expired:
            raise OutOfTime(f"'{query}': the time limit of the whole collection (search.deadline) is reached") from None


class _Results:
    """What Bing finds for one query, page by page; not for several threads.

    Attributes:
        shown: Results on all pages so far, repeated ones included.
    """

    def __init__(self, emotion: str, query: str, settings: Settings, staging: Path, fetcher: Fetcher) -> None:
        self._settings, self._staging, self._fetcher = settings, staging, fetcher
        self._candidate = Candidate("", emotion, "bing", None, query=query, licence=settings.licence)
        self._facts: dict[str, Facts] = {}
        self._links: list[str] = []
        self.shown = 0
        adult = "strict" if settings.adult_filter else "off"  # the package's "on" is not one of Bing's words
        module = _private_module(self._open_page)
        self._bing = module.Bing(query, _PAGE, staging, adult, settings.timeout, verbose=False)
        self._bing.headers["Accept-Encoding"] = "identity"  # the package's "none" is no encoding
        self._bing.get_filter = lambda shorthand: _filters(settings)
        self._bing.download_image = self._links.append  # so that `run` ends after a page, as nothing was downloaded

    def next_page(self) -> list[str]:
        """Links that no earlier page had."""
        before = self.shown
        self._links.clear()
        self._bing.run()
        # The package counts pages, so that each would repeat most of the one before. Bing counts results.
        self._bing.page_counter += (self.shown - before) or _PAGE
        return list(self._links)

    def _open_page(self, request: urllib.request.Request) -> io.BytesIO:
        body = self._fetcher.get(request.full_url, self._bing.headers, _MAX_PAGE_BYTES)
        page = body.decode("utf-8", "replace")  # the package fails at a single wrong byte
        self._facts.update(facts(page))
        self.shown += count_results(page)
        return io.BytesIO(page.encode())

    def candidate(self, link: str) -> Candidate:
        """What is known of a link before its image is downloaded."""
        result = facts_of(link, self._facts)
        url, failure = result.image_url, None
        try:
            url = normalised(url)
        except ValueError as error:
            url, failure = url[:_MAX_INVALID], str(error)
        candidate = replace(self._candidate, key=url, image_url=url, failure=failure)
        return replace(candidate, page_url=result.page_url, title=result.title)

    def download(self, wanted: Candidate) -> Candidate | None:
        """The candidate with its image or its failure; None if another search has it."""
        claims = self._settings.claims
        if claims.setdefault(wanted.key, wanted) is not wanted:  # atomic
            return None
        if wanted.failure is not None:
            return wanted
        earlier = read_staged(self._staging, wanted.key)
        if earlier is not None:
            return earlier if earlier.emotion == wanted.emotion else None
        try:
            data = self._fetcher.get(wanted.key, self._bing.headers, self._settings.max_bytes, patient=False)
        except FetchError as error:
            return replace(wanted, failure=error.reason)
        except BaseException:
            del claims[wanted.key]
            raise
        header = decoding.header(data)
        if header is None:
            return replace(wanted, failure="not an image")
        if header.width * header.height > self._settings.max_pixels:
            return replace(wanted, failure="too many pixels")
        return stage(self._staging, wanted, data, header.extension)


def _filters(settings: Settings) -> str:
    """Bing's parameter ``qft``, written as the package writes it."""
    face, size = settings.face and f"face-{settings.face}", settings.size and f"imagesize-{settings.size}"
    return "".join(f"+filterui:{name}" for name in (face, _LICENCES[settings.licence], size) if name)


def _private_module(open_page: Callable[[urllib.request.Request], io.BytesIO]) -> Any:
    """A copy of the package's module that prints nothing and opens pages by a function of ours.

    The file is executed by itself because the package's ``__init__`` first tries any module that is called ``bing``.
    """
    package = importlib.util.find_spec("bing_image_downloader")
    if package is None or package.origin is None:
        raise UserError('bing-image-downloader is missing. Run: pip install "bing-image-downloader>=1.1.3,<1.2"')
    module = ModuleType("private_bing")
    SourceFileLoader(module.__name__, str(Path(package.origin).with_name("bing.py"))).exec_module(module)
    request = SimpleNamespace(Request=urllib.request.Request, urlopen=lambda asked, timeout: open_page(asked))
    vars(module).update(print=lambda *text: None, urllib=SimpleNamespace(request=request, parse=urllib.parse))
    return module


@dataclass(frozen=True)
class Facts:
    """One result: the image's address as Bing means it, the page that shows it, a title."""

    image_url: str
    page_url: str | None
    title: str | None


def count_results(page: str) -> int:
    """How many results the downloader sees on a page."""
    return page.count("murl&quot;:&quot;")


def facts(page: str) -> dict[str, Facts]:
    """Link as the downloader cuts it out -> facts. A damaged result is left out, without affecting the others."""
    by_link: dict[str, Facts] = {}
    for attribute in re.findall(r'\sm="([^"]*)"', page):
        text = html.unescape(attribute)
        link, content = re.search('"murl":"(.*?)"', text), _json(text)
        if link is not None and isinstance(content, dict) and isinstance(url := content.get("murl"), str):
            result = Facts(_clean(url), _page_url(content.get("purl")), _title(content.get("t")))
            by_link.setdefault(link[1].replace(" ", "%20"), result)
    return by_link


def facts_of(link: str, known: dict[str, Facts]) -> Facts:
    """What is known of a link of the downloader, at least its address: JSON's escapes (``\\u0026``) are still in it."""
    unescaped = _json(f'"{link}"')
    return known.get(link) or Facts(_clean(unescaped if isinstance(unescaped, str) else link), None, None)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _page_url(url: object) -> str | None:
    try:
        return normalised(_clean(url)) if isinstance(url, str) else None
    except ValueError:  # a javascript: address would run when the user clicks on it
        return None


def _title(text: object) -> str | None:
    if not isinstance(text, str):
        return None
    # Bing marks what matched by private characters.
    printable = "".join(c if c.isprintable() else " " for c in _clean(text))
    return " ".join(printable.split()) or None


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
