"""Deciding about candidates one after the other: what is kept, why not, and in which order that reaches the disk.

The crop is written first, then its record, and only then may its source be thrown away: a process that is killed in
between does the same work again, and finds its own file.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError
from emotion.collect.candidates import Candidate
from emotion.collect.held_out import HeldOut
from emotion.collect.placing import move, place, reconcile
from emotion.collect.screening import Crop, Looked, Screen, look
from emotion.collect.seen import Entry, Seen
from emotion.config.commands import LABEL_SOURCES
from emotion.data.fingerprint import hash_pixels
from emotion.data.manifest import FOUND_AGAIN, KEPT, QUARANTINED, REJECTED, Manifest, Record, now
from emotion.data.similar import perceptual_hash
from emotion.faces.images import Box, UnreadableImageError, read
from emotion.faces.labels import EMOTIONS

_OURS = re.compile(r"[0-9a-f]{32}\.png")
#: Sources in which one photo comes scaled and compressed anew.
_REPEATING = ("bing", "folder")
#: Failures that may be over by the next run, which then tries again.
PASSING = re.compile(r"timed out|no connection|connection lost|HTTP (408|425|429|5\d\d)")


class Collector:
    """A dataset's folder that pictures are collected in; several threads may hand in candidates.

    Args:
        root: The folder; it is there, and this process holds its lock.
        screen: What is asked of pictures.
        manifest: Of this folder.
        against: Pictures that must not come in.
    """

    def __init__(self, root: Path, screen: Screen, manifest: Manifest, against: HeldOut | None = None) -> None:
        self._root, self._screen, self._manifest, self._against = root, screen, manifest, against
        self._lock = threading.Lock()
        self._seen = Seen()
        self._files_of: dict[str, list[Entry]] = {}
        self._faces: dict[str, set[int]] = {}
        self._finished: set[str] = set()
        self._kept: Counter[str] = Counter()
        self._duplicates: dict[str, set[str]] = {}  # of each candidate the files that it repeats
        self._also: dict[str, set[str]] = {}  # candidates in the making that were found for other emotions too
        reconcile(root, manifest)
        for line in manifest.lines():
            if line.get("event") == FOUND_AGAIN:
                self._also.setdefault(line["key"], set()).add(line["emotion"])
        for record in manifest.records():
            self._remember(record, final=not _may_pass(record))
        self.unrecorded = self._find_unrecorded()
        # What may be the last of a killed process; a picture that a person has moved to another emotion has a record.
        recorded = {Path(file).name for file in self._seen.entries if file not in self.unrecorded}
        names = {file: Path(file).name for file in self.unrecorded}
        self._leftovers = {file for file, name in names.items() if _OURS.fullmatch(name) and name not in recorded}

    def __contains__(self, key: object) -> bool:
        """Whether a candidate needs no more work."""
        return key in self._finished

    def kept(self, emotion: str) -> int:
        """How many of an emotion's pictures were collected and are kept."""
        with self._lock:
            return self._kept[emotion]

    def take(self, candidate: Candidate) -> list[Record]:
        """Look at a candidate, decide, write; return its records, one for each of its faces that was looked at.

        Raises:
            UserError: The folder cannot be written to.
        """
        thorough = candidate.source in _REPEATING or self._against is not None
        seen = look(candidate, self._screen, thorough=thorough)
        with self._lock:
            if candidate.key in self._finished:
                return []
            try:
                return self._decide(candidate, seen)
            except OSError as error:
                problem = f"root: '{self._root}' cannot be written to ({error.strerror})"
                raise UserError(f"{problem}; make room and start again") from None

    def again(self, key: str, emotion: str) -> None:
        """Hear that a candidate that needs no work was found for an emotion; if it is another's, that is a conflict."""
        with self._lock:
            if key not in self._finished and emotion not in self._also.get(key, ()):
                self._manifest.append({"event": FOUND_AGAIN, "key": key, "emotion": emotion, "time": now()})
                self._also.setdefault(key, set()).add(emotion)
            repeated = [self._seen.entries[f] for f in self._duplicates.get(key, ()) if f in self._seen.entries]
            entries = {e.file: e for e in (*self._files_of.get(key, ()), *repeated)}.values()
            others = [e for e in entries if e.emotion != emotion and _may_be_wrong(e)]
            self._quarantine(others, f"label conflict: also found for {emotion}")

    # ------------------------------------------------------------------------------------------------------ deciding

    def _decide(self, candidate: Candidate, seen: Looked) -> list[Record]:
        reason, known = seen.reason, None
        if reason is None and (known := self._known_file(candidate, seen)) is not None:
            reason = _duplicate(known)
        if self._against is not None and reason is None and seen.pixels and seen.look:
            reason = self._against.why_not(seen.pixels, [seen.look])
        if reason is not None:
            return [self._write(candidate, seen, 0, 1, None, REJECTED, reason, same=known)]
        done = self._faces.get(candidate.key, set())
        return [
            self._judge(candidate, seen, face, len(seen.crops)) for face in range(len(seen.crops)) if face not in done
        ]

    def _known_file(self, candidate: Candidate, seen: Looked) -> Entry | None:
        same = [e for e in self._seen.of_file(seen.sha256) if e.key != candidate.key and e.emotion == candidate.emotion]
        return same[0] if same else None

    def _judge(self, candidate: Candidate, seen: Looked, face: int, of: int) -> Record:
        crop = seen.crops[face]
        if not isinstance(crop, Crop):
            box, reason = crop
            return self._write(candidate, seen, face, of, box, REJECTED, reason)
        file = f"{candidate.emotion}/{crop.pixels.hex()}.png"
        alike = [e for e in self._alike(candidate, crop) if e.file != file or file not in self._leftovers]
        alike += [e for e in self._seen.of_file(seen.sha256) if e.key != candidate.key and e not in alike]
        same = next((e for e in alike if e.emotion == candidate.emotion), None)
        refused = self._against.why_not(crop.pixels, crop.looks) if self._against is not None else None
        if refused is None and same is not None:
            refused = _duplicate(same)
        if refused is not None:
            self._set_aside(file)
            return self._write(candidate, seen, face, of, crop, REJECTED, refused, same=same)
        others = [e for e in alike if e.decision != REJECTED]
        also = sorted(self._also.get(candidate.key, set()) - {candidate.emotion})
        if not others and not also:
            return self._write(candidate, seen, face, of, crop, KEPT, None, file)
        self._set_aside(file)
        reason = f"label conflict with {others[0].file}" if others else f"label conflict: also found for {also[0]}"
        record = self._write(candidate, seen, face, of, crop, QUARANTINED, reason, file)
        self._quarantine([e for e in others if _may_be_wrong(e)], f"label conflict with {file}")
        return record

    def _alike(self, candidate: Candidate, crop: Crop) -> list[Entry]:
        """The crops that this one repeats, or that contradict its label.

        The same person with another expression may look alike in a shifted box: what a person has labelled is not put
        in doubt by that, and only within one emotion, where a repeat is no more than that, do the other boxes count.
        """
        strict = self._seen.like(crop.pixels, crop.looks[:1])
        if candidate.source not in _REPEATING:
            return strict
        found = self._seen.like(crop.pixels, crop.looks)
        return [e for e in found if candidate.source == "bing" or e.emotion == candidate.emotion or e in strict]

    def _quarantine(self, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            event = {"event": "quarantine", "file": entry.file, "reason": reason, "time": now()}
            self._manifest.append(event)
            entry.decision = QUARANTINED
            self._kept[entry.emotion] -= 1
            move(self._root, entry.file, QUARANTINED)

    # ------------------------------------------------------------------------------------------------------- writing

    def _write(
        self,
        candidate: Candidate,
        seen: Looked,
        face: int,
        of: int,
        crop: Crop | Box | None,
        decision: str,
        reason: str | None,
        file: str | None = None,
        same: Entry | None = None,
    ) -> Record:
        box = crop.box if isinstance(crop, Crop) else crop
        hashes = crop if isinstance(crop, Crop) else None
        looks = hashes.looks[0] if hashes else seen.look
        pixels = hashes.pixels if hashes else seen.pixels
        record: Record = {
            "key": candidate.key,
            "face": face,
            "of": of,
            "emotion": candidate.emotion,
            "label_source": LABEL_SOURCES[candidate.source],
            "source": candidate.source,
            "query": candidate.query,
            "page_url": candidate.page_url,
            "image_url": candidate.image_url,
            "path": str(candidate.path) if candidate.source == "folder" else None,
            "title": candidate.title,
            "licence": candidate.licence,
            "time": now(),
            "sha256": seen.sha256,
            "pixels": pixels.hex() if pixels else None,
            "perceptual_hash": "".join(f"{part:016x}" for part in looks) if looks else None,
            "width": seen.size[0] if seen.size else None,
            "height": seen.size[1] if seen.size else None,
            "boxes": [[b.x, b.y, b.width, b.height] for b in seen.boxes],
            "box": [box.x, box.y, box.width, box.height] if box else None,
            "detector": self._screen.detector if seen.pixels else None,
            "crop": self._screen.cut if file else None,
            "decision": decision,
            "reason": reason,
            "duplicate_of": same.file if same else None,
            "file": file,
        }
        if file is not None:
            assert isinstance(crop, Crop)
            path = place(self._root, file, decision)
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, crop.png)
        self._manifest.append(record)
        self._remember(record)
        self.unrecorded.discard(file or "")
        self._leftovers.discard(file or "")
        return record

    def _remember(self, record: Record, final: bool = True) -> None:
        key, file = record["key"], record.get("file")
        faces = self._faces.setdefault(key, set())
        faces.add(record.get("face", 0))
        if final and len(faces) >= record.get("of", 1):
            self._finished.add(key)
        elif not final:
            faces.clear()
        if record.get("duplicate_of"):
            self._duplicates.setdefault(key, set()).add(record["duplicate_of"])
        if file:
            entry = Entry(file, record["decision"], record.get("reviewed"), key)
            looks = record.get("perceptual_hash")
            self._seen.add(
                entry,
                record.get("sha256"),
                bytes.fromhex(record["pixels"]) if record.get("pixels") else None,
                (int(looks[:16], 16), int(looks[16:], 16)) if looks else None,
            )
            self._files_of.setdefault(key, []).append(entry)
            self._kept[entry.emotion] += entry.decision == KEPT

    # ------------------------------------------------------------------------------------- files without a record

    def _find_unrecorded(self) -> set[str]:
        """Pictures of the dataset that no record tells of: added by hand, or the last of a process that was killed."""
        found = set()
        for emotion in EMOTIONS:
            for path in sorted((self._root / emotion).glob("[!.]*")):
                file = f"{emotion}/{path.name}"
                if file in self._seen.entries or not path.is_file():
                    continue
                try:
                    image = read(path)
                except UnreadableImageError:
                    continue
                self._seen.add(Entry(file, KEPT), None, hash_pixels(image), perceptual_hash(image))
                found.add(file)
        return found

    def _set_aside(self, file: str) -> None:
        """Take out what a killed process has written of a picture that is not to be kept now; nothing is deleted."""
        if file in self._leftovers:
            target = place(self._root, file, QUARANTINED)
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._root / file).replace(target)
            self.unrecorded.discard(file)
            self._leftovers.discard(file)


def _duplicate(entry: Entry) -> str:
    said = {REJECTED: ", which a person rejected", QUARANTINED: ", which is in quarantine"}.get(entry.decision, "")
    return f"duplicate of {entry.file}{said}"


def _may_be_wrong(entry: Entry) -> bool:
    """Whether a conflict takes a picture out of the dataset: not where it is none of ours, or a person has said yes."""
    return entry.decision == KEPT and bool(entry.key) and entry.reviewed is None


def _may_pass(record: Record) -> bool:
    return record["decision"] == REJECTED and not record.get("sha256") and bool(PASSING.search(record["reason"] or ""))
