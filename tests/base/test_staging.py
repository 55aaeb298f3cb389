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
