"""The pictures of the audit's page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2

from emotion.audit.finding import Group
from emotion.audit.pictures import Pictures
from emotion.faces.images import Image, UnreadableImageError, resize

_LARGEST = 128  # pixels: larger pictures are shrunk, or the page would grow by megabytes
_SMALL = 64  # up to here pixels are shown as they are, in PNG
_JPEG_QUALITY = 85
_IN_A_GROUP = 6
_LONGEST_NAME = 36


def groups(pictures: Pictures, some: Sequence[Group]) -> tuple[str, int]:
    """Groups of pictures side by side as HTML, and how many pictures that are."""
    cards, count = [], 0
    for group in some:
        figures = [_figure(pictures, i) for i in group.pictures[:_IN_A_GROUP]]
        count += len(figures)
        more = len(group.pictures) - _IN_A_GROUP
        said = [*([group.caption] if group.caption else []), *([f"and {more} more"] if more > 0 else [])]
        text = f"<p>{escape('; '.join(said))}</p>" if said else ""
        cards.append(f'<li><div class="row">{"".join(figures)}</div>{text}</li>')
    return (f'<ul class="groups">{"".join(cards)}</ul>' if cards else ""), count


def _figure(pictures: Pictures, i: int) -> str:
    label, split, name = pictures.label_of(i), pictures.split_of(i), pictures.name_of(i)
    short = name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME:]}"
    caption = f'<figcaption><b>{escape(label)}</b>{split}<br><span title="{escape(name)}">{escape(short)}</span>'
    return f"<figure>{_image(pictures, i, label)}{caption}</figcaption></figure>"


def _image(pictures: Pictures, i: int, label: str) -> str:
    try:
        image = pictures.image(i)
    except UnreadableImageError as error:
        return f"<p>cannot be read: {escape(str(error))}</p>"
    smooth = ' class="smooth"' if max(image.shape[:2]) > _SMALL else ""
    return f'<img{smooth} alt="Picture labelled {escape(label)}" src="{_encoded(image)}">'


def _encoded(image: Image) -> str:
    longer = max(image.shape[:2])
    if longer > _LARGEST:
        height, width = (max(1, round(side * _LARGEST / longer)) for side in image.shape[:2])
        image = resize(image, height, width, "area")
    kind = "png" if longer <= _SMALL else "jpeg"
    done, data = cv2.imencode(f".{kind}", image, [] if kind == "png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
