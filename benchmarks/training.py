"""Images per second of training fed by the pipeline, beside the same step on one fixed batch in memory.

    python benchmarks/training.py
    python benchmarks/training.py --precision bfloat16 --only cnn

The step is the one that ``emotion.train`` compiles; its batches come from ``emotion.data.pipeline``, with
``augmentation=standard``. The pictures are random, so no data is needed. Both feeds take turns on one model, and the
ratio is that of neighbouring turns. ``fit`` is fed by the pipeline too, with the trainer's own loop round it. CPU time
is the whole process's, and less disturbed by whatever else runs. ``frozen`` is MobileNetV2's first phase, which trains
the head alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import machine
import numpy as np

from emotion.base import logs
from emotion.config import cli

_PICTURES = 4096
_FEEDS = ("pipeline", "fixed", "fit")

_COMMON = ("augmentation=standard", "trainer.epochs=1000", "trainer.schedule=constant")
_MOBILENET = ("model=mobilenet_v2", "model.weights=null")
_CASES = {
    "cnn": ("model=cnn",),
    "mobilenet_v2": (*_MOBILENET, "model.frozen_epochs=0", "model.batch_norm_frozen_epochs=0"),
    "mobilenet_v2 frozen": (*_MOBILENET, "model.frozen_epochs=999", "model.batch_norm_frozen_epochs=0"),
}
#: The cases that are traced soonest.
_QUICK = ("cnn", "mobilenet_v2 frozen")


@dataclass
class Case:
    """One model, compiled and traced, and what each feed took.

    Attributes:
        feeds: By name, what trains so many steps and returns the seconds and the CPU seconds they took.
        rates: By name, images a second of each round.
        cpu: By name, CPU milliseconds an image of each round.
    """

    name: str
    batch_size: int
    feeds: dict[str, Callable[[int], tuple[float, float]]]
    rates: dict[str, list[float]]
    cpu: dict[str, list[float]]

    def ratios(self, feed: str) -> list[float]:
        return [a / b for a, b in zip(self.rates[feed], self.rates["fixed"], strict=True)]


def prepare(name: str, overrides: list[str]) -> Case:
    """Compose a real config, build its model and trace its step."""
    import keras
    import tensorflow as tf

    from emotion.data import cache, pipeline, weights
    from emotion.data.examples import Examples
    from emotion.models.build import build, contract_of
    from emotion.train import environment, fit, fusion, phases
    from emotion.train.callbacks import Reporter
    from emotion.train.objectives import LOSSES

    cfg: Any = cli.request("train", overrides).cfg
    environment.set_up(cfg.trainer, cfg.seed)
    contract = contract_of(cfg.model, cfg.dataset.crop_margin or 0.0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(contract.labels), _PICTURES)
    pictures = rng.integers(0, 256, (_PICTURES, contract.height, contract.width), np.uint8)
    examples = Examples(labels, np.zeros(_PICTURES, "S16"), pictures)
    store = cache.open_store(examples, contract, cache="memory", cache_dir="")
    batch_size = cfg.trainer.batch_size
    steps = pipeline.steps_per_epoch(len(examples), batch_size)
    batches = pipeline.training(
        store,
        labels,
        batch_size=batch_size,
        seed=cfg.seed,
        epochs=cfg.trainer.epochs,
        augmentation=pipeline.Augmentation.from_config(cfg.augmentation),
        class_weights=weights.class_weights(labels, cfg.trainer.class_weight),
        label_smoothing=cfg.trainer.label_smoothing,
        threads=cfg.trainer.threads,
    )
    model = build(cfg.model, contract)
    fusion.fuse_batch_norm(model)
    fit._compile(
        model,
        cfg.trainer,
        phases.plan(cfg.model, cfg.trainer.epochs, cfg.trainer.learning_rate)[0],
        steps,
        LOSSES["cross_entropy"],
    )
    model.make_train_function()
    fixed = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    # Iterators that live as long as the model: in training, too, one serves all epochs.
    iterators = {"pipeline": iter(batches), "fixed": iter(fixed)}

    def turn(feed: str) -> Callable[[int], tuple[float, float]]:
        def train(count: int) -> tuple[float, float]:
            for _ in range(_settling(count)):  # until the batches that waited for this turn are used up
                scores = model.train_function(iterators[feed])
            float(scores["loss"])  # waits for the device
            began = _clocks()
            for _ in range(count):
                scores = model.train_function(iterators[feed])
            float(scores["loss"])
            return _since(began)

        return train

    def loop(count: int) -> tuple[float, float]:
        watch = _stopwatch(_settling(count))
        total = _settling(count) + count
        reporter = Reporter(1, total, batch_size)
        in_epoch = {"on_epoch_begin": reporter.on_epoch_begin, "on_train_batch_end": reporter.on_train_batch_end}
        model.fit(
            batches,
            epochs=1,
            steps_per_epoch=total,
            callbacks=[keras.callbacks.LambdaCallback(**in_epoch), watch],
            verbose=0,
            shuffle=False,
        )
        taken: tuple[float, float] = watch.taken
        return taken

    feeds = {"pipeline": turn("pipeline"), "fixed": turn("fixed"), "fit": loop}
    for feed in _FEEDS[:2]:
        feeds[feed](4)
    return Case(name, batch_size, feeds, {feed: [] for feed in _FEEDS}, {feed: [] for feed in _FEEDS})


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _clocks()
    return now[0] - began[0], now[1] - began[1]


def _settling(count: int) -> int:
    return max(2, count // 4)


def _stopwatch(start: int) -> Any:
    """A callback that times an epoch from the end of step ``start`` on."""
    import keras

    class Stopwatch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch + 1 == start:
                float(logs["loss"])
                self.began = _clocks()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            float(logs["loss"])
            self.taken = _since(self.began)

    return Stopwatch()


def measure(cases: list[Case], rounds: int, seconds: float) -> None:
    """Let all feeds of all cases take turns, each for about so many seconds."""
    counts = {case.name: max(2, round(seconds / (case.feeds["fixed"](4)[0] / 4))) for case in cases}
    for i in range(rounds):
        for case in cases:
            for feed in _FEEDS if i % 2 == 0 else _FEEDS[::-1]:
                taken, cpu = case.feeds[feed](counts[case.name])
                images = counts[case.name] * case.batch_size
                case.rates[feed].append(images / taken)
                case.cpu[feed].append(1000 * cpu / images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="turns of each feed")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--only", choices=sorted(_CASES), help="one model alone")
    parser.add_argument("--precision", choices=("bfloat16", "float16"), help="compare with float32")
    parser.add_argument("--quick", action="store_true", help="tiny batches, one short turn: only to see that it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.batch_size = 1, 0.0, 2

    print(machine.describe(), flush=True)
    logs.import_tensorflow()
    precisions = ["float32", *([arguments.precision] if arguments.precision else [])]
    print(
        f"Batches of {arguments.batch_size}; median of {arguments.rounds} turns of {arguments.seconds:g} s, "
        f"ratios to the fixed batch within a round: median (lowest to highest)."
    )
    width = max(map(len, _CASES)) + 10
    print(f"{'':<{width}}{'images/s':>9}{'':>62}{'CPU ms an image':>19}")
    print(f"{'':<{width}}{'fixed':>9}{'pipeline':>10}{'ratio':>22}{'fit':>8}{'ratio':>22}{'fixed':>9}{'pipeline':>10}")
    for model, overrides in _CASES.items():
        if arguments.only not in (None, model) or (arguments.quick and model not in _QUICK):
            continue
        size = f"trainer.batch_size={arguments.batch_size}"
        cases = [prepare(f"{model} {p}", [*_COMMON, *overrides, size, f"trainer.precision={p}"]) for p in precisions]
        measure(cases, arguments.rounds, arguments.seconds)
        for case in cases:
            print(f"{case.name:<{width}}{_row(case)}", flush=True)
        if len(cases) == 2:
            plain, other = cases
            gains = [b / a for a, b in zip(plain.rates["fixed"], other.rates["fixed"], strict=True)]
            print(f"  {other.name} is {_spread(gains)} times as fast as float32 on the fixed batch", flush=True)


def _row(case: Case) -> str:
    rates = {feed: statistics.median(case.rates[feed]) for feed in _FEEDS}
    cpu = {feed: statistics.median(case.cpu[feed]) for feed in _FEEDS}
    return (
        f"{rates['fixed']:>9.0f}{rates['pipeline']:>10.0f}{_spread(case.ratios('pipeline')):>22}"
        f"{rates['fit']:>8.0f}{_spread(case.ratios('fit')):>22}{cpu['fixed']:>9.2f}{cpu['pipeline']:>10.2f}"
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
