"""HTML pages: one file that opens offline, made from a Jinja2 template that escapes every value.

Nothing in a page comes from elsewhere: plots are inline SVG, images are data URIs, and the Content-Security-Policy
forbids the browser to load anything or to run any script but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib import metadata
from pathlib import Path

import cv2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from emotion.base import files, words
from emotion.faces.images import Image, resize

_HERE = Path(__file__).parent


def write(path: Path, template: Path, **values: object) -> None:
    """Render a template that extends ``templates/base.html`` and write the page.

    A style sheet and a script of the template's name are inlined where they exist: ``page.css`` and ``page.js`` beside
    ``page.html``.

    Args:
        path: The file to write; its folder exists.
        template: The template's file.
        values: What it shows; ``title`` is required. Text is escaped, but for :class:`markupsafe.Markup`.

    Raises:
        OSError: The folder cannot be written to.
    """
    own_style, script = (
        file.read_text(encoding="utf-8") if file.is_file() else ""
        for file in (template.with_suffix(".css"), template.with_suffix(".js"))
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    environment = Environment(
        loader=FileSystemLoader([template.parent, _HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": words.counted, "listed": words.listed, "percent": words.percent}
    text = environment.get_template(template.name).render(
        values,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8") + own_style),
        script=Markup(script),
        policy=Markup(policy),
        created=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        version=metadata.version("emotion"),
    )
    # File names may hold bytes that are not text; UTF-8 cannot encode them.
    files.write_bytes(path, text.encode("utf-8", "replace"))


def data_uri(image: Image, largest: int, jpeg_quality: int | None = None) -> str:
    """An image as the address of an ``<img>``.

    Args:
        image: uint8 grey ``[H, W]`` or BGR ``[H, W, 3]``.
        largest: Longer side in pixels; larger images are shrunk to it, as pages hold hundreds.
        jpeg_quality: 0 to 100 for JPEG; None for PNG, which is lossless.
    """
    longer = max(image.shape[:2])
    if longer > largest:
        height, width = (max(1, round(side * largest / longer)) for side in image.shape[:2])
        image = resize(image, height, width, "area")
    kind = "png" if jpeg_quality is None else "jpeg"
    options = [] if jpeg_quality is None else [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    done, data = cv2.imencode(f".{kind}", image, options)
    assert done
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
