"""Making faces unrecognisable."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from emotion.faces.face import Face
from emotion.faces.images import Image


class Blur:
    """Replaces each face, hair and chin included, by a few blurred cells.

    The pixels are averaged over cells first, so that what remains is no more than :data:`CELLS` x :data:`CELLS`
    colours, which no sharpening brings back; the cells are then blended into each other.
    """

    #: Cells along a side, and how far it reaches beyond the box on each side: Haar boxes end at brows and lower lip.
    CELLS, MARGIN = 6, 0.25

    def annotate(self, scene: Image, faces: Sequence[Face]) -> Image:
        height, width = scene.shape[:2]
        for face in faces:
            box = face.box
            dx, dy = round(self.MARGIN * box.width), round(self.MARGIN * box.height)
            left, right = np.clip((box.x - dx, box.x + box.width + dx), 0, width).tolist()
            top, bottom = np.clip((box.y - dy, box.y + box.height + dy), 0, height).tolist()
            if left < right and top < bottom:
                region = scene[top:bottom, left:right]
                cells = min(self.CELLS, right - left), min(self.CELLS, bottom - top)
                averages = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
                region[:] = cv2.resize(averages, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        return scene
