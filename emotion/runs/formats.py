"""The kinds of export: their files, what they need, and how far each may be from its checkpoint."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from emotion.base.errors import UserError

#: Each format's model, below the export's folder. TensorFlow Serving wants a number for a folder.
FILES = {"litert": "model.tflite", "onnx": "model.onnx", "saved_model": "model/1"}

#: The packages that make and check an ONNX file, and the extra that brings them.
ONNX = ("tf2onnx", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its checkpoint on the validation split; None does not matter.

    Attributes:
        probability: Largest difference of any probability.
        accuracy: Largest difference of the accuracy, as a fraction, in either direction.
    """

    probability: float | None = None
    accuracy: float | None = None


#: By quantisation: probabilities move, answers should not. Measured in docs/decisions/export-tolerances.md.
TOLERANCES: dict[str | None, Tolerance] = {
    None: Tolerance(probability=1e-4),
    "float16": Tolerance(probability=0.05, accuracy=0.005),
    "dynamic": Tolerance(accuracy=0.01),
    "int8": Tolerance(accuracy=0.01),
}


@dataclass(frozen=True)
class Kind:
    """A format and its quantisation: ``litert``, ``onnx`` or ``saved_model``; ``float16``, ``dynamic``, ``int8`` or
    None for float32."""

    format: str
    quantize: str | None = None

    @property
    def name(self) -> str:
        """What the export is called, such as ``litert-int8``."""
        return f"{self.format}-{self.quantize}" if self.quantize else self.format

    @property
    def precision(self) -> str:
        return self.quantize or "float32"

    def tolerance(self, given: Tolerance | None = None) -> Tolerance:
        """The tolerances of this kind, those that are given before its own."""
        given, own = given or Tolerance(), TOLERANCES[self.quantize]
        return Tolerance(
            own.probability if given.probability is None else given.probability,
            own.accuracy if given.accuracy is None else given.accuracy,
        )

    def require(self) -> None:
        """Check, without importing them, that the packages are there which make this kind of export.

        Raises:
            UserError: Says what to install.
        """
        absent = [name for name in (ONNX if self.format == "onnx" else ()) if importlib.util.find_spec(name) is None]
        if absent:
            raise UserError(
                f"format=onnx needs {', '.join(absent)}, which {'are' if len(absent) > 1 else 'is'} not installed "
                f"here. pip install 'emotion[onnx]', or choose format=litert"
            )
        if importlib.util.find_spec("tensorflow") is None:
            raise UserError("exporting needs TensorFlow, which is not installed here. pip install tensorflow")
