"""``dataset.json`` in a dataset's folder: how its pictures were cut, so that live video cuts faces alike.

``emotion.collect`` writes the margin that it cut with, ``emotion.audit`` the one that it measured.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from omegaconf import DictConfig

from emotion.base import files
from emotion.base.errors import UserError
from emotion.faces.contract import CROP_MARGINS

FILE = "dataset.json"
#: Who writes it.
SOURCES = ("emotion.collect", "emotion.audit")
_LOWEST, _HIGHEST = CROP_MARGINS


@dataclass(frozen=True)
class DatasetContract:
    """How a dataset's pictures are framed.

    Attributes:
        crop_margin: What is added on each side of the Haar cascade's box, as a fraction of its longer side.
        source: Which command wrote it: ``emotion.collect`` or ``emotion.audit``.
        pictures: How many pictures it rests on.
    """

    crop_margin: float
    source: str
    pictures: int

    def save(self, root: Path) -> Path:
        """Write it into a dataset's folder, or beside its file; return where.

        Raises:
            OSError: The folder cannot be written to.
        """
        path = place(root)
        files.write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, root: Path) -> DatasetContract | None:
        """Read it; None where there is none, or a file of that name that is not ours.

        Raises:
            UserError: The file is ours and damaged.
        """
        path = place(root)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # ours is never half written
            return None
        if not isinstance(content, dict) or content.get("source") not in SOURCES:
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


def place(root: Path) -> Path:
    """Where a dataset's contract is: in its folder, or beside its file."""
    return (root if root.is_dir() else root.parent) / FILE


#: What ``emotion.audit`` measured of datasets that are the same for everybody.
_MEASURED: dict[str, float] = {"synthetic": 0.0, "fer2013": 0.015, "ferplus": 0.015}


def crop_margin(dataset: DictConfig) -> tuple[float, str]:
    """The margin that live video adds round the detector's box, and a sentence that says where it comes from.

    Raises:
        UserError: The dataset's contract is damaged.
    """
    if dataset.crop_margin is not None:
        return float(dataset.crop_margin), f"Live crops get a margin of {dataset.crop_margin:g} (dataset.crop_margin)."
    if dataset.get("root"):
        root = Path(dataset.root).expanduser()
        found = DatasetContract.load(root)
        if found is not None:
            where = place(root)
            return found.crop_margin, f"Live crops get a margin of {found.crop_margin:g} ({where}, by {found.source})."
    if dataset.name in _MEASURED:
        margin = _MEASURED[dataset.name]
        return margin, f"Live crops get a margin of {margin:g}, measured on {dataset.name}."
    return 0.0, (
        "Live crops get no margin, as nobody has measured how these pictures are cut. Measure it with: "
        f"python -m emotion.audit dataset={dataset.name}" + (f" dataset.root={dataset.root}" if dataset.root else "")
    )
