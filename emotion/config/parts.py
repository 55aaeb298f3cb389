"""The parts of ``dataset=mixed``: each a dataset config of its own, written in short."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base.errors import did_you_mean
from emotion.config import fields as config_fields
from emotion.config.schema import CONF, GROUPS

#: What a part takes from the mixed dataset unless it says otherwise.
_INHERITED = ("root", "cache_dir", "split_seed", "validation_fraction", "test_fraction")
#: What a part has beside the keys of its dataset.
_OWN = ("title", "weight")
KINDS = tuple(name for name in GROUPS["dataset"] if name != "mixed")


def nodes(dataset: DictConfig) -> dict[str, DictConfig]:
    """Title of each part -> its dataset node: what it says, then the defaults of ``conf/dataset/<name>.yaml``.

    The title is the part's ``title``, or else its ``name``, with a number where that repeats.
    """
    result: dict[str, DictConfig] = {}
    for part in dataset.parts:
        title, count = str(part.get("title") or part["name"]), 2
        while title in result:
            title, count = f"{part.get('title') or part['name']}-{count}", count + 1
        result[title] = _node(dataset, part)
    return result


def _node(dataset: DictConfig, part: DictConfig) -> DictConfig:
    own = {key: value for key, value in part.items() if key not in _OWN}
    values = OmegaConf.load(CONF / "dataset" / f"{part['name']}.yaml")
    assert isinstance(values, DictConfig)
    values.pop("defaults", None)
    inherited = {key: dataset[key] for key in _INHERITED if key in dataset}
    schema = OmegaConf.structured(GROUPS["dataset"][part["name"]])
    node = OmegaConf.merge(schema, values, inherited, own)
    assert isinstance(node, DictConfig)
    return node


def problems(dataset: DictConfig) -> Iterator[str]:
    """Say what is wrong with ``dataset.parts``."""
    parts = dataset.get("parts")
    if not OmegaConf.is_list(parts) or not len(parts):
        yield (
            "dataset.parts: no parts given. Set it to a list, such as "
            "'dataset.parts=[{name: fer2013, root: data/fer2013}, {name: folder, root: data/mine, weight: 2}]'"
        )
        return
    for i, part in enumerate(parts):
        yield from _part_problems(dataset, part, f"dataset.parts.{i}")


def _part_problems(dataset: DictConfig, part: Any, key: str) -> Iterator[str]:
    if not OmegaConf.is_dict(part) or part.get("name") not in KINDS:
        name = part.get("name") if OmegaConf.is_dict(part) else part
        yield f"{key}.name: '{name}' is not one of {', '.join(KINDS)}.{did_you_mean(str(name), KINDS)}"
        return
    known = {f.name: f.metadata for f in fields(GROUPS["dataset"][part["name"]])}
    for name, value in part.items():
        if name not in known and name not in _OWN:
            near = did_you_mean(str(name), [*known, *_OWN])
            yield f"{key}.{name}: no such key.{near} Allowed here: {', '.join(sorted([*known, *_OWN]))}"
        elif value is not None and name in known:
            yield from config_fields.problems(f"{key}.{name}", value, known[name])
    weight = part.get("weight", 1.0)
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight <= 1000:
        yield f"{key}.weight: '{weight}' must be a number above 0, at most 1000"
    if "root" in known and part["name"] != "synthetic" and not part.get("root") and not dataset.get("root"):
        yield f"{key}.root: no value given; say where the images are, here or, for all parts, with dataset.root"
    try:
        _node(dataset, part)
    except OmegaConfBaseException as error:
        yield f"{key}: {str(error).splitlines()[0]}"


def path_problems(dataset: DictConfig) -> Iterator[str]:
    """Say which files and folders that the parts name do not exist."""
    root = dataset.get("root")
    if root and not os.path.exists(os.path.expanduser(str(root))):  # noqa: PTH110, PTH111
        yield f"dataset.root: no such file or folder '{root}'"
    for i, part in enumerate(dataset.parts):
        for name in ("root", "votes"):
            path = part.get(name)
            if path and not os.path.exists(os.path.expanduser(str(path))):  # noqa: PTH110, PTH111
                yield f"dataset.parts.{i}.{name}: no such file or folder '{path}'"
