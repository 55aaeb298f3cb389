"""Images per second that several jobs train side by side, a core each, beside one job on all cores.

    python benchmarks/jobs_side_by_side.py

Every job is a process, as in a sweep with ``hydra/launcher=joblib``, and trains the network as ``emotion.train`` fits
it, on a batch in memory. Both ways take turns in one run. Rates are medians of the turns; the ratio is the median of
those of neighbouring turns, with their range. Memory is what one job holds at the most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

import machine
from training_step import CASES

from emotion.base import devices, logs


class Job:
    """A process that trains one network on so many threads."""

    def __init__(self, case: int, threads: int, batch_size: int) -> None:
        environment = os.environ | dict.fromkeys(devices.THREADS, str(threads))
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--job", str(case), "--batch-size", str(batch_size)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def begin(self, steps: int) -> None:
        assert self.process.stdin
        print(steps, file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, float]:
        assert self.process.stdout
        told: dict[str, float] = json.loads(self.process.stdout.readline())
        return told

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def serve(case: int, batch_size: int) -> None:
    """Train as many steps as each line of standard input asks for; print how long that took, as JSON."""
    logs.import_tensorflow()
    from training_step import ours

    from emotion.train import environment

    _, size, stages, bfloat16 = CASES[case]
    train, _ = ours(size, stages, bfloat16, batch_size, fused=True)
    for line in sys.stdin:
        seconds, _ = train(int(line))
        print(json.dumps({"seconds": seconds, "memory": environment.peak_memory()}), flush=True)


def turn(jobs: list[Job], steps: int, batch_size: int) -> float:
    """Images a second of all jobs together."""
    for job in jobs:
        job.begin(steps)
    return sum(steps * batch_size / job.answer()["seconds"] for job in jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--steps", type=int, default=20, help="steps a turn")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="a tiny batch, one network: only to see that it works")
    parser.add_argument("--job", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job is not None:
        serve(arguments.job, arguments.batch_size)
        return
    if arguments.quick:
        arguments.rounds, arguments.steps, arguments.batch_size = 1, 1, 2
    cores = devices.cores()
    print(machine.describe(), flush=True)
    print(f"Batches of {arguments.batch_size}; median of {arguments.rounds} turns; ratio of a round: median (range)")
    for case in range(1 if arguments.quick else len(CASES)):
        print(CASES[case][0])
        report(cores, measure(case, cores, arguments))


def measure(case: int, cores: int, arguments: Any) -> tuple[list[float], list[float], float]:
    """Images a second in each round of one job on all cores, and of a job a core; a job's memory in bytes."""
    whole = [Job(case, cores, arguments.batch_size)]
    single = [Job(case, 1, arguments.batch_size) for _ in range(cores)]
    try:
        for jobs in (whole, single):
            turn(jobs, 2, arguments.batch_size)
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(arguments.rounds):
            rates[0].append(turn(whole, arguments.steps, arguments.batch_size))
            rates[1].append(turn(single, arguments.steps, arguments.batch_size))
        single[0].begin(1)
        memory = single[0].answer()["memory"]
    finally:
        for job in (*whole, *single):
            job.end()
    return *rates, memory


def report(cores: int, measured: tuple[list[float], list[float], float]) -> None:
    together, apart, memory = measured
    gains = [its / other for its, other in zip(apart, together, strict=True)]
    print(f"  one job on {cores} cores {statistics.median(together):>6.0f} images/s")
    print(
        f"  {cores} jobs, a core each {statistics.median(apart):>6.0f} images/s together, "
        f"{statistics.median(gains):.2f} times as many ({min(gains):.2f} to {max(gains):.2f}); "
        f"{memory / 1e9:.1f} GB a job",
        flush=True,
    )


if __name__ == "__main__":
    main()
