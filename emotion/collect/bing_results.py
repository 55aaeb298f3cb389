"""One query's results: bing-image-downloader asks for a page of them and cuts the links out, we download the images."""

from __future__ import annotations

import importlib.util
import io
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from emotion.base.errors import UserError
from emotion.collect import bing_page, bing_staging, image_header
from emotion.collect.addresses import normalised
from emotion.collect.bing_settings import Settings
from emotion.collect.candidates import Candidate
from emotion.collect.fetching import Fetcher, FetchError

_PAGE = 50  # results per request; Bing may send fewer
_MAX_PAGE_BYTES = 8_000_000
_MAX_INVALID = 300  # characters that are kept of an invalid address, which may be a whole image as data:


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


class Results:
    """What Bing finds for one query, page by page; not for several threads.

    Attributes:
        shown: Results on all pages so far, repeated ones included.
    """

    def __init__(self, query: str, settings: Settings, staging: Path, fetcher: Fetcher) -> None:
        self._query, self._settings, self._staging, self._fetcher = query, settings, staging, fetcher
        self._facts: dict[str, bing_page.Facts] = {}
        self._links: list[str] = []
        self.shown = 0
        adult = "strict" if settings.adult_filter else "off"  # the package's "on" is not one of Bing's words
        module = _private_module(self._open_page)
        self._bing = module.Bing(query, _PAGE, staging, adult, settings.timeout, verbose=False)
        self._bing.headers["Accept-Encoding"] = "identity"  # the package's "none" is no encoding
        self._bing.get_filter = lambda shorthand: settings.filters
        self._bing.download_image = self._links.append  # so that `run` ends after a page, as nothing was downloaded

    def next_page(self) -> list[str]:
        """Links that no earlier page had.

        Raises:
            FetchError: The page could not be downloaded.
            Stopped: See :meth:`Fetcher.get`.
        """
        before = self.shown
        self._links.clear()
        self._bing.run()
        # The package counts pages, so that each would repeat most of the one before. Bing counts results.
        self._bing.page_counter += (self.shown - before) or _PAGE
        return list(self._links)

    def _open_page(self, request: urllib.request.Request) -> io.BytesIO:
        body = self._fetcher.get(request.full_url, self._bing.headers, _MAX_PAGE_BYTES)
        page = body.decode("utf-8", "replace")  # the package fails at a single wrong byte
        self._facts.update(bing_page.facts(page))
        self.shown += bing_page.count(page)
        return io.BytesIO(page.encode())

    def candidate(self, link: str, emotion: str) -> Candidate:
        """What is known of a link before its image is downloaded."""
        url, failure = bing_page.image_url(link, self._facts), None
        try:
            url = normalised(url)
        except ValueError as error:
            url, failure = url[:_MAX_INVALID], str(error)
        facts = self._facts.get(link)
        return Candidate(
            key=url,
            emotion=emotion,
            source="bing",
            path=None,
            failure=failure,
            query=self._query,
            page_url=facts.page_url if facts else None,
            image_url=url,
            title=facts.title if facts else None,
            licence=self._settings.licence,
        )

    def download(self, candidate: Candidate) -> Candidate:
        """Download a candidate's image into the staging folder; where that fails, the candidate says why.

        Raises:
            Stopped: See :meth:`Fetcher.get`.
            UserError: The folder cannot be written to.
        """
        try:
            data = self._fetcher.get(candidate.key, self._bing.headers, self._settings.max_bytes, patient=False)
        except FetchError as error:
            return replace(candidate, failure=error.reason)
        header = image_header.read(data)
        if header is None:
            return replace(candidate, failure="not a picture")
        if header.width * header.height > self._settings.max_pixels:
            return replace(candidate, failure="too many pixels")
        return bing_staging.write(self._staging, candidate, data, header.extension)
