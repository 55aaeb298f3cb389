"""How accurate networks stay when light, lens, box and file are worse: 15 corruptions at five strengths.

    python benchmarks/robustness.py --data faces --run pretrained --run <id> --peers networks --out robustness

As Hendrycks and Dietterich (2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations") do
on ImageNet-C: a network's corruption error is the sum of its error rates over the five strengths divided by the same
sum of a reference network, the mean corruption error (mCE) their mean over the corruptions, 100 for the reference. The
reference is the first by name of ``--peers``, Keras files with FER2013's order of classes and inputs of -1 to 1, such
as mini-XCEPTION; without peers it is the first run.

``--data`` is a folder of class folders, or a zip of one; without it faces are drawn, which says nothing about real
ones. Each picture is cut by the Haar cascade's largest box, where there is one, scaled to 64x64 pixels, corrupted, and
given to every network as its contract says, so that all see the same. Strengths in pixels are of a face of 48.

Each figure is written to ``--out`` as it is known: started again, the script goes on where it was. There is also the
plot ``robustness.png``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import machine
import numpy as np

from emotion.base import files, logs
from emotion.base.progress import progress
from emotion.faces import decoding
from emotion.faces import images as faces
from emotion.faces.labels import EMOTIONS
from emotion.inference import engines
from emotion.inference.classifier import Classifier

Array = np.ndarray[Any, Any]

SIDE = 64
#: Pixels of the 64 for each pixel of a face of 48.
_SCALE = SIDE / 48
_CHUNK = 128
_QUICK = 28

#: What is done, at five strengths each: standard deviations, lengths, sides in pixels; qualities; powers; factors;
#: shares of the light, of the way across, of the side; degrees.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "noise": (0.04, 0.08, 0.12, 0.18, 0.26),
    "blur": (0.6, 1.0, 1.5, 2.0, 2.8),
    "motion blur": (3, 5, 7, 9, 12),
    "low resolution": (32, 24, 18, 14, 10),
    "JPEG": (30, 20, 12, 7, 4),
    "dark": (1.5, 2.0, 2.7, 3.5, 5.0),
    "bright": (0.7, 0.5, 0.38, 0.28, 0.2),
    "low contrast": (0.6, 0.4, 0.3, 0.2, 0.12),
    "shadow": (0.6, 0.45, 0.3, 0.2, 0.1),
    "occlusion": (0.1, 0.18, 0.26, 0.34, 0.42),
    "erased": (0.04, 0.08, 0.14, 0.2, 0.3),
    "box moved": (0.04, 0.08, 0.12, 0.17, 0.22),
    "box too tight": (1.08, 1.16, 1.25, 1.35, 1.5),
    "box too wide": (0.93, 0.86, 0.78, 0.7, 0.6),
    "turned": (8, 15, 22, 30, 40),
}


def corrupt(x: Array, name: str, strength: float, seed: int) -> Array:
    """Corrupt uint8 RGB or grey ``[N, H, W, C]``; the directions are drawn for each image from the seed."""
    import tensorflow as tf

    from emotion.data import augment, corruptions, geometry

    count = len(x)
    drawn = tf.constant(np.random.default_rng([seed, *name.encode()]).random((3, count)), tf.float32)
    first, second, third = tf.unstack(drawn)
    value, images = tf.fill([count], float(strength)), tf.constant(x)
    key = augment.key(seed, tf.constant(len(name)), tf.constant(0))
    angle = 2 * np.pi * first
    mean = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2, 3], keepdims=True)
    sign = tf.sign(first - 0.5)
    far = SIDE * value

    def erased() -> Any:
        rows, columns = augment.rectangle(images, value, first, second, third)
        tone = tf.cast(255 * tf.random.stateless_uniform([count, 1, 1, 1], key), tf.uint8)
        return augment.overlay(images, tf.broadcast_to(tone, tf.shape(images)), rows, columns)

    changes: dict[str, Callable[[], Any]] = {
        "noise": lambda: corruptions.noise(images, value, key),
        "blur": lambda: corruptions.blur(images, _SCALE * value),
        "motion blur": lambda: corruptions.motion_blur(images, _SCALE * value, first),
        "low resolution": lambda: corruptions.low_resolution(images, value),
        "JPEG": lambda: corruptions.jpeg(images, value),
        "dark": lambda: corruptions.gamma(images, value),
        "bright": lambda: corruptions.gamma(images, value),
        "low contrast": lambda: mean + strength * (tf.cast(images, tf.float32) - mean),
        "shadow": lambda: corruptions.shadow(images, value, first, second, 0.3 * third),
        "occlusion": lambda: corruptions.occlude(images, value, first, second),
        "erased": erased,
        "box moved": lambda: geometry.resample(images, geometry.translation(far * tf.cos(angle), far * tf.sin(angle))),
        "box too tight": lambda: geometry.resample(images, geometry.scaling(value)),
        "box too wide": lambda: geometry.resample(images, geometry.scaling(value)),
        "turned": lambda: geometry.resample(images, geometry.rotation(sign * value * np.pi / 180)),
    }
    return np.asarray(corruptions.to_uint8(changes[name]()))


# ------------------------------------------------------------------------------------------------ pictures and networks


def pictures(data: Path | None, limit: int | None) -> tuple[Array, Array]:
    """Faces, uint8 ``[N, 64, 64, 3]`` RGB, and int64 ``[N]``; at most ``limit``, as many of each emotion."""
    if data is None:
        from emotion.data import synthetic

        each = [(synthetic.picture(0, i, SIDE, 1.0), i % len(EMOTIONS)) for i in range(limit or 350)]
        return np.stack([image[..., ::-1] for image, _ in each]), np.array([label for _, label in each])
    from emotion.data import folder

    with tempfile.TemporaryDirectory() as name:
        root = data
        if data.is_file():
            root = Path(name)
            with zipfile.ZipFile(data) as archive:
                archive.extractall(root)
            inside = [path for path in root.iterdir() if path.is_dir()]
            root = inside[0] if len(inside) == 1 else root
        ignored = [path.name for path in root.iterdir() if path.name.lower() == "contempt"]
        every = folder.read(folder.layout(root, ignored), ignore=ignored, max_unreadable=1.0).parts.values()
        found = [(e.name_of(i), int(e.labels[i])) for e in every for i in range(len(e))]
        labels = np.array([label for _, label in found])
        share = len(found) if limit is None else -(-limit // len(np.unique(labels)))
        rows = np.concatenate([np.flatnonzero(labels == label)[:: max(1, int(np.sum(labels == label)) // share)][:share]
                               for label in np.unique(labels)])  # fmt: skip
        cascade = faces.load_cascade()
        with progress(len(rows), "cutting faces") as advance:
            cut = [_face(cascade, found[row][0], advance) for row in rows]
    return np.stack(cut), labels[rows]


def _face(cascade: Any, path: str, advance: Callable[[int], None]) -> Array:
    image = decoding.read(path)
    boxes = faces.detect(cascade, image)
    advance(1)
    face = faces.resize(faces.crop(image, boxes[0], 0.0) if boxes else image, SIDE, SIDE, "area")
    return cv2.cvtColor(face, cv2.COLOR_BGR2RGB)


def networks(
    runs: list[str], outputs: str, peers: Path | None, priors: list[str], cache: Path
) -> dict[str, Classifier]:
    """Classifiers by name, the published networks first; these are imported once into ``cache``."""
    opened: dict[str, Classifier] = {}
    for file in sorted(peers.iterdir()) if peers is not None else ():
        if file.suffix in (".h5", ".hdf5", ".keras"):
            name = file.stem.split(".")[0]
            opened[name] = engines.load(_adopted(file, name, cache), threads=2)
    for run in runs:
        found = engines.find(run, outputs)
        for prior in priors:
            if prior != "contract" and found.contract().prior is None:
                print(f"{found.id}: the shares of its training are not recorded, so it is not measured for {prior}")
                continue
            name = found.id if prior == "contract" else f"{found.id}, prior={prior}"
            opened[name] = engines.load(found, threads=2, prior=None if prior == "contract" else prior)
    return opened


def _adopted(file: Path, name: str, cache: Path) -> Any:
    from hydra import compose, initialize_config_dir

    from emotion.adopt import adopt
    from emotion.config import schema

    here = [path for path in cache.glob(f"*_{name}") if (path / "model.tflite").is_file()]
    if here:
        return engines.find(here[0], cache)
    schema.register()
    order = "[angry,disgust,fear,happy,sad,surprise,neutral]"
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        options = f"name={name}", f"labels={order}", "pixels=minus_one_to_one", f"outputs='{cache}'"
        return adopt(compose("adopt", [f"file='{file}'", *options]))


def accuracy(classifier: Classifier, x: Array, labels: Array) -> float:
    """Of images uint8 RGB; the answers are compared by the contract's labels."""
    names = np.array([EMOTIONS.index(label) if label in EMOTIONS else -1 for label in classifier.contract.labels])
    steps = range(0, len(x), _CHUNK)
    rows = np.concatenate([classifier.classify(list(x[i : i + _CHUNK, :, :, ::-1])) for i in steps])
    return float(np.mean(names[rows.argmax(axis=1)] == labels))


# -------------------------------------------------------------------------------------------------------------- figures


def measure(x: Array, labels: Array, opened: dict[str, Classifier], path: Path | None) -> dict[str, Any]:
    """Accuracies by network and condition (``corruption strength``); what ``path`` holds already is not repeated."""
    digest = hashlib.sha256(x.tobytes() + labels.tobytes() + repr(STRENGTHS).encode()).hexdigest()[:16]
    stored = json.loads(path.read_text()) if path is not None and path.is_file() else {}
    known: dict[str, dict[str, float]] = stored.get("accuracy", {}) if stored.get("images") == digest else {}
    conditions: list[tuple[str, float | None]] = [("clean", None)]
    conditions += [(name, s) for name, strengths in STRENGTHS.items() for s in strengths]
    with progress(len(conditions), "corruptions") as advance:
        for name, strength in conditions:
            key = name if strength is None else f"{name} {strength:g}"
            left = [network for network in opened if key not in known.get(network, {})]
            if left:
                worse = x if strength is None else corrupt(x, name, strength, 0)
                for network in left:
                    known.setdefault(network, {})[key] = accuracy(opened[network], worse, labels)
                if path is not None:
                    files.write_json(path, {"images": digest, "n": len(x), "accuracy": known})
            advance(1)
    return {network: known[network] for network in opened}


def corruption_errors(accuracies: dict[str, float], reference: dict[str, float]) -> dict[str, float]:
    """Of each corruption the error over the five strengths as a percentage of the reference's."""
    sums = [{n: sum(1 - a[f"{n} {s:g}"] for s in strengths) for n, strengths in STRENGTHS.items()}
            for a in (accuracies, reference)]  # fmt: skip
    return {name: 100 * sums[0][name] / max(sums[1][name], 1e-9) for name in STRENGTHS}


def report(by_network: dict[str, dict[str, float]]) -> None:
    """Print accuracies, mean over the strengths, and mean corruption errors as tables of Markdown."""
    reference = next(iter(by_network.values()))
    rows = [("accuracy %", list(by_network)), ("clean", [f"{100 * a['clean']:.1f}" for a in by_network.values()])]
    for name, strengths in STRENGTHS.items():
        by_strength = [[100 * a[f"{name} {s:g}"] for s in strengths] for a in by_network.values()]
        rows.append((name, [f"{np.mean(v):.1f} ({v[0]:.1f} to {v[-1]:.1f})" for v in by_strength]))
    errors = [np.mean(list(corruption_errors(a, reference).values())) for a in by_network.values()]
    rows.append(("**mean corruption error**", [f"**{error:.1f}**" for error in errors]))
    lines = [f"| {title} | {' | '.join(cells)} |" for title, cells in rows]
    print("\n".join([lines[0], f"|---|{'---:|' * len(by_network)}", *lines[1:]]))


def draw(by_network: dict[str, dict[str, float]], count: int, path: Path) -> None:
    """Accuracy over strength, a small plot for each corruption."""
    from emotion.reports.canvas import SERIES, figure_of, heading, picture_of

    highest = 105 * max(value for accuracies in by_network.values() for value in accuracies.values())
    with figure_of(10.5, 7.2) as figure:
        grid = figure.subplots(3, 5, sharey=True)
        for axes, (name, strengths) in zip(grid.flat, STRENGTHS.items(), strict=True):
            for (network, accuracies), colour in zip(by_network.items(), SERIES * 9, strict=False):
                values = [accuracies["clean"], *(accuracies[f"{name} {s:g}"] for s in strengths)]
                axes.plot(range(6), [100 * v for v in values], color=colour, marker="o", markersize=3, label=network)
            axes.set_title(name, fontsize=9, loc="left")
            axes.set_xticks(range(6), ["0", *(f"{s:g}" for s in strengths)], fontsize=7)
            axes.set_ylim(0, highest)
            axes.grid(True)
        for row in grid:
            row[0].set_ylabel("accuracy, %")
        handles, names = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=3)
        heading(figure, "Accuracy under corruptions", f"{count:,} faces; 0 is the image as it is.")
        picture_of(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of class folders, or a zip of one; drawn faces otherwise")
    parser.add_argument("--run", action="append", help="run or export, any number of times; default pretrained")
    parser.add_argument("--outputs", default="outputs", help="folder that holds the runs")
    parser.add_argument(
        "--prior", action="append", help="prior of the runs: balanced, or contract (as it says); any number"
    )
    parser.add_argument("--peers", type=Path, help="folder of published Keras networks")
    parser.add_argument("--out", type=Path, help="folder for the figures and the plot; a temporary one otherwise")
    parser.add_argument("--limit", type=int, help="at most so many faces, as many of each emotion")
    parser.add_argument("--quick", action="store_true", help="28 faces: only to see that it works")
    arguments = parser.parse_args()
    print(machine.describe())
    logs.import_tensorflow()
    with tempfile.TemporaryDirectory() as name:
        out = arguments.out or Path(name)
        out.mkdir(parents=True, exist_ok=True)
        x, labels = pictures(arguments.data, _QUICK if arguments.quick else arguments.limit)
        runs = arguments.run or ["pretrained"]
        opened = networks(runs, arguments.outputs, arguments.peers, arguments.prior or ["contract"], out / "networks")
        print(f"{len(x):,} faces, {'drawn' if arguments.data is None else arguments.data.name}\n")
        by_network = measure(x, labels, opened, out / "robustness.json")
        report(by_network)
        draw(by_network, len(x), out / "robustness.png")
        if arguments.out:
            print(f"\nwritten to {out}: robustness.json, robustness.png")


if __name__ == "__main__":
    main()
