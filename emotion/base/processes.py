"""Starting a module of this package in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def module(
    name: str, *arguments: str | Path, environment: Mapping[str, str] | None = None, own_modules: bool = False
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of ``python -m <name>``, for :class:`subprocess.Popen`.

    The child takes this very package, whatever lies in the working directory. Other modules of the working directory,
    such as a user's own models, it finds if this process does, or with ``own_modules``. ``environment`` adds variables.
    """
    package, here = str(Path(__file__).resolve().parents[2]), os.getcwd()  # noqa: PTH109
    paths = [package, here if own_modules or {"", here} & set(sys.path) else "", os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **(environment or {})}
    return [sys.executable, "-P", "-m", name, *map(str, arguments)], variables
