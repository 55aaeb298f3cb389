"""Does the crop margin that the audit derives make live crops look like the dataset? By geometry and by effect.

    python benchmarks/crop_margin.py
    python benchmarks/crop_margin.py --root data/fer2013 --run outputs/<run>
    python benchmarks/crop_margin.py --root data/fer2013 --keep 0.8 --write data/tight
    python benchmarks/crop_margin.py --root data/fer2013 --keep 0.8 --run outputs/<a run on data/tight>

By geometry: drawn people in whole frames are cut out with known margins round the box that the Haar cascade puts there,
and the audit is to give these margins back.

By effect, given FER2013's CSV file and a run that was trained on it: faces of PublicTest, which the run was not trained
on, are put into whole frames over a drawn background, two to five times as large, found there as live video finds them,
cut out with the derived margin and with others, prepared by the run's contract and classified. The first margin is the
derived one, the second the detector's bare box. Intervals are bootstrapped over faces.

FER2013 was cut along OpenCV's box, so there the bare box is all but right. ``--keep`` makes a dataset that was cut
tighter: the middle of each picture. ``--write`` writes it as a CSV file, for a run to be trained on.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np

from emotion import runs
from emotion.audit.pictures import Pictures
from emotion.data import drawing, fer2013, fer_csv, framing, measuring, synthetic
from emotion.data.examples import Examples, Splits
from emotion.data.fingerprint import hash_pixels
from emotion.faces import images as faces
from emotion.faces.images import Box, Image
from emotion.inference.classifier import LARGEST_BATCH, Classifier

_MARGINS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.5, 0.8)
_OTHERS = (-0.15, -0.1, -0.05, 0.05, 0.1)
_FRAME = (480, 360)
_SAMPLE = 2000
_PUBLIC_TEST = 1


def derive(images: Any) -> framing.Framing:
    """What the audit says of these pictures, uint8 ``[N, H, W]`` or ``[N, H, W, 3]``."""
    everything = Examples(np.zeros(len(images), np.int64), np.array([hash_pixels(i) for i in images], "S16"), images)
    nothing = everything.take(np.arange(0))
    pictures = Pictures.of(Splits(everything, nothing, nothing, fingerprint={}))
    return framing.of(measuring.measure(pictures, None, ""))


def geometry(people: int, size: int) -> None:
    """Print known margins and those that the audit derives."""
    frames = [synthetic.frame(seed, seed % 7) for seed in range(people)]
    print(f"Geometry: {people} drawn people, crops of {size}x{size} pixels.")
    print(f"{'cut with':>10}{'derived':>10}{'off by':>10}{'boxes':>8}")
    for margin in _MARGINS:
        crops = [faces.resize(faces.crop(image, box, margin), size, size, "area") for image, box in frames]
        found = derive(np.stack(crops))
        text = "none" if found.margin is None else f"{found.margin:.3f}"
        off = "" if found.margin is None else f"{found.margin - margin:+.3f}"
        print(f"{margin:>10.2f}{text:>10}{off:>10}{found.pictures:>8}")


# -------------------------------------------------------------------------------------------------------- by effect


def place(image: Image, seed: tuple[int, int]) -> tuple[Image, Box]:
    """A whole frame with this picture somewhere in it, and where."""
    rng = np.random.default_rng(seed)
    width, height = _FRAME
    side = round(image.shape[0] * rng.uniform(2, 5))
    frame = cv2.cvtColor(drawing.background(rng, width, height), cv2.COLOR_BGR2GRAY)
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    frame[y : y + side, x : x + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return frame, Box(x, y, side, side)  # type: ignore[return-value]


def middle(images: Any, keep: float) -> Any:
    """The middle of each picture, this share of its side, in the picture's size."""
    side = images.shape[1]
    box = Box(0, 0, side, side)
    cut = (faces.crop(image, box, (keep - 1) / 2) for image in images)
    return np.stack([faces.resize(image, side, side, "area") for image in cut])


def write(root: Path, cache_dir: Path, keep: float, folder: Path) -> None:
    """Write FER2013's CSV file with the middle of each picture."""
    table, _, _ = fer2013.read_csv(fer2013.find(root)[0], cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for image, emotion, usage in zip(middle(table.images, keep), table.emotions, table.usage, strict=True):
            pixels = " ".join(map(str, image.ravel().tolist()))
            file.write(f"{emotion},{pixels},{fer_csv.USAGES[usage]}\n")


def effect(root: Path, run: runs.Run, cache_dir: Path, keep: float, limit: int | None, placements: int) -> None:
    """Print the accuracy on faces that are cut from whole frames, for each margin."""
    source, _ = fer2013.find(root)
    table, _, _ = fer2013.read_csv(source, cache_dir)
    rng = np.random.default_rng(0)
    training = np.flatnonzero(table.usage != _PUBLIC_TEST)
    sample = rng.permutation(training)[:_SAMPLE]
    derived = derive(middle(table.images[sample], keep))
    rows = np.flatnonzero(table.usage == _PUBLIC_TEST)[:limit]
    if derived.margin is None or not len(rows):
        raise SystemExit(f"{source}: no margin derived, or no PublicTest rows")
    print(f"\nEffect: {derived.sentence()}")
    classifier = Classifier(run.tflite(), run.contract(), threads=2)
    own = threading.local()

    def cut(job: tuple[int, int]) -> list[Image] | None:
        if not hasattr(own, "cascade"):
            own.cascade = faces.load_cascade()
        frame, where = place(table.images[job[0]], job)
        found = [b for b in faces.detect(own.cascade, frame, min_size=0.1) if faces.overlap(b, where) > 0.3]
        if not found:
            return None
        return [faces.prepare(faces.crop(frame, found[0], m), run.contract()) for m in margins]

    margins = (derived.margin, 0.0, *(m for m in _OTHERS if m not in (derived.margin, 0.0)))
    jobs = [(int(row), turn) for row in rows for turn in range(placements)]
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(2) as pool:
        crops = list(pool.map(cut, jobs))
    kept = [i for i, each in enumerate(crops) if each is not None]
    labels = fer2013.OURS[table.emotions[[jobs[i][0] for i in kept]]]
    face = np.array([jobs[i][0] for i in kept])
    print(
        f"{len(kept):,} of {len(jobs):,} found, of {len(np.unique(face)):,} PublicTest faces, {placements} frames "
        f"each; run {run.id}"
    )
    right, loss = {}, {}
    for number, margin in enumerate(margins):
        shown = np.stack([each[number] for each in crops if each is not None])
        steps = range(0, len(shown), LARGEST_BATCH)
        rows_ = np.concatenate([classifier.probabilities(shown[i : i + LARGEST_BATCH]) for i in steps])
        right[margin] = rows_.argmax(axis=1) == labels
        loss[margin] = -np.log(np.maximum(rows_[np.arange(len(labels)), labels], 1e-9))
    print(f"{'margin':>10}{'accuracy':>10}{'log loss':>10}   derived margin is better by (95 % interval)")
    for margin in sorted(margins):
        mark = " derived" if margin == derived.margin else " bare box" if margin == 0 else ""
        gain = _interval(right[derived.margin].astype(float) - right[margin], face)
        less = _interval(loss[margin] - loss[derived.margin], face)
        told = "" if margin == derived.margin else f"   {_points(gain, 100)} points, log loss {_points(less, 1)}"
        print(f"{margin:>10.3f}{100 * right[margin].mean():>9.2f}%{loss[margin].mean():>10.4f}{told}{mark}")


def _interval(differences: Any, face: Any) -> tuple[float, float, float]:
    """The mean and its bootstrap interval over faces, of which several frames may be there."""
    _, which = np.unique(face, return_inverse=True)
    sums, counts = np.bincount(which, differences), np.bincount(which)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(sums), (2000, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(differences.mean()), float(low), float(high)


def _points(interval: tuple[float, float, float], scale: float) -> str:
    middle, low, high = (scale * v for v in interval)
    digits = 2 if scale > 1 else 4
    return f"{middle:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="fer2013.csv, or the folder it is in")
    parser.add_argument("--run", help="a finished run on it: its folder or id")
    parser.add_argument("--outputs", default="outputs", help="folder that holds the runs")
    parser.add_argument("--cache", type=Path, help="folder for the parsed file; a temporary one otherwise")
    parser.add_argument("--keep", type=float, default=1.0, help="share of each picture's side that the dataset keeps")
    parser.add_argument("--write", type=Path, help="write that dataset's CSV file into this folder, and end")
    parser.add_argument("--people", type=int, default=60, help="drawn people")
    parser.add_argument("--size", type=int, default=48, help="pixels a side of their crops")
    parser.add_argument("--limit", type=int, help="at most this many faces of PublicTest")
    parser.add_argument("--placements", type=int, default=3, help="frames for each of them")
    parser.add_argument("--quick", action="store_true", help="24 people: only to see that it works")
    arguments = parser.parse_args()
    if (arguments.root is None) != (arguments.run is None and arguments.write is None):
        parser.error("--root goes together with --run or --write")
    if arguments.write is not None:
        with tempfile.TemporaryDirectory() as name:
            write(arguments.root, arguments.cache or Path(name), arguments.keep, arguments.write)
        return
    print(machine.describe())
    geometry(24 if arguments.quick else arguments.people, arguments.size)
    if arguments.run is not None:
        run = runs.resolve(arguments.run, arguments.outputs)
        with tempfile.TemporaryDirectory() as name:
            cache = arguments.cache or Path(name)
            effect(arguments.root, run, cache, arguments.keep, arguments.limit, arguments.placements)


if __name__ == "__main__":
    main()
