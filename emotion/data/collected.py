"""What emotion.collect knows of a folder's pictures: who labelled them, and what they were cut from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion.data import manifest
from emotion.data.examples import Examples


def reviewed(root: Path, examples: Examples) -> np.ndarray[Any, Any] | None:
    """bool ``[N]``: pictures whose label is more than a search engine's answer; None where nothing was collected."""
    unreviewed = manifest.unreviewed(root)
    if not unreviewed:
        return None
    paths = {str(root.absolute() / name) for name in unreviewed}
    return np.array([str(path) not in paths for path in examples.paths], np.bool_)  # type: ignore[union-attr]


def with_origins(root: Path, parts: Mapping[str, Examples]) -> dict[str, Examples]:
    """The same pictures with their :attr:`Examples.origin`, where several come from one film, photo or session."""
    origins = {str(root.absolute() / name): origin for name, origin in manifest.origins(root).items()}
    if not origins:
        return dict(parts)
    return {
        split: replace(examples, origin=np.array([origins.get(str(p), "") for p in examples.paths], np.str_))  # type: ignore[union-attr]
        for split, examples in parts.items()
    }
