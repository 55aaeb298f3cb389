"""The routes of the server."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from emotion.serve import broadcast as broadcasts
from emotion.serve import errors, inference_v2, pictures, server, videos, visitor
from emotion.serve.broadcast import Broadcast
from emotion.serve.guard import Access, Guard
from emotion.serve.service import Service
from emotion.video.palette import colour

_HERE = Path(__file__).parent
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "json": "application/json"}


def create(service: Service, access: Access, broadcast: Broadcast | None = None) -> ASGIApp:
    """The application of a process, guarded: for visitors with cameras of their own, or for viewers of a broadcast."""
    routes: list[Any] = [
        Route("/", _file("page.html")),
        Route("/page.css", _file("page.css")),
        Route("/page.js", _file("page.js")),
        Route("/openapi.json", _file("openapi.json")),
        Route("/healthz", _healthy),
        Route("/metrics", _metrics),
        Route("/v1/model", _model),
    ]
    routes += _VIEWERS if broadcast else _VISITORS
    handlers: Any = {errors.RefusedError: errors.on_refusal, HTTPException: errors.on_http}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.service, app.state.broadcast = service, broadcast
    return Guard(app, access, service.metrics)


_VIEWERS = [WebSocketRoute("/v1/watch", broadcasts.watch), Route("/stream.mjpg", broadcasts.stream)]
_VISITORS = [
    Route("/v1/pictures", pictures.post, methods=["POST"]),
    Route("/v1/videos", videos.post, methods=["POST"]),
    WebSocketRoute("/v1/live", visitor.visit),
    Route("/v2", inference_v2.server),
    Route("/v2/health/live", inference_v2.ready),
    Route("/v2/health/ready", inference_v2.ready),
    Route("/v2/models/{name:path}/infer", inference_v2.infer, methods=["POST"]),
    Route("/v2/models/{name:path}/ready", inference_v2.ready),
    Route("/v2/models/{name:path}", inference_v2.describe),
]


def _file(name: str) -> Any:
    async def get(request: Request) -> Response:
        return Response(_content(name), media_type=_KINDS[name.rpartition(".")[2]])

    return get


@cache
def _content(name: str) -> bytes:
    return (_HERE / name).read_bytes()


async def _healthy(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _metrics(request: Request) -> Response:
    service: Service = request.app.state.service
    return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _model(request: Request) -> Response:
    """What the model is, and what the page needs to know."""
    service: Service = request.app.state.service
    model, settings, broadcast = service.model, service.settings, request.app.state.broadcast
    return JSONResponse(
        {
            "run": model.id,
            "engine": model.classifier.engine,
            "labels": list(model.labels),
            "colours": {label: _hexadecimal(label) for label in (*model.labels, "uncertain")},
            "contract": json.loads(json.dumps(asdict(model.contract))),
            "camera": broadcast and broadcast.name,
            "priors": list(service.priors),
            "settings": {"smoothing": settings.smoothing, "min_confidence": settings.min_confidence},
            "limits": {**asdict(service.limits), "message_mib": server.MESSAGE / 2**20},
        }
    )


def _hexadecimal(label: str) -> str:
    blue, green, red = colour(label)
    return f"#{red:02x}{green:02x}{blue:02x}"
