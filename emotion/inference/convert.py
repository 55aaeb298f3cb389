"""Export a checkpoint as a SavedModel, a LiteRT file or an ONNX file: uint8 images in, float32 probabilities out.

All formats start from one traced function and keep the input contract, whatever they do between its two ends.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion import runs
from emotion.base import files, logs, progress
from emotion.base.devices import cores
from emotion.base.errors import UserError
from emotion.inference.classifier import LARGEST_BATCH, Classifier, predict
from emotion.inference.runtimes import Batch, Probabilities, Traced, UnreadableModelError
from emotion.runs import checkpoints
from emotion.runs.exports import Kind

if TYPE_CHECKING:
    import keras

#: ONNX's operator set: of 2022, so that runtimes of the last years read it, and recent enough for tf2onnx's best.
_OPSET = 17


class NoConversionError(UserError):
    """The format cannot hold the model; the message is the converter's own, which names the missing operation."""


class NoExportError(UserError):
    """The checkpoint has no export that can be loaded and equals it, or there is no space for one."""


def checkpoint(run: runs.Run, folder: Path) -> tuple[keras.Model, str]:
    """Load a run's best checkpoint from a copy in ``folder``, since training may replace the file meanwhile.

    Returns:
        The model, and the SHA-256 of the file that it was loaded from.

    Raises:
        UserError: The run has no checkpoint, or a damaged one.
    """
    original = run.checkpoint()
    copy = folder / original.name
    shutil.copyfile(original, copy)
    try:
        return checkpoints.load(copy, run.path), files.sha256(copy)
    except UserError as error:
        raise UserError(str(error).replace(str(copy), str(original))) from None


def export(
    run: runs.Run, model: keras.Model, kind: Kind, path: Path, images: Batch, representative: Batch | None = None
) -> tuple[Probabilities, Probabilities]:
    """Export a run's checkpoint, open the result, and run both models on the same images.

    Args:
        run, model: The run, and its checkpoint, loaded.
        kind: What to make.
        path: Where to: a file, or the folder of a SavedModel.
        images, representative: uint8 ``[N, H, W, C]``, prepared by the contract: to compare on, and to calibrate
            ``int8`` on.

    Returns:
        The checkpoint's and the export's probabilities before calibration, each float32 ``[N, labels]``.

    Raises:
        NoExportError: The model cannot be converted, or the result cannot be loaded.
        UserError: The model disagrees with the contract, its outputs are not numbers, or a package cannot be imported.
    """

    def outputs(name: str, runner: Traced | Classifier, size: int) -> Probabilities:
        batches = [images[i : i + size] for i in range(0, len(images), size)]
        return predict(runner, progress.tracked(batches, len(batches), f"scoring {name}", hidden=True))

    try:
        if kind.format == "saved_model":
            path.parent.mkdir()
            saved_model(model, path)
        else:
            path.write_bytes(onnx(model) if kind.format == "onnx" else litert(model, kind.quantize, representative))
    except ImportError as error:
        raise UserError(
            f"format=onnx needs a package that cannot be imported here ({error}). pip install 'emotion[onnx]'"
        ) from None
    except NoConversionError as error:
        raise NoExportError(f"run {run.id}: its model cannot be converted to {kind.name} ({error})") from None
    try:
        exported = Classifier(path, run.contract().uncalibrated(), cores())
    except UnreadableModelError as error:
        raise NoExportError(f"run {run.id}: its {kind.name} export cannot be loaded ({error.reason})") from None
    except UserError as error:  # the checkpoint disagrees with the contract too
        raise UserError(str(error).replace(str(path), str(run.checkpoint()))) from None
    expected = outputs("the checkpoint", Traced(model), 256)
    if not np.isfinite(expected).all():
        raise UserError(f"{run.checkpoint()}: its outputs are not numbers (NaN); training diverged, use another run")
    try:
        return expected, outputs(kind.name, exported, LARGEST_BATCH)
    except UserError as error:
        raise UserError(str(error).replace(str(path), f"the {kind.name} export of {run.checkpoint()}")) from None


def saved_model(model: keras.Model, folder: Path) -> None:
    """Write a SavedModel that TensorFlow, and TensorFlow Serving, load without Keras or this package.

    Its signature ``serving_default`` takes ``image``, uint8 ``[N, H, W, C]``, and returns ``probabilities``, float32
    ``[N, labels]``. It holds one traced function and its variables, nothing else of Keras.

    Raises:
        NoConversionError: TensorFlow cannot write the model.
    """
    import tensorflow as tf

    module = tf.Module()
    module.held = [variable.value for variable in model.variables]
    with progress.working("writing the network as a SavedModel"), _converting():
        tf.saved_model.save(module, str(folder), signatures=_signature(model))


def litert(model: keras.Model, quantize: str | None = None, representative: Batch | None = None) -> bytes:
    """Convert to LiteRT, by way of a SavedModel.

    ``float16`` halves the weights. ``dynamic`` stores weights in int8 and quantizes activations at run time. ``int8``
    fixes the activations' scales beforehand, from representative images (Jacob et al. 2018, "Quantization and Training
    of Neural Networks for Efficient Integer-Arithmetic-Only Inference"). The softmax stays in float32, where its rows
    sum to 1, and so does the gather that puts an adopted network's outputs in order after it.

    Args:
        model: From uint8 ``[N, H, W, C]`` to float32 ``[N, labels]``.
        quantize: ``float16``, ``dynamic``, ``int8`` or None for float32.
        representative: For ``int8``: uint8 ``[N, H, W, C]``.

    Raises:
        NoConversionError: LiteRT cannot run the model.
        ValueError: ``int8`` without representative images.
    """
    import tensorflow as tf

    if quantize == "int8" and representative is None:
        raise ValueError("int8 needs representative images")
    with files.temporary_folder() as folder:
        saved_model(model, folder)
        with progress.working("converting the network"), _converting():
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
            if quantize is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if quantize == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if quantize == "int8" and representative is not None:
                return _int8(converter, representative)
            content: bytes = converter.convert()
    return content


def _int8(converter: Any, images: Batch) -> bytes:
    import tensorflow as tf

    converter.representative_dataset = lambda: (
        [image[None]] for image in progress.tracked(images, len(images), "calibrating", hidden=True)
    )
    # The converter alone quantises every operation it can; its debugger is what can leave one out.
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=["SOFTMAX", "GATHER"]),
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def onnx(model: keras.Model) -> bytes:
    """Convert to ONNX with tf2onnx; input ``image``, output ``probabilities``, of any number of images.

    Raises:
        NoConversionError: ONNX cannot hold the model.
        ImportError: tf2onnx or onnx cannot be imported.
    """
    import onnx as onnx_package
    import tf2onnx

    with progress.working("converting the network to ONNX"), _converting():
        function = _signature(model)
        proto, _ = tf2onnx.convert.from_function(
            function, function.input_signature, opset=_OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
        )
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "pictures"
        onnx_package.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _erfc(graph: Any, node: Any, *_: Any) -> None:
    """erfc(x) as 1 - erf(x): tf2onnx does not know what Keras makes GELU of."""
    output, source = node.output[0], node.input[0]
    kind, shape = graph.get_dtype(output), graph.get_shape(output)
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [source], shapes=[shape], dtypes=[kind])
    one = graph.make_const(f"{node.name}_one", np.ones((), np.float32))
    graph.make_node(
        "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=[output], shapes=[shape], dtypes=[kind]
    )


def _signature(model: keras.Model) -> Any:
    """The model in inference mode as a ``tf.function`` from ``image`` to ``{"probabilities": ...}``."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="image")
    return tf.function(
        lambda image: {"probabilities": model(image, training=False)}, input_signature=[spec], autograph=False
    )


@contextmanager
def _converting() -> Iterator[None]:
    """Keep converters quiet, and turn what they raise into :class:`NoConversionError`."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of modules that TensorFlow makes for a moment
    try:
        with logs.quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow, about its own interpreter, which it uses all the same
            yield
    except Exception as error:  # converters have no type of their own for what they cannot do
        raise NoConversionError(_reason(error)) from None
    finally:
        sys.dont_write_bytecode = kept


def _reason(error: Exception) -> str:
    """The converter's own words: the operation that it lacks, or else its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if line.startswith(("Custom ops:", "Flex ops:"))), lines[0])[:200]
