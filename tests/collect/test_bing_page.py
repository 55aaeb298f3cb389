from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.collect import bing
from tests.helpers.bing_server import Entry, page_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4, unique_by=lambda r: r[0]))
def test_facts_are_found_by_the_links_that_the_package_cuts_out(results: list[tuple[str, str]]) -> None:
    page = page_of([(f"http://h.test/{url}", Entry("", title=title)) for url, title in results], broken=False)
    cut = [html.unescape(link).replace(" ", "%20") for link in re.findall("murl&quot;:&quot;(.*?)&quot;", page)]
    facts = bing.facts(page)
    if len(set(cut)) == len(cut):
        assert [bing.facts_of(link, facts).image_url for link in cut] == [f"http://h.test/{url}" for url, _ in results]
    assert bing.count_results(page) == len(cut) == len(results)


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_page_is_read_without_an_error(before: str, inside: str) -> None:
    good = page_of([("http://h.test/a.jpg", Entry("a.jpg", title="told"))], broken=False)
    facts = bing.facts(f'{good}<a class="iusc" m="{inside}">{before}')
    assert facts["http://h.test/a.jpg"].title == "told"


@pytest.mark.parametrize(
    ("said", "page", "title"),
    [
        ({"purl": "javascript:alert(1)", "t": 5}, None, None),
        ({"purl": None, "t": ["x"]}, None, None),
        ({"purl": "HTTPS://Pages.test/ä", "t": " \ud800 half "}, "https://pages.test/%C3%A4", "\ufffd half"),
    ],
)
def test_what_bing_says_is_not_believed_blindly(said: dict[str, Any], page: str | None, title: str | None) -> None:
    text = json.dumps({"murl": "http://h.test/a.jpg", **said}, separators=(",", ":"))
    facts = bing.facts(f'<a class="thumb iusc" m="{html.escape(text)}">')
    assert facts == {"http://h.test/a.jpg": bing.Facts("http://h.test/a.jpg", page, title)}


def test_json_escapes_in_links_are_undone_without_facts() -> None:
    assert bing.facts_of(r"http://h.test/a?b=1\u0026c=2", {}).image_url == "http://h.test/a?b=1&c=2"
    assert bing.facts_of("http://h.test/\\", {}).image_url == "http://h.test/\\"
