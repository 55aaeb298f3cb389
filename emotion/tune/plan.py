"""The folder of a search and its plan: the command line, from which any process composes any trial's config."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base import files, locks, provenance
from emotion.base.errors import UserError, did_you_mean
from emotion.config import cli, explain, schema, trust, typed
from emotion.config.checks import validate
from emotion.runs import repeating
from emotion.tune import space
from emotion.tune.space import Choice, Parameter, Value

FILE = "search.json"
#: The keys that may change when a search is resumed; anything else would make its trials another search's.
MAY_CHANGE = ("tuner.max_trials", "tuner.workers", "tuner.max_failures", "dataset.root", "dataset.cache",
              "dataset.cache_dir", "trainer.threads")  # fmt: skip
#: Hydra composes in one global state per process; a search's workers are threads.
_COMPOSING = threading.Lock()

_PATHS = ("dataset.root", "dataset.cache_dir", "model.weights", "outputs")
#: Keys that cannot be searched: they say where things are, or what the search itself does.
_OWN = ("tuner", "outputs", "resume", "hydra", "seed", "experiment")


@dataclass(frozen=True)
class Plan:
    """A search's command line.

    Attributes:
        overrides: Its ``key=value`` arguments with one value.
        space: Keys that were given several values there, in Hydra's sweep grammar; they join ``tuner.space``.
        config_dir: ``--config-dir`` as an absolute path, or None.
        named: Of a plan that was read: the functions that this command line names, beside our own models'; None where
            the whole plan was typed.
    """

    overrides: tuple[str, ...]
    space: Mapping[str, str]
    config_dir: str | None
    named: frozenset[str] | None = None

    @classmethod
    def of(cls, asked: cli.Request) -> Plan:
        directory = asked.arguments.config_dir and str(Path(asked.arguments.config_dir).absolute())
        overrides = [_absolute(o) for o in asked.overrides if not o.startswith("resume=")]
        return cls(tuple(overrides), dict(asked.space), directory)

    @classmethod
    def load(cls, folder: Path, asked: cli.Request) -> Plan:
        """The plan of the search in a folder.

        Raises:
            UserError: It is missing or damaged, or takes configs from a folder that this command line does not name.
        """
        content = files.read_json(folder / FILE).get("plan")
        try:
            overrides, space, directory = (content[key] for key in ("overrides", "space", "config_dir"))  # type: ignore[index]
            texts = [*overrides, *space.keys(), *space.values(), directory or ""]
            if not isinstance(overrides, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UserError(f"{folder / FILE}: damaged, it holds no plan; restore it or begin a new search") from None
        if directory and directory != Plan.of(asked).config_dir:
            raise UserError(
                f"{folder / FILE}: takes configs from '{directory}', and a search from elsewhere could name any "
                f"function there. If you know this folder, name it yourself: add --config-dir {directory}"
            )
        return cls(tuple(overrides), dict(space), directory, trust.named(asked))

    def as_json(self) -> dict[str, Any]:
        return {"overrides": list(self.overrides), "space": dict(self.space), "config_dir": self.config_dir}

    def command(self, verb: str, cfg: DictConfig, values: Mapping[str, object]) -> str:
        """A command line with the plan's arguments, and these values in place of its own or beside them."""
        own = [o for o in self.overrides if o.partition("=")[0].lstrip("+") not in values]
        if verb == "train":
            own = [o for o in own if not o.lstrip("+").startswith(("tuner", "hydra"))]
        flags = ["--config-dir", files.from_here(Path(self.config_dir))] if self.config_dir else []
        return repeating.line(verb, [*own, *(f"{key}={value}" for key, value in values.items())], cfg, flags)

    def compose(self, values: Mapping[str, Value] | None = None) -> DictConfig:
        """The config of ``emotion.tune`` with these values.

        Raises:
            UserError: They are not valid together, or a plan that was read names a function that the user did not.
        """
        chosen = [f"{k}={v}" for k, v in (values or {}).items()]
        with _COMPOSING:
            schema.register()
            with cli.composing(str(schema.CONF), self.config_dir):
                cfg = self._composed(chosen)
        try:
            validate(cfg)
        except OmegaConfBaseException as error:
            raise UserError(explain.plain(error)) from None
        if self.named is not None:
            trust.check(cfg, "the search", self.named)
        return cfg

    def parameters(self, cfg: DictConfig) -> list[Parameter]:
        """What is searched: ``tuner.space`` and the command line's, without keys that are set to one value there.

        Raises:
            UserError: The space is empty, or a key of it is unknown, takes no value of its kind, or one out of range.
        """
        fixed = {o.get_key_element() for o in OverridesParser.create().parse_overrides(list(self.overrides))}
        own = {str(k): v for k, v in (cfg.tuner.space or {}).items() if k not in fixed}
        parameters = space.parse(own | dict(self.space))
        if not parameters:
            example = "'trainer.batch_size=choice(32, 64)'"
            raise UserError(f"tuner.space: empty, there is nothing to search. Give keys several values: {example}")
        with cli.composing(str(schema.CONF), self.config_dir):
            variants = dict(self._variants(cfg, parameters))
        placed = [_placed(p, variants) for p in parameters]
        if problems := list(filter(None, (_problem(p, variants) for p in placed))):
            raise UserError("\n".join(f"tuner.space: {problem}" for problem in problems))
        return placed

    def _composed(self, chosen: list[str]) -> DictConfig:
        try:
            return compose("tune", [*self.overrides, *chosen])
        except explain.COMPOSING as error:
            raise UserError(explain.explain(error, "tune", [*self.overrides, *chosen])) from None

    def _variants(self, cfg: DictConfig, parameters: list[Parameter]) -> Iterator[tuple[tuple[str, str], DictConfig]]:
        """The config with each option of each group that is searched, by group and option; under ("", "") as it is."""
        groups = set(GlobalHydra.instance().config_loader().list_groups("")) - {"hydra", "tuner", "experiment"}
        yield ("", ""), cfg
        for parameter in parameters:
            if parameter.key not in groups:
                continue
            if not isinstance(parameter, Choice):
                raise UserError(f"tuner.space: {parameter.key}: a config group takes choice(<option>, <option>)")
            for option in map(str, parameter.values):
                variant = self._composed([f"{parameter.key}={option}"])
                validate(variant)
                yield (parameter.key, option), variant


def _absolute(override: str) -> str:
    """Make an override's path absolute, for workers and later commands in other folders."""
    key, _, value = override.partition("=")
    if key not in _PATHS or value in ("null", "imagenet", ""):
        return override
    return f"{key}={typed.quoted(Path(value.strip(chr(34) + chr(39))).expanduser().absolute())}"


def _placed(parameter: Parameter, variants: Mapping[tuple[str, str], DictConfig]) -> Parameter:
    """The parameter, bound to those options of its group that have the key, where the group is searched too."""
    options = _options(parameter, variants)
    having = tuple(option for option, cfg in options.items() if _has(cfg, parameter.key))
    bound = "." in parameter.key and 0 < len(having) < len(options)
    return replace(parameter, only_for=having) if bound else parameter


def _options(parameter: Parameter, variants: Mapping[tuple[str, str], DictConfig]) -> dict[str, DictConfig]:
    """The config with each option of the parameter's group, if that is searched."""
    group = parameter.key.partition(".")[0]
    return {option: cfg for (searched, option), cfg in variants.items() if searched == group}


def _problem(parameter: Parameter, variants: Mapping[tuple[str, str], DictConfig]) -> str | None:
    """Why a parameter cannot be searched, or None."""
    key = parameter.key
    if key.partition(".")[0] in _OWN:
        return f"{key}: cannot be searched"
    options = _options(parameter, variants)
    if options and "." not in key:
        return None  # a group: its options have been composed
    having = [cfg for cfg in options.values() or [variants["", ""]] if _has(cfg, key)]
    if not having:
        known = [k for cfg in variants.values() for k in explain.keys(cfg)]
        return f"{key}: no such key.{did_you_mean(key, known) or did_you_mean(key.rpartition('.')[2], known)}"
    problems = (_refusal(cfg, sample) for sample in space.samples(parameter) for cfg in having)
    return next(filter(None, problems), None)


def _has(cfg: DictConfig, key: str) -> bool:
    parent = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return OmegaConf.is_dict(parent) and key.rpartition(".")[2] in parent


def _refusal(cfg: DictConfig, sample: str) -> str | None:
    """Why the config cannot take an override, or None; far quicker than to compose again."""
    override = OverridesParser.create().parse_override(sample)
    changed, key = cfg.copy(), override.get_key_element()
    try:
        OmegaConf.update(changed, key, override.value(), merge=False)
        validate(changed)
    except OmegaConfBaseException as error:
        return f"{key}: {explain.plain(error)}"
    except UserError as error:
        lines = str(error).splitlines()
        return next((line for line in lines if line.startswith(key)), lines[0])
    return None


def create_search(search: Path, plan: Plan, cfg: DictConfig) -> None:
    """Make a search's folder; UserError where it cannot be written to."""
    record = {
        "created": provenance.now(),
        "command": plan.command("tune", cfg, plan.space),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "finished": None,
        "plan": plan.as_json(),
    }
    try:
        search.mkdir(parents=True, exist_ok=True)
        files.write_json(search / FILE, record)
        files.write_text(search / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    except OSError as error:
        raise UserError(f"{search}: cannot be written ({error.strerror}); set outputs=... to another folder") from None


def finish_search(search: Path) -> None:
    """Record that the search has ended by itself."""
    files.write_json(search / FILE, files.read_json(search / FILE) | {"finished": provenance.now()})


def find_search(name: Any, outputs: str) -> Path:
    """Find a search by id, unique prefix of it, path, or ``latest``; UserError if none or several have that name."""
    root, name = Path(outputs), str(name)
    for folder in (Path(name).expanduser(), root / name):
        if (folder / FILE).is_file():
            return folder
    known = sorted((p.parent for p in root.glob(f"**/{FILE}")), key=lambda p: p.name)
    if not known:
        raise UserError(f"resume: there are no searches under '{root}'. Begin one: python -m emotion.tune")
    if name == "latest":
        return known[-1]
    matches = [p for p in known if p.relative_to(root).as_posix().startswith(name)]
    if len(matches) == 1:
        return matches[0]
    newest = ", ".join(p.relative_to(root).as_posix() for p in (matches or known)[-5:])
    if matches:
        raise UserError(f"resume: '{name}' fits {len(matches)} searches ({newest}); write more of its name")
    raise UserError(f"resume: no search '{name}' under '{root}'. There are: {newest}; also: latest")


def resumed_plan(search: Path, asked: cli.Request) -> Plan:
    """The plan of a search with the changes that the command line asks for, recorded in its folder.

    Raises:
        UserError: Another process runs it, or a change would make it another search.
    """
    if locks.is_held(search):
        raise UserError(f"{search}: another process runs this search; stop it first")
    before = Plan.load(search, asked)
    changes = [o for o in Plan.of(asked).overrides if not o.startswith("outputs=") and o not in before.overrides]
    names = [o.partition("=")[0] for o in changes]
    wrong = [name for name in names if name not in MAY_CHANGE]
    wrong += [key for key, values in asked.space.items() if before.space.get(key) != values]
    if wrong:
        raise UserError(
            f"{', '.join(wrong)}: would make {search.name} another search. On resume you may change "
            f"{', '.join(MAY_CHANGE)}; to change more, begin a new one"
        )
    unchanged = [o for o in before.overrides if o.partition("=")[0] not in names]
    plan = replace(before, overrides=(*unchanged, *changes))
    with locks.held(search):
        files.write_json(search / FILE, files.read_json(search / FILE) | {"plan": plan.as_json(), "finished": None})
    return plan
