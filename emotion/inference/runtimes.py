"""Run a model by the kind of its file: LiteRT, ONNX Runtime, TensorFlow or Keras.

Each runtime is imported when a file of its kind is opened: LiteRT and ONNX Runtime start in a fraction of a second,
TensorFlow and Keras take seconds and 600 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion.base import logs
from emotion.base.errors import UserError
from emotion.inference import graphs, probe

if TYPE_CHECKING:
    import keras

Batch = np.ndarray[Any, np.dtype[np.uint8]]
Probabilities = np.ndarray[Any, np.dtype[np.float32]]
Spec = tuple[str, tuple[int | None, ...]]

_ONNX_TYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


class UnreadableModelError(UserError):
    """A file that is no complete model of its kind; ``reason`` is its runtime's message."""

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{path}: not {kind} that can be loaded ({reason}); delete it to have it exported again")
        self.reason = reason


@dataclass(frozen=True)
class Network:
    """An opened model: its runtime's name, its inputs and outputs as ``(dtype, shape without N)``, and its function."""

    engine: str
    inputs: list[Spec]
    outputs: list[Spec]
    step: Callable[[Batch], Probabilities]


def load(path: Path, threads: int) -> Network:
    """Open a model: ``.tflite``, ``.onnx``, ``.keras``, or the folder of a SavedModel.

    Raises:
        UserError: The file cannot be loaded (:class:`UnreadableModelError`, but for checkpoints), or the package that
            runs it cannot be imported.
    """
    if path.is_dir():
        return _saved_model(path, threads)
    return {".keras": _keras, ".onnx": _onnx}.get(path.suffix, _litert)(path, threads)


def _litert(path: Path, threads: int) -> Network:
    from ai_edge_litert.interpreter import Interpreter

    def opened() -> Any:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
        return interpreter

    def tried() -> None:
        interpreter = opened()
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        interpreter.invoke()

    if (fault := probe.fault(tried)) is not None:
        raise UnreadableModelError(path, "a LiteRT model", fault)
    try:
        with logs.quiet_stderr():  # it reports its delegate there
            interpreter = opened()
    except (ValueError, RuntimeError, OSError) as error:
        raise UnreadableModelError(path, "a LiteRT model", str(error).partition("\n")[0]) from None
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    source, target = inputs[0]["index"], outputs[0]["index"]
    count = int(inputs[0]["shape"][0])
    fixed = count if all(n >= 0 for n in inputs[0]["shape_signature"][:1]) else None

    def step(batch: Batch) -> Probabilities:
        nonlocal count
        if len(batch) != count:  # some hundredths of a millisecond
            interpreter.resize_tensor_input(source, list(batch.shape))
            interpreter.allocate_tensors()
            count = len(batch)
        interpreter.set_tensor(source, batch)
        interpreter.invoke()
        probabilities: Probabilities = interpreter.get_tensor(target)
        return probabilities

    def specs(details: list[dict[str, Any]]) -> list[Spec]:
        return [(np.dtype(d["dtype"]).name, tuple(int(n) for n in d["shape"])[1:]) for d in details]

    return Network("litert", specs(inputs), specs(outputs), _in_steps_of(fixed, step))


def _onnx(path: Path, threads: int) -> Network:
    try:
        with logs.quiet_stderr():  # it looks for GPUs and reports there that there are none
            import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path}: needs ONNX Runtime, which cannot be imported here ({error}). "
            f"pip install onnxruntime, or export with format=litert"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3

    def opened() -> Any:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def tried() -> None:
        session = opened()
        given = session.get_inputs()[0]
        if given.type == "tensor(uint8)":
            sizes = [n if isinstance(n, int) else 1 for n in given.shape]
            session.run(None, {given.name: np.zeros(sizes, np.uint8)})

    if (fault := probe.fault(tried)) is not None:
        raise UnreadableModelError(path, "an ONNX model", fault)
    try:
        session = opened()
    except Exception as error:  # its exceptions have no base of their own
        raise UnreadableModelError(path, "an ONNX model", str(error).partition("\n")[0]) from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    source = inputs[0].name

    def step(batch: Batch) -> Probabilities:
        probabilities: Probabilities = session.run(None, {source: batch})[0]
        return probabilities

    def specs(values: Any) -> list[Spec]:
        return [(_ONNX_TYPES.get(v.type, v.type), tuple(v.shape)[1:]) for v in values]

    first = inputs[0].shape[0] if inputs and inputs[0].shape else None
    return Network("onnx", specs(inputs), specs(outputs), _in_steps_of(first if isinstance(first, int) else None, step))


def _in_steps_of(fixed: int | None, step: Callable[[Batch], Probabilities]) -> Callable[[Batch], Probabilities]:
    """Run a network that takes just so many images at once over any number; None takes any."""
    if fixed is None:
        return step

    def stepped(batch: Batch) -> Probabilities:
        answers = []
        for i in range(0, len(batch), fixed):
            part = batch[i : i + fixed]
            missing = np.zeros((fixed - len(part), *part.shape[1:]), part.dtype)
            answers.append(step(np.concatenate([part, missing]) if len(missing) else part)[: len(part)])
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    return stepped


def _saved_model(path: Path, threads: int) -> Network:
    try:
        _import_tensorflow(threads)
    except ImportError as error:
        raise UserError(
            f"{path}: a SavedModel needs TensorFlow, which cannot be imported here ({error}). "
            f"pip install tensorflow, or export with format=litert or format=onnx, which do without"
        ) from None
    import tensorflow as tf

    try:
        graphs.check(path)
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except UserError:
        raise
    except Exception as error:  # of TensorFlow, of protocol buffers, or a KeyError
        raise UnreadableModelError(path, "a SavedModel", str(error).partition("\n")[0]) from None
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    source, target = next(iter(inputs), "image"), next(iter(outputs), "probabilities")

    def step(batch: Batch) -> Probabilities:
        # `loaded` is held here: the signature alone would lose its variables.
        outputs = loaded.signatures["serving_default"](**{source: tf.constant(batch)})
        probabilities: Probabilities = outputs[target].numpy()
        return probabilities

    return Network("saved_model", _tensor_specs(inputs.values()), _tensor_specs(outputs.values()), step)


def _keras(path: Path, threads: int) -> Network:
    try:
        _import_tensorflow(threads)
        import keras  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"engine=keras needs TensorFlow, which cannot be imported here ({error}). "
            f"Set engine=litert, or: pip install tensorflow"
        ) from None
    from emotion.runs import checkpoints

    with logs.quiet_stderr():
        model = checkpoints.load(path)
    traced = Traced(model)
    return Network("keras", traced.inputs, traced.outputs, traced.probabilities)


class Traced:
    """A Keras model in inference mode as one ``tf.function`` of ``image``, traced once for all batches."""

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        self._model = model
        self.inputs, self.outputs = _tensor_specs(model.inputs), _tensor_specs(model.outputs)
        signature = [tf.TensorSpec((None, *self.inputs[0][1]), tf.uint8, name="image")]
        self._run = tf.function(lambda image: model(image, training=False), input_signature=signature, autograph=False)

    @property
    def labels(self) -> int:
        """Number of its outputs."""
        return self.outputs[0][1][-1] or 0

    def probabilities(self, batch: Any) -> Probabilities:
        """float32 ``[N, labels]`` of uint8 ``[N, H, W, C]``, an array or a tensor."""
        import tensorflow as tf

        probabilities: Probabilities = self._run(tf.convert_to_tensor(batch)).numpy()
        return probabilities


def _import_tensorflow(threads: int) -> None:
    """Import TensorFlow with so many CPU threads, unless it is imported already."""
    ours = "tensorflow" not in sys.modules
    logs.import_tensorflow()
    import tensorflow as tf

    if ours:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)


def _tensor_specs(tensors: Any) -> list[Spec]:
    def name(dtype: Any) -> str:
        return getattr(dtype, "name", None) or str(dtype)

    return [(name(t.dtype), tuple(t.shape)[1:]) for t in tensors or ()]
