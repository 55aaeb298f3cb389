"""Check what this machine can do: ``emotion doctor``; ``--json`` gives the same for a bug report.

Each check is a function that returns findings; what could crash or hang runs in a child process with a time limit.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from emotion import __version__
from emotion.base import exits, files, provenance
from emotion.base.errors import UserError, did_you_mean
from emotion.base.words import counted
from emotion.doctor import machine, packages
from emotion.doctor.finding import Finding, without_home

_HELP = """Check what this machine can do; changes nothing.

Examples
  emotion doctor
  emotion doctor --json                  for a bug report: without names of home folders, users and machines
  emotion doctor outputs=/big/outputs    the folder that runs are to go to

Each line is ok, note (works, with less) or fault (does not work), and says what to do. With a fault the exit code is 1.
A camera that is tried may show that it is on for a moment.
"""

Check = Callable[[], Iterator[Finding]]


def checks(outputs: Path) -> dict[str, Check]:
    """The checks by what they are about, the quick ones first."""
    return {
        "Python": packages.python,
        "memory and cores": machine.resources,
        "outputs": lambda: machine.folders(outputs),
        **_of_opencv(),
        "LiteRT": packages.litert,
        "extras": packages.extras,
        "TensorFlow": packages.tensorflow,
    }


def _of_opencv() -> dict[str, Check]:
    """The checks that need OpenCV, or the fault that it cannot be loaded, as where a library of Linux is missing."""
    try:
        from emotion.doctor import vision
    except ImportError as error:
        found = f"opencv-python: cannot be loaded ({error})"
        fault = Finding(
            "OpenCV", "fault", found, "On Debian: apt-get install libgl1 libglib2.0-0. Else install it again"
        )
        return {"OpenCV": lambda: iter([fault])}
    return {"OpenCV": vision.opencv, "codecs": vision.codecs, "display": vision.display, "cameras": vision.cameras}


def run(arguments: Sequence[str]) -> int:
    """Do all checks, print what they find; return the number of faults.

    Raises:
        UserError: A wrong argument.
    """
    if {"--help", "-h"} & set(arguments):
        print(_HELP, end="")
        return 0
    as_json, outputs = False, Path("outputs")
    for word in arguments:
        key, mark, value = word.partition("=")
        if word == "--json":
            as_json = True
        elif key == "outputs" and value.strip():
            outputs = files.own_path(value)
        else:
            near = did_you_mean(key, ("--json", "outputs"))
            raise UserError(
                f"{word if not mark else key}: no such argument.{near} There are --json and outputs=<folder>"
            )
    findings: list[Finding] = []
    for about, check in checks(outputs).items():
        print(f"checking {about} ...", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
        for finding in _guarded(about, check):
            findings.append(finding)
            if not as_json:
                print(finding.line(), flush=True)
    faults, notes = (sum(finding.status == status for finding in findings) for status in ("fault", "note"))
    if as_json:
        print(json.dumps(_report(findings), indent=2))
    else:
        print(f"{counted(faults, 'fault')}, {counted(notes, 'note')}, {len(findings) - faults - notes} ok")
    return faults


def _guarded(about: str, check: Check) -> Iterator[Finding]:
    """What a check finds; a check that fails itself is a finding too, since the machine it meets may be broken."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(about, "fault", f"the check itself failed ({type(error).__name__}: {error})", "Please report it")


def _report(findings: Sequence[Finding]) -> dict[str, Any]:
    report = {
        "emotion": __version__,
        "commit": provenance.commit(),
        "platform": platform.platform(),
        "checks": [finding.as_json() for finding in findings],
    }
    cleaned = without_home(report)
    assert isinstance(cleaned, dict)
    return cleaned


def main() -> None:
    with exits.exit_codes():
        if run(sys.argv[1:]):
            sys.exit(1)
