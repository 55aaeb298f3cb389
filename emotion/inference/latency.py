"""How long one call takes: medians of functions that take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

import numpy as np


def medians(calls: Mapping[str, Callable[[], object]], rounds: int = 200, warm_up: int = 10) -> dict[str, float]:
    """Median time of each function, in milliseconds.

    Args:
        calls: By name; each is called once a round, in a new order, since whoever comes after a certain other one
            always finds the processor's caches as that one left them.
        rounds: How many times.
        warm_up: Rounds before those that count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls.items()), random.Random(0).shuffle
    for number in range(warm_up + rounds):
        shuffle(order)
        for name, call in order:
            began = time.perf_counter()
            call()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return {name: 1000 * float(np.median(taken)) for name, taken in seconds.items()}
