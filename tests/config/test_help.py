from __future__ import annotations

from pathlib import Path

import pytest

from emotion.config import schema
from emotion.config.explain import with_comments
from tests.conftest import emotion


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("live", "  mode: fast          # fast | exact (search every whole frame with OpenCV's detector)"),
        ("evaluate", "checkpoint: best  # best | last: checkpoint to evaluate"),
        ("train", "  learning_rate: 0.001         # peak"),
    ],
)
def test_help_says_what_values_mean(command: str, line: str, tmp_path: Path) -> None:
    assert line in emotion(command, "--help", cwd=tmp_path).stdout.splitlines()


@pytest.mark.slow
def test_every_value_of_live_is_with_comments(tmp_path: Path) -> None:
    text = emotion("live", "--help", cwd=tmp_path).stdout
    values = text.partition("Values (set with key=value)\n")[2].strip().splitlines()
    assert len(values) > 20
    values = values[: values.index("")]  # after them comes what a run is called
    assert [line for line in values if "#" not in line] == ["detector:", "    cert: null", "    key: null"]


def test_comments_come_from_the_option_that_is_shown() -> None:
    text = "Values (set with key=value)\ndataset:\n  name: folder\n  root: data\nseed: 0\nnobody: knows\n"
    lines = with_comments(text, "train", schema.CONF).splitlines()
    folder = (schema.CONF / "dataset" / "folder.yaml").read_text()
    comment = lines[3].partition("# ")[2]
    assert comment
    assert comment in folder
    assert lines[5] == "nobody: knows"


def test_other_texts_stay_as_they_are() -> None:
    assert with_comments("nothing to say\n", "train", schema.CONF) == "nothing to say\n"
