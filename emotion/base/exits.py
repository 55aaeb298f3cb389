"""Exit codes: how every command reports an error or a signal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from emotion.base import interrupts
from emotion.base.errors import UserError

INTERRUPTED, TERMINATED, WRONG = 130, 143, 2


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what happens inside into a message on stderr and the process's exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold what this terminal cannot show
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(WRONG)
    except (KeyboardInterrupt, interrupts.Interrupted) as asked:
        code = INTERRUPTED if isinstance(asked, KeyboardInterrupt) else TERMINATED
        if "tensorflow" in sys.modules:  # its threads may still be preparing images
            interrupts.end_at_once(code)
        sys.exit(code)
    except BrokenPipeError:  # the reader of the output is gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(0)
