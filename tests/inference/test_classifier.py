from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from emotion.data import synthetic
from emotion.faces import images as faces
from emotion.faces.contract import Contract
from emotion.faces.images import Box, Image
from emotion.inference.classifier import Classifier
from emotion.inference.runtimes import UnreadableModelError

TOLERANCE = 1e-4


def _predict(model, pictures) -> np.ndarray:
    batch = np.stack([faces.prepare(picture, model.contract) for picture in pictures])
    return np.asarray(model.keras(batch, training=False))


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    """The test split of a drawn dataset."""
    cfg = OmegaConf.create(
        {
            "per_emotion": 10,
            "image_size": 64,
            "noise": 1.0,
            "validation_fraction": 0.15,
            "test_fraction": 0.3,
            "split_seed": 0,
            "limit": None,
        }
    )
    images = synthetic.load(cfg).test.images
    assert images is not None
    return list(images)


@pytest.mark.parametrize("colour", ["gray", "rgb"])
def test_live_says_what_keras_says(models, pictures: list[Image], colour: str) -> None:
    model = models[colour]
    live = Classifier(model.tflite, model.contract).classify(pictures)
    assert live.shape == (len(pictures), 7)
    assert live.dtype == np.float32
    assert np.ptp(live, axis=0).max() > 0.05  # the model tells pictures apart, so equality means something
    np.testing.assert_allclose(live, _predict(model, pictures), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("colour", ["gray", "rgb"])
def test_batches_of_changing_size_agree_with_single_pictures(models, pictures: list[Image], colour: str) -> None:
    classifier = Classifier(models[colour].tflite, models[colour].contract)
    alone: NDArray[np.float32] = np.concatenate([classifier.classify([picture]) for picture in pictures[:5]])
    for count in (3, 5, 1, 5, 0, 2):
        answers = classifier.classify(pictures[:count])
        np.testing.assert_allclose(answers, alone[:count], rtol=0, atol=TOLERANCE)


def test_results_are_not_overwritten_by_the_next_call(models, pictures: list[Image]) -> None:
    classifier = Classifier(models["rgb"].tflite, models["rgb"].contract)
    first = classifier.classify(pictures[:1])
    kept = first.copy()
    classifier.classify(pictures[1:2])
    np.testing.assert_array_equal(first, kept)


def test_red_stays_red(models) -> None:
    model = models["rgb"]
    red_bgr, red_rgb = np.zeros((2, 80, 80, 3), np.uint8)
    red_bgr[..., 2] = red_rgb[..., 0] = 255
    expected = np.asarray(model.keras(np.stack([faces.resize(red_rgb, 40, 56, "linear")])))
    classifier = Classifier(model.tflite, model.contract)
    np.testing.assert_allclose(classifier.classify([red_bgr]), expected, rtol=0, atol=TOLERANCE)
    assert np.abs(classifier.classify([red_rgb]) - expected).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("colour", ["gray", "rgb"])
def test_faces_are_cut_by_the_contracts_margin_also_at_the_border(models, colour: str) -> None:
    model = models[colour]
    image, _ = synthetic.frame(3, 3)
    boxes = [Box(0, 0, 120, 120), Box(560, 400, 80, 80), Box(200, 100, 150, 150), Box(-20, 430, 90, 90)]
    found = Classifier(model.tflite, model.contract).label(image, boxes)
    crops = [faces.crop(image, box, model.contract.crop_margin) for box in boxes]
    expected = _predict(model, crops)
    np.testing.assert_allclose([f.probabilities for f in found], expected, rtol=0, atol=TOLERANCE)
    assert [f.box for f in found] == boxes
    for face, row in zip(found, expected, strict=True):
        assert face.label == model.contract.labels[int(row.argmax())]
        assert face.confidence == max(face.probabilities)


@pytest.mark.parametrize("colour", ["gray", "rgb"])
def test_a_face_is_cut_and_classified_in_two_steps_that_label_joins(models, colour: str) -> None:
    classifier = Classifier(models[colour].tflite, models[colour].contract)
    classifier.warm_up()
    image, box = synthetic.frame(3, 3)
    batch = classifier.prepare(image, [box, Box(-20, 430, 90, 90)])
    assert (batch.shape, batch.dtype) == ((2, *classifier.contract.shape), np.uint8)
    (first, second), rows = classifier.label(image, [box, Box(-20, 430, 90, 90)]), classifier.probabilities(batch)
    np.testing.assert_array_equal([first.probabilities, second.probabilities], rows)
    assert (first.raw, first.track) == (first.probabilities, None)
    assert classifier.engine == "litert"


@pytest.mark.slow
def test_a_crowd_is_labelled_as_one_by_one(models) -> None:
    image, _ = synthetic.frame(3, 3)
    classifier = Classifier(models["gray"].tflite, models["gray"].contract)
    boxes = [Box(11 * n, 7 * n, 60 + n, 60 + n) for n in range(50)]
    alone = [classifier.label(image, [box])[0].probabilities for box in boxes]
    assert np.ptp(alone, axis=0).max() > 0.01
    crowd = classifier.label(image, boxes)
    assert [face.box for face in crowd] == boxes
    np.testing.assert_allclose([face.probabilities for face in crowd], alone, rtol=0, atol=TOLERANCE)


def test_no_faces_is_no_work(models) -> None:
    classifier = Classifier(models["gray"].tflite, models["gray"].contract)
    assert classifier.label(np.zeros((50, 50, 3), np.uint8), []) == []
    assert classifier.classify([]).shape == (0, 7)
    assert classifier.prepare(np.zeros((50, 50, 3), np.uint8), []).shape == (0, 48, 48, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "rgb"}, r"input is uint8 \['N', 48, 48, 1\], but contract.json says uint8 \['N', 48, 48, 3\]"),
        ({"height": 64}, "input is"),
        ({"labels": ("happy", "sad")}, r"output is float32 \['N', 7\], but contract.json says float32 \['N', 2\]"),
    ],
)
def test_a_contract_of_another_model_is_refused(models, change: dict[str, Any], message: str) -> None:
    contract: Contract = replace(models["gray"].contract, **change)
    with pytest.raises(UserError, match=message):
        Classifier(models["gray"].tflite, contract)


@pytest.mark.slow
def test_a_model_of_another_type_is_refused(models, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    contract = models["gray"].contract
    image = keras.Input(contract.shape, dtype="float32")
    model = keras.Model(image, keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(image)))
    path = tmp_path / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    with pytest.raises(UserError, match="input is float32"):
        Classifier(path, contract)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_model_is_refused(models, tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.tflite"
    whole = models["gray"].tflite.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UnreadableModelError, match=r"not a LiteRT model.*delete it to have it exported again"):
        Classifier(path, models["gray"].contract)


@pytest.mark.parametrize("content", [b"", b"not a model at all" * 100])
def test_a_damaged_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a LiteRT model"):
        Classifier(path, Contract(48, 48))


@pytest.mark.slow
def test_a_model_that_says_nan_is_refused(models, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    contract = models["gray"].contract
    image = keras.Input(contract.shape, dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, offset=-1)(image))
    model = keras.Model(image, keras.layers.Dense(7, activation="softmax")(x))
    model.layers[-1].set_weights([np.full_like(w, np.nan) for w in model.layers[-1].get_weights()])
    path = tmp_path / "model.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    with pytest.raises(UserError, match="not numbers"):
        Classifier(path, contract).classify([np.zeros((48, 48), np.uint8)])
