"""What an audit finds: the records that its judges make and its writers read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Group:
    """Images that are shown together.

    Attributes:
        pictures: Their numbers in :class:`emotion.audit.pictures.Pictures`.
        caption: Shown beside each image's split and label; may be empty.
    """

    pictures: tuple[int, ...]
    caption: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        name: As ``fail_on`` names it.
        title: For people.
        count: How many images have it; of ``imbalance`` the ratio, of ``altered`` 1 or 0.
        of: How many images were looked at; 0 where that says nothing.
        met: Whether it exceeds its limit, which ``fail_on`` makes a failure.
        meaning: What it means, in one sentence.
        advice: What to do next.
        details: JSON-ready figures.
        groups: All images that have it, the worst first; identical and similar ones together.
    """

    name: str
    title: str
    count: float
    of: int
    met: bool
    meaning: str
    advice: str
    details: dict[str, Any] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
