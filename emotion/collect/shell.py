"""Commands that the user can paste into a shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from emotion.config.cli import quoted

_PLAIN = re.compile(r"[\w./~-]+", re.ASCII)


def typed(key: str, path: Path) -> str:
    """``key=path``, quoted for the shell and, where its characters mean something there, for Hydra's grammar."""
    given = str(path) if _PLAIN.fullmatch(str(path)) else quoted(path)
    return shlex.quote(f"{key}={given}")
