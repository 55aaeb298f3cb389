"""One query's results: bing-image-downloader 1.1.3 with its faults put right from outside.

Its ``Bing.run`` asks for a page of results and cuts the links out, its ``Bing.download_image`` takes a link; what
:class:`Results` overrides is how pages follow each other and how bytes are had and kept.
"""

from __future__ import annotations

import importlib.util
import io
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from emotion.base.errors import UserError
from emotion.collect import bing_page, bing_staging, picture_header
from emotion.collect.addresses import normalised
from emotion.collect.bing_settings import Settings
from emotion.collect.candidates import Candidate
from emotion.collect.fetching import Fetcher, FetchError

_PAGE = 50  # results asked for at once; Bing gives what it likes
_MOST_PAGE_BYTES = 8_000_000
_LONGEST_ODD = 300  # characters of an address that is none, say a whole picture as data:


def _package() -> ModuleType:
    """A copy of the package's module for us alone, which prints nothing and opens what we open for it.

    The file is run by itself because the package's ``__init__`` first tries any module that is called ``bing``. The
    names that are put into it are nobody else's, so threads and other users of the package notice nothing.
    """
    found = importlib.util.find_spec("bing_image_downloader")
    if found is None or found.origin is None:
        raise UserError('bing-image-downloader is missing. Run: pip install "bing-image-downloader>=1.1.3,<1.2"')
    path = Path(found.origin).with_name("bing.py")
    spec = importlib.util.spec_from_file_location(f"{__name__}.bing_image_downloader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["print"] = lambda *args, **options: None
    request = SimpleNamespace(Request=urllib.request.Request, urlopen=lambda asked, timeout: timeout(asked))
    vars(module)["urllib"] = SimpleNamespace(request=request, parse=urllib.parse)
    return module


_Bing: Any = _package().Bing


class Results(_Bing):
    """What Bing finds for one query, page by page; not for several threads."""

    def __init__(self, query: str, settings: Settings, staging: Path, fetcher: Fetcher) -> None:
        adult = "strict" if settings.adult_filter else "off"  # the package's "on" is not one of Bing's words
        super().__init__(query, _PAGE, staging, adult, settings.timeout, verbose=False)
        self.timeout = self._open_page  # the package hands it on to urlopen, unread
        self.headers["Accept-Encoding"] = "identity"  # "none" is no encoding
        self._settings = settings
        self._fetcher = fetcher
        self._facts: dict[str, bing_page.Facts] = {}
        self._links: list[str] = []
        self.shown = 0  # results on all pages so far, repeated ones too
        self._shown = 0
        self._wanted = Candidate("", "", "bing", None)
        self._outcome: Candidate | Exception | None = None

    # ------------------------------------------------------------------------------------------------- the pages

    def next_page(self) -> list[str]:
        """Links that no earlier page had.

        Raises:
            FetchError: The page could not be had.
            Stopped: See :meth:`Fetcher.get`.
        """
        self._links, self._shown = [], 0
        self.download_count = 0  # or `run` asks for nothing, once it has what it believes to be enough
        self.run()
        # The package counts pages, so that each would show again what the one before showed. Bing counts results.
        self.page_counter += self._shown or _PAGE
        self.shown += self._shown
        return self._links

    def get_filter(self, shorthand: str) -> str:
        return self._settings.filters

    def download_image(self, link: str) -> None:
        """Called by ``run`` with each new link: nothing is downloaded before it is asked for, so ``run`` ends here."""
        self._links.append(link)

    def _open_page(self, request: urllib.request.Request) -> io.BytesIO:
        body = self._fetcher.get(request.full_url, dict(request.header_items()), _MOST_PAGE_BYTES)
        html = body.decode("utf-8", "replace")  # the package fails at a single wrong byte
        self._facts.update(bing_page.facts(html))
        self._shown = bing_page.count(html)
        return io.BytesIO(html.encode())

    # ---------------------------------------------------------------------------------------------- the pictures

    def candidate(self, link: str, emotion: str) -> Candidate:
        """What is known of a link before its picture is downloaded."""
        url = bing_page.image_url(link, self._facts)
        failure = None
        try:
            url = normalised(url)
        except ValueError as error:
            url, failure = url[:_LONGEST_ODD], str(error)
        facts = self._facts.get(link)
        return Candidate(
            key=url,
            emotion=emotion,
            source="bing",
            path=None,
            failure=failure,
            query=self.query,
            page_url=facts.page_url if facts else None,
            image_url=url,
            title=facts.title if facts else None,
            licence=self._settings.licence,
        )

    def download(self, wanted: Candidate) -> Candidate:
        """Download a candidate's picture into the staging folder.

        Raises:
            Stopped: See :meth:`Fetcher.get`.
            UserError: The folder cannot be written to.
        """
        self._wanted, self._outcome = wanted, None
        super().download_image(wanted.key)
        if isinstance(self._outcome, FetchError):
            return replace(wanted, failure=self._outcome.reason)
        if isinstance(self._outcome, Candidate):
            return self._outcome
        raise self._outcome or AssertionError(f"the package did not try {wanted.key}")

    def save_image(self, link: str, file_path: Path) -> None:
        """Called by the package, which prints and forgets what is raised here; its own escapes the address twice,
        and neither bounds nor checks what comes."""
        try:
            data = self._fetcher.get(link, self.headers, self._settings.max_bytes, patient=False)
            self._outcome = bing_staging.write(self.output_dir, self._wanted, data, self._extension(data))
        except Exception as error:
            self._outcome = error
            raise

    def _extension(self, data: bytes) -> str:
        header = picture_header.read(data)
        if header is None:
            raise FetchError("not a picture")
        if header.width * header.height > self._settings.max_pixels:
            raise FetchError("too many pixels")
        return header.extension
