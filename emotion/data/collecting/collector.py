"""Deciding about candidates one after the other: what is kept, why not, and in which order that reaches the disk.

The crop is written first, then its record, and only then may its source be thrown away: a process that is killed in
between does the same work again, and finds its own file.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from emotion import files
from emotion.data.collecting.candidates import Candidate
from emotion.data.collecting.held_out import HeldOut
from emotion.data.collecting.screening import Crop, Looked, Screen, look
from emotion.data.collecting.seen import Entry, Seen
from emotion.data.fingerprint import hash_pixels
from emotion.data.manifest import KEPT, QUARANTINE, QUARANTINED, REJECTED, Manifest, Record
from emotion.data.similar import perceptual_hash
from emotion.errors import UserError
from emotion.faces import Box, UnreadableImageError, read
from emotion.labels import EMOTIONS

_OURS = re.compile(r"[0-9a-f]{32}\.png")
#: Who says what a picture shows.
LABEL_SOURCES = {"bing": "query", "folder": "folder", "video": "person", "camera": "person"}
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
        self._also: dict[str, str] = {}  # candidates in the making that were found for another emotion too
        reconcile(root, manifest)
        for record in manifest.records():
            self._remember(record, final=not _may_pass(record))
        self.unrecorded = self._find_unrecorded()

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
        # The same person with another expression may look alike in a shifted box: what a person has labelled is not put
        # in doubt by that.
        seen = look(candidate, self._screen, thorough=candidate.source == "bing" or self._against is not None)
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
            if key not in self._finished:
                self._also[key] = emotion
            others = [e for e in self._files_of.get(key, ()) if e.emotion != emotion and _may_be_wrong(e)]
            self._quarantine(others, f"label conflict: also found for {emotion}")

    # ------------------------------------------------------------------------------------------------------ deciding

    def _decide(self, candidate: Candidate, seen: Looked) -> list[Record]:
        reason = seen.reason or self._known_file(candidate, seen)
        if self._against is not None and reason is None and seen.pixels and seen.look:
            reason = self._against.why_not(seen.pixels, [seen.look])
        if reason is not None:
            return [self._write(candidate, seen, 0, 1, None, REJECTED, reason)]
        done = self._faces.get(candidate.key, set())
        return [
            self._judge(candidate, seen, face, len(seen.crops)) for face in range(len(seen.crops)) if face not in done
        ]

    def _known_file(self, candidate: Candidate, seen: Looked) -> str | None:
        same = [e for e in self._seen.of_file(seen.sha256) if e.key != candidate.key and e.emotion == candidate.emotion]
        return _duplicate(same[0]) if same else None

    def _judge(self, candidate: Candidate, seen: Looked, face: int, of: int) -> Record:
        crop = seen.crops[face]
        if not isinstance(crop, Crop):
            box, reason = crop
            return self._write(candidate, seen, face, of, box, REJECTED, reason)
        file = f"{candidate.emotion}/{crop.pixels.hex()}.png"
        looks = crop.looks if candidate.source == "bing" else crop.looks[:1]
        alike = [e for e in self._seen.like(crop.pixels, looks) if not (e.file == file and file in self.unrecorded)]
        alike += [e for e in self._seen.of_file(seen.sha256) if e.key != candidate.key and e not in alike]
        refused = self._against.why_not(crop.pixels, crop.looks) if self._against is not None else None
        same = next((e for e in alike if e.emotion == candidate.emotion), None)
        if refused is None and same is not None:
            refused = _duplicate(same)
        if refused is not None:
            self._forget_unrecorded(file)
            return self._write(candidate, seen, face, of, crop, REJECTED, refused)
        others = [e for e in alike if e.decision != REJECTED]
        also = self._also.get(candidate.key, candidate.emotion)
        if not others and also == candidate.emotion:
            return self._write(candidate, seen, face, of, crop, KEPT, None, file)
        self._forget_unrecorded(file)
        reason = f"label conflict with {others[0].file}" if others else f"label conflict: also found for {also}"
        record = self._write(candidate, seen, face, of, crop, QUARANTINED, reason, file)
        self._quarantine([e for e in others if _may_be_wrong(e)], f"label conflict with {file}")
        return record

    def _quarantine(self, entries: list[Entry], reason: str) -> None:
        for entry in entries:
            event = {"event": "quarantine", "file": entry.file, "reason": reason, "time": _now()}
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
            "time": _now(),
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
        return record

    def _remember(self, record: Record, final: bool = True) -> None:
        key, file = record["key"], record.get("file")
        faces = self._faces.setdefault(key, set())
        faces.add(record.get("face", 0))
        if final and len(faces) >= record.get("of", 1):
            self._finished.add(key)
        elif not final:
            faces.clear()
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

    def _forget_unrecorded(self, file: str) -> None:
        """Take away what a killed process has written of a picture that is not to be kept now."""
        if file in self.unrecorded and _OURS.fullmatch(Path(file).name):
            (self._root / file).unlink(missing_ok=True)
            self.unrecorded.discard(file)


# ----------------------------------------------------------------------------------------------- where files are


def place(root: Path, file: str, decision: str) -> Path:
    """Where a crop lies, by what was decided about it."""
    return root / file if decision == KEPT else root / QUARANTINE / file


def move(root: Path, file: str, decision: str) -> bool:
    """Put a crop where its decision has it; False: it is in neither place."""
    target = place(root, file, decision)
    source = place(root, file, REJECTED if decision == KEPT else KEPT)
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)  # noqa: PTH105
    return target.exists()


def reconcile(root: Path, manifest: Manifest) -> int:
    """Bring the folder in line with the manifest after a kill; return how many kept pictures somebody has removed.

    Removed pictures count as rejected by a person, and are not collected again.
    """
    for folder in (root, *(base / e for base in (root, root / QUARANTINE) for e in EMOTIONS)):
        for unfinished in folder.glob(".new-*"):
            unfinished.unlink(missing_ok=True)
    removed = [
        record["file"]
        for record in manifest.records()
        if record.get("file") and not move(root, record["file"], record["decision"]) and record["decision"] == KEPT
    ]
    reason = "removed by hand"
    events = [{"event": "review", "file": f, "decision": REJECTED, "reason": reason, "time": _now()} for f in removed]
    if events:
        manifest.append(*events)
    return len(removed)


def _duplicate(entry: Entry) -> str:
    said = {REJECTED: ", which a person rejected", QUARANTINED: ", which is in quarantine"}.get(entry.decision, "")
    return f"duplicate of {entry.file}{said}"


def _may_be_wrong(entry: Entry) -> bool:
    """Whether a conflict takes a picture out of the dataset: not where it is none of ours, or a person has said yes."""
    return entry.decision == KEPT and bool(entry.key) and entry.reviewed is None


def _may_pass(record: Record) -> bool:
    return record["decision"] == REJECTED and not record.get("sha256") and bool(PASSING.search(record["reason"] or ""))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
