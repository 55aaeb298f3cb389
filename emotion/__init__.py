"""Train, compare and run facial-expression classifiers.

>>> from emotion import load
>>> load("pretrained").predict("photo.jpg")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion.inference.model import Model, load

# ONNX Runtime reports to its maker, TensorFlow's runtime counts its uptime, both unless told not to before they are
# imported; SECURITY.md lists every package that was asked.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ENABLE_RUNTIME_UPTIME_TELEMETRY"] = "0"

__version__ = "0.1.0"
__all__ = ["Model", "load"]


def __getattr__(name: str) -> Any:
    """Import what runs a model when it is first asked for: ``import emotion`` itself stays immediate."""
    if name in __all__:
        from emotion.inference import model

        return getattr(model, name)
    raise AttributeError(f"module 'emotion' has no attribute '{name}'")
