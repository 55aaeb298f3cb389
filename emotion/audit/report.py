"""An audit: everything that was found, as one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emotion.audit import quality, repeats
from emotion.audit.distributions import Distribution
from emotion.audit.finding import Finding
from emotion.audit.framing import Framing
from emotion.audit.measuring import Measured
from emotion.audit.pictures import Pictures
from emotion.audit.votes import Contradicted, NotFaces
from emotion.config.commands import FINDINGS
from emotion.data.duplicates import Duplicates


@dataclass(frozen=True, eq=False)
class Report:
    """What an audit found.

    Attributes:
        dataset: The dataset's name in the config.
        root: Where it is; None where it is drawn.
        pictures: Its images.
        findings: In the order in which they are reported.
        failed: Names of the findings that ``fail_on`` names and that are met.
        framing: Where the faces are in the images.
        contract: What became of the derived crop margin, a sentence.
        distributions: Brightness, contrast, sharpness, width and height.
        not_faces: How the finds of non-faces stand against FER+'s votes, where these are there.
        contradicted: The same for doubted labels.
    """

    dataset: str
    root: str | None
    pictures: Pictures
    findings: tuple[Finding, ...]
    failed: tuple[str, ...]
    framing: Framing
    contract: str
    distributions: tuple[Distribution, ...]
    not_faces: NotFaces | None = None
    contradicted: Contradicted | None = None

    def finding(self, name: str) -> Finding:
        return next(f for f in self.findings if f.name == name)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        return quality.class_counts(self.pictures)


def findings(
    pictures: Pictures, measured: Measured, found: Duplicates, limits: quality.Limits, noise: Sequence[Finding] = ()
) -> tuple[Finding, ...]:
    """All findings, what spoils scores first."""
    every = {f.name: f for f in (*repeats.judge(pictures, found), *quality.judge(pictures, measured, limits), *noise)}
    return tuple(every[name] for name in FINDINGS if name in every)
