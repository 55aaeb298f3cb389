"""Finding faces in video as OpenCV's whole-frame search does, at a fraction of its cost.

- A frame that has little to do with the one before (the first, a cut) is searched whole, by OpenCV's own search.
- In any other frame a sparse search looks at every fourth window of some of the scales; the scales take turns. Its hits
  are candidates, and so is each face of the last frames, for ``hold`` frames after it was lost.
- Round a candidate the same windows are looked at as in the whole-frame search, on the same grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion.base.errors import UserError
from emotion.config import commands
from emotion.config.checks import validate
from emotion.faces import images
from emotion.faces.images import Box, Image, overlap
from emotion.video import cuts
from emotion.video.windows import (
    EVERY_FOURTH,
    FINE_FROM,
    THE_OTHERS,
    WINDOW,
    Hit,
    Pyramid,
    Scale,
    grouped,
    is_inside,
    scales_of,
    search,
)

#: How far round a candidate, and among which sizes, windows are looked at; relative to its size. The figures behind
#: this and the next values are in docs/decisions/detector.md.
REACH, SMALLER, LARGER = 0.3, 0.75, 1.35
#: Mean change, in grey levels of a thumbnail, from which a frame is searched whole; and from which, with the change of
#: the light taken out and unless the scene has only moved, it counts as a cut: the faces before it are others.
CHANGE, CUT = 20.0, 18.0
#: Shorter side of a frame from which all scales are searched within 3 frames, else 7.
LARGE = 540
_THUMBNAIL = (64, 36)
#: Who sits before a camera is near: smallest face as a fraction of the shorter side, and longest side that is searched.
VIDEO_MIN_SIZE, VIDEO_WORKING_SIZE = 0.1, 1280
#: In a photo people stand behind others: smallest face in its pixels, and longest side. Under 24 the cascade sees none.
STILL_PIXELS, STILL_WORKING_SIZE = 30, 4096
#: A face that was found so few frames ago is looked for among all windows, even where the sparse search finds none.
PATIENT = 2
#: A face of so many neighbours leaves nothing to look for inside it.
STRONG = 20
#: Overlap (intersection over union) from which two boxes are of one face, and from which a face that was found leaves
#: nothing to look for at a candidate.
SAME, SETTLED = 0.3, 0.5


@dataclass(frozen=True)
class Scan:
    """The result of searching a whole frame, for :meth:`Detector.find`."""

    pyramid: Pyramid  # the grey frame at the working size
    scale: float  # pixels of the frame per pixel of the working size
    is_cut: bool  # the frame has little to do with the one before; the first frame is a cut
    whole: list[Box] | None  # the faces, where the frame was searched whole; None where it was searched sparsely
    hits: list[Hit] = field(default_factory=list)  # the sparse search's windows, at the working size


@dataclass(frozen=True)
class _Known:
    """A face of the last frames, at the working size, and for how many frames it has been missing."""

    box: Box
    missing: int = 0


class Detector:
    """Finds the faces of a video's frames, one frame after the other.

    ``detector(image)`` is :meth:`find` of :meth:`scan`. The two keep their own state, so that one thread may scan the
    next frame while another finds the faces of this one, as long as each sees the frames in their order.

    Args:
        settings: How they are searched for.
        still: The frames are images that stand alone, which are searched for smaller faces by default.
    """

    def __init__(self, settings: commands.Detector | None = None, still: bool = False) -> None:
        self.settings, self._still = settings or commands.Detector(), still
        try:
            validate(OmegaConf.create({"detector": self.settings}))
        except OmegaConfBaseException as error:  # a value of another type
            raise UserError(f"detector: {str(error).splitlines()[0]}") from None
        # A cascade stores its image, so that two threads cannot share one.
        self._scanning, self._finding = images.load_cascade(), images.load_cascade()
        self._thumbnail: Image | None = None
        self._gray: Image | None = None
        self._shape: tuple[int, ...] = ()
        self._turn = 0
        self._known: list[_Known] = []

    def __call__(self, image: Image) -> list[Box]:
        """The faces of a frame, uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``: boxes in its pixels, largest first."""
        return self.find(self.scan(image))

    def reset(self) -> None:
        """Forget the frames before: the next frame is searched whole."""
        self._thumbnail = None

    def scan(self, image: Image) -> Scan:
        """Search a whole frame: sparsely, or as OpenCV does after a cut."""
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        exact = self.settings.mode == "exact"
        longest = self.settings.working_size or (STILL_WORKING_SIZE if self._still else VIDEO_WORKING_SIZE)
        scale = 1.0 if exact else max(1.0, max(gray.shape) / longest)
        if scale > 1:
            size = max(1, round(gray.shape[1] / scale)), max(1, round(gray.shape[0] / scale))
            gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        pyramid = Pyramid(gray)  # type: ignore[arg-type]
        has_changed, is_cut = self._compared(pyramid.gray)
        if has_changed or exact:
            faces = images.detect(
                self._scanning,
                pyramid.gray,
                scale_factor=self.settings.scale_factor,
                min_neighbors=self.settings.min_neighbors,
                min_size=self._smallest(pyramid.gray, scale) / min(gray.shape),
            )
            return Scan(pyramid, scale, is_cut, faces)
        height, width = gray.shape
        scales = self._next_scales(pyramid.gray)
        hits = search(self._scanning, pyramid, scales, (0, 0, width, height), EVERY_FOURTH)
        return Scan(pyramid, scale, False, None, hits)

    def find(self, scan: Scan) -> list[Box]:
        """The faces of a scanned frame, in the frame's pixels, largest first."""
        if scan.whole is None:
            boxes = self._near_candidates(scan)
        else:
            boxes = scan.whole
            self._known = [_Known(box) for box in boxes]
        if scan.scale != 1:
            boxes = [Box(*(round(v * scan.scale) for v in (b.x, b.y, b.width, b.height))) for b in boxes]
        return sorted(boxes, key=lambda b: (-b.width * b.height, b.x, b.y))

    def _compared(self, gray: Image) -> tuple[bool, bool]:
        """Whether a frame differs so much from the one before that it is searched whole; and whether it is a cut."""
        before, shape, last = self._thumbnail, self._shape, self._gray
        self._gray = gray
        self._thumbnail = cv2.resize(gray, _THUMBNAIL, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        self._shape = gray.shape
        if before is None or shape != gray.shape:
            return True, True
        change = self._thumbnail.astype(np.float32) - before  # type: ignore[union-attr]
        if float(np.abs(change).mean()) <= CHANGE:
            return False, False
        is_other = float(np.abs(change - np.median(change)).mean()) > CUT
        return True, is_other and not (last is not None and cuts.is_moved(last, gray))

    def _smallest(self, gray: Image, scale: float = 1.0) -> int:
        """The side in pixels of the smallest face in a frame at the working size, ``scale`` times smaller."""
        usual = images.smallest_side(gray, self.settings.min_size or VIDEO_MIN_SIZE)
        if self.settings.min_size is not None or not self._still:
            return usual
        return min(usual, max(WINDOW, round(STILL_PIXELS / scale)))

    def _scales(self, gray: Image, smallest: float = 0, largest: float = float("inf")) -> list[Scale]:
        smallest = max(smallest, self._smallest(gray))
        return scales_of(gray, self.settings.scale_factor, smallest, largest)

    def _next_scales(self, gray: Image) -> list[Scale]:
        """The scales whose turn it is.

        Where OpenCV's grid is coarse, every fourth window of the grid is every window that OpenCV looks at. Such a
        scale has its turn a fourth as often, so that all scales get the same share of windows over time.
        """
        self._turn += 1
        spread = self.settings.spread or (3 if min(gray.shape) >= LARGE else 7)
        turns = [(s, spread * (1 if s.factor >= FINE_FROM else 4)) for s in self._scales(gray)]
        return [scale for i, (scale, every) in enumerate(turns) if i % every == self._turn % every]

    def _near_candidates(self, scan: Scan) -> list[Box]:
        candidates = list(self._known)
        for hit in sorted(scan.hits, key=lambda h: -h[2]):
            box = Box(*hit)
            if not any(overlap(box, other.box) > SAME for other in candidates):
                candidates.append(_Known(box, self.settings.hold))  # if there is none, it is forgotten at once
        groups: list[tuple[Box, int]] = []
        missing: list[_Known] = []
        for candidate in candidates:
            if any(_is_settled(candidate, box, neighbors) for box, neighbors in groups):
                continue
            faces = self._near(scan.pyramid, candidate)
            groups += faces
            if not faces and candidate.missing < self.settings.hold:
                missing.append(_Known(candidate.box, candidate.missing + 1))
        boxes = _without_doubles(groups)
        self._known = [_Known(box) for box in boxes]
        self._known += [known for known in missing if not any(overlap(known.box, box) > SAME for box in boxes)]
        return boxes

    def _near(self, pyramid: Pyramid, candidate: _Known) -> list[tuple[Box, int]]:
        """The faces that the whole-frame search finds at a candidate, with their numbers of neighbours."""
        box, least = candidate.box, self.settings.min_neighbors
        reach = REACH * box.width
        area = box.x - reach, box.y - reach, box.x + box.width + reach, box.y + box.height + reach
        scales = self._scales(pyramid.gray, SMALLER * box.width, LARGER * box.width)
        hits = search(self._finding, pyramid, scales, area, EVERY_FOURTH)
        clear = grouped(hits, 2 * least)
        if clear:  # more windows could only add neighbours
            return [(face, 4 * n if face.width >= FINE_FROM * WINDOW else n) for face, n in clear]
        if not hits and candidate.missing > PATIENT:  # more windows would most likely find nothing
            return []
        fine = [scale for scale in scales if scale.factor >= FINE_FROM]
        hits += search(self._finding, pyramid, fine, area, THE_OTHERS)
        return grouped(hits, least)


def _is_settled(candidate: _Known, box: Box, neighbors: int) -> bool:
    """Whether a detected face leaves nothing to look for at a candidate."""
    return overlap(candidate.box, box) > SETTLED or (neighbors > STRONG and is_inside(candidate.box, box))


def _without_doubles(groups: Sequence[tuple[Box, int]]) -> list[Box]:
    """Drop what two candidates have both led to, and, as OpenCV does, a weaker group inside a stronger one."""
    distinct: list[tuple[Box, int]] = []
    for box, neighbors in sorted(groups, key=lambda group: -group[1]):
        if not any(overlap(box, other) > SAME or (n > neighbors and is_inside(box, other)) for other, n in distinct):
            distinct.append((box, neighbors))
    return [box for box, _ in distinct]
