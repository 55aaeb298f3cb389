"""How far two boxes of the Haar cascade differ that are of one face, for ``jitter`` of ``conf/augmentation/wild.yaml``.

    python benchmarks/box_jitter.py --media FOLDER

Each picture, and every tenth frame of each video in the folder, is searched as it is, and again as another camera might
have taken it: scaled by 0.8 to 1.25, turned by up to 3 degrees, moved by up to 4 pixels, with noise. Boxes are led back
and compared where they are of one face. What is left of the difference is the detector's: the shift of the centre on
each axis as a share of the side, and the logarithm of the ratio of sides. Faces count alike, however often they are
seen.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import machine
import numpy as np

from emotion.faces import images
from emotion.faces.images import Box, Image, overlap
from emotion.video.source import opened


def frames(path: Path, most: int) -> Iterator[Image]:
    """Every tenth frame of a video, or the picture."""
    with opened(str(path)) as stream:
        for frame in itertools.islice(stream.frames, 0, 10 * most, 10):
            yield frame.image


def changed(image: Image, rng: np.random.Generator) -> tuple[Image, np.ndarray]:
    """The image as another camera took it, and the matrix ``[2, 3]`` that leads back."""
    height, width = image.shape[:2]
    factor = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-3, 3)), 1.0)
    matrix = factor * matrix
    matrix[:, 2] += rng.uniform(-4, 4, 2)
    size = round(width * factor), round(height * factor)
    other = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    noisy = np.clip(other + rng.normal(0, 4, other.shape), 0, 255).astype(np.uint8)
    return noisy, cv2.invertAffineTransform(matrix)


def led_back(box: Box, back: np.ndarray) -> tuple[float, float, float]:
    """Centre and side of a box in the first image's pixels."""
    centre = back @ (box.x + box.width / 2, box.y + box.height / 2, 1.0)
    return float(centre[0]), float(centre[1]), box.width * float(np.sqrt(np.linalg.det(back[:, :2])))


def differences(image: Image, copies: int, rng: np.random.Generator) -> list[list[tuple[float, float, float]]]:
    """For each face, (right, down, log size) between its boxes in the image and in each of the changed copies."""
    cascade = images.load_cascade()
    faces = images.detect(cascade, image)
    found: list[list[tuple[float, float, float]]] = [[] for _ in faces]
    for _ in range(copies):
        other, back = changed(image, rng)
        for box in images.detect(cascade, other):
            x, y, side = led_back(box, back)
            place = Box(round(x - side / 2), round(y - side / 2), round(side), round(side))
            for face, row in zip(faces, found, strict=True):
                if overlap(face, place) > 0.5:
                    right, down = x - face.x - face.width / 2, y - face.y - face.height / 2
                    row.append((right / face.width, down / face.width, float(np.log(side / face.width))))
    return [row for row in found if len(row) > 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True, help="folder of pictures and videos with faces")
    parser.add_argument("--copies", type=int, default=12, help="changed copies of each frame")
    parser.add_argument("--frames", type=int, default=20, help="at most so many frames of a video")
    parser.add_argument("--quick", action="store_true", help="2 copies and frames: only to see that it works")
    arguments = parser.parse_args()
    copies, most = (2, 2) if arguments.quick else (arguments.copies, arguments.frames)
    print(machine.describe())
    rng, rows = np.random.default_rng(0), []
    for path in sorted(filter(Path.is_file, arguments.media.iterdir())):
        own = [row for image in frames(path, most) for row in differences(image, copies, rng)]
        rows += own
        print(f"{path.name}: {len(own)} faces, {sum(map(len, own))} pairs of boxes")
    if not rows:
        raise SystemExit("no face in them")
    squares = np.stack([np.square(row).mean(axis=0) for row in rows]).mean(axis=0)
    print(f"{'':32}{'right':>8}{'down':>8}{'log size':>10}")
    right, down, size = np.sqrt(squares)
    print(f"{'two boxes differ by (RMS)':32}{right:8.4f}{down:8.4f}{size:10.4f}")


if __name__ == "__main__":
    main()
