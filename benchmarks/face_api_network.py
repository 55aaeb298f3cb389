"""The expression network of face-api.js as a Keras file that ``emotion.adopt`` takes, to be measured beside others.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python benchmarks/face_api_network.py --package package --out face_api.keras
    python -m emotion.adopt file=face_api.keras pixels=raw colour=rgb \\
      'labels=[neutral,happy,sad,angry,fearful,disgusted,surprised]' licence=MIT

Four dense blocks (Huang et al. 2017, "Densely Connected Convolutional Networks") of separable convolutions, whose
inputs are added, and a dense layer: 0.32 million weights, of which the convolutions' are stored as uint8. The package
resizes to 112x112 pixels and subtracts a mean, which is part of the written network. With ``--check answers.json``, a
list of the package's own answers (``predictExpressions``), and ``--faces faces.raw``, the uint8 RGB images of 112x112
pixels that it was given, the script prints the largest difference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

Array = np.ndarray[Any, Any]

SIDE = 112
_MANIFEST = "face_expression_model-weights_manifest.json"
_MEAN = (122.782, 117.001, 104.298)


def main() -> None:
    """Convert, and compare where there is something to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="unpacked npm package @vladmandic/face-api")
    parser.add_argument("--out", type=Path, required=True, help="the Keras file to write")
    parser.add_argument("--check", type=Path, help="the package's own answers: JSON, a list of seven numbers a face")
    parser.add_argument("--faces", type=Path, help="the faces of --check")
    arguments = parser.parse_args()
    if not (arguments.package / "model" / _MANIFEST).is_file():
        parser.error(f"--package: {arguments.package} has no model/{_MANIFEST}; unpack the npm package there")
    if bool(arguments.check) != bool(arguments.faces):
        parser.error("--check and --faces belong together")
    network = build(read(arguments.package / "model"))
    network.save(arguments.out)
    print(f"written: {arguments.out}, {network.count_params():,} weights")
    if arguments.check:
        faces = np.fromfile(arguments.faces, np.uint8).reshape(-1, SIDE, SIDE, 3)
        difference = np.abs(network.predict(faces, verbose=0) - json.loads(arguments.check.read_text())).max()
        print(f"largest difference in {len(faces)} faces: {difference:.1e}")


def read(folder: Path) -> dict[str, Array]:
    """The weights by name, float32; uint8 ones are scale * value + min."""
    (group,) = json.loads((folder / _MANIFEST).read_text())
    data = b"".join((folder / name).read_bytes() for name in group["paths"])
    weights, start = {}, 0
    for entry in group["weights"]:
        stored = entry.get("quantization")
        values = np.frombuffer(data, stored["dtype"] if stored else "<f4", int(np.prod(entry["shape"])), start)
        start += values.nbytes
        exact = values.astype(np.float32)
        weights[entry["name"]] = (exact * stored["scale"] + stored["min"] if stored else exact).reshape(entry["shape"])
    return weights


def build(weights: dict[str, Array]) -> keras.Model:
    """The network: 0 to 255 RGB ``[N, 112, 112, 3]`` to probabilities ``[N, 7]``."""
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 255, [-value / 255 for value in _MEAN])(images)
    for block in range(4):
        added = None
        for i in range(4):
            own = {name.split("/")[-1]: w for name, w in weights.items() if name.startswith(f"dense{block}/conv{i}/")}
            options = {"strides": 1 if i else 2, "padding": "same", "name": f"dense{block}_conv{i}"}
            layer = (layers.SeparableConv2D if "filters" not in own else layers.Conv2D)(len(own["bias"]), 3, **options)
            out = layer(x)
            layer.set_weights([own[n] for n in ("filters", "depthwise_filter", "pointwise_filter", "bias") if n in own])
            added = out if added is None else layers.Add()([added, out])
            x = layers.ReLU()(added)
            added = x if i == 0 else added
    x = layers.Flatten()(layers.AveragePooling2D(7, 2)(x))
    classes = layers.Dense(7, activation="softmax")
    answers = classes(x)
    classes.set_weights([weights["fc/weights"], weights["fc/bias"]])
    return keras.Model(images, answers)


if __name__ == "__main__":
    main()
