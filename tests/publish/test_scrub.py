"""What tells of a machine goes; everything else stays as it was."""

from __future__ import annotations

import string
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.publish import scrub

_NAMES = st.text(string.ascii_letters + string.digits + "_-. é", min_size=1, max_size=12).filter(
    lambda name: name.strip(" .") == name != ""
)


@given(st.lists(_NAMES, min_size=2, max_size=5), st.sampled_from(["dataset.root", "model.weights", "outputs", "x"]))
def test_of_a_path_in_a_config_the_last_part_is_left(parts: list[str], key: str) -> None:
    group, _, name = key.rpartition(".")
    given_ = str(PurePosixPath("/", *parts))
    content = {group: {name: given_}} if group else {name: given_}
    found = scrub.config(content)
    assert (found[group] if group else found)[name] == parts[-1]


@given(st.lists(_NAMES.filter(lambda n: " " not in n), min_size=2, max_size=5))
def test_of_a_path_in_a_text_the_last_part_is_left(parts: list[str]) -> None:
    path = str(PurePosixPath("/", *parts))
    assert scrub.text(f"missing: {path} (gone)") == f"missing: {parts[-1]} (gone)"
    assert scrub.text(f"missing:{path} (gone)") == f"missing:{parts[-1]} (gone)"


_PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(string.ascii_letters + " ,.-_=%()")
_KEYS = st.text(string.ascii_letters, min_size=1)


@given(st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner), max_leaves=8))
def test_what_is_no_path_stays(value: object) -> None:
    content = {"kept": value}
    assert scrub.config(content) == content
    assert list(scrub.changes(content, scrub.config(content))) == []


@pytest.mark.parametrize(
    "text",
    ["accuracy/macro_f1", "https://example.org/a/b?c=d", "w/o a path", "3/4", "FER2013's counts", "a-b_c"],
)
def test_slashes_that_begin_no_path_stay(text: str) -> None:
    assert scrub.text(text) == text


@pytest.mark.parametrize(
    ("given_", "left"),
    [
        ("python -m emotion.train dataset.root=/data/anna/fer model=cnn", "dataset.root=fer model=cnn"),
        ("python -m emotion.train dataset.root=../data/fer seed=1", "dataset.root=fer seed=1"),
        (r"python -m emotion.train 'dataset.root=C:\Users\anna\fer' seed=1", "dataset.root=fer seed=1"),
        ("python -m emotion.train \"dataset.root='/home/anna smith/my faces'\"", "my faces"),
        (
            "python -m emotion.train experiment=mine/wide hydra/launcher=slurm",
            "experiment=mine/wide hydra/launcher=slurm",
        ),
        ("python -m emotion.train trainer.teacher=/home/anna/outputs/sweep/3", "trainer.teacher=sweep/3"),
        ("python -m emotion.train trainer.teacher=outputs/20261122_cnn", "trainer.teacher=20261122_cnn"),
        ("python -m emotion.train 'trainer.teacher=[/home/anna/outputs/a,b]'", "trainer.teacher=[a,b]"),
        ("python -m emotion.train 'model.stages=[8,16]' outputs=/tmp/anna", "'model.stages=[8,16]' outputs=anna"),
        (
            "python -m emotion.adopt source=https://example.org/a/b.h5 model=/x/b.h5",
            "source=https://example.org/a/b.h5",
        ),
        ("/home/anna/.venv/bin/pytest tests/test_train.py", "pytest tests/test_train.py"),
        (
            "PYTHONPATH=/home/anna/code python -m emotion.train --config-dir mine/conf dataset.root=data/fer",
            "PYTHONPATH=code python -m emotion.train --config-dir mine/conf dataset.root=data/fer",
        ),
        (
            "x 'dataset.parts=[{name: folder, root: /home/anna/mine, weight: 3}]'",
            "'dataset.parts=[{name: folder, root: mine, weight: 3}]'",
        ),
        ("x 'dataset={root:/home/anna/mine,b:../anna/c}' 'a=[data/b]'", "'dataset={root:mine,b:c}' 'a=[data/b]'"),
        (
            "x \"dataset.parts=[{root: '/home/anna smith/a, b', url: https://example.org/a/../b}]\"",
            "{root: '\"'\"'a, b'\"'\"', url: https://example.org/a/../b}",
        ),
        (r"x 'dataset.parts=[{root: C:\Users\anna\mine, n: 1}]'", "[{root: mine, n: 1}]"),
        ("x 'dataset.root=choice(/home/anna/a,/home/anna/b)'", "'dataset.root=choice(a,b)'"),
        (
            "x 'a=[${oc.env:B}/c]' a=file:///home/anna/b --to=server:/home/anna/c",
            "'a=[${oc.env:B}/c]' a=file://b --to=server:c",
        ),
    ],
)
def test_a_command_loses_its_folders_alone(given_: str, left: str) -> None:
    found = scrub.command(given_, "outputs")
    assert left in found
    assert not any(trace in found.replace("/a/../b", "") for trace in ("/home", "/data", "Users", "smith", "..", "/x"))


def test_a_record_loses_host_and_process() -> None:
    record = {"id": "a", "host": "laptop", "pid": 3, "unreadable": [["anna/1.png", "empty"]], "data": {"pixels": "ab"}}
    record |= {"error": "/home/anna/x.log: full", "command": "python -m emotion.train outputs=/home/anna/out"}
    found = scrub.record(record, "out")
    assert found == {
        "id": "a",
        "data": {"pixels": "ab"},
        "error": "x.log: full",
        "command": "python -m emotion.train outputs=out",
    }
    said = list(scrub.changes(record, found))
    assert {"host left out", "pid left out", "unreadable left out", "error: now x.log: full"} < set(said)


def test_a_run_is_called_by_its_path_below_the_outputs() -> None:
    assert scrub.run_name("/home/anna/outputs/20261122_sweep/3", "outputs") == "20261122_sweep/3"
    assert scrub.run_name("/home/anna/outputs/20261122_sweep/3", "/data/outputs") == "20261122_sweep/3"
    assert scrub.run_name("/home/anna/20261122_cnn", "outputs") == "20261122_cnn"
    assert scrub.run_name("/a/outputs/b/outputs/c", "outputs") == "c"


def test_the_cache_is_where_everybody_has_it() -> None:
    assert scrub.config({"dataset": {"cache_dir": "/home/anna/cache"}}) == {
        "dataset": {"cache_dir": "~/.cache/emotion"}
    }
