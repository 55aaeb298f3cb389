"""The thin Hydra shell that every command shares.

A command is composed and validated here before Hydra makes a folder and before TensorFlow is imported, so a mistake is
answered at once, in one message, with exit code 2. Then Hydra runs the command.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_hydra, create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from emotion.base import guarded
from emotion.base.errors import UserError
from emotion.base.exits import WRONG, exit_codes
from emotion.config import explain, schema, typed
from emotion.config.checks import validate, validate_paths

Task = Callable[[DictConfig], Any]

#: Commands that search keys with several values, without -m.
_SEARCHING = ("tune",)

#: Limit on the values of a sweep that are composed and validated before it starts.
_CHECKED_VALUES = 16


@dataclass(frozen=True)
class Request:
    """What a user asked for on the command line.

    Attributes:
        command: Name of the config under ``conf/``.
        overrides: ``key=value`` arguments that Hydra composes.
        arguments: All arguments as Hydra's parser gives them, flags such as ``--cfg job`` among them.
        cfg: The composed, validated config; for a sweep, that of its first job. None for ``--help`` and the like.
        space: Of a command that searches: the keys that were given several values, and these in Hydra's sweep grammar.
        bound: Of a sweep: values for the jobs of one option, such as ``model.weights@mobilenet_v2=null``.
    """

    command: str
    overrides: tuple[str, ...]
    arguments: argparse.Namespace
    cfg: DictConfig | None = None
    space: Mapping[str, str] = field(default_factory=dict)
    bound: tuple[typed.Bound, ...] = ()

    @property
    def multirun(self) -> bool:
        """Whether this is a sweep."""
        return bool(self.arguments.multirun)

    @property
    def shows(self) -> bool:
        """Whether a config is to be shown (``--cfg``, ``--info``) and nothing done."""
        return bool(self.arguments.cfg or self.arguments.info)

    def with_overrides(self, *more: str) -> Request:
        return replace(self, overrides=(*self.overrides, *more))

    def naming(self, key: str, path: Path) -> Request:
        """With the run that a name such as ``latest`` was found to mean, which would be another one later."""
        others = (o for o in self.overrides if o.partition("=")[0] != key)
        return replace(self, overrides=(*others, f"{key}={typed.quoted(path)}"))


def main(command: str, task: Task) -> NoReturn:
    """Run a command that does not sweep, and exit."""
    with exit_codes():
        asked = request(command)
        if asked.multirun:
            raise UserError(f"emotion.{command} runs once; leave out -m / --multirun")
        launch(asked, task)
    raise AssertionError("exit_codes always exits")


def request(command: str, arguments: list[str] | None = None) -> Request:
    """Parse, compose and validate a command line (default: this process's).

    Raises:
        UserError: A wrong key, group, type or value; names it, what is allowed and the nearest match.
    """
    schema.register()
    parser = get_args_parser()
    try:
        parsed = parser.parse_intermixed_args(arguments)  # flags may stand between overrides
    except SystemExit as stopped:  # argparse has printed what it did not understand
        sys.exit(WRONG if stopped.code else 0)
    if parsed.experimental_rerun:
        raise UserError("--experimental-rerun: unpickles a file, which could run any code; type the command again")
    explain.refuse_unusable(parsed.overrides)
    parsed.config_dir = parsed.config_dir and os.path.expanduser(parsed.config_dir)  # noqa: PTH111
    if parsed.config_dir and not Path(parsed.config_dir).is_dir():
        raise UserError(f"--config-dir: no such folder '{parsed.config_dir}'")
    for file in sorted(Path(parsed.config_dir).rglob("*.yaml")) if parsed.config_dir else ():
        guarded.check_expansion(file)
    overrides = tuple(typed.readable(command, parsed.overrides, parsed.multirun))
    space = dict(_searched(overrides)) if command in _SEARCHING else {}
    overrides = tuple(o for o in overrides if o.partition("=")[0].lstrip("+") not in space)
    bound = tuple(filter(None, map(typed.bound, overrides)))
    if bound and not parsed.multirun:
        first = bound[0]
        raise UserError(
            f"{first.text}: sets {first.key} for the jobs of a sweep (-m) with {first.choice}; without -m leave out "
            f"'@{first.option}'"
        )
    overrides = tuple(o for o in overrides if typed.bound(o) is None)
    asked = Request(command, overrides, parsed, None, space, bound)
    if asked.multirun and asked.shows:
        raise UserError("-m: leave it out with --cfg and --info, which show one job")
    if parsed.help or parsed.hydra_help or parsed.shell_completion:
        return asked
    return replace(asked, cfg=_check(asked)).with_overrides(*typed.for_sweeper(bound))


def _searched(overrides: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The keys that are given several values, with these in Hydra's grammar."""
    for text in overrides:
        override = typed.parsed(text)
        if override and override.is_sweep_override() and not override.get_key_element().startswith("hydra"):
            key, _, value = text.partition("=")
            yield key.lstrip("+"), value


@contextmanager
def composing(directory: str, extra: str | None) -> Iterator[None]:
    """Hydra's context for ``compose``, with ``--config-dir`` where Hydra itself puts it: after our own configs."""
    with initialize_config_dir(directory, version_base="1.3"):
        if extra:
            search = create_config_search_path(directory)
            anchor = SearchPathQuery(provider="schema", path=None)
            search.prepend("command-line", f"file://{os.path.abspath(extra)}", anchor)  # noqa: PTH100
            GlobalHydra.instance().clear()
            Hydra.create_main_hydra2("app", search)
        yield


def _check(asked: Request) -> DictConfig:
    """Compose the config, or for a sweep its first job's and each other swept value once."""
    path = asked.arguments.config_path
    with composing(os.path.abspath(path) if path else str(schema.CONF), asked.arguments.config_dir):  # noqa: PTH100
        explain.refuse_lists(asked.overrides)
        own = [cfg for given in _own_overrides(asked) for cfg in _composed(asked.command, given, True, ())]
        composed = [*_composed(asked.command, list(asked.overrides), asked.multirun, asked.bound), *own]
    for cfg in composed if not asked.shows else []:
        try:
            if cfg.get("again") is not None:  # whose config is validated, with what this command line changes
                continue
            validate(cfg)
            if cfg.get("resume") in (None, False):  # a run that is resumed knows its data
                validate_paths(cfg)
        except OmegaConfBaseException as error:  # an interpolation without a value
            raise UserError(explain.plain(error)) from None
    return composed[0]


def _own_overrides(asked: Request) -> Iterator[list[str]]:
    """For each option that has values of its own: the command line with it and them."""
    for choice in dict.fromkeys(b.choice for b in asked.bound):
        own = [b for b in asked.bound if b.choice == choice]
        replaced = {own[0].group, *(b.key for b in own)}
        kept = [o for o in asked.overrides if o.partition("=")[0] not in replaced]
        yield [*kept, choice, *(b.override for b in own)]


def _composed(command: str, overrides: list[str], multirun: bool, bound: tuple[typed.Bound, ...]) -> list[DictConfig]:
    """The configs of some of a command line's jobs, each with its option's first own values."""
    first = [(b.choice, _values(OverridesParser.create().parse_override(b.override))[0]) for b in bound]
    try:
        variants = islice(_variants(overrides, multirun), _CHECKED_VALUES)
        return [compose(command, [*v, *(own for choice, own in first if choice in v)]) for v in variants]
    except explain.COMPOSING as error:
        raise UserError(explain.explain(error, command, overrides)) from None


def _variants(overrides: list[str], multirun: bool) -> Iterator[list[str]]:
    """The first value of each swept override together, then every other value alone, the keys taking turns."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    swept = [override.input_line or "" for override in parsed if override.is_sweep_override()]
    if swept and not multirun:
        key, _, value = swept[0].partition("=")
        raise UserError(f"{key}: '{value}' lists several values; add -m to sweep over them")
    choices = [_values(override) for override in parsed]
    first = [values[0] for values in choices]
    yield first
    for turn in zip_longest(*(values[1:] for values in choices)):
        for i, value in enumerate(turn):
            if value is not None:
                yield [*first[:i], value, *first[i + 1 :]]


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    key = override.get_key_element()
    try:
        return [f"{key}={value}" for value in islice(override.sweep_string_iterator(), _CHECKED_VALUES)] or [f"{key}="]
    except ValueError as error:  # a range with steps of 0
        raise UserError(f"{key}: {(override.input_line or '').partition('=')[2]} ({error})") from None


def launch(asked: Request, task: Task) -> Any:
    """Let Hydra run the task (or its sweep, or ``--help``); exceptions of a single job come out as they are."""
    outcome: dict[str, Any] = {}

    def job(cfg: DictConfig) -> Any:
        try:
            outcome["value"] = task(cfg)
        except BaseException as error:  # Hydra would print a traceback and exit
            outcome["error"] = error
            if asked.multirun:  # a sweep ends with its first error
                raise
        return outcome.get("value")

    arguments = argparse.Namespace(**{**vars(asked.arguments), "overrides": list(asked.overrides)})
    # Else Hydra prints an exception and exits; the environment is the only place where it looks for this.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    hydra.version.setbase("1.3")
    try:
        with _with_comments(asked.command) if asked.cfg is None else nullcontext():
            # What hydra.main calls, which would parse sys.argv again.
            _run_hydra(arguments, get_args_parser(), job, str(schema.CONF), asked.command)
    except (HydraException, OmegaConfBaseException) as error:
        if "error" in outcome:  # the task's own
            raise
        raise UserError(explain.plain(error)) from None
    if "error" in outcome:
        raise outcome["error"]
    return outcome.get("value")


@contextmanager
def _with_comments(command: str) -> Iterator[None]:
    """Print Hydra's help with what each value means, or completions; without the schemas, which cannot be chosen."""
    text = io.StringIO()
    try:
        with redirect_stdout(text):
            yield
    finally:
        shown = re.sub(r"(\S+=)?\bbase_\w+(,\s|\s|$)", "", text.getvalue())
        print(explain.with_comments(shown, command, schema.CONF), end="")
