"""Steps of work in parallel: each step has a thread of its own, with bounded queues between them."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

#: A function of one item.
Step = Callable[[Any], Any]

#: Items that wait between two steps. More would hide hiccups of some milliseconds at the price of delay and memory.
DEPTH = 4
#: Items between the first step and the consumer, both included, where the newest wins.
IN_FLIGHT = 2
#: Seconds between two checks for cancellation, while a thread waits.
_POLL_SECONDS = 0.1


class _End:
    """The last item: no more comes, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Queue(Generic[T]):
    """A bounded queue from one thread to one other."""

    def __init__(self, depth: int, cancelled: threading.Event) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._cancelled = cancelled  # set when nothing is put or taken any more
        self.dropped = 0  # items that made room for newer ones

    def put(self, item: T | _End) -> None:
        while not self._cancelled.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    def put_newest(self, item: T) -> None:
        """Make room by removing the item that has waited longest."""
        if self._queue.full():
            try:
                self._queue.get_nowait()
                self.dropped += 1
            except queue.Empty:  # the consumer was faster
                pass
        self.put(item)

    def items(self, idle: Callable[[], bool] = lambda: True, admit: Callable[[], None] = lambda: None) -> Iterator[T]:
        """The items, or the error that ended them; ``admit`` is called before each, ``idle`` as in ``take``."""
        admit()
        while not self._cancelled.is_set():
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if not idle():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            admit()


class Parallel(Generic[T]):
    """A context manager that passes items through steps, each step in its own thread, and yields the results in order.

    Every step sees the items one after the other, so it may keep a state. An error in the iterator or in a step comes
    out of the result's iteration, after the items before it. On leaving, the threads have ended; so they have where a
    program ends in the middle.

    Args:
        items: Iterated in a thread of its own.
        steps: Each takes what the one before returns.
        newest: Skip items that came while the first step was busy, all but the newest, and keep the queues short: for
            sources that don't wait.
        ending: Called before the threads are waited for, so that an iterator that waits for something gives up.
    """

    def __init__(
        self,
        items: Iterable[Any],
        steps: Sequence[Step],
        newest: bool = False,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._cancelled = threading.Event()
        # Where the newest item wins, so few are let in that none grows old on its way to a slow consumer.
        self._room = threading.Semaphore(IN_FLIGHT) if newest else None
        queues = [_Queue[Any](1 if newest else DEPTH, self._cancelled) for _ in range(len(steps) + 1)]
        self._first, self._last = queues[0], queues[-1]
        # Daemons, since Python waits for other threads before it would cancel them at its exit; and they must be
        # cancelled, as a thread inside OpenCV at interpreter shutdown crashes the process.
        put = self._first.put_newest if newest else self._first.put
        self._threads = [self._thread("read", items, lambda item: item, put, self._first)]
        for number, (step, source, target) in enumerate(zip(steps, queues, queues[1:], strict=False)):
            inputs = source.items() if number else source.items(admit=self._admit)
            name = getattr(step, "__name__", "step")
            self._threads.append(self._thread(name, inputs, step, target.put, target))
        self._close = weakref.finalize(self, _cancel, self._cancelled, ending, self._threads)

    def _thread(self, name: str, *work: Any) -> threading.Thread:
        return threading.Thread(target=_work, args=(self._cancelled, *work), name=f"emotion {name}", daemon=True)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def dropped(self) -> int:
        """Items that were left out because a newer one came before they could be taken."""
        return self._first.dropped

    def __iter__(self) -> Iterator[T]:
        return self.take()

    def take(self, idle: Callable[[], bool] = lambda: True) -> Iterator[T]:
        """The items; while none comes, ``idle`` is called about ten times a second, and ends them by False."""
        for item in self._last.items(idle):
            yield item
            if self._room is not None:
                self._room.release()

    def _admit(self) -> None:
        """Wait until another item may be let in."""
        while self._room is not None and not self._room.acquire(timeout=_POLL_SECONDS) and not self._cancelled.is_set():
            pass


def _work(
    cancelled: threading.Event, items: Iterable[Any], step: Step, put: Callable[[Any], None], target: _Queue[Any]
) -> None:
    end = _End()
    try:
        for item in items:
            put(step(item))
            if cancelled.is_set():
                return
    except BaseException as error:
        end = _End(error)
    target.put(end)


def _cancel(cancelled: threading.Event, ending: Callable[[], None], threads: Sequence[threading.Thread]) -> None:
    cancelled.set()
    ending()
    for thread in threads:
        if thread.ident is not None and thread is not threading.current_thread():
            thread.join()
