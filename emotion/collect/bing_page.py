"""Where pictures come from, as Bing's page of results tells it.

Each result is ``<a class="iusc" m="{escaped JSON}">`` with the picture's address (``murl``), the page that shows it
(``purl``) and a title (``t``). The downloader takes the address alone, by a regular expression.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from emotion.collect.addresses import normalised


@dataclass(frozen=True)
class Facts:
    """One result: the picture's address as Bing means it, the page that shows it, a title."""

    image_url: str
    page_url: str | None
    title: str | None


def count(html: str) -> int:
    """How many results the downloader sees on a page."""
    return html.count("murl&quot;:&quot;")


def facts(html: str) -> dict[str, Facts]:
    """Link as the downloader cuts it out -> facts. A damaged result is left out, and costs no other."""
    results = _Results()
    with suppress(AssertionError):  # how html.parser gives up
        results.feed(html)
        results.close()
    found: dict[str, Facts] = {}
    for text in results.found:
        link = re.search('"murl":"(.*?)"', text)
        content = _json(text)
        if link is None or not isinstance(content, dict) or not isinstance(content.get("murl"), str):
            continue
        result = Facts(_clean(content["murl"]), _page(content.get("purl")), _title(content.get("t")))
        found.setdefault(link[1].replace(" ", "%20"), result)
    return found


def image_url(link: str, known: dict[str, Facts]) -> str:
    """The picture's address that a link of the downloader stands for: it leaves JSON's escapes (``\\u0026``) in."""
    if link in known:
        return known[link].image_url
    unescaped = _json(f'"{link}"')
    return _clean(unescaped if isinstance(unescaped, str) else link)


class _Results(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and "iusc" in (values.get("class") or "").split():
            self.found.append(values.get("m") or "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _page(url: Any) -> str | None:
    try:
        return normalised(_clean(url))
    except (TypeError, ValueError):  # a page of javascript: would run in whoever clicks on it
        return None


def _title(text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    shown = "".join(c if c.isprintable() else " " for c in _clean(text))  # with Bing's private marks of what matched
    return " ".join(shown.split()) or None


def _clean(text: str) -> str:
    """Without halves of characters, which JSON can hold and UTF-8 cannot."""
    if not isinstance(text, str):
        raise TypeError(type(text))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
