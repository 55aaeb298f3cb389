"""The model of a run, through LiteRT: TensorFlow is not needed, and not imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from emotion import faces
from emotion.contract import Contract
from emotion.errors import UserError
from emotion.faces import Box, Image
from emotion.logs import quiet_stderr

Probabilities = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Face:
    """A face in a frame and what the model says of it.

    Attributes:
        box: Where it is, in the frame's pixels.
        label: The most probable label.
        confidence: That label's probability.
        probabilities: One for each of the contract's labels, in its order.
    """

    box: Box
    label: str
    confidence: float
    probabilities: tuple[float, ...]


class Classifier:
    """A LiteRT model and the contract it was trained by.

    Args:
        model: Path of a ``.tflite`` file that takes uint8 ``[N, H, W, C]`` and returns float32 ``[N, labels]``.
        contract: How its pictures are prepared and what its outputs mean.
        threads: CPU threads.

    Raises:
        UserError: The file is not a LiteRT model, or it disagrees with the contract.
    """

    def __init__(self, model: str | Path, contract: Contract, threads: int = 2) -> None:
        self.contract = contract
        self._model = Path(model)
        try:
            with quiet_stderr():  # it announces its delegate there
                self._interpreter = Interpreter(model_path=str(model), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise UserError(f"{model}: not a LiteRT model that can be loaded ({error}); export the run again") from None
        self._count = self._check()

    def _check(self) -> int:
        """Hold the model against the contract; return the batch size it is allocated for."""
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UserError(f"{self._model}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        expected = {
            "input": (inputs[0], self.contract.shape, np.uint8),
            "output": (outputs[0], (len(self.contract.labels),), np.float32),
        }
        for name, (found, shape, dtype) in expected.items():
            has = tuple(int(n) for n in found["shape"])[1:]
            if has != shape or found["dtype"] is not dtype:
                raise UserError(
                    f"{self._model}: its {name} is {np.dtype(found['dtype'])} {['N', *has]}, but contract.json says "
                    f"{np.dtype(dtype)} {['N', *shape]}. They are not of the same run: export the run again"
                )
        return int(inputs[0]["shape"][0])

    def classify(self, pictures: Sequence[Image]) -> Probabilities:
        """Prepare pictures by the contract and classify them in one batch.

        Args:
            pictures: Each uint8 grey or BGR of any size, as OpenCV gives them and :func:`emotion.faces.prepare` takes
                them. (Prepared RGB pictures would have their channels swapped again.)

        Returns:
            float32 ``[N, labels]``, each row summing to 1.

        Raises:
            UserError: The model's outputs are not numbers.
        """
        if len(pictures) == 0:
            return np.empty((0, len(self.contract.labels)), np.float32)
        batch = np.stack([faces.prepare(picture, self.contract) for picture in pictures])
        if len(batch) != self._count:
            self._interpreter.resize_tensor_input(self._input, list(batch.shape))
            self._interpreter.allocate_tensors()
            self._count = len(batch)
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        probabilities: Probabilities = self._interpreter.get_tensor(self._output)
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self._model}: its outputs are not numbers (NaN); its training diverged, use another run")
        return probabilities

    def label(self, image: Image, boxes: Sequence[Box]) -> list[Face]:
        """Cut the faces out of a frame by the contract's margin and say what each shows, in the order of the boxes."""
        crops = [faces.crop(image, box, self.contract.crop_margin) for box in boxes]
        found = []
        for box, row in zip(boxes, self.classify(crops).tolist(), strict=True):
            best = int(np.argmax(row))
            found.append(Face(box, self.contract.labels[best], row[best], tuple(row)))
        return found
