"""How the command is asked for in these tests."""

from __future__ import annotations

from typing import Any

from emotion.config import cli

#: FER2013's order, in its own words.
THEIRS = "labels=[angry,disgust,fear,happy,sad,surprise,neutral]"


def asked(*options: str) -> Any:
    cfg = cli.request("adopt", list(options)).cfg
    assert cfg is not None
    return cfg
