from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.reports.labelling import place
from emotion.reports.pareto import Point, front, in_lines, pareto, pareto_svg
from emotion.reports.training import Course, histories_svg
from tests.helpers.properties import max_examples

# Few different values, so that ties occur.
_PAIRS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=30)


def _dominated(i: int, pairs: list[tuple[int, int]]) -> bool:
    cost, score = pairs[i]
    return any(c <= cost and s >= score and (c < cost or s > score) for c, s in pairs)


@given(_PAIRS)
def test_the_front_holds_just_what_nothing_dominates(pairs: list[tuple[int, int]]) -> None:
    costs, scores = zip(*pairs, strict=True)
    expected = [not _dominated(i, pairs) for i in range(len(pairs))]
    assert front(costs, scores).tolist() == expected


@given(_PAIRS, st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order(pairs: list[tuple[int, int]], random: object) -> None:
    order = list(range(len(pairs)))
    random.shuffle(order)  # type: ignore[attr-defined]
    costs, scores = np.array(pairs).T
    np.testing.assert_array_equal(front(costs, scores)[order], front(costs[order], scores[order]))


@given(_PAIRS)
def test_whatever_is_not_on_the_front_is_dominated_by_one_that_is(pairs: list[tuple[int, int]]) -> None:
    on = front(*zip(*pairs, strict=True))
    members = [pair for pair, is_on in zip(pairs, on, strict=True) if is_on]
    assert members
    for (cost, score), is_on in zip(pairs, on, strict=True):
        assert is_on or any(c <= cost and s >= score for c, s in members)


_BOXES = st.lists(
    st.tuples(st.floats(5, 60), st.floats(5, 20), st.floats(0, 300), st.floats(0, 200)), min_size=1, max_size=25
)


@given(_BOXES)
def test_names_overlap_neither_each_other_nor_obstacles_nor_the_edge(
    boxes: list[tuple[float, float, float, float]],
) -> None:
    sizes = [(w, h) for w, h, _, _ in boxes]
    points = np.array([(x, y) for _, _, x, y in boxes])
    obstacles = np.column_stack([points - 3, points + 3])
    places = place(sizes, points, obstacles, (0, 0, 300, 200))
    taken = [tuple(row) for row in obstacles]
    for (width, height), found in zip(sizes, places, strict=True):
        if found is None:
            continue
        left, bottom, _ = found
        box = (left, bottom, left + width, bottom + height)
        assert min(box[:2]) >= 0
        assert box[2] <= 300
        assert box[3] <= 200
        for other in taken:
            assert box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
        taken.append(box)


def test_a_lonely_name_is_placed_beside_its_point() -> None:
    (found,) = place([(40, 10)], np.array([[100.0, 100.0]]), np.empty((0, 4)), (0, 0, 300, 200))
    assert found is not None
    left, bottom, distance = found
    assert (left, bottom + 5) == (100 + distance, 100)
    assert place([(400, 10)], np.array([[100.0, 100.0]]), np.empty((0, 4)), (0, 0, 300, 200)) == [None]


def _points(n: int) -> list[Point]:
    rng = np.random.default_rng(n)
    costs, scores = np.exp(rng.normal(0, 1, n)), rng.uniform(0.4, 0.7, n)
    return [Point(f"model {i}", float(c), float(s), float(s) - 0.02, float(s) + 0.02)
            for i, (c, s) in enumerate(zip(costs, scores, strict=True))]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 8, 500])
def test_pareto_draws_and_writes_a_picture(n: int, tmp_path: Path) -> None:
    picture = pareto(_points(n), tmp_path / "p.png", cost="latency in ms", note="Vertical lines: 95 % intervals.")
    written = cv2.imread(str(tmp_path / "p.png"))
    assert written is not None
    np.testing.assert_array_equal(written[..., ::-1], picture)
    assert (picture == (0x00, 0x72, 0xB2)).all(axis=2).sum() > 30  # the front's dots


def _texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("text")]


@pytest.mark.slow
def test_few_points_are_all_named_and_of_many_just_the_front() -> None:
    few = [Point("fast", 1, 0.5), Point("good", 4, 0.6), Point("beaten", 5, 0.4)]
    assert {"fast", "good", "beaten"} <= set(_texts(pareto_svg(few, cost="ms", key="a")))
    many = [*few, *(Point(f"beaten {i}", 5 + i, 0.3 + 0.001 * i) for i in range(40))]
    shown = _texts(pareto_svg(many, cost="ms", key="a"))
    assert {"fast", "good"} <= set(shown)
    assert not [text for text in shown if text.startswith("beaten")]


def test_the_front_line_is_drawn_through_its_members_only() -> None:
    svg = pareto_svg([Point("a", 1, 0.5), Point("b", 10, 0.6), Point("c", 10, 0.55)], cost="ms", key="a")
    assert "Pareto front, cheapest first: a: 1, 50.0 %; b: 10, 60.0 %." in ET.fromstring(svg).get("aria-label", "")


def test_svg_refers_to_nothing_outside_and_takes_the_pages_colours() -> None:
    name = '<script>&"$x^2$ 表情 \x07\n' + 40 * "x"  # a warning about a glyph would be an error here
    svg = pareto_svg([Point(name, 1, 0.5, 0.4, 0.6), Point("b", 2, 0.4)], cost="ms", key="k1")
    root = ET.fromstring(svg)
    assert "http" not in svg
    assert "#0072b2" not in svg
    assert "var(--series-0)" in svg
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert ids
    assert all(i.startswith("k1-") for i in ids if i)
    targets = [e.get("href") for e in root.iter() if e.get("href")]
    assert {t.removeprefix("#") for t in targets if t} <= ids
    assert any('<script>&"$x^2$' in text for text in _texts(svg))


@pytest.mark.slow
@max_examples(8)
@given(
    st.lists(
        st.tuples(st.text(max_size=80), st.floats(1e-3, 1e12), st.floats(0, 1), st.none() | st.floats(0, 1)),
        min_size=1,
        max_size=14,
    )
)
def test_pareto_takes_any_name_cost_and_score(rows: list[tuple[str, float, float, float | None]]) -> None:
    points = [Point(name, cost, score, low, None if low is None else 1.0) for name, cost, score, low in rows]
    assert pareto(points, None, cost="ms").shape[2] == 3


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_pareto_refuses_costs_that_have_no_place_on_the_axis(cost: float) -> None:
    with pytest.raises(ValueError, match="costs"):
        pareto([Point("a", cost, 0.5)], None, cost="ms")


@given(st.text(max_size=200))
def test_a_name_takes_three_lines_at_most_and_is_never_empty(name: str) -> None:
    lines = in_lines(name).split("\n")
    assert 1 <= len(lines) <= 3
    assert all(0 < len(line) <= 26 for line in lines)


def _rows(*values: float) -> list[dict[str, float]]:
    return [{"epoch": float(i + 1), "val_accuracy": value} for i, value in enumerate(values)]


@pytest.mark.slow
def test_histories_draw_a_line_a_run_and_their_mean() -> None:
    def paths(*histories: list[dict[str, float]]) -> int:
        course = Course(0, histories, tuple(2 for _ in histories))
        svg = histories_svg([course], "val_accuracy", key="h", label="validation accuracy")
        assert svg is not None
        return sum("var(--series-0)" in (e.get("style") or "") and "L" in (e.get("d") or "")
                   for e in ET.fromstring(svg).iter("path"))  # fmt: skip

    assert paths(_rows(0.1, 0.2, 0.3)) == 1
    assert paths(_rows(0.1, 0.2, 0.3), _rows(0.2, 0.3)) == 3
    assert paths(_rows(0.1, 0.2, 0.3), []) == 1


def test_histories_without_the_column_are_not_drawn() -> None:
    course = Course(0, ([{"epoch": 1.0}], [], _rows(float("nan"))), (None, None, 1))
    assert histories_svg([course], "val_accuracy", key="h", label="x") is None
