"""``contract.json``: what is written is read back, and what is damaged is said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.faces.contract import COLOURS, INTERPOLATIONS, Contract

GOOD: dict[str, Any] = {"height": 48, "width": 64, "colour": "rgb", "crop_margin": 0.1, "interpolation": "cubic"}


@given(
    height=st.integers(8, 512),
    width=st.integers(8, 512),
    colour=st.sampled_from(COLOURS),
    crop_margin=st.floats(-0.4, 2) | st.integers(0, 2),
    interpolation=st.sampled_from(INTERPOLATIONS),
    labels=st.lists(st.text(), min_size=2, max_size=9, unique=True).map(tuple),
)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, **values: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "contract.json"
    contract = Contract(**values)
    contract.save(path)
    assert Contract.load(path) == contract


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", "48"), ("height", 48.0), ("height", None), ("height", True), ("width", [48]), ("width", 4),
        ("colour", ["rgb"]), ("colour", "bgr"), ("crop_margin", "0.1"), ("crop_margin", float("nan")),
        ("interpolation", 3), ("interpolation", "nearest"), ("labels", "happy"), ("labels", [1, 2]),
        ("labels", ["happy", "happy"]), ("labels", None),
    ],
)  # fmt: skip
def test_a_damaged_value_is_named_with_its_file(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(GOOD | {key: value}))
    with pytest.raises(UserError, match=r"contract\.json: .*restore it from a backup or train again") as caught:
        Contract.load(path)
    named = {"width": "48x4"}.get(key, key) if value == 4 else key
    assert named in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"height": 48, "width": 48, "depth": 1}'])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "contract.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"contract\.json: not (valid JSON|a contract)"):
        Contract.load(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no contract there"):
        Contract.load(tmp_path / "contract.json")
