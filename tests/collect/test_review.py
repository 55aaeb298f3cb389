"""The review page in a real browser, and what becomes of the decisions that it saves."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emotion.base.errors import UserError
from emotion.data.manifest import Manifest, unreviewed
from tests.collect.test_collect import QUICK, asked
from tests.helpers import chromium
from tests.helpers.bing_server import BingServer, Entry
from tests.helpers.collected import collected, from_folder, jpeg, lines, own, pictures, quarantined

_ODD = """<script>alert("x")</script> & 'quoted' 表情 "</button>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four happy faces from search, and one that is in quarantine as it was found for sad too."""
    happy = [Entry(f"{i}.jpg", jpeg(i), title=_ODD) for i in range(4)] + [Entry("both.jpg", jpeg(4))]
    with BingServer({"happy": happy, "sad": [Entry("both2.jpg", jpeg(4))]}) as server, server.installed():
        collected(tmp_path / "data", *QUICK, *asked())
    assert (len(pictures(tmp_path / "data")), len(quarantined(tmp_path / "data"))) == (4, 2)
    return tmp_path / "data"


def saved(root: Path, path: Path, rejected: int = 1, accepted: bool = False) -> Path:
    """A decisions file as the page of ``happy`` saves it."""
    records = [r for r in Manifest.open(root).records() if r.get("file", "") and r["emotion"] == "happy"]
    kept = [r for r in records if r["decision"] == "kept"]
    decisions = [
        {"file": r["file"], "shown": "kept", "decision": "rejected" if i < rejected else "accepted"}
        for i, r in enumerate(kept)
    ]
    if accepted:
        waiting = [r for r in records if r["decision"] == "quarantined"]
        decisions += [{"file": r["file"], "shown": "quarantined", "decision": "accepted"} for r in waiting]
    path.write_text(json.dumps({"emotion": "happy", "made": "a", "saved": "2026", "decisions": decisions}))
    return path


@pytest.mark.slow
def test_clicks_become_decisions(root: Path, tmp_path: Path) -> None:
    with chromium.opened(root / "review-happy.html", tmp_path) as page:
        shown = page.evaluate("[...document.images].map((i) => [i.complete, i.naturalWidth])")
        assert shown == [[True, 96]] * 5
        assert "0 of 4 rejected" in page.evaluate("document.getElementById('tally').textContent")
        files = page.evaluate("[...document.querySelectorAll('.sheet button')].map((b) => b.dataset.file)")
        page.evaluate("document.querySelectorAll('.kept button')[0].click()")
        page.evaluate("document.querySelectorAll('.kept button')[1].click()")
        page.evaluate("document.querySelectorAll('.kept button')[1].click()")
        page.evaluate("document.querySelectorAll('.kept button')[1].focus()")
        page.press("ArrowRight")
        page.press("x")
        page.evaluate("document.querySelector('.quarantined button').click()")
        assert "2 of 4 rejected, 1 accepted" in page.evaluate("document.getElementById('tally').textContent")
        assert page.evaluate("document.activeElement.title").startswith(_ODD)
        assert "pages.test" in page.evaluate("document.getElementById('about').textContent")
        page.evaluate("document.getElementById('save').click()")
        decisions = page.downloaded("decisions-happy.json")
        assert page.complaints == []
    outcome = collected(root, f"apply={decisions}")
    assert (outcome["happy"].kept, outcome["happy"].unreviewed) == (3, 0)
    assert quarantined(root) >= {files[0], files[2]}
    assert pictures(root) == {files[1], files[3], files[4]}
    with chromium.opened(root / "review-happy.html", tmp_path) as page:
        assert page.evaluate("document.querySelectorAll('.rejected button').length") == 2


@pytest.mark.slow
def test_the_page_is_whole_and_loads_nothing(root: Path) -> None:
    class Parser(HTMLParser):
        open: list[str] = []  # noqa: RUF012
        addresses: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
            if tag not in ("meta", "img", "input"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    parser = Parser()
    parser.feed((root / "review-happy.html").read_text())
    assert parser.open == []
    assert len(parser.addresses) == 5
    assert all(address.startswith("data:image/jpeg;base64,") for address in parser.addresses)


@pytest.mark.slow
def test_decisions_are_applied_once(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pictures(root)
    path = saved(root, tmp_path / "decisions-happy.json", rejected=2, accepted=True)
    outcome = collected(root, f"apply={path}")
    assert (outcome["happy"].kept, outcome["happy"].rejected) == (3, {"rejected by a person": 2})
    assert unreviewed(root) == frozenset()
    assert len(pictures(root) - before) == 1
    assert len(pictures(root)) + len(quarantined(root)) == 6  # nothing is deleted
    assert "3 images accepted, 2 rejected" in capsys.readouterr().out
    count = len(lines(root))
    collected(root, f"apply={path}")
    assert len(lines(root)) == count
    assert "applied already" in capsys.readouterr().out
    # A rejected picture is not collected again, and an accepted one is not put in doubt.
    with BingServer({"sad": [Entry(f"again{i}.jpg", jpeg(i)) for i in range(4)]}) as server, server.installed():
        after = collected(root, *QUICK, *asked("sad"))
    assert after["happy"].kept == 3
    assert after["sad"].quarantined == 3  # two accepted as happy, and the one that was there


@pytest.mark.slow
def test_a_glob_takes_the_newest_of_each_emotion(root: Path, tmp_path: Path) -> None:
    old, new = saved(root, tmp_path / "decisions-happy.json"), saved(root, tmp_path / "decisions-happy (1).json", 0)
    new.write_text(new.read_text().replace('"2026"', '"2027"'))
    assert collected(root, f"apply='{tmp_path}/decisions-*.json'")["happy"].rejected == {}
    assert old.exists()


@pytest.mark.slow
def test_decisions_that_do_not_fit_change_nothing(root: Path, tmp_path: Path) -> None:
    path = saved(root, tmp_path / "decisions-happy.json")
    other = tmp_path / "other"
    from_folder(other, own(tmp_path / "own", happy=range(20, 22)))
    with pytest.raises(UserError, match=r"is of another dataset than '.*other'"):
        collected(other, f"apply={path}")
    file = sorted(pictures(root))[-1]
    Manifest.open(root).append({"event": "quarantine", "file": file, "reason": "label conflict with sad/x.png"})
    count = len(lines(root))
    with pytest.raises(UserError, match=r"is older than later changes: .* is now quarantined"):
        collected(root, f"apply={path}")
    assert len(lines(root)) == count
    for content in ("{", "[]", "{}", '{"emotion": "happy", "saved": "", "decisions": [1]}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"apply: .*decisions-happy\.json"):
            collected(root, f"apply={path}")
    path.write_text('{"emotion": "hapy", "saved": "", "decisions": []}')
    with pytest.raises(UserError, match="emotion is 'hapy'"):
        collected(root, f"apply={path}")
    with pytest.raises(UserError, match=r"no such file .*~/Downloads"):
        collected(root, "apply=decisions-nope.json")
