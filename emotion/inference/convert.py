"""From a Keras model to a SavedModel, a LiteRT file or an ONNX file: uint8 pictures in, float32 probabilities out.

All of them start from one traced function, and keep the input contract whatever happens between its two ends.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emotion.base import logs
from emotion.base.errors import UserError

if TYPE_CHECKING:
    import keras

Pictures = np.ndarray[Any, np.dtype[np.uint8]]

#: ONNX's operator set: of 2022, so that runtimes of the last years read it, and recent enough for tf2onnx's best.
_OPSET = 17


class NoConversionError(UserError):
    """The format cannot hold the model; the message is the converter's own words, the operation that is missing."""


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
    with _converting():
        tf.saved_model.save(module, str(folder), signatures=_signature(model))


def litert(
    model: keras.Model, quantize: str | None = None, pictures: Callable[[], Iterator[Pictures]] | None = None
) -> bytes:
    """Convert to LiteRT, by way of a SavedModel.

    ``float16`` halves the weights. ``dynamic`` keeps weights in int8, and turns activations to int8 as they come.
    ``int8`` fixes the activations' scales beforehand, by what the representative pictures make of them (Jacob et al.
    2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference"). The softmax
    stays in float32: in int8 its rows would sum to 0.99 or 1.01, and near ties would be ties. So does what puts an
    adopted network's answers in order after it (a gather).

    Args:
        model: From uint8 ``[N, H, W, C]`` to float32 ``[N, labels]``.
        quantize: ``float16``, ``dynamic``, ``int8`` or None for float32.
        pictures: For ``int8``: gives the representative pictures, each uint8 ``[1, H, W, C]``, anew when called.

    Raises:
        NoConversionError: LiteRT cannot run the model.
        ValueError: ``int8`` without pictures.
    """
    import tensorflow as tf

    if quantize == "int8" and pictures is None:
        raise ValueError("int8 needs representative pictures")
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        saved_model(model, Path(folder))
        with _converting():
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if quantize is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if quantize == "float16":
                converter.target_spec.supported_types = [tf.float16]
            content: bytes = _int8(converter, pictures) if quantize == "int8" else converter.convert()
    return content


def _int8(converter: Any, pictures: Callable[[], Iterator[Pictures]] | None) -> bytes:
    import tensorflow as tf

    assert pictures is not None
    converter.representative_dataset = lambda: ([picture] for picture in pictures())
    # The converter alone quantises every operation it can; its debugger is what can leave one out.
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter,
        debug_dataset=converter.representative_dataset,
        debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=["SOFTMAX", "GATHER"]),
    )
    content: bytes = debugger.get_nondebug_quantized_model()
    return content


def onnx(model: keras.Model) -> bytes:
    """Convert to ONNX with tf2onnx; input ``image``, output ``probabilities``, the number of pictures is free.

    Raises:
        NoConversionError: ONNX cannot hold the model.
        ImportError: tf2onnx or onnx cannot be imported.
    """
    import onnx as onnx_package
    import tf2onnx

    with _converting():
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
    try:
        with logs.quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow, about its own interpreter, which it uses all the same
            yield
    except Exception as error:  # converters have no type of their own for what they cannot do
        raise NoConversionError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """The converter's own words: the operation that it lacks, or else its first line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if line.startswith(("Custom ops:", "Flex ops:"))), lines[0])[:200]
