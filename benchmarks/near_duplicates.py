"""How long near-duplicates among a million perceptual hashes take, in how much memory, and whether all are found.

    python benchmarks/near_duplicates.py

Random hashes have next to no near-duplicates, so pairs are planted: copies with up to six bits of each hash flipped, in
random places, which is as far as two near-duplicates may be apart. The comparison of all pairs that the index does
without is timed on a part and scaled. Time and memory are those of a fresh process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import machine
import numpy as np

from emotion.data.similar import DISTANCE, groups, near_duplicates

_MILLION = 1_000_000
_QUICK = 20_000
_PART = 2000  # rows that are compared with all others


def planted(count: int, pairs: int, seed: int = 0) -> tuple[Any, Any]:
    """uint64 ``[count, 2]`` hashes and int64 ``[pairs, 2]`` rows of near-duplicates among them."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (count, 2), dtype=np.uint64)
    rows = rng.permutation(count)[: 2 * pairs].reshape(pairs, 2)
    for column in range(2):
        flips = np.zeros(pairs, np.uint64)
        for number, bits in enumerate(rng.integers(0, DISTANCE + 1, pairs)):
            for bit in rng.permutation(64)[:bits]:
                flips[number] |= np.uint64(1) << np.uint64(bit)
        hashes[rows[:, 1], column] = hashes[rows[:, 0], column] ^ flips
    return hashes, np.sort(rows, axis=1)


def all_pairs(hashes: Any, part: int) -> float:
    """Seconds that comparing every hash with every other would take, from that of a part with all."""
    started = time.perf_counter()
    for row in hashes[:part]:
        near = np.bitwise_count(hashes[:, 0] ^ row[0]) <= DISTANCE
        near &= np.bitwise_count(hashes[:, 1] ^ row[1]) <= DISTANCE
        np.flatnonzero(near)
    return (time.perf_counter() - started) * len(hashes) / part / 2


def child(count: int, pairs: int) -> None:
    """Find the pairs and print what it took as JSON."""
    hashes, wanted = planted(count, pairs)
    started = time.perf_counter()
    found = near_duplicates(hashes)
    linked = groups(count, found)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    missed = int((linked[wanted[:, 0]] != linked[wanted[:, 1]]).sum())
    print(json.dumps({"seconds": seconds, "mb": peak, "pairs": len(found), "missed": missed}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=_MILLION, help="hashes")
    parser.add_argument("--pairs", type=int, default=10_000, help="near-duplicates that are planted")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK:,} hashes: only to see that it works")
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    count = _QUICK if arguments.quick else arguments.count
    pairs = min(arguments.pairs, count // 4)
    print(machine.describe())
    command = [sys.executable, __file__, "--child", str(count), str(pairs)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    brute = all_pairs(planted(count, 1)[0], _PART // 20 if arguments.quick else _PART // 10)
    print(f"{count:,} hashes, {pairs:,} near-duplicates planted, each hash at most {DISTANCE} bits away.")
    print(f"{'':<28}{'seconds':>10}{'peak MB':>10}{'pairs':>10}{'missed':>10}")
    print(f"{'index':<28}{answer['seconds']:>10.1f}{answer['mb']:>10.0f}{answer['pairs']:>10,}{answer['missed']:>10,}")
    print(f"{'all pairs (a part, scaled)':<28}{brute:>10.1f}")
    print(f"The index takes {answer['seconds'] / brute:.4f} of the time of all pairs.")
    if answer["missed"]:
        raise SystemExit("near-duplicates were missed")


if __name__ == "__main__":
    main()
