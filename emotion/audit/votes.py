"""FER+'s ten votes for each of FER2013's images, where they lie beside the CSV file: how far to trust the audit.

They show which of the images that it calls blank or faceless are so, and which of the doubted labels they contradict.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion.audit.label_noise import Doubts
from emotion.audit.pictures import Pictures
from emotion.data import fer2013, ferplus
from emotion.data.examples import SPLITS
from emotion.faces.labels import CONTEMPT, EMOTIONS, index_of

Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class NotFaces:
    """How many of the images that FER+ calls not a face the audit finds.

    Attributes:
        pictures: Images that FER+ has votes for.
        not_faces: Those of which most votes say "not a face".
        blank: Of those, how many are found blank.
        no_face: Of those, in how many the cascades find no face.
        caught: Of those, how many either finds.
        wrong_blank: Faces, by FER+, that are called blank.
        wrong_no_face: Faces, by FER+, in which the cascades find none.
        wrong: Faces, by FER+, that either calls none.
    """

    pictures: int
    not_faces: int
    blank: int
    no_face: int
    caught: int
    wrong_blank: int
    wrong_no_face: int
    wrong: int

    def sentence(self) -> str:
        return (
            f"FER+ calls {self.not_faces:,} of these images not a face. Blankness finds {self.blank:,} of them and "
            f"the cascades {self.no_face:,}, together {self.caught:,}; of the {self.pictures - self.not_faces:,} faces "
            f"they would throw out {self.wrong_blank:,} and {self.wrong_no_face:,}, together {self.wrong:,}."
        )


@dataclass(frozen=True)
class Contradicted:
    """How often FER+ contradicts the labels that confident learning doubts.

    Attributes:
        flagged: Doubtful labels on images of which FER+ has a plurality for an emotion.
        contradicted: Of those, how many carry another label than that.
        others: Judged labels of such images that are not doubted.
        others_contradicted: Of those, how many carry another label.
        agreed: Of the contradicted, how many suggestions are FER+'s label.
    """

    flagged: int
    contradicted: int
    others: int
    others_contradicted: int
    agreed: int

    def sentence(self) -> str:
        def percent(part: int, of: int) -> str:
            return f"{100 * part / max(1, of):.1f} %"

        every, all_wrong = self.flagged + self.others, self.contradicted + self.others_contradicted
        return (
            f"FER+ contradicts {percent(self.contradicted, self.flagged)} of the {self.flagged:,} doubted labels, "
            f"{percent(self.others_contradicted, self.others)} of the {self.others:,} others and "
            f"{percent(all_wrong, every)} of all; in {percent(self.agreed, self.contradicted)} of the contradicted "
            f"doubts the suggestion is FER+'s label."
        )


def read(dataset: DictConfig, pictures: Pictures) -> np.ndarray[Any, Any] | None:
    """The votes for each image, uint8 ``[N, 10]`` in the order of :data:`emotion.data.ferplus.COLUMNS`.

    None where this is not FER2013's CSV file, or no votes lie beside it.

    Raises:
        UserError: The file of votes is damaged.
    """
    if dataset.name != "fer2013" or not dataset.root:
        return None
    source, _ = fer2013.find(Path(dataset.root).expanduser())
    path = source.with_name(ferplus.FILE)
    if source.is_dir() or not path.is_file():
        return None
    rows = [pictures.splits[split].rows for split in SPLITS]
    if any(r is None for r in rows):
        return None
    votes, _ = ferplus.read_votes(path)
    wanted = np.concatenate([r for r in rows if r is not None])
    return votes[wanted] if len(votes) > int(wanted.max(initial=-1)) else None


def not_faces(votes: np.ndarray[Any, Any], blank: Flags, no_face: Flags) -> NotFaces:
    """Hold what the audit calls blank or faceless against the votes."""
    none = not_a_face(votes)
    either = blank | no_face
    return NotFaces(
        pictures=len(votes),
        not_faces=int(none.sum()),
        blank=int((none & blank).sum()),
        no_face=int((none & no_face).sum()),
        caught=int((none & either).sum()),
        wrong_blank=int((~none & blank).sum()),
        wrong_no_face=int((~none & no_face).sum()),
        wrong=int((~none & either).sum()),
    )


def not_a_face(votes: np.ndarray[Any, Any]) -> Flags:
    """bool ``[N]``: no answer has more votes than "not a face", which has some."""
    nf = votes[:, ferplus.NOT_A_FACE]
    return np.asarray((nf > 0) & (nf >= votes.max(axis=1)))


def contradicted(votes: np.ndarray[Any, Any], pictures: Pictures, found: Doubts) -> Contradicted:
    """Hold the doubted labels against the votes; images without one most frequent emotion are passed over."""
    label = plurality(votes)
    sure = label[found.judged] != _NONE
    judged, suggested = found.judged[sure], found.suggested[sure]
    wrong = pictures.labels[judged] != label[judged]
    doubted = np.isin(judged, found.flagged)
    return Contradicted(
        flagged=int(doubted.sum()),
        contradicted=int((doubted & wrong).sum()),
        others=int((~doubted).sum()),
        others_contradicted=int((~doubted & wrong).sum()),
        agreed=int((doubted & wrong & (suggested == label[judged])).sum()),
    )


_NONE, _OTHER = -1, -2


def plurality(votes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """int64 ``[N]``: the label with most votes; -2 for contempt, -1 for a tie, unknown or not a face."""
    ours = np.array([index_of(c) if c != CONTEMPT else _OTHER for c in ferplus.COLUMNS[: len(EMOTIONS) + 1]], np.int64)
    most = votes.max(axis=1)
    first = votes.argmax(axis=1)
    tied = (votes == most[:, None]).sum(axis=1) > 1
    named = (first < len(ours)) & ~tied & (most > 0)
    return np.where(named, ours[np.minimum(first, len(ours) - 1)], _NONE)
