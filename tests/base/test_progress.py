"""What long work says while it lasts."""

from __future__ import annotations

import os
import time

import pytest

from emotion.base import progress
from emotion.base.logs import quiet_stderr


def _said(capfd: pytest.CaptureFixture[str]) -> str:
    """Stderr, once something is there."""
    text, end = "", time.monotonic() + 30
    while not text and time.monotonic() < end:
        time.sleep(0.01)
        text = capfd.readouterr().err
    return text


def test_what_takes_long_is_named_even_where_libraries_are_kept_quiet(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_IN_SILENCE", 0.0)
    with progress.working("weighing"), quiet_stderr():
        os.write(2, b"a library's chatter\n")
        assert _said(capfd) == "weighing ...\n"

    @progress.working("measuring")
    def measured() -> str:
        return _said(capfd)

    assert measured() == "measuring ...\n"
    assert measured() == "measuring ...\n", "each call is work of its own"


def test_what_is_soon_done_is_not_named(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_IN_SILENCE", 3600.0)
    with progress.working("weighing"):
        pass
    with pytest.raises(KeyboardInterrupt), progress.working("weighing"):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == ""
