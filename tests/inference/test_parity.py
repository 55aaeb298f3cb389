"""What live video says of a picture is what evaluation says of it: the same preparation, the same model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import runs
from emotion.config.checks import validate
from emotion.data import sources, synthetic
from emotion.faces import decoding
from emotion.faces.images import Image
from emotion.faces.labels import EMOTIONS
from emotion.inference.classifier import Classifier
from emotion.train import train
from tests.conftest import TINY, compose

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4


def _trained_here(folder: Path, *options: str) -> runs.Run:
    cfg = compose("train", *options, f"outputs={folder}")
    validate(cfg)
    return runs.resolve(train(cfg)["run"], folder)


def _live(run: runs.Run, pictures: list[Image]) -> np.ndarray:
    return Classifier(run.tflite(), run.contract()).classify(pictures)


def _evaluated(run: runs.Run) -> np.ndarray:
    with np.load(run.path / "predictions.npz", allow_pickle=False) as data:
        return data["test_probabilities"]


def _test_pictures(run: runs.Run) -> list[Image]:
    images = sources.load(run.config().dataset).test.images
    assert images is not None
    return list(images)


def test_grey(trained: runs.Run) -> None:
    live = _live(trained, _test_pictures(trained))
    assert live.shape == (28, 7)
    np.testing.assert_allclose(live, _evaluated(trained), atol=TOLERANCE, rtol=0)


def test_rgb(tmp_path: Path) -> None:
    run = _trained_here(tmp_path, *TINY, "model.colour=rgb")
    assert run.contract().channels == 3
    np.testing.assert_allclose(_live(run, _test_pictures(run)), _evaluated(run), atol=TOLERANCE, rtol=0)


@pytest.mark.nightly
def test_coloured_files_of_another_size(tmp_path: Path) -> None:
    """JPEG and PNG files that must be decoded, resized and have their channels put in order."""
    root = tmp_path / "faces"
    for number in range(40 * len(EMOTIONS)):
        tinted = (synthetic.picture(0, number, 64, 0.3)[:, :60] * np.array([0.5, 0.8, 1.0])).astype(np.uint8)  # BGR
        path = root / EMOTIONS[number % len(EMOTIONS)] / f"{number}.{'jpg' if number % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), tinted)
    options = [t for t in TINY if not t.startswith("dataset.")]
    run = _trained_here(tmp_path, "dataset=folder", f"dataset.root={root}", *options, "model.colour=rgb")
    paths = sources.load(run.config().dataset).test.paths
    assert paths is not None
    assert {Path(path).suffix for path in paths} == {".jpg", ".png"}
    pictures = [decoding.read(path) for path in paths]
    np.testing.assert_allclose(_live(run, pictures), _evaluated(run), atol=TOLERANCE, rtol=0)
    swapped = _live(run, [picture[..., ::-1] for picture in pictures])
    assert np.abs(swapped - _evaluated(run)).max() > 10 * TOLERANCE, "these pictures cannot tell BGR from RGB"
