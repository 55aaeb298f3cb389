"""Deciding about candidates one after the other: what is kept, why not, and in which order that reaches the disk.

The crop is written first, then its record, and only then may its source be deleted: after a kill in between, the next
command does the same work again, and finds its own file.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate
from emotion.collect.duplicates import Entry, KnownCrops
from emotion.collect.held_out import HeldOut
from emotion.collect.screening import Criteria, Crop, Screened, screen
from emotion.collect.storage import move, prepared, reconcile
from emotion.config.commands import LABEL_SOURCES
from emotion.data.fingerprint import hash_pixels
from emotion.data.manifest import FOUND_AGAIN, KEPT, QUARANTINED, REJECTED, Manifest, Record, now
from emotion.data.similar import perceptual_hash
from emotion.faces.decoding import read
from emotion.faces.formats import UnreadableImageError
from emotion.faces.images import Box
from emotion.faces.labels import EMOTIONS

_OURS = re.compile(r"[0-9a-f]{32}\.png")
#: Sources in which one photo appears scaled and recompressed.
_REPEATING = ("bing", "folder")
#: What a record takes from its candidate.
_COPIED = ("key", "emotion", "source", "query", "page_url", "image_url", "title", "licence")
#: Failures that may be over by the next run, which then tries again.
PASSING = re.compile(r"timed out|no connection|connection lost|HTTP (408|425|429|5\d\d)")


class Collector:
    """A dataset's folder that images are collected in; several threads may pass candidates.

    Args:
        root, manifest: The folder, whose lock this process holds, and its manifest.
        criteria, against: What is required of images, and those that must not be collected.

    Attributes:
        unrecorded: Files of the dataset that no record names.
    """

    def __init__(self, root: Path, criteria: Criteria, manifest: Manifest, against: HeldOut | None = None) -> None:
        self._root, self._criteria, self._manifest, self._against = root, criteria, manifest, against
        self._lock = threading.Lock()
        self._known = KnownCrops()
        self._kept: Counter[str] = Counter()
        self._finished: set[str] = set()
        # By a candidate's key: the files that it has or repeats, its faces with a record, its other emotions.
        self._files: defaultdict[str, set[str]] = defaultdict(set)
        self._faces: defaultdict[str, set[int]] = defaultdict(set)
        self._also: defaultdict[str, set[str]] = defaultdict(set)
        reconcile(root, manifest)
        for line in manifest.lines():
            if line.get("event") == FOUND_AGAIN:
                self._also[line["key"]].add(line["emotion"])
        for record in manifest.records():
            self._remember(record, final=not _may_pass(record))
        self.unrecorded = self._find_unrecorded()
        # What a killed process may have written last; an image that the user moved to another emotion has a record.
        recorded = {Path(file).name for file in self._known.entries if file not in self.unrecorded}
        names = {file: Path(file).name for file in self.unrecorded}
        self._leftovers = {file for file, name in names.items() if _OURS.fullmatch(name) and name not in recorded}

    def __contains__(self, key: object) -> bool:
        """Whether a candidate needs no more work."""
        return key in self._finished

    def kept(self, emotion: str) -> int:
        """How many of an emotion's images were collected and are kept."""
        with self._lock:
            return self._kept[emotion]

    def take(self, candidate: Candidate) -> list[Record]:
        """Screen a candidate, decide, write; return its records, one per face.

        Raises:
            UserError: The folder cannot be written to.
        """
        thorough = candidate.source in _REPEATING or self._against is not None
        screened = screen(candidate, self._criteria, thorough=thorough)
        with self._lock:
            if candidate.key in self._finished:
                return []
            try:
                return self._decide(candidate, screened)
            except OSError as error:
                problem = f"root: '{self._root}' cannot be written to ({error.strerror})"
                raise UserError(f"{problem}; make room and start again") from None

    def again(self, key: str, emotion: str) -> None:
        """Note that a candidate that needs no work was found for an emotion; if it is another's, that is a conflict."""
        with self._lock:
            if key not in self._finished and emotion not in self._also[key]:
                self._manifest.append({"event": FOUND_AGAIN, "key": key, "emotion": emotion, "time": now()})
                self._also[key].add(emotion)
            entries = [self._known.entries[f] for f in sorted(self._files[key]) if f in self._known.entries]
            others = [e for e in entries if e.emotion != emotion and _may_be_wrong(e)]
            self._quarantine(others, f"label conflict: also found for {emotion}")

    # ------------------------------------------------------------------------------------------------------ deciding

    def _decide(self, candidate: Candidate, screened: Screened) -> list[Record]:
        reason, known = screened.reason, None
        if reason is None:
            same_file = (e for e in self._of_other_candidates(candidate, screened) if e.emotion == candidate.emotion)
            known = next(same_file, None)
            reason = _duplicate(known) if known is not None else None
        if self._against is not None and reason is None and screened.pixels and screened.hashes:
            reason = self._against.why_not(screened.pixels, [screened.hashes])
        if reason is not None:
            return [self._write(self._record(candidate, screened, 0, None, REJECTED, reason, duplicate_of=known))]
        faces = [face for face in range(len(screened.crops)) if face not in self._faces[candidate.key]]
        return [self._judge(candidate, screened, face) for face in faces]

    def _of_other_candidates(self, candidate: Candidate, screened: Screened) -> list[Entry]:
        """Crops that were cut from the same bytes, found at another address or path."""
        return [e for e in self._known.of_file(screened.sha256) if e.key != candidate.key]

    def _judge(self, candidate: Candidate, screened: Screened, face: int) -> Record:
        crop = screened.crops[face]
        record = partial(self._record, candidate, screened, face, crop)
        if not isinstance(crop, Crop):
            return self._write(record(REJECTED, crop[1]))
        file = f"{candidate.emotion}/{crop.pixels.hex()}.png"
        alike = [e for e in self._alike(candidate, crop) if e.file != file or file not in self._leftovers]
        alike += [e for e in self._of_other_candidates(candidate, screened) if e not in alike]
        same = next((e for e in alike if e.emotion == candidate.emotion), None)
        reason = self._against.why_not(crop.pixels, crop.hashes) if self._against is not None else None
        if reason is None and same is not None:
            reason = _duplicate(same)
        if reason is not None:
            self._set_aside(file)
            return self._write(record(REJECTED, reason, duplicate_of=same))
        others = [e for e in alike if e.decision != REJECTED]
        also = sorted(self._also[candidate.key] - {candidate.emotion})
        if not others and not also:
            return self._write(record(KEPT, None, file), crop.png)
        self._set_aside(file)
        reason = f"label conflict with {others[0].file}" if others else f"label conflict: also found for {also[0]}"
        written = self._write(record(QUARANTINED, reason, file), crop.png)
        self._quarantine([e for e in others if _may_be_wrong(e)], f"label conflict with {file}")
        return written

    def _alike(self, candidate: Candidate, crop: Crop) -> list[Entry]:
        """The crops that this one repeats, or that contradict its label.

        The same person with another expression may look alike in a shifted box. So the other boxes count only within
        one emotion, where it is no more than a repeat, or for the uncertain labels of image search.
        """
        strict = self._known.like(crop.pixels, crop.hashes[:1])
        if candidate.source not in _REPEATING:
            return strict
        entries = self._known.like(crop.pixels, crop.hashes)
        return [e for e in entries if candidate.source == "bing" or e.emotion == candidate.emotion or e in strict]

    def _quarantine(self, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            event = {"event": "quarantine", "file": entry.file, "reason": reason, "time": now()}
            self._manifest.append(event)
            entry.decision = QUARANTINED
            self._kept[entry.emotion] -= 1
            move(self._root, entry.file, QUARANTINED)

    # ------------------------------------------------------------------------------------------------------- writing

    def _record(
        self,
        candidate: Candidate,
        screened: Screened,
        face: int,
        crop: Crop | tuple[Box, str] | None,
        decision: str,
        reason: str | None,
        file: str | None = None,
        duplicate_of: Entry | None = None,
    ) -> Record:
        pixels, hashes, box = screened.pixels, screened.hashes, crop[0] if isinstance(crop, tuple) else None
        if isinstance(crop, Crop):
            pixels, hashes, box = crop.pixels, crop.hashes[0], crop.box
        return {
            **{name: getattr(candidate, name) for name in _COPIED},
            "face": face,
            "of": len(screened.crops) if crop else 1,
            "label_source": LABEL_SOURCES[candidate.source],
            "path": str(candidate.path) if candidate.source == "folder" else None,
            "time": now(),
            "sha256": screened.sha256,
            "pixels": pixels.hex() if pixels else None,
            "perceptual_hash": "".join(f"{part:016x}" for part in hashes) if hashes else None,
            "width": screened.size[0] if screened.size else None,
            "height": screened.size[1] if screened.size else None,
            "boxes": [[b.x, b.y, b.width, b.height] for b in screened.boxes],
            "box": [box.x, box.y, box.width, box.height] if box else None,
            "detector": self._criteria.detector if screened.pixels else None,
            "crop": self._criteria.cut if file else None,
            "decision": decision,
            "reason": reason,
            "duplicate_of": duplicate_of.file if duplicate_of else None,
            "file": file,
        }

    def _write(self, record: Record, png: bytes = b"") -> Record:
        """Put a crop, where there is one, and then its record on disk."""
        if record["file"] is not None:
            files.write_bytes(prepared(self._root, record["file"], record["decision"]), png)
            self.unrecorded.discard(record["file"])
            self._leftovers.discard(record["file"])
        self._manifest.append(record)
        self._remember(record)
        return record

    def _remember(self, record: Record, final: bool = True) -> None:
        key, file = record["key"], record.get("file")
        faces = self._faces[key]
        faces.add(record.get("face", 0))
        if final and len(faces) >= record.get("of", 1):
            self._finished.add(key)
        elif not final:
            faces.clear()
        self._files[key] |= {f for f in (file, record.get("duplicate_of")) if f}
        if file:
            entry = Entry(file, record["decision"], record.get("reviewed"), key)
            hashes = record.get("perceptual_hash")
            self._known.add(
                entry,
                record.get("sha256"),
                bytes.fromhex(record.get("pixels") or ""),
                (int(hashes[:16], 16), int(hashes[16:], 16)) if hashes else None,
            )
            self._kept[entry.emotion] += entry.decision == KEPT

    # ------------------------------------------------------------------------------------- files without a record

    def _find_unrecorded(self) -> set[str]:
        """Images of the dataset that no record names: added by hand, or written last by a process that was killed."""
        unrecorded = set()
        for emotion in EMOTIONS:
            for path in sorted((self._root / emotion).glob("[!.]*")):
                file = f"{emotion}/{path.name}"
                if file in self._known.entries or not path.is_file():
                    continue
                try:
                    image = read(path)
                except UnreadableImageError:
                    continue
                self._known.add(Entry(file, KEPT), None, hash_pixels(image), perceptual_hash(image))
                unrecorded.add(file)
        return unrecorded

    def _set_aside(self, file: str) -> None:
        """Move out what a killed process wrote of an image that is not to be kept now; nothing is deleted."""
        if file in self._leftovers:
            (self._root / file).replace(prepared(self._root, file, QUARANTINED))
            self.unrecorded.discard(file)
            self._leftovers.discard(file)


def _duplicate(entry: Entry) -> str:
    state = {REJECTED: ", which a person rejected", QUARANTINED: ", which is in quarantine"}.get(entry.decision, "")
    return f"duplicate of {entry.file}{state}"


def _may_be_wrong(entry: Entry) -> bool:
    """Whether a conflict takes an image out of the dataset: not if it was added by hand, or accepted by the user."""
    return entry.decision == KEPT and bool(entry.key) and entry.reviewed is None


def _may_pass(record: Record) -> bool:
    return record["decision"] == REJECTED and not record.get("sha256") and bool(PASSING.search(record["reason"] or ""))
