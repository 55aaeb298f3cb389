"""Which runs are one entry, and what an entry is called."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import yaml

from emotion.compare.candidates import Candidate
from emotion.config.schema import CONF

#: What does not change a run's result, given the same images; the seed changes it, and is what a group varies in.
IRRELEVANT = ("seed", "outputs", "resume", "dataset.root", "dataset.votes", "dataset.metadata", "dataset.cache",
              "dataset.cache_dir", "dataset.crop_margin", "trainer.threads", "trainer.bootstrap",
              "compare")  # fmt: skip
#: Values that mean what was done before there was such a key.
_AS_BEFORE = {"dataset.drop_duplicates": "none", "dataset.test_unreviewed": False, "dataset.group": None,
              "dataset.folds": None, "dataset.fold": None, "trainer.teacher": None}  # fmt: skip
#: Keys that mean nothing where there is no teacher.
_OF_TEACHERS = ("trainer.teacher_weight", "trainer.teacher_temperature")
#: Longer names are of no use as names; then the run's id takes the place of the settings.
_LONGEST = 44
#: Not a setting, and named only where it alone tells two entries apart.
_DATA, _COMMIT = "training data", "commit"
#: What tells entries apart without being a setting.
_FROM = "continued from"
NO_SETTINGS = (_DATA, _COMMIT, _FROM)


@dataclass(frozen=True, eq=False)
class Group:
    """Runs that differ only in the seed, one of each seed, by seed; and those that repeat a seed."""

    members: tuple[Candidate, ...]
    repeats: tuple[Candidate, ...] = ()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Its settings as dotted keys, and what else may tell it from another group."""
        return _facts(self.members[0])


def collapse(candidates: Iterable[Candidate]) -> list[Group]:
    """Gather the runs that differ only in the seed, in the order of their first.

    A second run of the same seed is not another sample: where the code was another (its commit is recorded), all runs
    of that config are grouped by commit; else the newest run counts, and the others are ``repeats``.
    """
    same: dict[tuple[str, str, str], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        same[trained_on(candidate), identity(candidate.config), began_from(candidate)].append(candidate)
    return [group for members in same.values() for group in _by_seed(members)]


def _by_seed(candidates: list[Candidate]) -> list[Group]:
    commits = {(seed_of(candidate), candidate.record.code) for candidate in candidates}
    repeated_by_other_code = len(commits) > len({seed for seed, _ in commits})
    by_commit: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_commit[candidate.record.code if repeated_by_other_code else ""].append(candidate)
    return [_newest_per_seed(members) for members in by_commit.values()]


def _newest_per_seed(candidates: list[Candidate]) -> Group:
    newest: dict[int | None, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (c.record.created, c.run.id)):
        newest[seed_of(candidate)] = candidate
    members = tuple(newest[seed] for seed in sorted(newest, key=lambda s: s or 0))
    return Group(members, tuple(c for c in candidates if not any(c is m for m in members)))


def seed_of(candidate: Candidate) -> int | None:
    """The run's seed; None for a network that was trained elsewhere."""
    if candidate.record.adopted:
        return None
    seed = candidate.config.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def trained_on(candidate: Candidate) -> str:
    return candidate.record.pixels or ""


def began_from(candidate: Candidate) -> str:
    """The trial of a search that a run went on from, which makes it another training; empty for all others."""
    source = candidate.record.trial.get("from") or ""
    return str(source).partition("/executions/")[0]


# ---------------------------------------------------------------------------------------------------------- settings


def dotted(config: dict[str, Any]) -> dict[str, Any]:
    """A config as dotted keys, without :data:`IRRELEVANT` ones; a list of named operations by their names."""
    return _relevant(_dotted(config, ""))


def identity(config: dict[str, Any]) -> str:
    """A text that is equal for configs of the same training, but for its seed."""
    return json.dumps(_relevant(_dotted(config, "", by_name=False)), sort_keys=True, default=str)


def _relevant(settings: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    kept = {key: value for key, value in settings if key not in IRRELEVANT}
    if kept.get("trainer.teacher") is None:
        kept = {key: value for key, value in kept.items() if key not in _OF_TEACHERS}
    return {key: value for key, value in kept.items() if key not in _AS_BEFORE or value != _AS_BEFORE[key]}


def _dotted(value: Any, key: str, by_name: bool = True) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _dotted(inner, f"{key}.{name}" if key else str(name), by_name)
        return
    operations = (
        by_name and isinstance(value, list) and value and all(isinstance(v, dict) and len(v) == 1 for v in value)
    )
    names = [next(iter(v)) for v in value] if operations else []
    if names and len(set(names)) == len(names):
        for operation in value:
            yield from _dotted(operation, key, by_name)
    else:
        yield key, value


# ------------------------------------------------------------------------------------------------------------- names


def differing(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Of each group's settings, as dotted keys, those that are not the same in all groups."""
    by_group = [group.facts for group in groups]
    keys = list(dict.fromkeys(key for facts in by_group for key in facts))
    different = [key for key in keys if len({repr(facts.get(key, _ABSENT)) for facts in by_group}) > 1]
    return [{key: facts[key] for key in different if key in facts} for facts in by_group]


_ABSENT = object()


def _facts(candidate: Candidate) -> dict[str, Any]:
    facts = dotted(candidate.config)
    option = _augmentation(candidate.config)
    if option is not None:
        facts = {k: v for k, v in facts.items() if not k.startswith("augmentation.")} | {"augmentation": option}
    origin = {_FROM: began_from(candidate)} if began_from(candidate) else {}
    return facts | origin | {_DATA: trained_on(candidate)[:8], _COMMIT: candidate.record.code}


def names(groups: Sequence[Group]) -> list[str]:
    """A short, unique name for each group: its model, and the settings in which it differs from others of that model.

    Where the settings are too many to name, the end of the run's id takes their place.
    """
    models = [model_of(group.members[0]) for group in groups]
    of_model: dict[str, list[int]] = defaultdict(list)
    for number, model in enumerate(models):
        of_model[model].append(number)
    candidates = list(models)
    for model, numbers in of_model.items():
        if len(numbers) > 1:
            for number, words in zip(numbers, _distinguish([groups[n] for n in numbers]), strict=True):
                candidates[number] = f"{model} {words}".rstrip()
    ids = _short_ids([group.members[0].run.id for group in groups])
    taken = Counter(candidates)
    return [
        name if len(name) <= _LONGEST and taken[name] == 1 else f"{model} {short}"
        for name, model, short in zip(candidates, models, ids, strict=True)
    ]


def _distinguish(groups: Sequence[Group]) -> list[str]:
    """What distinguishes groups of one model, each in few words; the same words twice where that is not enough."""
    facts = differing(groups)
    keys = list(dict.fromkeys(key for group in facts for key in group if key not in (_DATA, _COMMIT)))
    for extra in ([], [_DATA], [_COMMIT], [_DATA, _COMMIT]):
        words = [" ".join(_word(k, group[k]) for k in [*keys, *extra] if k in group) for group in facts]
        if len(set(words)) == len(words):
            break
    return words


def _word(key: str, value: Any) -> str:
    if key == _DATA:
        return f"data={value}"
    shown = f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "").replace("'", "")
    return f"{key.rpartition('.')[2]}={'null' if value is None else shown}"


def model_of(candidate: Candidate) -> str:
    """What a run's model is called."""
    model = candidate.config["model"]
    return str(model.get("name") or str(model.get("_target_", "model")).rpartition(".")[2])


def _short_ids(ids: Sequence[str]) -> list[str]:
    """The end of each id, as few folders of it as tell all apart."""
    for count in range(1, 1 + max(i.count("/") + 1 for i in ids)):
        ends = ["/".join(i.split("/")[-count:]) for i in ids]
        if len(set(ends)) == len(set(ids)):
            return ends
    return list(ids)


def _augmentation(config: dict[str, Any]) -> str | None:
    """Which option under ``conf/augmentation`` a run's augmentation is; None where it is none of them."""
    given = config.get("augmentation")
    return next((name for name, option in _augmentations().items() if option == given), None)


@cache
def _augmentations() -> dict[str, Any]:
    from omegaconf import OmegaConf

    from emotion.config.schema import Augmentation

    options = {}
    for path in sorted((CONF / "augmentation").glob("*.yaml")):
        option = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        option.pop("defaults", None)
        options[path.stem] = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(Augmentation), option))
    return options
