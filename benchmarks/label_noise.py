"""How good the estimated share of wrong labels is, by how accurate the run is that judges them.

    python benchmarks/label_noise.py --data data/fer2013 --run docs/results/fer2013_live --run docs/results/ferplus_live

``--data`` holds ``fer2013.csv`` and, beside it, ``fer2013new.csv`` with the votes of FER+. PublicTest is judged, which
the runs were not trained on. Weaker runs are made of a run by noise and blur in its inputs, and calibrated anew, as
training calibrates each.

- *FER2013's labels*: the truth is the emotion that most of the ten people of FER+ chose; images without one are left
  out.
- *FER+ with errors*: the truth is given as the label, but for a share that is replaced at random, so that the share of
  wrong labels is known exactly.

Each line gives the run's accuracy by the given labels, the true share of wrong labels, what confident learning
estimates, and how many of the doubted labels are wrong. Without ``--data`` faces are drawn, which says nothing of real
ones.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np

from emotion import runs
from emotion.audit import label_noise, votes
from emotion.base.devices import cores
from emotion.data import fer2013, fer_csv, ferplus
from emotion.faces.images import prepare
from emotion.inference.classifier import Classifier, predict
from emotion.metrics import calibration

Array = np.ndarray[Any, Any]

#: Standard deviations: of noise in grey levels, of blur in pixels.
STRENGTHS = ((0, 0.0), (0, 1.0), (12, 0.0), (0, 1.6), (30, 0.0), (0, 2.2), (55, 0.0), (0, 3.0), (90, 0.0))
#: Shares of the labels of FER+ that are replaced.
REPLACED = (0.0, 0.05, 0.1, 0.2)


def pictures(data: Path | None) -> tuple[Array, Array, Array]:
    """Grey images, uint8 ``[N, 48, 48]``, FER2013's labels and those of FER+, int64 ``[N]``."""
    if data is None:
        from emotion.data import synthetic

        drawn = [cv2.cvtColor(synthetic.picture(0, i, 48, 1.0), cv2.COLOR_BGR2GRAY) for i in range(140)]
        truth = np.arange(140) % 7
        return np.stack(drawn), np.where(np.random.default_rng(0).random(140) < 0.2, (truth + 1) % 7, truth), truth
    source, _ = fer2013.find(data)
    table, _, _ = fer2013.read_csv(source, Path("~/.cache/emotion").expanduser())
    cast, _ = ferplus.read_votes(source.with_name(ferplus.FILE))
    plurality = votes.plurality(cast)
    rows = np.flatnonzero((table.usage == fer_csv.USAGES.index("PublicTest")) & (plurality >= 0))
    return table.images[rows], fer2013.OURS[table.emotions[rows]], plurality[rows]


def weakened(images: Array, noise: int, blur: float) -> Array:
    """The images with Gaussian noise and blur, uint8 ``[N, 48, 48]``."""
    drawn = np.random.default_rng(0).normal(0, noise, images.shape) if noise else 0.0
    noisy = np.clip(images + drawn, 0, 255).round().astype(np.uint8)
    return noisy if not blur else np.stack([cv2.GaussianBlur(image, (0, 0), blur) for image in noisy])


def replaced(truth: Array, share: float) -> Array:
    """Labels of which so many, drawn at random, are another emotion."""
    rng = np.random.default_rng(1)
    rows = rng.permutation(len(truth))[: round(share * len(truth))]
    given = truth.copy()
    given[rows] = (truth[rows] + rng.integers(1, 7, len(rows))) % 7
    return given


def line(raw: Array, given: Array, truth: Array) -> tuple[float, ...]:
    """Accuracy, share of wrong labels, its estimate, that of right labels, share of doubts, and of these the wrong."""
    p = calibration.apply(raw, calibration.fit_temperature(raw, given)).astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    flagged = label_noise.flags(given, p)
    accuracy, wrong = float((p.argmax(axis=1) == given).mean()), given != truth
    estimate = label_noise.noise_rate(given, p)
    precision = float(wrong[flagged].mean()) if flagged.any() else 0.0
    return accuracy, float(wrong.mean()), estimate, of_right_labels(p), float(flagged.mean()), precision


def of_right_labels(probabilities: Any, draws: int = 5) -> float:
    """What is estimated of labels that are all right, for a run that is as sure as this one.

    Labels are drawn from the run's own calibrated probabilities, float64 ``[N, C]``: then whatever it contradicts is
    its own uncertainty. A run of half the accuracy reports much of that as wrong labels.
    """
    rng = np.random.default_rng(0)
    ends = probabilities.cumsum(axis=1)
    rates = []
    for _ in range(draws):
        drawn = (ends > rng.random((len(ends), 1)) * ends[:, -1:]).argmax(axis=1)
        rates.append(label_noise.noise_rate(drawn, probabilities))
    return float(np.mean(rates))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", action="append")
    parser.add_argument("--quick", action="store_true", help="one run at one strength")
    options = parser.parse_args()
    print(machine.describe())
    images, own, truth = pictures(options.data)
    strengths = STRENGTHS[:1] if options.quick else STRENGTHS
    cases = [
        ("FER2013's labels", own),
        *((f"{100 * share:g} % replaced", replaced(truth, share)) for share in REPLACED),
    ]
    print(f"{len(images):,} images; columns in percent")
    print(
        f"{'run':<16} {'noise, blur':<12} {'labels':<18} accuracy  wrong  estimate  if right  doubted  of these wrong"
    )
    for name in options.run or ["pretrained"]:
        run = runs.resolve(name, "outputs")
        model = Classifier(run.tflite(), run.contract().uncalibrated(), cores())
        for noise, blur in strengths:
            batch = np.stack([prepare(image, run.contract()) for image in weakened(images, noise, blur)])
            raw = predict(model, batch)
            for title, given in itertools.islice(cases, 2 if options.quick else None):
                found = [100 * value for value in line(raw, given, truth)]
                shown = "  ".join(f"{value:>7.1f}" for value in found)
                print(f"{Path(run.id).name:<16} {f'{noise}, {blur:g}':<12} {title:<18}{shown}", flush=True)


if __name__ == "__main__":
    main()
