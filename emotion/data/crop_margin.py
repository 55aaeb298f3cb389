"""The crop margin of a dataset, ``dataset.json`` in its folder: how its images were cut, so that live video cuts alike.

``emotion.collect`` writes the margin that it cut with, ``emotion.audit`` the one that it measured.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from omegaconf import DictConfig

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.config import parts
from emotion.faces.contract import CROP_MARGINS

FILE = "dataset.json"
#: Who writes it.
SOURCES = ("emotion.collect", "emotion.audit")
_LOWEST, _HIGHEST = CROP_MARGINS


@dataclass(frozen=True)
class CropMargin:
    """How a dataset's images are cut."""

    crop_margin: float  #: added on each side of the Haar cascade's box, as a fraction of its longer side
    source: str  #: the command that wrote it: ``emotion.collect`` or ``emotion.audit``
    pictures: int  #: how many images it was derived from

    def save(self, root: Path) -> Path:
        """Write it into a dataset's folder, or beside its file; return its path. Raises OSError."""
        path = path_in(root)
        files.write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, root: Path) -> CropMargin | None:
        """Read it; None where there is none, or a file of that name that is not ours.

        Raises:
            UserError: The file is ours and damaged.
        """
        path = path_in(root)
        try:
            content = guarded.read_json(path)
        except UserError:  # ours is never half written
            if path.is_file() and any(source in path.read_text(errors="replace") for source in SOURCES):
                raise
            return None
        if str(content.get("source")) not in SOURCES:
            return None
        margin, pictures = content.get("crop_margin"), content.get("pictures", 0)
        if not _is_number(margin) or not _LOWEST <= margin <= _HIGHEST or not _is_number(pictures):
            raise UserError(
                f"{path}: crop_margin is {json.dumps(margin)} and pictures {json.dumps(pictures)}, must be a number "
                f"from {_LOWEST} to {_HIGHEST} and a count. Delete or repair the file, or set dataset.crop_margin=..."
            )
        return cls(float(margin), content["source"], int(pictures))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def path_in(root: Path) -> Path:
    """Where a dataset's margin is kept: in its folder, or beside its file."""
    return (root if root.is_dir() else root.parent) / FILE


#: What ``emotion.audit`` measured of datasets of which there is one version.
_MEASURED: dict[str, float] = {"synthetic": 0.0, "fer2013": 0.015, "ferplus": 0.015}


def for_live(dataset: DictConfig) -> tuple[float, str]:
    """The margin that live video adds round the detector's box, and a sentence that says where it comes from.

    Raises:
        UserError: The dataset's ``dataset.json`` is damaged.
    """
    root = Path(dataset.root).expanduser() if dataset.get("root") else None
    if dataset.crop_margin is not None:
        margin, origin = float(dataset.crop_margin), "(dataset.crop_margin)"
    elif root is not None and (saved := CropMargin.load(root)) is not None:
        margin, origin = saved.crop_margin, f"({path_in(root)}, by {saved.source})"
    elif dataset.name == "mixed":
        margin = min(for_live(node)[0] for node in parts.nodes(dataset).values())
        origin = "(the smallest of its parts')"
    elif dataset.name in _MEASURED:
        margin, origin = _MEASURED[dataset.name], f"(measured on {dataset.name})"
    else:
        at = f" dataset.root={dataset.root}" if dataset.root else ""
        return 0.0, (
            "Live crops get no margin, as it was not measured how these images are cut. Measure it with: "
            f"python -m emotion.audit dataset={dataset.name}{at}"
        )
    return margin, f"Live crops get a margin of {margin:g} {origin}."
