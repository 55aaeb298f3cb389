"""What a check found, as a line and as JSON without the names of people and machines."""

from __future__ import annotations

import getpass
import os
import re
import socket
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        about: What was looked at, such as ``TensorFlow``.
        status: ``ok``, ``note`` (works, with less) or ``fault`` (does not work).
        found: What is there.
        advice: What to do; empty where nothing is.
    """

    about: str
    status: Status
    found: str
    advice: str = ""

    def line(self) -> str:
        return f"{self.status:<6}{self.about:<12}{self.found}" + (f". {self.advice}" if self.advice else "")

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def without_home(value: Any) -> Any:
    """A report without paths of home folders, the user's and the machine's name."""
    if isinstance(value, dict):
        return {key: without_home(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_home(inner) for inner in value]
    if not isinstance(value, str):
        return value
    home = os.path.expanduser("~")  # noqa: PTH111 - "~" where there is none, in place of an error
    text = value if home in ("~", "/") else value.replace(home.rstrip("/"), "~")
    text = re.sub(r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\][^/\\\s'\")]+", "~", text)
    for name, stands in ((_user(), "<user>"), (socket.gethostname(), "<host>")):
        if len(name) > 2:
            text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", stands, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number without a name, as in containers
        return ""
