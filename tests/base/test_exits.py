"""What a terminal shows of names and messages from elsewhere, and which exit code an accident has."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from emotion.base import exits, interrupts, words
from emotion.base.errors import UserError


def ended(raised: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    with pytest.raises(SystemExit) as code, exits.exit_codes():
        raise raised
    return code.value.code, capsys.readouterr().err


HOSTILE = "\x1b]0;owned\x07 \x1b[2J \u202egpj.exe \u2066 \x9b31m \r hidden \x00"


def test_a_message_shows_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(UserError(f"file: '{HOSTILE}'"), capsys)
    assert code == 2
    assert not any(words.printable(c) != c for c in said)
    assert "\\x1b]0;owned\\x07" in said
    assert "\\u202egpj.exe" in said


def test_what_is_printed_is_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with exits.exit_codes():
            print(f"images\t{HOSTILE}")
            print(f"log {HOSTILE}", file=sys.stderr)

    with pytest.raises(SystemExit):
        work()
    said = capsys.readouterr()
    assert not any(words.printable(c) != c for c in said.out + said.err)
    assert said.out.startswith("images\t")


def test_a_message_is_as_long_as_a_person_reads(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(UserError("\n".join(f"{'k' * 60_000}{i}: no such key" for i in range(300))), capsys)
    assert code == 2
    lines = said.splitlines()
    assert len(lines) <= 42
    assert max(map(len, lines)) <= 410
    assert "no such key" in lines[0]
    assert "260 more" in lines[-1]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR]
)
def test_a_disk_that_cannot_is_one_line(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(OSError(number, os.strerror(number), "out/x\x1b.json"), capsys)
    assert code == 2
    assert said.startswith(f"error: out/x\\x1b.json: {os.strerror(number)}")
    assert said.count("\n") == 1


def test_another_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exits.exit_codes():
        raise ZeroDivisionError
    with pytest.raises(OSError, match="Bad file"), exits.exit_codes():
        raise OSError(errno.EBADF, "Bad file")


def test_streams_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "end_at_once", sys.exit)  # where another test has imported TensorFlow
    before = sys.stdout, sys.stderr
    for error in (UserError("x"), ValueError("x"), KeyboardInterrupt()):
        with pytest.raises((SystemExit, ValueError)), exits.exit_codes():
            raise error
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_runs_no_cell(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.cell(text) == f"'{text}"
    monkeypatch.setenv("EMOTION_RAW_CSV", "1")
    assert words.cell(text) == text


@pytest.mark.parametrize("value", [-1.5, 0, None, "a=b", "", "20261122_cnn"])
def test_all_other_cells_stay(value: object) -> None:
    assert words.cell(value) == value


def test_colours_of_tables_pass_to_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    exits._Escaped(stream).write("\x1b[1mbold\x1b[0m")
    assert stream.getvalue() == "\x1b[1mbold\x1b[0m"
