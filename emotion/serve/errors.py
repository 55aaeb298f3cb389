"""What a client is told of a fault: one shape for all, without tracebacks and without paths of the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

#: Codes by HTTP status, where no other is given.
CODES = {
    400: "damaged",
    401: "token",
    403: "forbidden",
    404: "not_found",
    405: "method",
    408: "too_slow",
    413: "too_large",
    415: "type",
    422: "value",
    429: "busy",
    503: "stopping",
    507: "disk_full",
}
_WORDS = {404: "there is nothing at this address; GET /openapi.json lists what there is"}


@dataclass
class RefusedError(Exception):
    """A request, or a part of it, that is not answered as it was asked.

    Attributes:
        status: HTTP's.
        message: A sentence for people.
        field: The part of the request that is wrong, if there is one.
        headers: Of the answer.
    """

    status: int
    message: str
    field: str | None = None
    headers: dict[str, str] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {"code", "message", "field"}}``."""
        return {"error": {"code": CODES.get(self.status, "fault"), "message": self.message, "field": self.field}}

    def response(self) -> JSONResponse:
        # What was not read of the request would be taken for the next one.
        return JSONResponse(self.body, self.status, {"Connection": "close", **(self.headers or {})})


async def on_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return error.response()


async def on_http(request: Request, error: Exception) -> JSONResponse:
    """Starlette's own errors, such as an unknown address, in our shape."""
    assert isinstance(error, HTTPException)
    message = _WORDS.get(error.status_code, f"{request.method} is not possible here: {error.detail}")
    return RefusedError(error.status_code, message, None, dict(error.headers or {})).response()
