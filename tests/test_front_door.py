"""``emotion`` and ``python -m emotion``: the list of verbs, and that each is run as its own command is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from emotion import __main__ as front
from emotion import demo
from emotion.config import schema
from emotion.faces.labels import EMOTIONS
from tests.conftest import REPOSITORY, answered, emotion


def said(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "emotion", *arguments]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_verbs_are_listed_with_a_line_each(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(front.main, *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ") and "<" not in line}
    assert list(listed) == list(front.verbs())
    assert next(iter(listed)) == "live"
    assert set(listed) == {file.stem for file in schema.CONF.glob("*.yaml")} | {"completion", "demo", "doctor", "runs"}
    assert all(10 < len(line) < 115 and line[0].isalpha() and line.endswith(".") for line in listed.values())
    assert max(map(len, lines)) <= 130


def test_the_list_comes_without_anything_slow(tmp_path: Path) -> None:
    script = "import sys, atexit; from emotion.__main__ import main\n"
    script += "slow = {'hydra', 'omegaconf', 'numpy', 'rich', 'yaml', 'cv2'}\n"
    script += "atexit.register(lambda: print(sorted(slow & set(sys.modules))))\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}main(['--help'])"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["runs"], ["train", "--help"]], ids=" ".join)
def test_a_reader_that_is_gone_is_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    """As in ``emotion --help | true``."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:  # noqa: PTH123 - a descriptor
        line = [sys.executable, "-m", "emotion", *arguments]
        done = subprocess.run(line, cwd=tmp_path, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_verb_that_does_not_exist_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for typed, nearest in (
        ("trian", "train"),
        ("evalute", "evaluate"),
        ("dokter", "doctor"),
        ("run", "runs"),
        ("label", "live"),
        ("predict", "live"),
    ):
        assert answered(front.main, typed, "seed=1") == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: emotion has no command '{typed}'. Did you mean '{nearest}'?")
        assert "There are: live, demo" in error
    assert answered(front.main, "xyzzy") == 2
    assert "emotion --help lists them" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["train", "emotion.train"])
def test_a_verb_gets_the_arguments(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(front.main, verb, "trainer.epohs=3") == 2
    assert "trainer.epohs: no such key. Did you mean 'trainer.epochs'?" in capsys.readouterr().err
    assert answered(front.main, verb, "trainer.epochs=3", "--cfg", "job") == 0
    assert "epochs: 3" in capsys.readouterr().out


@pytest.mark.nightly
@pytest.mark.slow
def test_it_says_what_the_commands_own_module_says(tmp_path: Path) -> None:
    for verb in ("live", "evaluate"):
        assert said(verb, "--help", cwd=tmp_path).stdout == emotion(verb, "--help", cwd=tmp_path, real=True).stdout
        assert said("help", verb, cwd=tmp_path).stdout == said(verb, "--help", cwd=tmp_path).stdout
    missing = said("live", "source=missing.mp4", "display=none", cwd=tmp_path)
    assert missing.returncode == 2
    assert "no such file 'missing.mp4'" in missing.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_verb_has_a_main_and_a_script_that_runs_it() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for verb in front.verbs():
        assert callable(import_module(front._MODULES.get(verb, f"emotion.{verb}")).main)
    assert project["scripts"]["emotion"] == "emotion.__main__:main"
    assert set(project["scripts"]) >= {f"emotion-{file.stem}" for file in schema.CONF.glob("*.yaml")}


def test_the_version_is_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    from emotion import __version__

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "emotion/__init__.py"
    assert answered(front.main, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_the_help_of_the_demo_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert answered(demo.main, "--help") == 0
    assert "trains a small network on drawn faces" in capsys.readouterr().out
    assert answered(demo.main, "source=0") == 2
    assert "takes no arguments" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_help_lists_the_groups_of_the_command_alone(capsys: pytest.CaptureFixture[str]) -> None:
    expected = {
        "tune": ["augmentation", "dataset", "experiment", "model", "trainer", "tuner"],
        "audit": ["dataset"],
    }
    for verb, groups in expected.items():
        answered(front.main, verb, "--help")
        text = capsys.readouterr().out
        section = text.partition("Groups (choose with group=option)\n")[2].partition("\nValues")[0]
        assert [line.partition(":")[0] for line in section.splitlines() if line] == groups
        assert "  best        the finished run with the highest validation macro-F1" in text
    answered(front.main, "collect", "--help")
    assert "pretrained  the run" not in capsys.readouterr().out


@pytest.mark.documentation
def test_the_demo_makes_what_it_lists(tmp_path: Path) -> None:
    done = emotion("demo", cwd=tmp_path)
    listed = re.findall(r"^  (outputs/\S+) +\S", done.stdout, re.MULTILINE)
    assert {Path(name).suffix for name in listed} >= {".mp4", ".jsonl", ".md"}
    for name in listed:
        path = tmp_path / name
        assert path.is_dir() or path.stat().st_size > 0, name
        if path.suffix == ".jsonl":
            assert {json.loads(line)["top"] for line in path.read_text().splitlines()} <= set(EMOTIONS)
    commands = re.findall(r"^\$ .* -m (\S+)", done.stdout, re.MULTILINE)
    assert commands == ["emotion.live", "emotion.train", "emotion.evaluate", "emotion.live"]
