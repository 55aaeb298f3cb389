"""A run's model, an export or a checkpoint, and the contract it was trained by: faces in, probabilities out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotion.base.errors import UserError
from emotion.faces import images, priors
from emotion.faces.contract import Contract
from emotion.faces.images import Box, Image
from emotion.faces.labelled import Face
from emotion.inference import runtimes
from emotion.inference.runtimes import Batch, Probabilities, Spec, Traced
from emotion.metrics import calibration

#: More faces than this go through the model in several steps, so that a crowd does not enlarge the process.
LARGEST_BATCH = 16


class Classifier:
    """A model and its contract. Threads may share it; its model runs for one of them at a time.

    Args:
        model: Path of a ``.tflite`` or ``.onnx`` file, of a SavedModel's folder, or of a ``.keras`` checkpoint, that
            takes uint8 ``[N, H, W, C]`` and returns float32 ``[N, labels]``.
        contract: How its images are prepared and what its outputs mean.
        threads: CPU threads; one is enough beside the detector.

    Attributes:
        engine: What runs it: ``litert``, ``onnx``, ``saved_model`` or ``keras``.

    Raises:
        UserError: The file cannot be loaded (:class:`emotion.inference.runtimes.UnreadableModelError` for exports), it
            disagrees with the contract, or the package that runs it cannot be imported.
    """

    def __init__(self, model: str | Path, contract: Contract, threads: int = 1) -> None:
        self.contract = contract
        self._model = Path(model)
        network = runtimes.load(self._model, threads)
        self.engine = network.engine
        self._step = network.step
        self._one_at_a_time = threading.Lock()
        check_fit(self._model, network.inputs, network.outputs, contract)

    def answering(self, prior: Any) -> Classifier:
        """The same model with answers for another class prior; see :func:`emotion.faces.priors.shares`.

        Raises:
            UserError: Not a value of ``prior=``, or the contract does not record the prior of training.
        """
        other = copy.copy(self)
        other.contract = priors.with_target(self.contract, prior)
        return other

    def prepare(self, image: Image, boxes: Sequence[Box]) -> Batch:
        """Cut the boxes' faces out of a uint8 grey or BGR frame and prepare them by the contract.

        Returns:
            uint8 ``[N, H, W, C]``, what the model takes.
        """
        batch = np.empty((len(boxes), *self.contract.shape), np.uint8)
        for row, box in enumerate(boxes):
            batch[row] = images.prepare(images.crop(image, box, self.contract.crop_margin), self.contract)
        return batch

    def probabilities(self, batch: Batch) -> Probabilities:
        """Classify what :meth:`prepare` gives, all in one step up to :data:`LARGEST_BATCH`.

        Returns:
            float32 ``[N, labels]``, each row summing to 1, for the contract's target prior and calibrated.

        Raises:
            UserError: The model's outputs are not numbers.
        """
        batch = np.asarray(batch)
        if not len(batch):
            return np.empty((0, len(self.contract.labels)), np.float32)
        with self._one_at_a_time:
            steps = [self._step(batch[i : i + LARGEST_BATCH]) for i in range(0, len(batch), LARGEST_BATCH)]
        raw = steps[0] if len(steps) == 1 else np.concatenate(steps)
        if not np.isfinite(raw).all():
            raise UserError(f"{self._model}: its outputs are not numbers (NaN); its training diverged, use another run")
        return calibration.answers(raw, self.contract)

    def classify(self, faces: Sequence[Image]) -> Probabilities:
        """Prepare whole images, uint8 grey or BGR of any size, and classify them; see :meth:`probabilities`.

        Prepared RGB images would have their channels swapped again.
        """
        batch = np.empty((len(faces), *self.contract.shape), np.uint8)
        for row, face in enumerate(faces):
            batch[row] = images.prepare(face, self.contract)
        return self.probabilities(batch)

    def label(self, image: Image, boxes: Sequence[Box]) -> list[Face]:
        """Classify each face of an image by itself, in the order of the boxes."""
        faces = []
        for box, row in zip(boxes, self.probabilities(self.prepare(image, boxes)).tolist(), strict=True):
            best = int(np.argmax(row))
            faces.append(Face(box, self.contract.labels[best], row[best], tuple(row), raw=tuple(row)))
        return faces

    def warm_up(self) -> None:
        """Classify a blank image: the first step allocates, and should not do so on the first frame."""
        self.probabilities(np.zeros((1, *self.contract.shape), np.uint8))


def check_fit(model: object, inputs: Sequence[Spec], outputs: Sequence[Spec], contract: Contract) -> None:
    """Hold a model, named by its path, against a contract.

    Raises:
        UserError: It takes or gives something else.
    """
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{model}: has {len(inputs)} inputs and {len(outputs)} outputs, "
            f"expected one of each; use a run that emotion.train made"
        )
    expected = {
        "input": (inputs[0], ("uint8", contract.shape)),
        "output": (outputs[0], ("float32", (len(contract.labels),))),
    }
    for name, (actual, wanted) in expected.items():
        if actual != wanted:
            raise UserError(
                f"{model}: its {name} is {_words(actual)}, but contract.json says {_words(wanted)}. They are "
                f"not of the same run: put back the contract.json that this model was trained with, or train again"
            )


def predict(model: Traced | Classifier, images: Batch | Iterable[Any]) -> Probabilities:
    """Run a model over many images, uint8 ``[N, H, W, C]`` or batches of such, and return float32 ``[N, labels]``."""
    if isinstance(images, np.ndarray):
        images = [images[i : i + 256] for i in range(0, len(images), 256)]
    batches = [model.probabilities(batch) for batch in images]
    if batches:
        return np.concatenate(batches)
    return np.empty((0, model.labels if isinstance(model, Traced) else len(model.contract.labels)), np.float32)


def _words(spec: Spec) -> str:
    return f"{spec[0]} {['N', *spec[1]]}"
