"""Ways to deal with rare emotions: class weights, samplers, logit adjustment, and priors after training.

    python benchmarks/imbalance.py --fer2013 data/fer2013 --unseen faces --out imbalance
    python benchmarks/imbalance.py --fer2013 data/fer2013 --unseen faces model.stem_stride=2 trainer.epochs=6

Each way is a training of ``experiment=fer2013_quick`` with three seeds, scored on FER2013's test split and, cut by the
face detector, on ``--unseen``, a folder of class folders of another source. Each network is scored as trained and with
``prior=balanced``, which needs no training: that is the last way. Runs and figures are kept in ``--out``: started
again, the script goes on where it was. A table of means over the seeds is printed and written as ``imbalance.md``.

``--quick`` trains for one epoch on drawn faces, says nothing about real ones, and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np

from emotion import runs
from emotion.base import files
from emotion.reports import markdown

#: Name to the options of training that differ.
WAYS: dict[str, list[str]] = {
    "nothing": [],
    "weights: sqrt": ["trainer.class_weight=sqrt"],
    "weights: balanced": ["trainer.class_weight=balanced"],
    "sampler: sqrt": ["trainer.sampler=sqrt"],
    "sampler: balanced": ["trainer.sampler=balanced"],
    "logit adjustment 0.5": ["trainer.logit_adjustment=0.5"],
    "logit adjustment 1": ["trainer.logit_adjustment=1"],
}
PRIORS = ("training", "balanced")
_SHOWN = ("accuracy", "macro_f1", "expected_calibration_error")
_QUICK = (
    "model=cnn_small", "trainer=cnn_small", "dataset=synthetic", "dataset.per_emotion=12", "dataset.image_size=48",
    "model.stages=[8,16]", "trainer.epochs=1", "trainer.warmup_epochs=0", "trainer.batch_size=16",
    "trainer.bootstrap=0",
)  # fmt: skip


def command(*words: str) -> None:
    subprocess.run([sys.executable, "-m", *words], check=True)


def train(folder: Path, way: list[str], seed: int, recipe: list[str]) -> None:
    """Train a run, or go on with one that was interrupted."""
    record = folder / "run.json"
    status = json.loads(record.read_text())["status"] if record.is_file() else None
    if status == "done":
        return
    if runs.Run(folder, folder.name).state.is_file():
        command("emotion.train", f"resume={folder}")
        return
    if status is not None:  # it was interrupted before its first epoch had ended
        shutil.rmtree(folder)
    command("emotion.train", *recipe, *way, f"seed={seed}", f"hydra.run.dir={folder}", f"outputs={folder.parent}")


def score(folder: Path, data: list[str], prior: str, kept: Path) -> dict[str, float]:
    """The figures of a run on one dataset for one prior."""
    content: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    key = f"{folder.name} {' '.join(data)} {prior}"
    if key not in content:
        table = kept.with_name("table")
        command(
            "emotion.evaluate", f"run=[{folder}]", *data, f"prior={prior}", "bootstrap=0", "slices=false",
            f"folder={table}", f"outputs={folder.parent}",
        )  # fmt: skip
        (one,) = json.loads((table / "datasets.json").read_text())["evaluations"]
        content[key] = {metric: one["scores"][metric]["value"] for metric in _SHOWN}
        files.write_json(kept, content)
    return dict(content[key])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer2013", help="fer2013.csv or its folder")
    parser.add_argument("--unseen", help="folder of class folders that no run is trained on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("imbalance"))
    parser.add_argument("options", nargs="*", help="further options of each training, such as trainer.epochs=6")
    parser.add_argument("--quick", action="store_true", help="drawn faces, one epoch: only to see it work")
    arguments = parser.parse_args()
    if not arguments.quick and not (arguments.fer2013 and arguments.unseen):
        parser.error("give --fer2013 and --unseen, or --quick")
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        compare(arguments, Path(temporary) if arguments.quick else arguments.out.resolve())


def compare(arguments: argparse.Namespace, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    ways = dict(WAYS)
    recipe = ["experiment=fer2013_quick", f"dataset.root={arguments.fer2013}", *arguments.options]
    sets: dict[str, list[str]] = {
        "FER2013": [],
        "unseen": [f"datasets=[{{root: {arguments.unseen}, title: unseen}}]", "faces=search"],
    }
    if arguments.quick:
        recipe, sets, arguments.seeds = list(_QUICK), {"drawn": []}, 1
        ways = {"logit adjustment 1": ways["logit adjustment 1"]}
    rows = []
    for name, options in ways.items():
        slug = "".join(c if c.isalnum() else "-" for c in name)
        folders = [root / f"{slug}-{seed}" for seed in range(arguments.seeds)]
        for seed, folder in enumerate(folders):
            train(folder, options, seed, recipe)
        for prior in PRIORS:
            cells = [name, prior]
            for data in sets.values():
                figures = [score(folder, data, prior, root / "scores.json") for folder in folders]
                cells += [f"{100 * np.mean([f[m] for f in figures]):.1f}" for m in _SHOWN]
            rows.append(cells)
    titles = [f"{name}: {metric}" for name in sets for metric in ("accuracy", "macro-F1", "calibration error")]
    table = str(markdown.text_table(["trained with", "prior", *titles], rows))
    files.write_text(root / "imbalance.md", table + "\n")
    print(f"\n{table}\n\nmeans over {arguments.seeds} seeds, in percent; written to {root / 'imbalance.md'}")


if __name__ == "__main__":
    main()
