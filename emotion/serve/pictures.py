"""``POST /v1/pictures``: pictures in, the faces of each out."""

from __future__ import annotations

import time
from typing import IO, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emotion.serve import uploads
from emotion.serve.errors import RefusedError
from emotion.serve.service import Service
from emotion.serve.uploads import MEGABYTE


async def post(request: Request) -> Response:
    """Several pictures as multipart ``pictures``, or one as the body itself."""
    service: Service = request.app.state.service
    service.admit(request)
    values = uploads.options(request, ("faces", "min_confidence"))
    faces = values.get("faces", "search")
    if faces not in ("search", "whole"):
        raise RefusedError(422, f"faces is '{faces[:40]}', must be search or whole", "faces")
    least = uploads.number(values, "min_confidence", service.settings.min_confidence, 0, 1)
    began, limits = time.perf_counter(), service.limits
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        most = int(limits.body_mib * MEGABYTE)
        async with uploads.files(request, "pictures", most, limits.pictures) as files:
            answers = [await _one_of_several(service, *file, faces, least) for file in files]
    elif kind in uploads.KINDS:
        data = await uploads.body(request, int(limits.picture_mib * MEGABYTE))
        answers = [await service.work(_label, service, None, data, faces, least)]
    else:
        kinds = ", ".join(("multipart/form-data", *uploads.KINDS))
        raise RefusedError(415, f"Content-Type is '{kind[:60]}', must be one of {kinds}", "Content-Type")
    for answer in answers:
        if answer["error"] is None:
            service.metrics.worked("pictures", answer.pop("seconds"), [face["label"] for face in answer["faces"]])
    taken = round(time.perf_counter() - began, 6)
    return JSONResponse({"run": service.model.id, "pictures": answers, "seconds": taken})


async def _one_of_several(service: Service, name: str, file: IO[bytes], faces: str, least: float) -> dict[str, Any]:
    """The answer for a file; one that cannot be read does not lose the others."""
    try:
        return await service.work(_label, service, name, file, faces, least)
    except RefusedError as refused:
        if refused.status == 429:
            raise
        service.metrics.add("emotion_refused_total", code=refused.body["error"]["code"])
        return {"name": name, "width": 0, "height": 0, "faces": [], **refused.body}


def _label(service: Service, name: str | None, data: bytes | IO[bytes], faces: Any, least: float) -> dict[str, Any]:
    began = time.perf_counter()
    if not isinstance(data, bytes):
        most = int(service.limits.picture_mib * MEGABYTE)
        data = data.read(most + 1)
    image = uploads.decoded(data, service.limits)
    model = service.model
    picture = model.predict(image, faces=faces, min_confidence=least, detector=service.detector)[0]
    return {
        "name": name,
        "width": picture.width,
        "height": picture.height,
        "faces": [face.record(model.labels) for face in picture],
        "error": None,
        "seconds": time.perf_counter() - began,
    }
