"""Keras checkpoints, read without running any code that they bring."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.base.progress import working
from emotion.runs import record, trial

if TYPE_CHECKING:
    import keras

#: Settings of layers that decide how much memory they take, and the largest value.
_SIZES = ("units", "filters", "kernel_size", "batch_shape", "batch_input_shape", "input_dim", "output_dim", "n",
          "target_shape", "padding", "depth_multiplier", "pool_size", "size")  # fmt: skip
_LARGEST_SIZE = 100_000


@working("loading the checkpoint")
def load(checkpoint: Path, of: Path | None = None, *, made_here: bool = False) -> keras.Model:
    """Load a checkpoint in Keras's safe mode: no code of its own is run.

    It is tried in a process with limits first, unless it is the file that its run's record names.

    Args:
        checkpoint: The ``.keras`` file.
        of: Its run's folder, where the file is a copy elsewhere.
        made_here: Whether this process has just written it.

    Raises:
        UserError: The file is damaged, needs too much memory or time, or Keras refuses it.
    """
    advice = "train again or restore it"
    check(checkpoint, advice)
    known = made_here or _is_recorded(checkpoint, of or checkpoint.parent.parent)
    if not known and (fault := trial.fault(checkpoint)) is not None:
        raise UserError(f"{checkpoint}: cannot be loaded ({fault}); {advice}")
    import keras

    try:
        model = keras.saving.load_model(checkpoint, compile=False, safe_mode=True)
        if not (isinstance(model, keras.Model) and model.inputs and model.outputs):
            raise ValueError(f"it holds no network, but a {type(model).__name__}")
    except Exception as error:  # a damaged file can fail anywhere in Keras
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
        raise UserError(f"{checkpoint}: cannot be loaded ({reason}); {advice}") from None
    return model


def _is_recorded(checkpoint: Path, run: Path) -> bool:
    try:
        return record.read(run).tflite.get("checkpoint") == files.sha256(checkpoint)
    except UserError:
        return False


def check(path: Path, advice: str) -> None:
    """Refuse a file that is no whole ``.keras`` archive, or whose architecture claims layers of a size nobody trains.

    Keras itself refuses code, links to other files, and archives that grow when they are unpacked.

    Raises:
        UserError: Says what is wrong.
    """
    guarded.check_regular(path.resolve())
    keras_only(path)
    if not zipfile.is_zipfile(path):  # Keras would say that there is no such file
        raise UserError(f"{path}: damaged, not a whole Keras checkpoint; {advice}")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > guarded.LARGEST_TEXT:
                raise ValueError("its architecture is too large")
            architecture = guarded.parse_json(archive.read("config.json"))
        if not isinstance(architecture, dict):
            raise ValueError("it holds no architecture")
        check_sizes(architecture)
    except (OSError, ValueError, LookupError, RecursionError, RuntimeError, EOFError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: damaged ({reason}); {advice}") from None


def keras_only(path: Path) -> None:
    """Refuse a network that was adopted as a LiteRT or ONNX file, which cannot be changed.

    Raises:
        UserError: Says what it can be used for.
    """
    if path.suffix != ".keras":
        raise UserError(
            f"{path}: was adopted as a {path.suffix} file, which can be scored, compared and run live; training on, "
            f"exporting and publishing need the Keras model. Adopt that: python -m emotion.adopt file=<.keras or .h5>"
        )


def check_sizes(node: Any) -> None:
    """ValueError where an architecture claims a layer of a size nobody trains."""
    for key, value in node.items() if isinstance(node, dict) else ():
        for number in value if isinstance(value, list) else [value]:
            if key in _SIZES and isinstance(number, int) and number > _LARGEST_SIZE:
                raise ValueError(f"a layer's {key} is {number:,}")
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        check_sizes(inner)
