"""docs/architecture.md names every part and every key that the code has."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

from emotion.faces.contract import Contract
from emotion.runs.record import RunRecord
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")


def _first_column(heading: str) -> set[str]:
    """The names in backticks in the first column of the table under a heading."""
    section = re.split(rf"^#+ {re.escape(heading)}$", PAGE, flags=re.M)[1].split("\n#")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_part_is_on_the_page_once() -> None:
    package = REPOSITORY / "emotion"
    parts = {p.stem for p in package.iterdir() if (p.is_dir() or p.suffix == ".py") and not p.name.startswith("__")}
    verbs, libraries = _first_column("Verbs"), _first_column("Libraries")
    assert verbs | libraries == parts
    assert not verbs & libraries
    assert len(libraries) <= 12


def test_the_layers_hold_every_part() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = settings["contracts"][0]
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    assert named | {"pretrained"} == _first_column("Verbs") | _first_column("Libraries")
    assert len(layers["layers"]) <= 9
    assert "ignore_imports" not in layers
    assert not settings["exclude_type_checking_imports"]


def test_every_key_of_the_files_is_explained() -> None:
    assert _first_column("`run.json`") == {field.name for field in dataclasses.fields(RunRecord)} - {"unknown"}
    assert _first_column("`contract.json`") == {field.name for field in dataclasses.fields(Contract)}


def test_the_files_that_the_page_names_exist() -> None:
    for path in re.findall(r"`((?:emotion|conf|tests)/[\w/.]+)`", PAGE):
        assert Path(REPOSITORY / path).exists(), path


def test_every_make_target_has_a_recipe() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {name for line in re.findall(r"^\.PHONY: (.*)$", makefile, re.M) for name in line.split()}
    assert {"vulnerabilities", "constraints", "newest"} <= targets
    for target in targets - {"setup"}:  # which is a file's
        assert re.search(rf"^{target}:.*\n\t", makefile, re.M), target
