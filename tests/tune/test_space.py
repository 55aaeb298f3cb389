"""Search spaces in Hydra's sweep grammar."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.tune import workers
from emotion.tune.space import Choice, Interval, parse, samples, trials_of_a_grid

_numbers = st.floats(1e-6, 1e6, allow_nan=False).map(lambda v: float(f"{v:.6g}"))


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8, unique=True))
def test_a_choice_of_whole_numbers_stays_whole(values: list[int]) -> None:
    (found,) = parse({"model.x": f"choice({', '.join(map(str, values))})"})
    assert found == Choice("model.x", tuple(values))
    assert all(type(v) is int for v in found.values)
    assert list(samples(found)) == [f"model.x={v}" for v in values]


@given(st.tuples(_numbers, _numbers).filter(lambda ends: ends[0] < ends[1]), st.booleans())
def test_an_interval_keeps_its_ends(ends: tuple[float, float], log: bool) -> None:
    low, high = ends
    text = f"interval({low}, {high})"
    (found,) = parse({"trainer.x": f"tag(log, {text})" if log else text})
    assert found == Interval("trainer.x", low, high, log=log)


@given(st.tuples(_numbers, _numbers).filter(lambda ends: ends[0] > ends[1]))
def test_an_interval_upside_down_is_refused_with_the_right_one(ends: tuple[float, float]) -> None:
    low, high = ends
    with pytest.raises(UserError, match="upside down") as refused:
        parse({"trainer.x": f"interval({low}, {high})"})
    assert f"interval({high}, {low})" in str(refused.value)


@given(st.integers(-20, 20), st.integers(1, 40), st.integers(1, 7))
def test_a_range_is_hydras(start: int, length: int, step: int) -> None:
    (found,) = parse({"model.x": f"range({start}, {start + length}, step={step})"})
    assert isinstance(found, Choice)
    assert found.values == tuple(range(start, start + length, step))


def test_the_issues_examples() -> None:
    found = parse(
        {
            "trainer.learning_rate": "tag(log, interval(1e-5, 1e-2))",
            "trainer.batch_size": "choice(32, 64, 128)",
            "model.dropout": "range(0.0, 0.6, step=0.1)",
            "model": "choice(cnn, mobilenet_v2)",
            "model.stages": "choice([8,16],[16,32])",
            "trainer.nesterov": "choice(true, false)",
            "model.units": "int(interval(8, 65))",
            "left.out": None,
        }
    )
    by_key = {p.key: p for p in found}
    assert by_key["trainer.learning_rate"] == Interval("trainer.learning_rate", 1e-5, 1e-2, log=True)
    dropout = by_key["model.dropout"]
    assert isinstance(dropout, Choice)
    assert [round(float(v), 12) for v in dropout.values] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert by_key["model.stages"] == Choice("model.stages", ("[8,16]", "[16,32]"))
    assert by_key["trainer.nesterov"] == Choice("trainer.nesterov", ("True", "False"))
    assert by_key["model.units"] == Interval("model.units", 8, 64, whole=True)
    assert "left.out" not in by_key
    assert trials_of_a_grid([p for p in found if isinstance(p, Choice)]) == 3 * 6 * 2 * 2 * 2
    assert trials_of_a_grid(found) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.1", "one value, not several"),
        (0.1, "one value, not several"),
        ([1, 2], "one value, not several"),
        ("choice(1, 1)", "has a value twice"),
        ("range(5, 1)", "holds nothing"),
        ("range(0, 1, step=0)", "step that is not 0"),
        ("range(0, 1, step=1e-6)", "interval(0, 1) instead"),
        ("interval(0.1, 0.1)", "upside down"),
        ("tag(log, interval(0, 1))", "must start above 0"),
        ("tag(lgo, interval(1, 2))", "the only tag is log"),
        ("choice(1,", "cannot read"),
        ("interval(1)", "cannot read"),
    ],
)
def test_what_is_no_space_is_refused(text: object, said: str) -> None:
    with pytest.raises(UserError) as refused:
        parse({"trainer.x": text})
    assert said in str(refused.value)
    assert str(refused.value).startswith("tuner.space: trainer.x: ")


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(UserError) as refused:
        parse({"a": "interval(2, 1)", "b": "choice(1, 2)", "c": "7"})
    assert [line.split(":")[1].strip() for line in str(refused.value).splitlines()] == ["a", "c"]


def test_a_range_of_floats_has_no_rounding_noise_to_speak_of() -> None:
    (found,) = parse({"x": "range(0.0, 1.0, step=0.05)"})
    assert isinstance(found, Choice)
    assert len(found.values) == 20
    assert all(math.isclose(float(v), round(float(v), 2)) for v in found.values)


@pytest.mark.parametrize("port", ["99999", "-1", "abc", "٣", "1" * 5000])
def test_what_is_no_port_is_refused_at_once(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", port)
    with pytest.raises(UserError, match=r"KERASTUNER_ORACLE_PORT: .* is not a port number"):
        workers.is_worker()
