"""A thin layer of the Open Inference Protocol (KServe V2): prepared images in, probabilities out.

Names equal those of the LiteRT signature: ``image``, uint8 ``[N, H, W, C]``, and ``probabilities``, float32
``[N, labels]``. Faces are not searched here; ``POST /v1/pictures`` does that.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emotion.serve import uploads
from emotion.serve.errors import RefusedError
from emotion.serve.service import Service
from emotion.serve.uploads import MEGABYTE

#: Images of one request.
MOST = 256


async def server(request: Request) -> Response:
    return JSONResponse({"name": "emotion", "version": metadata.version("emotion"), "extensions": []})


async def ready(request: Request) -> Response:
    _named(request)
    return JSONResponse({"ready": True})


async def describe(request: Request) -> Response:
    """Metadata of the model."""
    service = _named(request)
    height, width, channels = service.model.contract.shape
    return JSONResponse(
        {
            "name": service.model.id,
            "versions": [],
            "platform": f"emotion_{service.model.classifier.engine}",
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, height, width, channels]}],
            "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(service.model.labels)]}],
        }
    )


async def infer(request: Request) -> Response:
    """Classify a batch."""
    service = _named(request)
    service.admit(request)
    data = await uploads.body(request, int(service.limits.body_mib * MEGABYTE))
    return JSONResponse(await service.work(_infer, service, data))


def _named(request: Request) -> Service:
    service: Service = request.app.state.service
    if request.path_params.get("name", service.model.id) != service.model.id:
        raise RefusedError(404, f"there is one model here: {service.model.id}", "name")
    return service


def _infer(service: Service, data: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(data)
    except (ValueError, RecursionError):
        asked = None
    inputs = asked.get("inputs") if isinstance(asked, dict) else None
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RefusedError(422, "the body must be JSON with one input", "inputs")
    image, shape = inputs[0], service.model.contract.shape
    if image.get("name") != "image" or image.get("datatype") != "UINT8":
        raise RefusedError(422, "the input must be called image, with the datatype UINT8", "inputs")
    number = image["shape"][0] if isinstance(image.get("shape"), list) and image["shape"] else 0
    if not isinstance(number, int) or not 1 <= number <= MOST or image["shape"] != [number, *shape]:
        words = f"shape must be [N, {', '.join(map(str, shape))}] with N from 1 to {MOST}"
        raise RefusedError(422, words, "inputs.shape")
    try:
        values = np.array(image.get("data"))
        if values.dtype.kind not in "iu" or values.size != number * int(np.prod(shape)):
            raise ValueError
        if values.min() < 0 or values.max() > 255:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        words = "data must be as many integers from 0 to 255 as the shape says"
        raise RefusedError(422, words, "inputs.data") from None
    answers = service.model.classifier.probabilities(values.astype(np.uint8).reshape(number, *shape))
    output = {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": list(answers.shape),
        "data": [float(value) for value in answers.ravel()],
    }
    named = {"id": asked["id"]} if isinstance(asked.get("id"), str) else {}
    return {"model_name": service.model.id, **named, "outputs": [output]}
