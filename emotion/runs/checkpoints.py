"""Keras checkpoints, read without running any code that they bring."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from emotion.base.errors import UserError

if TYPE_CHECKING:
    import keras


def load(checkpoint: Path) -> keras.Model:
    """Load a checkpoint in Keras's safe mode: no code of its own is run.

    Raises:
        UserError: The file is damaged, or Keras refuses it.
    """
    advice = "train again or restore it"
    if not zipfile.is_zipfile(checkpoint):  # Keras would say that there is no such file
        raise UserError(f"{checkpoint}: damaged, not a whole Keras checkpoint; {advice}")
    import keras

    try:
        return keras.saving.load_model(checkpoint, compile=False, safe_mode=True)
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{checkpoint}: cannot be loaded ({reason}); {advice}") from None
