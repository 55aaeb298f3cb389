"""``contract.json``: what is written is read back, and what is damaged is said in words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.faces.contract import COLOURS, INTERPOLATIONS, Contract
from emotion.faces.labels import EMOTIONS

GOOD: dict[str, Any] = {"height": 48, "width": 64, "colour": "rgb", "crop_margin": 0.1, "interpolation": "cubic"}


@given(
    height=st.integers(8, 512),
    width=st.integers(8, 512),
    colour=st.sampled_from(COLOURS),
    crop_margin=st.floats(-0.4, 2) | st.integers(0, 2),
    interpolation=st.sampled_from(INTERPOLATIONS),
    labels=st.lists(st.text(max_size=100).filter(str.isprintable), min_size=2, max_size=9, unique=True).map(tuple),
    has_prior=st.booleans(),
    has_target=st.booleans(),
)
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, has_prior: bool, has_target: bool, **values: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "contract.json"
    classes = len(values["labels"])
    prior = (1 / classes,) * classes if has_prior else None
    target = (1.0, *[0.0] * (classes - 1)) if has_prior and has_target else None
    contract = Contract(**values, prior=prior, target_prior=target)
    contract.save(path)
    assert Contract.load(path) == contract


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", "48"), ("height", 48.0), ("height", None), ("height", True), ("width", [48]), ("width", 4),
        ("colour", ["rgb"]), ("colour", "bgr"), ("crop_margin", "0.1"), ("crop_margin", float("nan")),
        ("interpolation", 3), ("interpolation", "nearest"), ("labels", "happy"), ("labels", [1, 2]),
        ("labels", ["happy", "happy"]), ("labels", None), ("prior", 0.1), ("prior", [0.5, 0.5]), ("prior", ["a"] * 7),
        ("prior", [0.1] * 7), ("prior", [2, -1, 0, 0, 0, 0, 0]), ("target_prior", [1, 0, 0, 0, 0, 0, 0]),
        ("prior", [0.15] * 6), ("prior", [1.5, -0.5, 0, 0, 0, 0, 0]), ("prior", [True, 0, 0, 0, 0, 0, 0]),
        ("labels", ["happy"]), ("labels", []), ("temperature", 0), ("temperature", -0.5), ("temperature", "1"),
        ("temperature", float("inf")),
    ],
)  # fmt: skip
def test_a_damaged_value_is_named_with_its_file(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(GOOD | {key: value}))
    with pytest.raises(UserError, match=r"contract\.json: .*restore it from a backup or train again") as caught:
        Contract.load(path)
    named = {"width": "48x4"}.get(key, key) if value == 4 else key
    if isinstance(value, float) and not math.isfinite(value):  # which JSON does not have
        named = "is not a number of JSON"
    assert named in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"height": 48, "width": 48, "depth": 1}'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "contract.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"contract\.json: (damaged|not a contract)"):
        Contract.load(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no contract there"):
        Contract.load(tmp_path / "contract.json")


def test_the_smallest_contract() -> None:
    contract = Contract(8, 8, labels=("a", "b"), temperature=1e-3)
    assert contract.shape == (8, 8, 1)
    assert Contract(9, 8, colour="rgb").shape == (9, 8, 3)
    for size in ((7, 8), (8, 7)):
        with pytest.raises(UserError, match="must be at least 8x8 pixels"):
            Contract(*size)


def test_shares_may_be_rounded_to_two_decimals_and_no_further() -> None:
    for shares in ((0.33, 0.33, 0.33), (0.14,) * 7, (0.17,) * 6, (0, 1, 0)):
        assert Contract(8, 8, labels=EMOTIONS[: len(shares)], prior=shares).prior == shares
    for shares in ((0.34, 0.34, 0.34), (0.32, 0.33, 0.33), (0.13,) * 7):
        with pytest.raises(UserError, match="must be a share of each label"):
            Contract(8, 8, labels=EMOTIONS[: len(shares)], prior=shares)


def test_uncalibrated_is_the_network_itself() -> None:
    names, shares = ("a", "b"), (0.25, 0.75)
    contract = Contract(48, 40, "rgb", 0.1, "cubic", names, 1.7, shares, (0.5, 0.5))
    assert contract.uncalibrated() == Contract(48, 40, "rgb", 0.1, "cubic", names, 1.0, shares)


def test_keys_that_are_missing_mean_what_they_meant_before_there_were_such_keys(tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text('{"height": 48, "width": 64}')
    contract = Contract.load(path)
    assert contract == Contract(48, 64, "gray", 0.0, "area", EMOTIONS, 1.0)
    assert (contract.height, contract.width) == (48, 64)
