"""A third-party Keras model file: its architecture is checked before anything in it is built.

Such files are untrusted. Nothing here imports TensorFlow, so an unsuitable file is refused at once.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.base.words import shortened
from emotion.runs import checkpoints

#: Layers that contain code or a graph of their own, which Keras's safe mode cannot check.
_FOREIGN = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
#: Modules of built-in classes in a ``.keras`` file; any other is code that is not in the file.
_KERAS = ("keras", "builtins")
_EXPECTED = "Give a whole model: .keras, .h5 or .hdf5 as Keras saves it, .tflite or .onnx"
_ADVICE = "Save the model again without it, from built-in layers only"


@dataclass(frozen=True)
class ModelFile:
    """A whole Keras model on disk whose architecture is made of built-in layers.

    Attributes:
        path: The file.
        sha256: Of its content.
        is_hdf5: HDF5, as Keras 1 and 2 wrote; else a ``.keras`` archive.
        architecture: As Keras wrote it down.
    """

    path: Path
    sha256: str
    is_hdf5: bool
    architecture: dict[str, Any]


def find(path: Path) -> Path:
    """The path of a file that is there.

    Raises:
        UserError: No such file.
    """
    try:
        path = path.expanduser()
        is_there = path.is_file()
        what = "is a folder" if path.is_dir() else "not a regular file" if path.exists() else "no such file"
    except (OSError, RuntimeError):  # too long for a name, or ~ with an unknown user
        is_there, what = False, "no such file"
    if not is_there:
        raise UserError(f"file: {what} '{shortened(path, 200)}'. Set file=<a model: .keras, .h5, .tflite or .onnx>")
    return path


def read(path: Path) -> ModelFile:
    """Read a model file's architecture, not its weights.

    Raises:
        UserError: Not a whole Keras model, or one with layers that are not built in; names the layer.
    """
    try:
        is_archive = zipfile.is_zipfile(path)
        text = _from_archive(path) if is_archive else _from_hdf5(path)
        digest = files.sha256(path)
    except OSError as error:
        raise UserError(f"file: '{path}' cannot be read ({error.strerror or error})") from None
    try:
        architecture = guarded.parse_json(text)
        if not isinstance(architecture, dict) or not isinstance(architecture.get("config"), dict | list):
            raise ValueError("it is no model")
        checkpoints.check_sizes(architecture)
    except (ValueError, RecursionError) as error:
        raise UserError(f"file: '{path}' is damaged, its architecture cannot be read ({error})") from None
    for name, fault in _foreign(architecture):
        raise UserError(f"file: '{path}' has the layer '{name}', {fault}; it is not loaded. {_ADVICE}")
    return ModelFile(path, digest, not is_archive, architecture)


def _from_archive(path: Path) -> str | bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > guarded.LARGEST_TEXT:
                raise UserError(f"file: '{path}' is damaged, its architecture is too large")
            return archive.read("config.json")
    except KeyError:
        raise UserError(f"file: '{path}' is an archive without a Keras model in it. {_EXPECTED}") from None
    except (zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: encrypted, or compressed as Python cannot read
        raise UserError(f"file: '{path}' is damaged ({error})") from None


def _from_hdf5(path: Path) -> str | bytes:
    import h5py

    if not h5py.is_hdf5(path):
        raise UserError(f"file: '{path}' is no Keras model. {_EXPECTED}")
    with h5py.File(path, "r") as file:
        architecture = file.attrs.get("model_config")
        if not isinstance(architecture, str | bytes):
            raise UserError(f"file: '{path}' holds weights at most, not the network that they belong to. {_EXPECTED}")
        return architecture


def _foreign(node: Any) -> Iterator[tuple[str, str]]:
    """Name and fault of each part that is not Keras's own."""
    if isinstance(node, list):
        for inner in node:
            yield from _foreign(inner)
    if not isinstance(node, dict):
        return
    kind = node.get("class_name")
    if isinstance(kind, str):
        config = node.get("config")
        name = str((config.get("name") if isinstance(config, dict) else None) or node.get("name") or kind)
        module = str(node.get("module") or "").partition(".")[0]
        if kind in _FOREIGN or kind == "__lambda__":
            yield name, f"a {kind}, which runs code of its own"
        elif "registered_name" in node and module not in _KERAS:
            yield name, f"of class {kind}, which is not one of Keras's own"
    for inner in node.values():
        yield from _foreign(inner)
