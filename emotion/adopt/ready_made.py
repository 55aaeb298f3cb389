"""A third-party network that is run as it is, from a ``.tflite`` or ``.onnx`` file, and never trained on.

Such files are untrusted: each is tried in a process with limits before anything here reads it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emotion import runs
from emotion.adopt.plan import Plan, Signature
from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.inference import latency, runtimes
from emotion.inference.classifier import Classifier, predict
from emotion.inference.runtimes import Batch, Probabilities

if TYPE_CHECKING:
    from emotion.data.examples import Splits

#: Largest file that is read.
LARGEST = 512 * guarded.MB


@dataclass(frozen=True)
class ReadyMade:
    """A file whose runtime opens it.

    Attributes:
        path: The file.
        sha256: Of its content.
        signature: What the network takes and gives.
        parameters: How many weights it has.
        model: The file as an object of its format.
    """

    path: Path
    sha256: str
    signature: Signature
    parameters: int
    model: Any
    _opened: list[Classifier] = field(default_factory=list)

    def saved(self, steps: Plan, folder: Path) -> Path:
        """The network with steps before and behind it, in a file in a folder; once."""
        path = folder / f"best{self.path.suffix.lower()}"
        path.write_bytes(_format(self.path).wrapped(self.model, self.signature, steps))
        self._opened.append(Classifier(path, steps.contract.uncalibrated()))
        return path

    def predict(self, images: Batch) -> Probabilities:
        """Answers of what was saved."""
        return predict(self._opened[0], images)

    def efficiency(self, run: runs.Run, splits: Splits | None) -> dict[str, float]:
        """Measure the file; its multiply-adds are not known."""
        return {"latency_ms": latency.measure({run.id: Classifier(run.checkpoint(), run.contract())})[run.id]}


def read(path: Path) -> ReadyMade:
    """Read a file, after its runtime has opened it.

    Raises:
        UserError: It cannot be opened, is no network of one image and one vector, or a package is missing.
    """
    data = guarded.content(path, LARGEST, "give another file")
    if path.suffix.lower() == ".onnx" and None in map(importlib.util.find_spec, ("onnx", "onnxruntime")):
        raise UserError(f"file: '{path}' needs packages that are not installed: pip install 'emotion[onnx]'")
    kind = _format(path)
    # Protocol buffers are safe to read, and what ONNX Runtime would open besides is refused before it does.
    model = _said(path, kind.read, data) if path.suffix.lower() == ".onnx" else None
    with files.temporary_folder() as folder:
        copy = folder / f"network{path.suffix.lower()}"  # what is read is what was tried
        copy.write_bytes(data)
        try:
            runtimes.load(copy, 1)
        except runtimes.UnreadableModelError as error:
            raise UserError(f"file: '{path}' cannot be opened ({error.reason.replace(str(copy), path.name)})") from None
    model = model or _said(path, kind.read, data)
    signature = _said(path, kind.signature, model)
    return ReadyMade(path, hashlib.sha256(data).hexdigest(), signature, kind.parameters(model), model)


def _said(path: Path, work: Callable[[Any], Any], given: Any) -> Any:
    """Do it; its errors name the file."""
    try:
        return work(given)
    except UserError as error:
        raise UserError(str(error).replace("file: ", f"file: '{path}': ", 1)) from None


def _format(path: Path) -> ModuleType:
    if path.suffix.lower() == ".onnx":
        from emotion.adopt import onnx_file

        return onnx_file
    from emotion.adopt import litert_file

    return litert_file
