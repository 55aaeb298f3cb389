"""Every config that ships composes, fits its schema, and says what its values mean."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from emotion.config import commands, schema
from emotion.config.checks import validate, validate_paths
from emotion.data import augment  # noqa: F401 - the table below must not drift from what is implemented
from tests.conftest import compose

_OPTIONS = {
    group: sorted(p.stem for p in (schema.CONF / group).glob("*.yaml"))
    for group in ("dataset", "augmentation", "model", "trainer", "experiment")
}


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), [(g, o) for g, options in _OPTIONS.items() for o in options])
def test_each_option_composes_and_validates(group: str, option: str) -> None:
    parts = ["dataset.parts=[{name: folder}]"] if option == "mixed" else []
    validate(compose("train", f"{group}={option}", "dataset.root=somewhere", *parts))


def test_paths_are_checked_apart_from_values(tmp_path: Path) -> None:
    weights = tmp_path / "some.weights.h5"
    cfg = compose("train", "dataset=folder", "dataset.root=nope", "model=mobilenet_v2", f"model.weights={weights}")
    validate(cfg)
    with pytest.raises(UserError) as caught:
        validate_paths(cfg)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == ["dataset.root", "model.weights"]
    weights.touch()
    cfg.dataset.root = str(tmp_path)
    validate_paths(cfg)


@pytest.mark.parametrize("path", sorted(schema.CONF.glob("*/*.yaml")) + sorted(schema.CONF.glob("*.yaml")), ids=str)
def test_each_default_is_explained(path: Path) -> None:
    """A value that a person may set carries a comment; what a file only passes on (experiments) need not."""
    if path.parent.name in ("experiment", "job_logging"):
        return
    text = path.read_text().split("\nhydra:")[0]
    for line in text.splitlines():
        value = re.match(r"^( *)([a-z_0-9]+):(?: +(.*))?$", line)
        if not value or value[2] in ("defaults", "name", "_target_", "ops", "detector") or line.startswith("    "):
            continue
        assert "#" in (value[3] or ""), f"{path.name}: '{line}' has no comment"


@pytest.mark.parametrize("group", [*schema.GROUPS, *(c.__name__.lower() for c in commands.COMMANDS)])
def test_a_comment_lists_every_choice(group: str) -> None:
    types: list[type] = [c for c in commands.COMMANDS if c.__name__.lower() == group]
    types = types or list(schema.GROUPS[group].values())
    choices = {f.name: f.metadata["choices"] for t in types for f in fields(t) if "choices" in f.metadata}
    files = [schema.CONF / f"{group}.yaml", *(schema.CONF / group).glob("*.yaml")]
    for path in filter(Path.is_file, files):
        for key, comment in re.findall(r"^([a-z_0-9]+):.*?# (.*)$", path.read_text(), flags=re.MULTILINE):
            if key in choices and (group, key) not in (("collect", "emotion"), ("compare", "split")):
                assert [c for c in choices[key] if c not in comment] == [], f"{path.name}: {key}"


def test_the_augmentation_table_is_what_is_implemented() -> None:
    from emotion.data.augment import parse

    assert len(parse([{name: {}} for name in schema.OPS])) == len(schema.OPS)


def test_live_has_the_same_defaults_everywhere() -> None:
    """In the YAML file, in the schema that the benchmark takes, and in the Python function."""
    from inspect import signature

    from emotion import Model
    from emotion.inference.session import Settings

    composed = compose("live", "run=latest")
    schema = OmegaConf.structured(commands.Live)
    parameters = {name: p.default for name, p in signature(Model.video).parameters.items()}
    assert {"smoothing", "min_confidence", "max_gap", "stride", "max_frames"} <= set(parameters)
    settings = Settings()
    for key in map(str, composed):
        if key not in ("run", "hydra"):
            assert composed[key] == schema[key], key
        if key in parameters and key not in ("run", "source", "detector"):
            assert composed[key] == parameters[key], key
        if hasattr(settings, key) and key != "detector":
            assert composed[key] == getattr(settings, key), key
