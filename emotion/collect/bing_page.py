"""Where images come from, according to Bing's page of results.

Each result has an attribute ``m="{escaped JSON}"`` with the image's address (``murl``), the page that shows it
(``purl``) and a title (``t``). The downloader takes the address alone, by a regular expression.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from emotion.collect.addresses import normalised


@dataclass(frozen=True)
class Facts:
    """One result: the image's address as Bing means it, the page that shows it, a title."""

    image_url: str
    page_url: str | None
    title: str | None


def count(page: str) -> int:
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
    shown = "".join(
        c if c.isprintable() else " " for c in _clean(text)
    )  # Bing marks what matched by private characters
    return " ".join(shown.split()) or None


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
