"""How long ``python -m emotion.compare runs=all`` takes over many runs, and whether it imported TensorFlow to do so.

    python benchmarks/compare.py

It makes run folders of the real format in a temporary folder: a sweep of two networks over learning rates, each run
with 3,589 test pictures and 3,589 validation pictures as FER2013 has them, checkpoints of real size, event files, and
the other files that a listing has to walk past. The pictures are noise in FER2013's CSV format, from which the page
fetches some, and the answers are drawn, not a network's.
Every line is a whole process, from its start to its end.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import machine
import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from processes import imported, seconds

from emotion import metrics, runs
from emotion.base import files
from emotion.config import schema
from emotion.data.fingerprint import hash_pixels
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS, NUMBERINGS
from emotion.runs.history import COLUMNS, write_history

_PICTURES = 3589
_CHECKPOINT_BYTES = 4_400_000
_EPOCHS = 30


def make_runs(root: Path, count: int, pictures: int = _PICTURES) -> None:
    """Write finished runs into ``root/sweep``."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        data = ["dataset=fer2013", f"dataset.root={root / 'fer2013.csv'}", f"dataset.cache_dir={root / 'cache'}"]
        configs = {m: compose("train", [f"model={m}", f"outputs={root}", *data]) for m in ("cnn", "mobilenet_v2")}
    rng = np.random.default_rng(0)
    labels = {split: rng.integers(0, len(EMOTIONS), pictures) for split in ("validation", "test")}
    hashes = _write_pictures(root / "fer2013.csv", labels, rng)
    scores = None
    for number in range(count):
        model = ("cnn", "mobilenet_v2")[number % 2]
        cfg = configs[model].copy()
        cfg.trainer.learning_rate = float(0.001 * 1.01**number)
        run = runs.create(root / "sweep" / str(number), root, cfg)
        columns = {}
        for split, y in labels.items():
            logits = rng.normal(size=(pictures, len(EMOTIONS))).astype(np.float32)
            logits[np.arange(pictures), y] += 1.4 + 0.1 * rng.random()
            p = np.exp(logits)
            columns[f"{split}_probabilities"] = p / p.sum(axis=1, keepdims=True)
            columns[f"{split}_labels"] = y.astype(np.int8)
            columns[f"{split}_hashes"] = hashes[split]
        columns["test_leaked"] = np.arange(pictures) % 12 == 0
        if scores is None:
            scores = metrics.score(columns["test_probabilities"], labels["test"], bootstrap=20)
        _write(run, cfg, columns, scores)


def _write_pictures(path: Path, labels: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A CSV file of noise; returns the hashes of each split's pictures."""
    numbers = [NUMBERINGS["fer2013"][i] for i in range(len(EMOTIONS))]
    words = np.array([str(value) for value in range(256)])
    hashes = {}
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for split, usage in {"validation": "PublicTest", "test": "PrivateTest"}.items():
            pictures = rng.integers(0, 256, (len(labels[split]), 48, 48), dtype=np.uint8)
            hashes[split] = np.array([hash_pixels(picture) for picture in pictures], "S16")
            for picture, label in zip(pictures, labels[split], strict=True):
                file.write(f"{numbers.index(EMOTIONS[label])},{' '.join(words[picture.ravel()])},{usage}\n")
    return hashes


def _write(run: runs.Run, cfg: DictConfig, columns: dict[str, np.ndarray], scores: dict[str, object]) -> None:
    """What training leaves in a run's folder; the checkpoints are holes on the disk."""
    for name in ("checkpoints/best.keras", "checkpoints/last.keras", "model.tflite"):
        (run.path / name).parent.mkdir(exist_ok=True)
        with (run.path / name).open("wb") as file:
            file.truncate(_CHECKPOINT_BYTES)
    for name in (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "tb/events.out.tfevents.1",
                 "tb/train/events.out.tfevents.2", "tb/validation/events.out.tfevents.3"):  # fmt: skip
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).touch()
    Contract(48, 48).save(run.path / "contract.json")
    with files.replacing(run.path / "predictions.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **columns)  # type: ignore[arg-type]
    files.write_json(run.path / "metrics.json", {"checkpoint": "0" * 64, "validation": scores, "test": scores})
    history = [dict.fromkeys(COLUMNS, 1 / (1 + e)) | {"epoch": float(e)} for e in range(_EPOCHS)]
    write_history(run.path / "history.csv", history)
    runs.update(
        run,
        status="done",
        data={"dataset": cfg.dataset.name, "pixels": "0" * 64, "recognised": None},
        parameters=1_090_000 if cfg.model.name == "cnn" else 2_260_000,
        training_seconds=900.0,
        efficiency={"multiply_adds": 60_000_000, "latency_ms": 1.5, "peak_memory_bytes": 1_500_000_000},
    )


def _arguments(root: Path) -> list[str]:
    return ["-m", "emotion.compare", "runs=all", "resamples=1000", f"outputs={root}", f"folder={root / 'comparison'}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="how many runs")
    parser.add_argument("--repeats", type=int, default=5, help="comparisons; the median is shown")
    parser.add_argument("--quick", action="store_true", help="few runs, once: only to see that it works")
    arguments = parser.parse_args()
    count, repeats, pictures = (8, 1, 300) if arguments.quick else (arguments.runs, arguments.repeats, _PICTURES)

    print(machine.describe())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_runs(root, count, pictures)
        heavy = imported(_arguments(root), root)  # also fills the disk cache
        taken = [seconds(_arguments(root), root) for _ in range(repeats)]
    print("python -m emotion.compare runs=all, whole process, with the HTML page, Markdown, CSV and JSON")
    print(f"{'runs':>6}{'pictures':>10}{'seconds':>9}{'slowest':>9}  imported")
    print(f"{count:>6}{pictures:>10,}{statistics.median(taken):>9.2f}{max(taken):>9.2f}  {', '.join(heavy) or 'none'}")
    print(f"TensorFlow was {'' if 'tensorflow' in heavy else 'not '}imported.")


if __name__ == "__main__":
    main()
