"""Whether the frame after a great change shows the same scene moved: a jolt of the camera, not a cut."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from emotion.faces.images import Image

_Details = np.ndarray[Any, np.dtype[np.float32]]

#: Width that frames are compared at, side of a patch and how far it may have moved, in pixels of it.
_WIDTH, _PATCH, _REACH = 192, 32, 24
#: Contrast of a patch that shows anything, and correlation from which it is found again.
_CONTRAST, _FOUND = 4.0, 0.8
#: Share of the patches that must be found again.
_SHARE = 0.4


def is_moved(before_gray: Image, after_gray: Image) -> bool:
    """Whether enough patches of the frame before are found again nearby, as after a jolt or a fast pan.

    Details are matched by normalised cross-correlation, which a change of the light does not touch.

    Args:
        before_gray, after_gray: uint8 ``[H, W]`` of one shape.
    """
    before, after = _details(before_gray), _details(after_gray)
    found = seen = 0
    for top in range(0, before.shape[0] - _PATCH + 1, _PATCH):
        for left in range(0, _WIDTH - _PATCH + 1, _PATCH):
            patch = before[top : top + _PATCH, left : left + _PATCH]
            if patch.std() < _CONTRAST:
                continue
            seen += 1
            area = after[max(0, top - _REACH) : top + _PATCH + _REACH, max(0, left - _REACH) : left + _PATCH + _REACH]
            found += float(cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED).max()) >= _FOUND
    return seen > 0 and found >= _SHARE * seen


def _details(gray: Image) -> _Details:
    """A frame's details at one size, without its light: float32 ``[H, W]``."""
    height = max(_PATCH + 1, round(_WIDTH * gray.shape[0] / gray.shape[1]))
    small = cv2.resize(gray, (_WIDTH, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), 4)
