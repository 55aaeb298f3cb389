"""A run's model and the contract it was trained by: faces in, probabilities out.

The model is a LiteRT export, which needs no TensorFlow, or a Keras checkpoint, which imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emotion import faces, logs
from emotion.contract import Contract
from emotion.errors import UserError
from emotion.faces import Box, Image
from emotion.live.face import Face

Batch = np.ndarray[Any, np.dtype[np.uint8]]
Probabilities = np.ndarray[Any, np.dtype[np.float32]]

#: More faces than this go through the model in several steps, so that a crowd does not enlarge the process. A step of
#: 16 costs no more a face than one of 50.
LARGEST_BATCH = 16


class UnreadableModelError(UserError):
    """A file that is no LiteRT model, or no whole one; ``reason`` is what LiteRT says."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: not a LiteRT model that can be loaded ({reason}); delete it to have it exported again"
        )
        self.reason = reason


@dataclass(frozen=True)
class _Network:
    """What runs a model: its name, what goes in and comes out as ``(dtype, shape without N)``, and a step of it."""

    engine: str
    inputs: list[tuple[str, tuple[int | None, ...]]]
    outputs: list[tuple[str, tuple[int | None, ...]]]
    step: Callable[[Batch], Probabilities]


class Classifier:
    """A model and its contract. Used by one thread at a time.

    Args:
        model: Path of a ``.tflite`` file, or of a ``.keras`` checkpoint, that takes uint8 ``[N, H, W, C]`` and returns
            float32 ``[N, labels]``.
        contract: How its pictures are prepared and what its outputs mean.
        threads: CPU threads. One is enough beside the detector: a second halves a step on an idle machine and slows
            it, for more CPU time, on a busy one.

    Attributes:
        contract: As given.
        engine: ``litert`` or ``keras``.

    Raises:
        UserError: The file cannot be loaded (:class:`UnreadableModelError` for LiteRT), it disagrees with the contract,
            or TensorFlow, which a checkpoint needs, cannot be imported.
    """

    def __init__(self, model: str | Path, contract: Contract, threads: int = 1) -> None:
        self.contract = contract
        self._model = Path(model)
        open_network = _keras if self._model.suffix == ".keras" else _litert
        network = open_network(self._model, threads)
        self.engine = network.engine
        self._step = network.step
        self._check(network)

    def _check(self, network: _Network) -> None:
        """Hold the model against the contract."""
        if len(network.inputs) != 1 or len(network.outputs) != 1:
            raise UserError(
                f"{self._model}: has {len(network.inputs)} inputs and {len(network.outputs)} outputs, "
                f"expected one of each; use a run that emotion.train made"
            )
        expected = {
            "input": (network.inputs[0], ("uint8", self.contract.shape)),
            "output": (network.outputs[0], ("float32", (len(self.contract.labels),))),
        }
        for name, (found, wanted) in expected.items():
            if found != wanted:
                raise UserError(
                    f"{self._model}: its {name} is {_words(found)}, but contract.json says {_words(wanted)}. They are "
                    f"not of the same run: put back the contract.json that this model was trained with, or train again"
                )

    def prepare(self, image: Image, boxes: Sequence[Box]) -> Batch:
        """Cut faces out of a frame and prepare them, both by the contract.

        Args:
            image: uint8 grey or BGR, as OpenCV gives it.
            boxes: The faces, in the image's pixels.

        Returns:
            uint8 ``[N, H, W, C]``, what the model takes.
        """
        batch = np.empty((len(boxes), *self.contract.shape), np.uint8)
        for row, box in enumerate(boxes):
            batch[row] = faces.prepare(faces.crop(image, box, self.contract.crop_margin), self.contract)
        return batch

    def probabilities(self, batch: Batch) -> Probabilities:
        """Classify prepared pictures, all in one step up to :data:`LARGEST_BATCH`.

        Args:
            batch: uint8 ``[N, H, W, C]``, from :meth:`prepare`.

        Returns:
            float32 ``[N, labels]``, each row summing to 1.

        Raises:
            UserError: The model's outputs are not numbers.
        """
        if not len(batch):
            return np.empty((0, len(self.contract.labels)), np.float32)
        steps = [self._step(batch[i : i + LARGEST_BATCH]) for i in range(0, len(batch), LARGEST_BATCH)]
        found = steps[0] if len(steps) == 1 else np.concatenate(steps)
        if not np.isfinite(found).all():
            raise UserError(f"{self._model}: its outputs are not numbers (NaN); its training diverged, use another run")
        return found

    def classify(self, pictures: Sequence[Image]) -> Probabilities:
        """Prepare whole pictures by the contract and classify them.

        Args:
            pictures: Each uint8 grey or BGR of any size, as OpenCV gives them and :func:`emotion.faces.prepare` takes
                them. (Prepared RGB pictures would have their channels swapped again.)

        Returns:
            float32 ``[N, labels]``; see :meth:`probabilities`.
        """
        batch = np.empty((len(pictures), *self.contract.shape), np.uint8)
        for row, picture in enumerate(pictures):
            batch[row] = faces.prepare(picture, self.contract)
        return self.probabilities(batch)

    def label(self, image: Image, boxes: Sequence[Box]) -> list[Face]:
        """Say what each face of a picture shows by itself, in the order of the boxes."""
        found = []
        for box, row in zip(boxes, self.probabilities(self.prepare(image, boxes)).tolist(), strict=True):
            best = int(np.argmax(row))
            found.append(Face(box, self.contract.labels[best], row[best], tuple(row), raw=tuple(row)))
        return found

    def warm_up(self) -> None:
        """Classify a blank picture: the first step allocates, and should not do so on the first frame."""
        self.probabilities(np.zeros((1, *self.contract.shape), np.uint8))


def _words(spec: tuple[str, tuple[int | None, ...]]) -> str:
    return f"{spec[0]} {['N', *spec[1]]}"


def _litert(path: Path, threads: int) -> _Network:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with logs.quiet_stderr():  # it announces its delegate there
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise UnreadableModelError(path, str(error).partition("\n")[0]) from None
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    source, target = inputs[0]["index"], outputs[0]["index"]
    count = int(inputs[0]["shape"][0])

    def step(batch: Batch) -> Probabilities:
        nonlocal count
        if len(batch) != count:  # some hundredths of a millisecond
            interpreter.resize_tensor_input(source, list(batch.shape))
            interpreter.allocate_tensors()
            count = len(batch)
        interpreter.set_tensor(source, batch)
        interpreter.invoke()
        found: Probabilities = interpreter.get_tensor(target)
        return found

    def specs(details: list[dict[str, Any]]) -> list[tuple[str, tuple[int | None, ...]]]:
        return [(np.dtype(d["dtype"]).name, tuple(int(n) for n in d["shape"])[1:]) for d in details]

    return _Network("litert", specs(inputs), specs(outputs), step)


def _keras(path: Path, threads: int) -> _Network:
    ours = "tensorflow" not in sys.modules
    try:
        logs.import_tensorflow()
        import keras  # noqa: F401
        import tensorflow as tf
    except ImportError as error:
        raise UserError(
            f"engine=keras needs TensorFlow, which cannot be imported here ({error}). "
            f"Set engine=litert, or: pip install tensorflow"
        ) from None
    from emotion import checkpoints, predict

    if ours:  # else whoever imported it has chosen
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    with logs.quiet_stderr():
        model = checkpoints.load(path)
    traced = predict.traced(model)

    def step(batch: Batch) -> Probabilities:
        found: Probabilities = traced(tf.constant(batch)).numpy()
        return found

    def specs(tensors: Any) -> list[tuple[str, tuple[int | None, ...]]]:
        return [(str(t.dtype), tuple(t.shape)[1:]) for t in tensors or ()]

    return _Network("keras", specs(model.inputs), specs(model.outputs), step)
