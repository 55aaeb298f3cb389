"""Steps of work in parallel: each step has a thread of its own, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Step = Callable[[Any], Any]

#: Items that wait between two steps. More would hide hiccups of some milliseconds at the price of delay and memory.
DEPTH = 4
#: Items between the first step and the taker, both included, where the newest wins.
ON_THEIR_WAY = 2
#: Seconds between two looks at whether the work was called off, while a thread waits.
_PATIENCE = 0.1


class _End:
    """The last item: no more comes, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Inbox(Generic[T]):
    """A bounded queue from one thread to one other.

    Args:
        depth: Items that may wait.
        cancelled: Set when nobody gives or takes any more.

    Attributes:
        dropped: Items that made room for newer ones.
    """

    def __init__(self, depth: int, cancelled: threading.Event) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._cancelled = cancelled
        self.dropped = 0

    def put(self, item: T | _End) -> None:
        """Wait for room."""
        while not self._cancelled.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def put_newest(self, item: T) -> None:
        """Make room by taking out the item that has waited longest."""
        if self._queue.full():
            try:
                self._queue.get_nowait()
                self.dropped += 1
            except queue.Empty:  # the taker was faster
                pass
        self.put(item)

    def get(self, idle: Callable[[], bool] = lambda: True) -> T | _End:
        """Wait for an item, calling ``idle`` now and then; where that returns False, it is the end."""
        while not self._cancelled.is_set():
            try:
                return self._queue.get(timeout=_PATIENCE)
            except queue.Empty:
                if not idle():
                    break
        return _End()


class Parallel(Generic[T]):
    """The items of an iterator after several steps, in their order; see :func:`parallel`."""

    def __init__(
        self, items: Iterator[Any], steps: Sequence[Step], newest: bool, ending: Callable[[], None] | None
    ) -> None:
        self._cancelled = threading.Event()
        # Where the newest item wins, so few are let in that none grows old on its way to a slow taker.
        self._room = threading.Semaphore(ON_THEIR_WAY) if newest else None
        boxes = [Inbox[Any](1 if newest else DEPTH, self._cancelled) for _ in range(len(steps) + 1)]
        self._first, self._last = boxes[0], boxes[-1]
        put = self._first.put_newest if newest else self._first.put
        # Daemons, since Python waits for other threads before it would call off the work at its exit; and called off it
        # has to be, as a thread that is in OpenCV when the interpreter goes takes the process with it.
        threads = [threading.Thread(target=self._feed, args=(items, put), name="emotion read", daemon=True)]
        admit = self._admit
        for step, source, target in zip(steps, boxes, boxes[1:], strict=False):
            name, work = f"emotion {getattr(step, '__name__', 'step')}", (step, source, target, admit)
            threads.append(threading.Thread(target=_work, args=work, name=name, daemon=True))
            admit = _nothing
        self._call_off = weakref.finalize(self, _call_off, self._cancelled, ending, threads)
        for thread in threads:
            thread.start()

    @property
    def dropped(self) -> int:
        """Items that were left out because a newer one came before they could be taken."""
        return self._first.dropped

    def __iter__(self) -> Iterator[T]:
        return self.take()

    def take(self, idle: Callable[[], bool] = lambda: True) -> Iterator[T]:
        """The items; while none comes, ``idle`` is called about ten times a second, and ends them by False."""
        while True:
            item = self._last.get(idle)
            if not isinstance(item, _End):
                yield item
                if self._room is not None:
                    self._room.release()
                continue
            if item.error is not None:
                raise item.error
            return

    def _admit(self) -> None:
        """Wait until another item may be let in."""
        while self._room is not None and not self._room.acquire(timeout=_PATIENCE) and not self._cancelled.is_set():
            pass

    def _feed(self, items: Iterator[Any], put: Callable[[Any], None]) -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if self._cancelled.is_set():
                    return
        except BaseException as error:
            end = _End(error)
        self._first.put(end)

    def close(self) -> None:
        """Call the work off and wait for the threads to end, each after the item it is at."""
        self._call_off()


@contextmanager
def parallel(
    items: Iterator[Any], steps: Sequence[Step], newest: bool = False, ending: Callable[[], None] | None = None
) -> Iterator[Parallel[Any]]:
    """Pass items through steps, each step in its own thread.

    Every step sees the items one after the other in their order, so it may keep a state. An error in the iterator or in
    a step comes out of the result's iteration, after the items before it. On leaving, the threads have ended; so they
    have where a program ends in the middle.

    Args:
        items: Gone through in a thread of its own.
        steps: Functions of one item; each takes what the one before returns.
        newest: Skip items that came while the first step was busy, all but the newest, and keep the queues short: for
            sources that don't wait.
        ending: Called before the threads are waited for, to tell an iterator that waits for something to give up.
    """
    running: Parallel[Any] = Parallel(items, steps, newest, ending)
    try:
        yield running
    finally:
        running.close()


def _call_off(
    cancelled: threading.Event, ending: Callable[[], None] | None, threads: Sequence[threading.Thread]
) -> None:
    cancelled.set()
    if ending is not None:
        ending()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()


def _nothing() -> None:
    pass


def _work(step: Step, source: Inbox[Any], target: Inbox[Any], admit: Callable[[], None]) -> None:
    try:
        admit()
        while not isinstance(item := source.get(), _End):
            target.put(step(item))
            admit()
        end = item
    except BaseException as error:
        end = _End(error)
    target.put(end)
