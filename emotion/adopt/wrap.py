"""A third-party network wrapped by our contract: uint8 images in, float32 probabilities in our order of labels out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import keras

from emotion import runs
from emotion.adopt.model_file import ModelFile
from emotion.adopt.plan import Plan, Signature, image_axes, shown
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data.examples import Splits
from emotion.inference import litert
from emotion.inference.classifier import predict
from emotion.inference.runtimes import Batch, Probabilities, Traced
from emotion.runs import checkpoints, trial

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


class KerasNetwork:
    """A Keras file that is loaded; as :class:`emotion.adopt.ready_made.ReadyMade`."""

    def __init__(self, source: ModelFile) -> None:
        self._network = load(source)
        self.signature = signature(self._network)

    def saved(self, steps: Plan, folder: Path) -> Path:
        """The network with steps before and behind it, in a file in a folder."""
        self._model = wrap(self._network, steps)
        path = folder / "best.keras"
        self._model.save(path)
        return path

    def predict(self, images: Batch) -> Probabilities:
        """Answers of what was saved."""
        return predict(Traced(self._model), images)

    @property
    def parameters(self) -> int:
        return int(self._model.count_params())

    def efficiency(self, run: runs.Run, splits: Splits | None) -> dict[str, float]:
        """Make the run's LiteRT export, and measure both."""
        model = checkpoints.load(run.checkpoint(), made_here=True)  # as every other command will
        images, compared_on = litert.comparison_images(splits.validation if splits else None, run.contract())
        return litert.efficiency(run, model, images, compared_on)


def load(source: ModelFile) -> keras.Model:
    """Load a network in safe mode, without its optimizer and its losses.

    Raises:
        UserError: Keras cannot build it, such as for a layer that it does not know.
    """
    with files.temporary_folder() as folder:
        # A copy, by the ending that Keras goes by, and in the words of today's layers.
        copy = folder / f"model.{'h5' if source.is_hdf5 else 'keras'}"
        shutil.copyfile(source.path, copy)
        if files.sha256(copy) != source.sha256:
            raise UserError(f"file: '{source.path}' was changed while it was read; try again")
        if source.is_hdf5 and (modern := _modernised(source.architecture)) != source.architecture:
            with h5py.File(copy, "r+") as file:
                file.attrs["model_config"] = json.dumps(modern)
        fault = trial.fault(copy)
        try:
            network = None if fault else keras.saving.load_model(copy, compile=False, safe_mode=True)
        except Exception as error:  # an old or a foreign file can fail anywhere in Keras
            fault = str(error).strip().partition("\n")[0] or type(error).__name__
        if fault:
            reason = fault.replace(str(copy), source.path.name)[:300]
            raise UserError(
                f"file: Keras {keras.__version__} cannot load '{source.path}' ({reason}). "
                f"Only built-in layers are loaded; save it again with such, in a newer Keras if it is old"
            )
    if not isinstance(network, keras.Model):
        raise UserError(f"file: '{source.path}' holds a {type(network).__name__}, not a model")
    return network


def _modernised(node: Any) -> Any:
    """What Keras 2 wrote in the words of Keras 3, which refuses these or reads them wrongly."""
    if isinstance(node, list):
        return [_modernised(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    node = {key: _modernised(inner) for key, inner in node.items()}
    kind, config = node.get("class_name"), node.get("config")
    if kind == "Sequential" and isinstance(config, list):  # before Keras 2.2.3
        config = node["config"] = {"name": "sequential", "layers": config}
    if not isinstance(config, dict):
        return node
    if kind == "DepthwiseConv2D" and config.get("groups") == 1:  # without effect
        del config["groups"]
    if kind == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]
    layers = config.get("layers") if kind == "Sequential" else None
    if layers and isinstance(layers[0], dict) and layers[0].get("class_name") != "InputLayer":
        shape = layers[0].get("config", {}).pop("batch_input_shape", None)
        if shape:  # Keras would take it, the number of images included, for the shape of one image
            layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "name": "input"}})
    return node


def signature(network: keras.Model) -> Signature:
    """What a network takes and gives.

    Raises:
        UserError: Not one image in and one vector out.
    """
    if len(network.inputs) != 1:
        raise UserError(f"file: the network has {len(network.inputs)} inputs, must have one, an image")
    shape, shapes = tuple(network.inputs[0].shape), [tuple(tensor.shape) for tensor in network.outputs]
    if image_axes(shape):
        raise UserError(f"file: the network takes {shown(shape)}, channels first, which Keras runs on GPUs alone")
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise UserError(f"labels: the network gives {', '.join(map(shown, shapes))}, must give [N, labels]")
    _, height, width, channels = shape
    return Signature(None, height, width, channels, False, "float32", shapes[0][1], _last_activation(network))


def wrap(network: keras.Model, steps: Plan) -> keras.Model:
    """Put a network into our contract, by built-in layers alone.

    Args:
        network: From :func:`load`.
        steps: What stands before and behind it.

    Returns:
        A model from uint8 ``[N, H, W, C]`` to float32 ``[N, labels]``.
    """
    contract, channels = steps.contract, network.inputs[0].shape[3]
    inputs = keras.Input(contract.shape, dtype="uint8", name="image")
    x: Any = inputs
    if steps.repeat:
        x = keras.layers.Concatenate(name="repeat_gray")([x, x, x])
    scale, offset = (numbers[0] if len(numbers) == 1 else list(numbers) for numbers in (steps.scale, steps.offset))
    x = keras.layers.Rescaling(scale, offset, dtype="float32", name="normalise")(x)
    if steps.swap:
        x = keras.ops.take(x, [2, 1, 0], axis=-1)
    x = _of_size(network, (contract.height, contract.width, channels))(x)
    if steps.softmax:
        x = keras.layers.Softmax(dtype="float32", name="probabilities")(x)
    elif x.dtype != "float32":  # of a network in mixed precision
        x = keras.layers.Activation("linear", dtype="float32", name="probabilities")(x)
    if steps.order is not None:
        x = keras.ops.take(x, list(steps.order), axis=-1)
    return keras.Model(inputs, x, name="adopted")


def _of_size(network: keras.Model, shape: tuple[int, int, int]) -> keras.Model:
    """The network for batches of any number of images of one size, from one tensor to one tensor."""
    network = keras.Model(network.inputs[0], network.outputs[0], name="network")  # old ones return a list of one
    if tuple(network.inputs[0].shape) == (None, *shape):
        return network
    clone = keras.models.clone_model(network, input_tensors=keras.Input(shape, name="picture"))
    clone.set_weights(network.get_weights())
    return clone


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
