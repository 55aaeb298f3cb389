"""Exit codes: how every command reports an error or a signal."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, cast

from emotion.base import interrupts
from emotion.base.errors import UserError
from emotion.base.words import printable, shortened

INTERRUPTED, TERMINATED, WRONG = 130, 143, 2

#: What a disk or a path answers, which is no fault of the code: full, read-only, denied, too long, a loop, a file where
#: a folder should be, a folder where a file should be, no regular file.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG,
         errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EIO)  # fmt: skip


class _Escaped:
    """A stream that shows what a terminal would obey, such as in a file's name, as escapes.

    To a terminal, rich's own colours and movements of the cursor pass; texts from elsewhere reach it through
    :func:`emotion.base.words.printable`.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        written: int = self._stream.write(text if self._stream.isatty() else printable(text))
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def readable(message: str) -> str:
    """A message whose lines are shown by any terminal, each at most as long as a person reads."""
    lines = printable(message).splitlines() or [""]
    more = [f"... and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return "\n".join([*(shortened(line, _LONGEST_LINE) for line in lines[:_MOST_LINES]), *more])


#: Lines of a message, and characters of a line.
_MOST_LINES, _LONGEST_LINE = 40, 400


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what happens inside into a message on stderr and the process's exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold what this terminal cannot show
    with ExitStack() as stack:
        for redirect, stream in ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr)):
            if stream is not None:  # it was closed, as by ``>&-``
                stack.enter_context(redirect(cast(Any, _Escaped(stream))))
        with _codes(), _written():
            yield


@contextmanager
def _written() -> Iterator[None]:
    """Write what waits in the output at the end of the work: as Python ends, a fault would be no error of ours."""
    try:
        yield
    except SystemExit:
        print(end="", flush=True)
        raise
    print(end="", flush=True)


@contextmanager
def _codes() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        print(f"error: {readable(str(error))}", file=sys.stderr)
        sys.exit(WRONG)
    except (KeyboardInterrupt, interrupts.Interrupted) as asked:
        code = INTERRUPTED if isinstance(asked, KeyboardInterrupt) else TERMINATED
        if "tensorflow" in sys.modules:  # its threads may still be preparing images
            interrupts.end_at_once(code)
        sys.exit(code)
    except BrokenPipeError:  # the reader of the output is gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except RuntimeError as error:
        if "Symlink loop" not in str(error):  # of pathlib, up to Python 3.12
            raise
        print(f"error: {readable(str(error))}; correct the link", file=sys.stderr)
        sys.exit(WRONG)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror}. Make room, correct it, or name another place"
        print(f"error: {readable(text)}", file=sys.stderr)
        sys.exit(WRONG)
    sys.exit(0)
