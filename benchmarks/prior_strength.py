"""One network, its prior a switch: how right it is on several datasets, over how far the prior goes from equal shares.

    python benchmarks/prior_strength.py --run pretrained --shares ferplus.json --out prior_strength \\
        --data "web faces" dataset=folder dataset.root=faces faces=search \\
        --data FER+ dataset=ferplus dataset.root=data/fer2013 split=test

Each ``--data`` is a name and what ``emotion.evaluate`` takes. ``--shares`` is a JSON file of a share for each emotion,
such as those of a dataset's training images. At strength s answers are given for these shares to the power s,
normalised: 0 is equal shares, 1 is theirs. Writes ``prior_strength.json`` and ``prior_strength.png`` into ``--out``.

``--quick`` takes drawn faces, which says nothing about real ones, and keeps nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np

from emotion import metrics, runs
from emotion.base import files
from emotion.config import cli
from emotion.data.examples import ALL, SPLITS
from emotion.evaluate import evaluate
from emotion.faces import priors
from emotion.faces.contract import Contract
from emotion.metrics import calibration
from emotion.reports import canvas
from emotion.runs import predictions
from emotion.runs.predictions import Predictions

STRENGTHS = np.round(np.linspace(0, 1.2, 13), 1)
STYLES = (
    ("o", canvas.BLUE),
    ("s", canvas.ORANGE),
    ("^", canvas.GREEN),
    ("D", canvas.INK),
    ("v", "#cc79a7"),
    ("P", "#56b4e9"),
)


def answers(run: runs.Run, asked: argparse.Namespace, overrides: list[str]) -> Predictions:
    """What the network itself answers on a dataset, and the labels."""
    typed = [f"run={asked.run}", f"outputs={asked.outputs}", "prior=training", "slices=false", "bootstrap=0"]
    request = cli.request("evaluate", [*typed, *overrides])
    assert request.cfg is not None
    evaluate(request.cfg)
    newest = max(run.results.rglob(predictions.NAME), key=lambda path: path.stat().st_mtime)
    (found,) = predictions.read_folder(newest.parent, (*SPLITS, ALL), "evaluate again").values()
    return found


def scores(found: Predictions, contract: Contract, shares: np.ndarray[Any, Any]) -> list[dict[str, float]]:
    """Accuracy, macro-F1 and calibration error at each strength."""
    own = calibration.apply(found.probabilities, 1 / contract.temperature)  # as they were before calibration
    rows = []
    for strength in STRENGTHS:
        wanted = shares**strength / (shares**strength).sum()
        moved = priors.adjust(own, priors.trained_prior(contract), wanted)
        score = metrics.score(calibration.apply(moved, contract.temperature), found.labels, bootstrap=0)
        keys = ("accuracy", "macro_f1", "expected_calibration_error")
        rows.append({"strength": float(strength), **{key: score[key]["value"] for key in keys}})
    return rows


def draw(by_name: dict[str, list[dict[str, float]]], path: Path, title: str) -> None:
    with canvas.figure_of(7.2, 4.2) as figure:
        canvas.heading(figure, title, "Answers for equal shares (0), for those of training (1), and in between.")
        axes = figure.subplots()
        for (name, rows), (marker, colour) in zip(by_name.items(), STYLES, strict=False):
            values = [100 * row["accuracy"] for row in rows]
            axes.plot(STRENGTHS, values, marker=marker, color=colour, markersize=4, label=name)
        axes.set_xlabel("strength of the prior")
        axes.set_ylabel("accuracy, %")
        axes.grid(axis="y")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        canvas.picture_of(figure, path)


#: Drawn faces, for --quick.
_DRAWN = ["drawn faces", "dataset=synthetic", "dataset.per_emotion=10", "dataset.image_size=48"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="pretrained")
    parser.add_argument("--outputs", default="outputs")
    parser.add_argument("--shares", type=Path)
    parser.add_argument("--data", nargs="+", action="append")
    parser.add_argument("--out", type=Path, default=Path("prior_strength"))
    parser.add_argument("--quick", action="store_true", help="drawn faces: only to see that it works")
    asked = parser.parse_args()
    if not asked.quick and not (asked.shares and asked.data):
        parser.error("give --shares and --data, or --quick")
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        if asked.quick:
            asked.outputs, asked.out, asked.data = temporary, Path(temporary), [_DRAWN]
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    run = runs.resolve(asked.run, asked.outputs)
    contract = run.contract()
    given = {name: 1 + i for i, name in enumerate(contract.labels)} if asked.quick else files.read_json(asked.shares)
    shares = np.array([float(given[name]) for name in contract.labels])
    shares /= shares.sum()
    by_name = {name: scores(answers(run, asked, overrides), contract, shares) for name, *overrides in asked.data}
    for name, rows in by_name.items():
        for row in rows:
            print(name, " ".join(f"{key} {value:.3f}" for key, value in row.items()))
    asked.out.mkdir(parents=True, exist_ok=True)
    files.write_json(asked.out / "prior_strength.json", by_name)
    draw(by_name, asked.out / "prior_strength.png", f"{run.id}: one network, its prior a switch")


if __name__ == "__main__":
    main()
