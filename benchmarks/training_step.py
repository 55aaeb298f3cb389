"""Images per second of one training step on a batch in memory: ours, Keras's own, and PyTorch's.

    python benchmarks/training_step.py
    python benchmarks/training_step.py --torch other-venv/bin/python

Ours is the network as ``emotion.train`` fits it, with batch normalisation fused; Keras's own is the same network
without that; PyTorch's are the same layers in channels-last, and are left out unless ``--torch`` names an interpreter
that has PyTorch. All take turns in one run. Rates and the first ratio are those of each one's fastest turn, since
another program on the same cores slows some networks more than others; then the median turn, and the ratios of
neighbouring turns. The first step (tracing, graph optimisation, the step itself) is measured once for each network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np

from emotion.base import devices, logs

Turn = Callable[[int], tuple[float, float]]
Rates = dict[str, list[tuple[float, float]]]

#: Name, pixels a side, channels of each stage (None: MobileNetV2), bfloat16.
CASES: tuple[tuple[str, int, list[int] | None, bool], ...] = (
    ("cnn 32-64-128-256, bfloat16", 48, [32, 64, 128, 256], True),
    ("cnn 32-96-256-512, bfloat16", 48, [32, 96, 256, 512], True),
    ("mobilenet_v2 1.0, float32", 96, None, False),
)


def ours(size: int, stages: list[int] | None, bfloat16: bool, batch_size: int, fused: bool) -> tuple[Turn, float]:
    """A network compiled and traced, what trains it for so many steps, and the seconds its first step took."""
    import keras
    import tensorflow as tf

    from emotion.faces.contract import Contract
    from emotion.models import cnn, mobilenet_v2
    from emotion.train.fusion import fuse_batch_norm

    keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    contract = Contract(size, size)
    model = cnn.build(contract, stages, residual=True) if stages else mobilenet_v2.build(contract, weights=None)
    if fused:
        fuse_batch_norm(model)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True, weight_decay=5e-3)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(), jit_compile=False)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (batch_size, size, size, 1), np.uint8)
    targets = keras.utils.to_categorical(rng.integers(0, 7, batch_size), 7)
    batches = iter(tf.data.Dataset.from_tensors((pictures, targets)).repeat())
    model.make_train_function()

    def train(count: int) -> tuple[float, float]:
        began = time.perf_counter(), time.process_time()
        for _ in range(count):
            scores = model.train_function(batches)
        float(scores["loss"])  # waits for the device
        return time.perf_counter() - began[0], time.process_time() - began[1]

    return train, train(1)[0]


class Torch:
    """The process that trains PyTorch's networks."""

    def __init__(self, python: Path, batch_size: int) -> None:
        self.process = subprocess.Popen(
            [str(python), "-c", f"import torch_networks; torch_networks.serve({devices.cores()})"],
            cwd=Path(__file__).parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        cases = {
            name: {"size": size, "batch_size": batch_size, "bfloat16": bfloat16, "stages": stages}
            for name, size, stages, bfloat16 in CASES
        }
        self.version = self.ask(json.dumps(cases))

    def ask(self, line: str) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def turn(self, name: str) -> Turn:
        def train(count: int) -> tuple[float, float]:
            seconds, cpu = self.ask(f"{name} {count}").split()
            return float(seconds), float(cpu)

        return train

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", type=Path, help="a Python interpreter that has PyTorch")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="a tiny batch, one network: only to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.batch_size = 1, 0.0, 2

    print(machine.describe(), flush=True)
    logs.import_tensorflow()
    torch = Torch(arguments.torch, arguments.batch_size) if arguments.torch else None
    how = f"the fastest (median) of {arguments.rounds} turns of {arguments.seconds:g} s"
    beside = f"; PyTorch {torch.version}" if torch else ""
    print(f"Batches of {arguments.batch_size}; {how}; ratios of the fastest, and median (range) in a round{beside}")
    try:
        for name, size, stages, bfloat16 in CASES[: 1 if arguments.quick else None]:
            built = {
                "ours": ours(size, stages, bfloat16, arguments.batch_size, fused=True),
                "keras": ours(size, stages, bfloat16, arguments.batch_size, fused=False),
            }
            first = {who: seconds for who, (_, seconds) in built.items()}
            turns = {who: turn for who, (turn, _) in built.items()}
            if torch:
                turns["pytorch"] = torch.turn(name)
            report(name, measure(turns, arguments.rounds, arguments.seconds, arguments.batch_size), first)
    finally:
        if torch:
            torch.end()


def measure(
    turns: dict[str, Turn], rounds: int, seconds: float, batch_size: int
) -> dict[str, list[tuple[float, float]]]:
    """Images a second, by the clock and by CPU time on all cores, of each round."""
    counts = {who: max(2, round(seconds / (turn(2)[0] / 2))) for who, turn in turns.items()}
    rates: Rates = {who: [] for who in turns}
    for i in range(rounds):
        for who in turns if i % 2 == 0 else reversed(turns):
            taken, cpu = turns[who](counts[who])
            images = counts[who] * batch_size
            rates[who].append((images / taken, images * devices.cores() / max(cpu, 1e-9)))
    return rates


def report(name: str, rates: Rates, first: dict[str, float]) -> None:
    print(name)
    for who, values in rates.items():
        line = f"  {who:<8}{max(v[0] for v in values):>7.0f} images/s ({statistics.median(v[0] for v in values):.0f})"
        if who != "ours":
            gains = [our[0] / its[0] for our, its in zip(rates["ours"], values, strict=True)]
            cpu = [our[1] / its[1] for our, its in zip(rates["ours"], values, strict=True)]
            best = max(our[0] for our in rates["ours"]) / max(its[0] for its in values)
            line += f"; ours {best:.2f} times as fast, within a round {_spread(gains)}, by CPU time {_spread(cpu)}"
        if who in first:
            line += f"; first step {first[who]:.1f} s"
        print(line, flush=True)


def _spread(values: list[Any]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
