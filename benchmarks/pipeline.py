"""How many augmented pictures a second the input pipeline makes, beside Keras' legacy ``ImageDataGenerator``.

    python benchmarks/pipeline.py

Both do what ``augmentation=standard`` says (flip, rotation, translation, scale, brightness, contrast), on pictures in
memory, in batches of 64. Ours uses two threads; the generator runs once in one thread and once in two, because Python's
lock may make two the slower. They take turns, so that a busy machine is busy for all. CPU time is the whole process's
for each picture: what training on the same cores has to give up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import machine
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCH = 64
THREADS = 2
PICTURES = 4096


def ours(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], augmentation: str) -> Iterator[object]:
    from hydra import compose, initialize_config_dir

    from emotion.config import schema
    from emotion.data.cache import open_store
    from emotion.data.examples import Examples
    from emotion.data.pipeline import Augmentation, training
    from emotion.faces.contract import Contract

    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        cfg = compose("train", [f"augmentation={augmentation}"])
    examples = Examples(labels, np.zeros(len(labels), "S16"), images=images)
    contract = Contract(images.shape[1], images.shape[2], "gray" if images.ndim == 3 else "rgb")
    dataset = training(
        open_store(examples, contract, cache="memory", cache_dir="."),
        labels,
        batch_size=BATCH,
        seed=0,
        epochs=100_000,
        augmentation=Augmentation.from_config(cfg.augmentation),
        class_weights=np.ones(7),
        threads=THREADS,
    )
    return iter(dataset)


def legacy(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], threads: int) -> Iterator[object]:
    """The same augmentation as people wrote it: brightness is a factor there, and contrast is not among its options."""
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator_of_numbers = np.random.default_rng(0)

    def contrast(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        mean = x.mean()
        return np.asarray(np.clip((x - mean) * generator_of_numbers.uniform(0.8, 1.2) + mean, 0, 255))

    generator = ImageDataGenerator(
        horizontal_flip=True,
        rotation_range=10,
        width_shift_range=0.1,
        height_shift_range=0.1,
        zoom_range=(0.85, 1.15),
        brightness_range=(0.9, 1.1),
        preprocessing_function=contrast,
        fill_mode="nearest",
    )
    x = images.reshape(*images.shape[:3], -1).astype(np.float32)
    batches = generator.flow(x, keras.utils.to_categorical(labels, 7), batch_size=BATCH, shuffle=True, seed=0)
    numbers = cycle(range(len(images) // BATCH))
    if threads == 1:
        return (batches[i] for i in numbers)
    return _ahead(batches, numbers, threads)


def _ahead(batches: Any, numbers: Iterator[int], threads: int) -> Iterator[object]:
    """Keep a few batches under way, as Keras' enqueuer did."""
    pool = ThreadPoolExecutor(threads)
    waiting = [pool.submit(batches.__getitem__, next(numbers)) for _ in range(2 * threads)]
    while True:
        batch = waiting.pop(0).result()
        waiting.append(pool.submit(batches.__getitem__, next(numbers)))
        yield batch


def measure(batches: Iterator[object], seconds: float) -> tuple[float, float]:
    """Pictures a second, and microseconds of CPU time a picture.

    The first third of the time is not counted: it uses up what was made ahead while others had their turn.
    """
    started = time.perf_counter()
    while time.perf_counter() - started < seconds / 3:
        next(batches)
    began, cpu, pictures = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        next(batches)
        pictures += BATCH
    return pictures / (time.perf_counter() - began), (time.process_time() - cpu) / pictures * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each; the median is shown")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a turn takes")
    parser.add_argument("--quick", action="store_true", help="one short turn each: only to see that it works")
    arguments = parser.parse_args()
    rounds, seconds = (1, 1.5) if arguments.quick else (arguments.rounds, arguments.seconds)

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    print(machine.describe())
    print(f"augmentation=standard, batches of {BATCH}, median of {rounds}, slowest in brackets.")
    print(f"{'':<44}{'pictures/s':>12}{'(slowest)':>12}{'CPU us each':>13}{'ratio':>8}")
    for shape in ((48, 48), (96, 96, 3)):
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (PICTURES, *shape), np.uint8)
        labels = generator.integers(0, 7, PICTURES)
        contenders = {
            f"ours, {THREADS} threads": ours(images, labels, "standard"),
            "ImageDataGenerator, 1 thread": legacy(images, labels, 1),
            f"ImageDataGenerator, {THREADS} threads": legacy(images, labels, THREADS),
        }
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, batches in contenders.items():
                results[name].append(measure(batches, seconds))
        size = "x".join(map(str, (*shape, 1)[:3]))
        base = statistics.median(r[0] for r in results[f"ours, {THREADS} threads"])
        for name, values in results.items():
            speed = statistics.median(v[0] for v in values)
            cpu = statistics.median(v[1] for v in values)
            slowest = f"({min(v[0] for v in values):,.0f})"
            print(f"{size + '  ' + name:<44}{speed:>12,.0f}{slowest:>12}{cpu:>13.0f}{base / speed:>8.1f}")


if __name__ == "__main__":
    main()
