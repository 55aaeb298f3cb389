"""A third-party network wrapped by our contract: uint8 images in, float32 probabilities in our order of labels out."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras

from emotion.adopt.model_file import ModelFile
from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.contract import Contract

#: Factors and offsets per channel from values 0 to 255 to those that the network was trained on. ``imagenet`` uses the
#: mean and standard deviation of ImageNet's images, as torchvision's networks do.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RANGES: dict[str, tuple[Any, Any]] = {
    "minus_one_to_one": (1 / 127.5, -1.0),
    "zero_to_one": (1 / 255, 0.0),
    "raw": (1.0, 0.0),
    "imagenet": ([1 / 255 / s for s in _DEVIATION], [-m / s for m, s in zip(_MEAN, _DEVIATION, strict=True)]),
}
#: Layers that pass values on unchanged, or their means.
_TRANSPARENT = (
    keras.layers.Activation,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Reshape,
)
#: Layers that give logits, where no activation follows.
_LINEAR = (keras.layers.BatchNormalization, keras.layers.Conv2D, keras.layers.Dense)


def load(source: ModelFile) -> keras.Model:
    """Load a network in safe mode, without its optimizer and its losses.

    Raises:
        UserError: Keras cannot build it, such as for a layer that it does not know.
    """
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        # A copy, by the ending that Keras goes by, and in the words of today's layers.
        copy = Path(folder) / f"model.{'h5' if source.is_hdf5 else 'keras'}"
        shutil.copyfile(source.path, copy)
        if files.sha256(copy) != source.sha256:
            raise UserError(f"file: '{source.path}' was changed while it was read; try again")
        if source.is_hdf5 and _drop_groups(source.architecture):
            with h5py.File(copy, "r+") as file:
                file.attrs["model_config"] = json.dumps(source.architecture)
        try:
            network = keras.saving.load_model(copy, compile=False, safe_mode=True)
        except Exception as error:  # an old or a foreign file can fail anywhere in Keras
            reason = str(error).strip().partition("\n")[0].replace(str(copy), source.path.name)[:300]
            raise UserError(
                f"file: Keras {keras.__version__} cannot load '{source.path}' ({reason or type(error).__name__}). "
                f"Only built-in layers are loaded; save it again with such, in a newer Keras if it is old"
            ) from None
    if not isinstance(network, keras.Model):
        raise UserError(f"file: '{source.path}' holds a {type(network).__name__}, not a model")
    return network


def _drop_groups(node: Any) -> bool:
    """Drop a setting of depthwise convolutions that Keras 2 wrote, that has no effect, and that Keras 3 refuses."""
    inner = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else []
    dropped = [_drop_groups(value) for value in inner]
    if isinstance(node, dict) and node.get("class_name") == "DepthwiseConv2D" and node["config"].get("groups") == 1:
        del node["config"]["groups"]
        return True
    return any(dropped)


def input_shape(network: keras.Model, height: int | None, width: int | None) -> tuple[int, int, int]:
    """Height, width and channels of a network's input; the given size counts where the network takes any.

    Raises:
        UserError: It has several inputs, takes no grey or colour images, or leaves open what was not given.
    """
    if len(network.inputs) != 1:
        raise UserError(f"file: the network has {len(network.inputs)} inputs, must have one, an image")
    shape = tuple(network.inputs[0].shape)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise UserError(
            f"file: the network takes {_shown(shape)}, must take images [N, height, width, channels] of 1 or 3 channels"
        )
    sides = []
    for key, given, own in (("height", height, shape[1]), ("width", width, shape[2])):
        if own is None and given is None:
            raise UserError(f"{key}: the network takes images of any {key} ({_shown(shape)}). Set {key}=<pixels>")
        if own is not None and given not in (None, own):
            raise UserError(f"{key}: the network takes {own} pixels, not {given}; leave {key} out")
        sides.append(own or given or 0)
    return sides[0], sides[1], int(shape[3])


def _shown(shape: Sequence[int | None]) -> str:
    return f"[{', '.join('N' if i == 0 else '?' if n is None else str(n) for i, n in enumerate(shape))}]"


def wrap(
    network: keras.Model, contract: Contract, labels: Sequence[str], pixels: str, output: str | None = None
) -> keras.Model:
    """Put a network into our contract, by built-in layers alone.

    Args:
        network: From :func:`load`, with one input of the contract's size. Of 3 channels under a grey contract it gets
            the grey channel three times.
        contract: Of the result.
        labels: Names of the network's outputs, in its own order: all labels of the contract.
        pixels: Values that it was trained on: ``minus_one_to_one`` (x / 127.5 - 1), ``zero_to_one`` (x / 255),
            ``raw`` (0 to 255) or ``imagenet`` (x / 255 less ImageNet's mean, by its deviation; RGB).
        output: ``probabilities`` or ``logits``; None is decided by its last activation.

    Returns:
        A model from uint8 ``[N, H, W, C]`` to float32 ``[N, len(labels)]``.

    Raises:
        UserError: It has several outputs, or not one per label; ``pixels`` or ``output`` does not fit it.
    """
    if len(network.outputs) != 1 or len(network.outputs[0].shape) != 2 or network.outputs[0].shape[1] != len(labels):
        shapes = ", ".join(_shown(tuple(tensor.shape)) for tensor in network.outputs)
        raise UserError(
            f"labels: the network gives {shapes}, must give [N, {len(labels)}]: one output per label: "
            f"{', '.join(labels)}"
        )
    logits = _gives_logits(network, output)
    channels = network.inputs[0].shape[3]
    if pixels == "imagenet" and channels != 3:
        raise UserError("pixels: imagenet is for networks of 3 channels, and this one takes 1; choose another")
    scale, offset = _RANGES[pixels]
    inputs = keras.Input(contract.shape, dtype="uint8", name="image")
    x: Any = inputs
    if channels == 3 and contract.channels == 1:
        x = keras.layers.Concatenate(name="repeat_gray")([x, x, x])
    x = keras.layers.Rescaling(scale, offset, dtype="float32", name="normalise")(x)
    x = _of_size(network, (contract.height, contract.width, channels))(x)
    if logits:
        x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    elif x.dtype != "float32":  # of a network in mixed precision
        x = keras.layers.Activation("linear", dtype="float32", name="probabilities")(x)
    if tuple(labels) != contract.labels:
        x = keras.ops.take(x, [list(labels).index(label) for label in contract.labels], axis=-1)
    return keras.Model(inputs, x, name="adopted")


def _of_size(network: keras.Model, shape: tuple[int, int, int]) -> keras.Model:
    """The network for batches of any number of images of one size, from one tensor to one tensor."""
    network = keras.Model(network.inputs[0], network.outputs[0], name="network")  # old ones return a list of one
    if tuple(network.inputs[0].shape) == (None, *shape):
        return network
    clone = keras.models.clone_model(network, input_tensors=keras.Input(shape, name="picture"))
    clone.set_weights(network.get_weights())
    return clone


def _gives_logits(network: keras.Model, output: str | None) -> bool:
    """Whether a softmax is missing."""
    last = _last_activation(network)
    if output is None and last not in ("softmax", "linear"):
        raise UserError(
            f"output: the network ends in {last}, so the kind of its outputs is not known; set output=logits or "
            f"output=probabilities"
        )
    if output == "logits" and last == "softmax":
        raise UserError("output: the network ends in a softmax, so its outputs are probabilities; leave output out")
    return output == "logits" or (output is None and last == "linear")


def _last_activation(network: keras.Model) -> str:
    """Name of the last activation, or of the layer that makes it unknown."""
    layer = network.outputs[0]._keras_history.operation
    while True:
        if isinstance(layer, keras.Model):
            layer = layer.outputs[0]._keras_history.operation
            continue
        if isinstance(layer, keras.layers.Softmax):
            return "softmax"
        name = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if name != "linear" or isinstance(layer, _LINEAR):
            return str(name)
        if not isinstance(layer, _TRANSPARENT):
            return type(layer).__name__
        layer = layer.input._keras_history.operation
