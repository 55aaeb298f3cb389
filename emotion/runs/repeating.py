"""Repeating a run: the command line that does, which every run records, and ``emotion.train again=<run>``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from emotion.base import files
from emotion.base.errors import UserError
from emotion.config import CONF, checks, rules, typed
from emotion.runs.folder import Run

#: What a command line says about itself, not about the run that it makes.
_NOT_THE_RUN = ("resume", "compare", "again", "tuner", "hydra")
#: Paths of a config that are made absolute there, so that they may be typed from here.
_PATHS = ("dataset.root", "dataset.votes", "dataset.metadata", "model.weights", "trainer.teacher")


def command(folder: Path, cfg: DictConfig) -> str:
    """The command that makes this process's run again, typed in this folder; a sweep's job names its own values.

    Args:
        folder: Of the run, by which it is repeated where no command made it.
        cfg: Its resolved config.
    """
    if not HydraConfig.initialized():
        return again(folder, cfg)
    hydra = HydraConfig.get()
    search_path = [o for o in hydra.overrides.hydra if o.startswith("hydra.searchpath=")]
    sources = {source.provider: source.path for source in hydra.runtime.config_sources if source.schema == "file"}
    flags = []
    if sources.get("main", str(CONF)) != str(CONF):
        flags = ["--config-path", sources["main"]]  # which is not looked for in this folder
    if "command-line" in sources:
        flags += ["--config-dir", files.from_here(Path(sources["command-line"]))]
    overrides = [o for o in hydra.overrides.task if _key(o) == "again" or not _about_itself(o)]
    return line(str(hydra.job.config_name), [*search_path, *overrides], cfg, flags)


def again(folder: Path, cfg: DictConfig) -> str:
    """The command that repeats a run by its folder alone; a model of one's own is named, as it is called then."""
    target = OmegaConf.select(cfg, "model._target_")
    own = [] if target is None or target in rules.MODELS else [f"model._target_={target}"]
    place = typed.quoted(files.from_here(folder))
    return line("train", [f"again={place}", *own], cfg)


def line(verb: str, overrides: Iterable[str], cfg: DictConfig, flags: Sequence[str] = ()) -> str:
    """A command line for a shell in this folder.

    Values that would mean something else another time (``latest``, ``${oc.env:...}``) are given as the config has them.
    """
    words = ["python", "-m", f"emotion.{verb}", *flags, *(_settled(override, cfg) for override in overrides)]
    return _python_path(OmegaConf.select(cfg, "model._target_")) + shlex.join(words)


def with_changes(command: str, settings: Mapping[str, object]) -> str:
    """A recorded command with other values of some keys."""
    try:
        words = shlex.split(command)
    except ValueError:  # it was edited by hand
        return command
    start = 1 if command.startswith("PYTHONPATH=") else 0
    kept = [word for word in words[start:] if word.partition("=")[0].lstrip("+") not in settings]
    added = [f"{key}={'null' if value is None else value}" for key, value in settings.items()]
    return " ".join([*map(_assignment, words[:start]), shlex.join([*kept, *added])])


def config_of(run: Run, requested: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of a new run like this one, with what the command line changes.

    Where files are written (``outputs``, ``cache_dir`` of the dataset and its parts) is taken from the command line,
    never from the run.

    Args:
        run: The run to repeat.
        requested: The composed command line; its values are taken for the keys that it names.
        overrides: The command line's ``key=value`` arguments.

    Raises:
        UserError: The run was not trained, a change is not allowed, or the config is not valid here.
    """
    if run.record().adopted:
        raise UserError(f"again: run {run.id} was adopted, not trained, so its training cannot be repeated")
    cfg, changed = run.config(), False
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element().lstrip("+~")
        if key in ("again", "outputs") or key.startswith("hydra"):
            continue
        wanted = OmegaConf.select(requested, key)
        if key == "experiment" or OmegaConf.is_dict(wanted) or _about_itself(key):
            raise UserError(f"{key}: leave it out with again=, which takes changes of single keys, such as seed=1")
        changed = changed or wanted != OmegaConf.select(cfg, key)
        OmegaConf.update(cfg, key, wanted, force_add=True)
    cfg.outputs, cfg.resume, cfg.compare = requested.outputs, None, False
    if cfg.dataset is not None:
        cfg.dataset.cache_dir = requested.dataset.cache_dir
        for part in cfg.dataset.get("parts") or () if "dataset.parts" not in map(_key, overrides) else ():
            part.pop("cache_dir", None)
    if changed:  # a search trains its first rounds for fewer epochs than a command line may ask for
        checks.validate(cfg)
    checks.validate_paths(cfg)
    return cfg


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _about_itself(override: str) -> bool:
    return _key(override).partition(".")[0].partition("/")[0] in _NOT_THE_RUN


def _settled(override: str, cfg: DictConfig) -> str:
    key = _key(override)
    value = OmegaConf.select(cfg, key) if key in _PATHS or "${" in override else None
    if isinstance(value, str) and key in _PATHS and Path(value).is_absolute():
        return typed.retyped(f"{key}={typed.quoted(files.from_here(Path(value)))}")
    if isinstance(value, ListConfig) and key == "trainer.teacher":
        return f"{key}=[{','.join(typed.quoted(files.from_here(Path(one))) for one in value)}]"
    if value is not None and "${" in override:
        return typed.retyped(f"{key}={typed.quoted(value) if isinstance(value, str) else value}")
    return typed.retyped(override)


def _assignment(text: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={shlex.quote(value)}"


def _python_path(target: object) -> str:
    """``PYTHONPATH=<folder>`` and a space where a model of one's own is found by that; Python looks in this folder."""
    name = str(target).partition(".")[0]
    for entry in ["", *os.environ.get("PYTHONPATH", "").split(os.pathsep)] if target not in rules.MODELS else ():
        if Path(entry, f"{name}.py").is_file() or Path(entry, name).is_dir():
            return f"{_assignment(f'PYTHONPATH={files.from_here(Path(entry))}')} " if entry else ""
    return ""
