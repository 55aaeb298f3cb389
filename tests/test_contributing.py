"""What contributors and releases stand on: metadata, workflows, issue forms, the Makefile's targets."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from emotion import __version__
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ["3.11", "3.12", "3.13"]


def read_yaml(path: str) -> Any:
    return yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))


def test_all_that_is_looked_for_is_there() -> None:
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CITATION.cff", "LICENSE",
                 ".pre-commit-config.yaml"):  # fmt: skip
        assert (REPOSITORY / name).stat().st_size > 500, name


def test_the_version_is_the_same_everywhere() -> None:
    citation = read_yaml("CITATION.cff")
    assert str(citation["version"]) == __version__
    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" in PROJECT["dynamic"]


def test_the_citation_has_what_its_format_needs() -> None:
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["license"] == PROJECT["license"]["text"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_metadata_names_authors_and_the_python_versions_that_are_tested() -> None:
    versions = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert versions == PYTHONS
    assert PROJECT["keywords"]
    matrix = read_yaml(".github/workflows/ci.yml")["jobs"]
    for job in ("test", "newest"):
        assert matrix[job]["strategy"]["matrix"]["python"] == PYTHONS


def test_the_workflow_runs_what_there_is() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    assert set(workflow[True]) == {"push", "pull_request", "schedule", "workflow_dispatch"}  # YAML's `on` is true
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in commands
    rules = _rules()
    for target in re.findall(r"make (\w[\w-]*)", "\n".join(commands)):
        assert rules[target], f"make {target} does nothing"
    assert workflow["permissions"] == {"contents": "read"}


def _rules() -> dict[str, list[str]]:
    """The commands of each rule of the Makefile."""
    rules: dict[str, list[str]] = {}
    name = ""
    for line in (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines():
        head = re.match(r"^([\w-]+):(?!=)", line)
        name = head[1] if head else name if line.startswith("\t") else ""
        if head:
            rules[name] = []
        elif name:
            rules[name].append(line.strip())
    return rules


def test_every_target_of_the_makefile_does_something() -> None:
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE) for name in line.split()}
    rules = _rules()
    assert [name for name in sorted(targets - {"setup"}) if not rules.get(name)] == []
    shown = set(re.findall(r'echo "make ([\w-]+) ', text))
    assert shown <= targets
    assert {"release", "test", "test-fast", "test-all", "docs"} <= shown


@pytest.mark.parametrize("form", ["bug", "result", "idea"])
def test_issue_forms_ask_for_the_doctors_report(form: str) -> None:
    content = read_yaml(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert {"name", "description", "body"} <= set(content)
    ids = [part["id"] for part in content["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    (doctor,) = (part for part in content["body"] if part.get("id") == "doctor")
    assert "emotion doctor --json" in doctor["attributes"]["label"]
    assert doctor.get("validations", {}).get("required", False) == (form != "idea")


def test_the_pages_commands_exist() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rules = _rules()
    for target in re.findall(r"`make ([\w-]+)`", text):
        assert rules[target]
    hooks = read_yaml(".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "format", "layers", "mypy", "conflicts"}


@pytest.mark.slow
@pytest.mark.nightly
def test_a_source_archive_holds_what_a_reader_and_a_build_need(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    subprocess.run(line, check=True, capture_output=True)
    (archive,) = tmp_path.glob(f"emotion-{__version__}.tar.gz")
    names = subprocess.run(["tar", "-tzf", archive], check=True, capture_output=True, text=True).stdout
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "conf/train.yaml", "emotion/py.typed",
                 "emotion/pretrained/live/run.json", "tests/conftest.py", ".ci/run"):  # fmt: skip
        assert f"emotion-{__version__}/{name}\n" in names, name
