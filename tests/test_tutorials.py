"""The README's tour and the tutorials, typed in their order: what a page shows below a command is what it prints.

    EMOTION_WRITE_PAGES=1 pytest tests/test_tutorials.py

types them too, and writes the figures of this machine into the pages.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from emotion.data import synthetic
from emotion.faces.labels import EMOTIONS
from tests.conftest import REPOSITORY
from tests.helpers.commands import interpreter

#: Page whose commands follow each other -> how many people are in ``photos/``, one photo an emotion each.
PAGES = {
    "README.md": 18,
    "docs/tutorials/photos-to-thesis.md": 40,
    "docs/tutorials/cnn-against-mobilenet.md": 0,
    "docs/tutorials/search.md": 0,
    "docs/tutorials/live.md": 1,
    "docs/howto/train.md": 0,
}


@dataclass(frozen=True)
class Step:
    """A command, and the lines that the page shows below it; ``...`` stands for other lines, or the rest of one."""

    command: str
    shown: tuple[str, ...]


def _steps(text: str) -> list[Step]:
    steps = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", re.sub(r"\\\n\s*", "", block), flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            steps.append(Step(command, tuple(line for line in shown if line.strip() not in ("", "..."))))
    return steps


def _plain(line: str) -> str:
    """A line without what differs from one machine, or day, to the next: numbers, and how wide a table is."""
    line = re.sub(r"\b(?=\w*\d)[0-9a-f]{8,}\b", "#", line)  # hashes
    line = re.sub(r"[-−]?\d+(?:[.,:]\d+)*(?:e[-+]\d+)?", "#", line)
    return re.sub(r"[─━ ]+", " ", line).strip()


def _world(folder: Path, people: int) -> None:
    """Photos, a film and the files that the page prints."""
    for number in range(people):
        for label, emotion in enumerate(EMOTIONS):
            path = folder / "photos" / emotion / f"p{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), synthetic.frame(number, label, (640, 480), 0.5)[0])
    synthetic.video(folder / "film.mp4", seconds=3)


def _programs(folder: Path) -> str:
    """A PATH on which ``python`` and ``emotion`` are those under test."""
    folder.mkdir()
    for name, line in (("python", interpreter()), ("emotion", f"{interpreter()} -m emotion")):
        (folder / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_the_pages_have_steps() -> None:
    for page in PAGES:
        assert len(_steps((REPOSITORY / page).read_text(encoding="utf-8"))) >= 1, page


@pytest.mark.documentation
@pytest.mark.slow
@pytest.mark.timeout(3000)  # several trainings
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_print_what_it_shows(page: str, tmp_path: Path, common: Path) -> None:
    here = tmp_path / "you"
    here.mkdir()
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    _world(here, PAGES[page])
    for name, content in re.findall(r"^```python\n# (my_\w+\.py)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (here / name).write_text(content)
    settings = {"PATH": _programs(tmp_path / "bin"), "COLUMNS": "100", "EMOTION_CACHE": str(tmp_path / "cache")}
    for step in _steps(text):
        done = subprocess.run(
            ["bash", "-c", step.command], cwd=here, env=os.environ | settings, timeout=2500, check=False,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = done.stdout.replace(str(here), "/home/you")
        expected = 2 if any(line.startswith("error: ") for line in step.shown) else 0
        assert done.returncode == expected, f"$ {step.command}\n{said[-4000:]}"
        printed, place = said.splitlines(), 0
        for line in step.shown:
            fits = str.startswith if line.endswith(" ...") else str.__eq__
            wanted = _plain(line.removesuffix(" ..."))
            place = next((i for i in range(place, len(printed)) if fits(_plain(printed[i]), wanted)), -1)
            assert place >= 0, f"$ {step.command}\nnot printed, or not in this order: {line}\n\n{said[-6000:]}"
            if fits is str.__eq__:
                text = text.replace(f"\n{line}\n", f"\n{printed[place].rstrip()}\n", 1)
            place += 1
    if os.environ.get("EMOTION_WRITE_PAGES"):
        (REPOSITORY / page).write_text(text, encoding="utf-8")
