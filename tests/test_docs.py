"""README and docs: links that lead somewhere, tables that say what the schema says, a site that needs no network."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import shutil
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import cv2
import PIL.Image
import pytest
from omegaconf import OmegaConf

from emotion import runs
from emotion.config import commands, explain, schema
from emotion.data import synthetic
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [
    *REPOSITORY.glob("*.md"),
    *(p for p in sorted(DOCS.rglob("*.md")) if p.name != "report.md"),
]
_LINK = re.compile(r"\[[^\]]*\]\((?!\w+:|<)([^)\s]+)\)")
_ANCHOR = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The module of the site that makes tables of the schema."""
    spec = importlib.util.spec_from_file_location("schema_tables", DOCS / "schema_tables.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def _slug(heading: str) -> str:
    """The anchor that GitHub and MyST give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    wrong = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in _LINK.findall(text):
            target, _, anchor = unquote(link).partition("#")
            path = (page.parent / target).resolve() if target else page
            if not path.exists():
                wrong.append(f"{page.relative_to(REPOSITORY)}: {link}: no such file")
            elif anchor and path.suffix == ".md":
                there = path.read_text(encoding="utf-8")
                known = {_slug(heading) for heading in _ANCHOR.findall(there)}
                made = {f"emotion-{c.__name__.lower()}" for c in commands.COMMANDS} | set(schema.GROUPS)
                if anchor not in known | (made if "<!-- schema:" in there else set()):
                    wrong.append(f"{page.relative_to(REPOSITORY)}: {link}: no such heading")
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_first_example_in_python_runs(
    page: str, tmp_path: Path, trained: runs.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.search(r"^```python\n(.*?)^```", (REPOSITORY / page).read_text(encoding="utf-8"), re.M | re.S)[1]
    shutil.copytree(trained.path, tmp_path / "outputs" / trained.id)
    array = synthetic.frame(0, 3)[0]
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / name), array)
    monkeypatch.chdir(tmp_path)
    given = {"array": array, "image": PIL.Image.fromarray(array), "pandas": types.SimpleNamespace(DataFrame=list)}
    exec(compile(code, page, "exec"), given)
    assert "Box(x=" in capsys.readouterr().out


def test_every_example_in_python_is_python() -> None:
    for page in PAGES:
        for code in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            ast.parse(code)


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_reference_has_every_key_with_its_meaning(tables: ModuleType) -> None:
    for command in commands.COMMANDS:
        name = command.__name__.lower()
        cfg = OmegaConf.load(schema.CONF / f"{name}.yaml")
        said = explain.comments(schema.CONF / f"{name}.yaml")
        groups = {next(iter(entry)) for entry in cfg.defaults if OmegaConf.is_dict(entry)}
        for key in tables.keys(command, cfg, said):
            parent = key.path.rpartition(".")[0]
            assert key.meaning or key.path in groups or parent in said or command is commands.Collect, key
            assert key.takes, key
            assert key.default, key
    text = tables.of_commands()
    assert "[`smoothing`]{#live-smoothing} = `0.25`\n: number, 0 to 60, seconds: seconds over which" in text
    assert "[`detector.min_size`]{#live-detector-min_size} = `null`\n: number, 0.01 to 1, fraction (or `null`)" in text
    assert "[`run`]{#evaluate-run} = `required`" in text


@pytest.mark.slow
def test_the_reference_of_groups_has_every_key_of_every_schema(tables: ModuleType) -> None:
    text = tables.of_groups()
    for group, schemas in schema.GROUPS.items():
        assert f"\n## {group}\n" in f"\n{text}"
        typed = group.replace("/", ".")
        for kind in schemas.values():
            for key in (field.name for field in dataclasses.fields(kind)):
                if key != "_target_" and not (kind is schema.Tuner and key == "name"):
                    assert f"[`{typed}.{key}`]" in text, (group, key)
    assert "[`trainer.epochs`]{#trainer-epochs} = `30`\n: whole number, 1 to 100,000, epochs: passes" in text
    assert "### model=cnn_fast" in text
    assert "`stages: [64, 128, 192, 256]`" in text
    assert "| `erase` | `{low: 0.02, high: 0.2, probability: 0.5}` |" in text


#: A unit, and the words of a comment that name it.
_UNITS = {
    "pixels": r"in pixels", "seconds": r"^seconds|in seconds", "epochs": r"^epochs|^first epochs|last epochs",
    "bytes": r"in bytes", "MB": r"in MB", "frames": r"^frames|every n-th frame", "fraction": r"^fraction|0 to 1$",
}  # fmt: skip


def test_units_are_those_that_the_comments_name(tables: ModuleType) -> None:
    """Of keys that take a number: what a comment calls pixels is not seconds in the reference."""
    sources: list[tuple[type, Path]] = [(c, schema.CONF / f"{c.__name__.lower()}.yaml") for c in commands.COMMANDS]
    for group, schemas in schema.GROUPS.items():
        sources += [(k, f) for n, k in schemas.items() if (f := schema.CONF / group / f"{n}.yaml").is_file()]
    checked = 0
    for kind, file in sources:
        for key in tables.keys(kind, OmegaConf.load(file), explain.comments(file)):
            if "number" in key.takes and "list" not in key.takes:
                for unit, words in _UNITS.items():
                    if re.search(words, key.meaning):
                        assert unit in key.takes, (file.name, key)
                        checked += 1
                        break
    assert checked > 30


class _Loaded(HTMLParser):
    """What a page loads, and the links and anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if given.get("id"):
            self.ids.add(given["id"])
        if tag in ("script", "img", "source", "iframe") and given.get("src"):
            self.loaded.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "modulepreload"):
            self.loaded.append(given["href"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


def _site(folder: Path) -> Path:
    """The site, as ``make docs`` builds it."""
    rule = re.search(r"sphinx-build (.*) -d \S+ docs build/docs", (REPOSITORY / "Makefile").read_text())
    line = [
        sys.executable,
        "-m",
        "sphinx",
        *rule[1].split(),
        "-d",
        str(folder / "doctrees"),
        "docs",
        str(folder / "html"),
    ]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stderr == ""
    return folder / "html"


@pytest.mark.slow
@pytest.mark.nightly
def test_the_site_builds_without_a_warning_and_stands_alone(tmp_path: Path) -> None:
    """Read from disk, without a network: everything that a page loads is there, and every link leads somewhere."""
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    site = _site(tmp_path)
    pages = {path: _Loaded(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 50
    for page, found in pages.items():
        for address in found.loaded:
            assert not re.match(r"(https?:)?//", address), (page.name, address)
            file = (page.parent / unquote(address.partition("?")[0].partition("#")[0])).resolve()
            assert address.startswith("data:") or file.is_file(), (page.name, address)
        for link in found.links:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", target):
                continue
            file = (page.parent / target).resolve() if target else page
            assert file.is_file(), (page.name, link)
            if anchor and file in pages and anchor not in ("", "__top"):
                assert anchor in pages[file].ids, (page.name, link)
    _check_contents(site)


def _check_contents(site: Path) -> None:
    """What a reader looks for is in the pages that are made when the site is built."""
    commands_page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert 'id="live-smoothing"' in commands_page
    assert "seconds over which" in commands_page
    assert "<math" in (site / "reference" / "metrics.html").read_text(encoding="utf-8")
    api = (site / "reference" / "api.html").read_text(encoding="utf-8")
    assert "Open a run, an export or a published folder" in api
    groups = (site / "reference" / "groups.html").read_text(encoding="utf-8")
    assert 'id="trainer-epochs"' in groups
    assert "{#" not in commands_page + groups
    assert (site / "search.html").is_file()
    assert (site / "searchindex.js").is_file()
