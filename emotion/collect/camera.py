"""Labelling by hand in front of a camera: a window in which keys 1 to 7 label what you show."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic

import cv2

from emotion.base.errors import UserError
from emotion.base.interrupts import Stop
from emotion.collect import local_images
from emotion.collect.candidates import Candidate
from emotion.collect.collector import Collector
from emotion.collect.counts import kind
from emotion.data.manifest import KEPT, now
from emotion.faces.images import Box, Image, resize
from emotion.faces.labels import EMOTIONS
from emotion.video import detector, source
from emotion.video.lettering import width, write
from emotion.video.palette import COLOURS, DARK, LIGHT, ink
from emotion.video.window import MESSAGE_SECONDS, SMALLEST, Window
from emotion.video.window_probe import NoWindowError

log = logging.getLogger("emotion.collect")

_KEYS = {str(number): emotion for number, emotion in enumerate(EMOTIONS, start=1)}


class LabelWindow(Window):
    """A window with keys 1 to 7.

    Attributes:
        chosen: The emotions whose keys were pressed since it was cleared.
    """

    def __init__(self, pace: bool, stop: Stop) -> None:
        super().__init__(pace=pace, stopped=stop)
        self.chosen: list[str] = []

    def show_message(self, message: str) -> None:
        """Show a message for a while."""
        self._message, self._message_ends = message, monotonic() + MESSAGE_SECONDS

    def _react(self, key: str, annotated: Image) -> None:
        if key in _KEYS:
            self.chosen.append(_KEYS[key])
        elif key != "s":  # only what is labelled is saved
            super()._react(key, annotated)


def label(place: int | str, collector: Collector, stop: Stop) -> None:
    """Show a camera's frames until q is pressed, and collect those that a key labels.

    Args:
        place: The camera's number, a video or an address.
        collector, stop: Take the labelled frames, and end it.

    Raises:
        UserError: No such camera, or no window can be opened here.
    """
    detect = detector.Detector()
    began = now()
    kept = Counter({emotion: collector.kept(emotion) for emotion in EMOTIONS})
    try:
        with source.opened(place, stopped=stop) as stream, LabelWindow(not stream.live, stop) as window:
            session = f"{stream.name}@{began}"
            print(f"{stream.name}: keys 1 to 7 label what you show, q ends", flush=True)
            for frame in stream.frames:
                boxes = detect(frame.image)
                if not window.write(frame, (), annotated(frame.image, boxes, kept)):
                    break
                for emotion in window.chosen:
                    key = f"{session}#{frame.index}@{now()}"
                    record = collector.take(Candidate(key, emotion, "camera", None, frame.image))[0]
                    kept.update({e: collector.kept(e) - kept[e] for e in EMOTIONS})  # a conflict takes one away
                    message = f"{emotion}: {'kept' if record['decision'] == KEPT else kind(record['reason'])}"
                    window.show_message(message)
                    log.info("%s", message)
                window.chosen.clear()
    except NoWindowError as error:
        raise UserError(
            f"source=camera needs a window, and {error.reason}. Record a video, and give source=video"
        ) from None
    except UserError as error:
        advice = "Give a camera's number (path=0), or record a video, and give source=video path=<the video>"
        raise local_images.of_path(error, advice) from None


def annotated(image: Image, boxes: Sequence[Box], kept: Counter[str]) -> Image:
    """A copy of a frame with boxes around its faces, and each key's emotion and count."""
    scale = max(1.0, SMALLEST / max(image.shape[:2]))
    height, across = (round(side * scale) for side in image.shape[:2])
    view = resize(image, height, across, "area").copy()
    for box in boxes:
        rectangle = [round(v * scale) for v in (box.x, box.y, box.width, box.height)]
        cv2.rectangle(view, rectangle, LIGHT if len(boxes) == 1 else COLOURS["surprised"], max(2, round(across / 400)))
    capital = max(10, round(max(view.shape[:2]) / 85))
    row, pad = round(2.2 * capital), capital
    names = max(width(e, capital, True) for e in EMOTIONS)
    plate = 4 * pad + capital + names + width("0000", capital)
    cv2.rectangle(view, (0, 0), (plate, row * len(EMOTIONS) + pad), DARK, cv2.FILLED)
    for number, (key, emotion) in enumerate(_KEYS.items()):
        baseline = pad + capital + row * number
        colour = COLOURS[emotion]
        cv2.rectangle(view, (pad - 4, baseline - capital - 4), (pad + capital + 4, baseline + 4), colour, cv2.FILLED)
        write(view, key, (pad + 2, baseline), capital, ink(colour), colour, bold=True)
        write(view, emotion, (3 * pad, baseline), capital, LIGHT, DARK, bold=True)
        write(view, f"{kept[emotion]:,}", (4 * pad + names, baseline), capital, LIGHT, DARK)
    return view
