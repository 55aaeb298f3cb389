"""Paths, names and sentences on the command line mean what was typed, and what a message advises works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.config import cli
from emotion.config.explain import _unparsable
from emotion.config.typed import as_typed, parsed, readable
from tests.helpers.properties import max_examples

#: Keys that take a path, by command.
KEYS = {
    "train": ["outputs", "resume", "trainer.teacher", "model.weights", "dataset.cache_dir", "dataset.votes"],
    "live": ["run", "source", "save", "log", "timeline", "snapshots"],
    "collect": ["root", "path", "against", "apply"],
    "adopt": ["file"],
    "export": ["folder"],
    "publish": ["hardware"],
}
CASES = [(command, key) for command, keys in KEYS.items() for key in keys]
ODD = ["José/faces", "faces (1)", "faces,new", "it's", "a=b", "a b", "[x]", "{a}", "1e5", "0012", "true", "a:b", "50%",
       'say "hi"', "#1", "a\\b", "C:\\faces", "日本/写真", "!x", "*", "a,b=c", "(", "choice(1)"]  # fmt: skip


def value_of(command: str, key: str, value: str) -> Any:
    """The value that Hydra reads for the user's."""
    (text,) = readable(command, [f"{key}={value}"], False)
    override = parsed(text)
    assert override is not None
    return override.value()


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(("command", "key"), [("train", "dataset.root"), ("live", "source"), ("train", "outputs")])
def test_paths_are_read_as_they_were_typed(command: str, key: str, value: str) -> None:
    assert value_of(command, key, value) == value


def test_the_config_holds_what_was_typed() -> None:
    given = ["dataset=ferplus", "dataset.root=José's, (1) a=b", "dataset.votes=[x", "outputs=~/out", "run=20261122"]
    cfg = cli.request("audit", ["--cfg", "job", *given]).cfg
    assert cfg is not None
    assert (cfg.dataset.root, cfg.dataset.votes, cfg.run) == ("José's, (1) a=b", "[x", "20261122")
    assert cfg.outputs == str(Path.home() / "out")


@pytest.mark.parametrize(("command", "key"), CASES)
def test_every_key_that_takes_a_path(command: str, key: str) -> None:
    assert value_of(command, key, "José's, (1) a=b") == "José's, (1) a=b"
    assert value_of(command, key, "'José'") == "José"  # quoted for Hydra, as older advice said
    assert value_of(command, key, "'it's'") == "it's"
    assert value_of(command, key, "~/x") == str(Path.home() / "x")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1).filter(str.strip))
@example("it's")
@max_examples(60)
def test_any_path(value: str) -> None:
    bare = value.strip()
    if value[0] in "~'\"" or "${" in value or bare == "null":
        return
    assert value_of("train", "dataset.votes", value) == value


@pytest.mark.parametrize("value", ["José", "faces (1)", "it's", "a=b", "[", "(1", '"', "a'b\"c", "~", "a, b: {"])
def test_the_advice_for_text_that_hydra_cannot_read_works(value: str) -> None:
    advised = re.search(r"quote it twice: (.*)$", _unparsable(f"dataset.group={value}", ValueError("why")))
    assert advised is not None
    (argument,) = shlex.split(advised[1])
    assert value_of("train", "dataset.group", argument.partition("=")[2]) == value


@pytest.mark.parametrize("value", ODD)
def test_a_command_to_type_gives_the_same_value(value: str) -> None:
    (argument,) = shlex.split(as_typed("dataset.root", value))
    assert value_of("train", "dataset.root", argument.partition("=")[2]) == value


def test_several_paths_of_a_sweep(tmp_path: Path) -> None:
    def swept(value: str) -> str:
        return next(readable("train", [f"dataset.root={value}"], True))

    (tmp_path / "a,b").mkdir()
    assert swept("a,b") == "dataset.root=a,b"
    assert swept("José,~/x") == f"dataset.root='José','{Path.home()}/x'"
    assert swept(f"{tmp_path}/a,b") == f"dataset.root='{tmp_path}/a,b'"  # it is there


def test_what_cannot_be_searched_is_named() -> None:
    with pytest.raises(UserError, match=r"trainer.clip_norm: null cannot be one of several values; leave it out"):
        cli.request("tune", ["dataset=synthetic", "trainer.clip_norm=choice(null,1.0)"])
