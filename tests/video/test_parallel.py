"""Steps in parallel: order, errors, what is dropped, and that threads end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.video.parallel import DEPTH, Parallel
from tests.helpers.properties import max_examples


def _parallel(*arguments: Any, **options: Any) -> Parallel[Any]:
    return Parallel(*arguments, **options)


def _ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("emotion ")]


@max_examples(25)
@given(st.lists(st.integers(), max_size=40), st.integers(0, 3))
def test_every_item_comes_out_once_in_order(items: list[int], steps: int) -> None:
    with _parallel(iter(items), [lambda x: x + 1] * steps) as results:
        assert list(results) == [item + steps for item in items]
    assert results.dropped == 0
    assert not _ours()


def test_each_step_has_a_thread_of_its_own() -> None:
    seen: list[set[int]] = [set(), set()]

    def first(item: int) -> int:
        seen[0].add(threading.get_ident())
        return item

    def second(item: int) -> int:
        seen[1].add(threading.get_ident())
        return item

    with _parallel(iter(range(50)), [first, second]) as results:
        list(results)
    assert [len(idents) for idents in seen] == [1, 1]
    assert len({threading.get_ident()} | seen[0] | seen[1]) == 3


def test_steps_work_at_the_same_time() -> None:
    """The first step can only end its third item while the second step is still at its first."""
    third_done = threading.Event()

    def first(item: int) -> int:
        if item == 2:
            third_done.set()
        return item

    def second(item: int) -> bool:
        return third_done.wait(60)

    with _parallel(iter(range(3)), [first, second]) as results:
        assert list(results) == [True, True, True]


def test_the_source_waits_where_nothing_may_be_lost() -> None:
    given_out = 0

    def items() -> Iterator[int]:
        nonlocal given_out
        for i in range(1000):
            given_out += 1
            yield i

    with _parallel(items(), [lambda x: x]) as results:
        assert next(iter(results)) == 0
        time.sleep(0.3)
        assert given_out <= 2 * DEPTH + 5
    assert not _ours()


def test_the_newest_item_wins_where_the_source_does_not_wait() -> None:
    taken, ready = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        taken.wait(60)  # the step is at item 0, while 98 more come
        yield from range(1, 99)
        ready.set()

    def slow(item: int) -> int:
        taken.set()
        ready.wait(60)
        return item

    with _parallel(items(), [slow], newest=True) as results:
        got = list(results)
    assert got == [0, 98]
    assert results.dropped == 97


def test_a_slow_taker_gets_items_that_are_hardly_old() -> None:
    """While it is at one item, one more is on its way; all that come meanwhile are passed over."""
    newest, go_on = 0, threading.Semaphore(0)

    def items() -> Iterator[int]:
        nonlocal newest
        for newest in range(200):
            if newest % 10 == 9:
                go_on.acquire(timeout=60)
            yield newest

    ages = []
    with _parallel(items(), [lambda x: x] * 3, newest=True) as results:
        for item in results:
            ages.append(newest - item)
            go_on.release()  # ten more come while this one is looked at
            time.sleep(0.02)
    assert max(ages) <= 21, "two rounds: the one that was on its way, and the one in which it waited"
    assert len(ages) >= 15


def test_a_program_may_end_in_the_middle_of_an_iteration() -> None:
    code = (
        "from itertools import count\n"
        "from emotion.video.parallel import Parallel\n"
        "held = Parallel(count(), [lambda x: x])\n"
        "print(next(iter(held.__enter__())))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_an_error_in_a_step_comes_after_the_items_before_it() -> None:
    got: list[float] = []
    with _parallel(iter([4, 2, 0, 1]), [lambda x: 8 / x]) as results, pytest.raises(ZeroDivisionError):
        got.extend(results)
    assert got == [2, 4]
    assert not _ours()


def test_an_error_in_the_source_comes_out_too() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    with _parallel(items(), [lambda x: x]) as results:
        iterator = iter(results)
        assert next(iterator) == 1
        with pytest.raises(OSError, match="unplugged"):
            next(iterator)
    assert not _ours()


def test_leaving_early_ends_the_threads() -> None:
    def endless() -> Iterator[int]:
        i = 0
        while True:
            yield (i := i + 1)

    for newest in (False, True):
        with _parallel(endless(), [lambda x: x, lambda x: x], newest=newest) as results:
            assert next(iter(results)) >= 1
        assert not _ours()


def test_an_error_of_the_taker_ends_the_threads() -> None:
    with pytest.raises(KeyError), Parallel(iter(range(10**6)), [lambda x: x]):
        raise KeyError
    assert not _ours()
