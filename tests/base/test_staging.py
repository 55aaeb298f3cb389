"""A folder for results is refused before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emotion.base import staging
from emotion.base.errors import UserError


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "file/x", "loop", "loop/x", "dead", "pipe", "n" * 300):
        with pytest.raises(UserError, match="folder: cannot write to '"):
            staging.check_writable(tmp_path / name)
    for name in ("new", "new/x/y", "."):
        staging.check_writable(tmp_path / name)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "loop", "dead", "pipe"}


def test_what_is_no_name_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("/", ".", "..", "x/..", str(tmp_path)):
        with pytest.raises(UserError, match=r"is no name for a new folder; give one, such as folder=mine"):
            staging.named(name, "mine")
    with pytest.raises(UserError, match=r"folder: '~nobody-here/x' begins with ~, but there is no such user here"):
        staging.named("~nobody-here/x", "mine")
    assert staging.named("x/../y", "mine") == Path("y")


def test_the_older_folder_comes_back_where_the_new_one_cannot_be_put(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "kept").write_text("x")
    (tmp_path / "staging").mkdir()
    with pytest.raises(FileNotFoundError):
        staging.put(tmp_path / "staging" / "gone", tmp_path / "place", tmp_path / "staging", lambda place: None)
    assert (tmp_path / "place" / "kept").read_text() == "x"
