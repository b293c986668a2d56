"""Every failure as JSON: `{"code": status, "reason": word, "message": text}`, whatever went wrong and wherever.

The raw layers around the application use `send_problem`, the routes just raise.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import Receive, Scope, Send

from conditions import errors, wire
from conditions.errors import ConditionsError

RETRY_AFTER_S: Final = 2  # a database restarts in a few seconds
LOG: Final = logging.getLogger("conditions.server")

# The nearest class that is named here decides; a test holds that every error has an answer.
STATUS_OF: Final[Mapping[type[ConditionsError], int]] = MappingProxyType(
    {
        errors.BadInputError: 400,
        errors.NotFoundError: 404,
        errors.RefusedError: 409,
        errors.PayloadFileError: 500,
        errors.PayloadLost: 410,
        errors.PayloadUnreadable: 422,
        errors.RightsError: 403,
        errors.TokenRefused: 401,
        errors.CacheError: 500,
        errors.StoreError: 500,
        errors.StoreFull: 507,
        errors.StoreBusy: 503,
        errors.StoreUnavailable: 503,
        errors.FilesNotOurs: 500,
        errors.SchemaMismatch: 503,
        errors.NoProvider: 502,
        errors.ServerUnreachable: 502,
        errors.BadAnswer: 502,
    }
)
# What a client is told where the full message names the server's own files and hosts; the log has all of it.
_SAID: Final[Mapping[type[ConditionsError], str]] = MappingProxyType(
    {
        errors.StoreFull: "no space left where the server keeps its data; nothing was kept",
        errors.StoreBusy: "the server is busy; nothing was changed, try again",
        errors.StoreUnavailable: "the database or the payload files cannot be reached at the moment; try again",
        errors.StoreError: "the store of this server cannot serve; its log says why",
    }
)
_REASONS: Final = MappingProxyType({404: "NotFound", 405: "MethodNotAllowed", 413: "PayloadTooLarge"})


class RequestRefused(ConditionsError):
    """A request that is refused before the store is asked: too large, too slow, not HTTP, no such place."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.headers = status, dict(headers or {})
        super().__init__(message)

    @property
    def reason(self) -> str:
        """The status in one word."""
        return _REASONS.get(self.status) or HTTPStatus(self.status).phrase.replace(" ", "").replace("-", "")


def status_of(error: ConditionsError) -> int:
    """The status that says what kind of failure this was."""
    if isinstance(error, RequestRefused):
        return error.status
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def problem(error: ConditionsError, *, details: bool = False) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, JSON and headers of an error; `details` adds its attributes, from which a client makes it again."""
    status, error = status_of(error), _without_paths(error)
    said = next((_SAID[kind] for kind in type(error).__mro__ if kind in _SAID), None)
    if said is not None:
        body: dict[str, Any] = {"code": status, "reason": type(error).__name__, "message": said}
        if details:  # a client of ours makes the error again, without the words that name our places
            body["details"] = {name: _unless_text(value) for name, value in vars(error).items()}
    else:
        body = wire.error_json(error, status)
        body["reason"] = error.reason if isinstance(error, RequestRefused) else body["reason"]
        if isinstance(error, RequestRefused) or not details:
            del body["details"]
    return status, body, _headers(error, status)


def problem_response(error: ConditionsError, *, details: bool = False) -> Response:
    """The answer that says an error."""
    status, body, headers = problem(error, details=details)
    return Response(json_bytes(body), status, headers, media_type="application/json")


def json_bytes(value: Any) -> bytes:
    """A value as JSON; also what our writer refuses (larger numbers, half characters), which a database may hold."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=datetime.isoformat).encode()


async def send_problem(scope: Scope, receive: Receive, send: Send, error: ConditionsError) -> None:
    """Answer a request with an error, from outside the application."""
    await problem_response(error, details=_wants_details(scope))(scope, receive, send)


def install(app: Any) -> None:
    """Give a Starlette or FastAPI application our answers to everything that can go wrong in it."""
    app.add_exception_handler(ConditionsError, _said)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def unforeseen(error: BaseException) -> RequestRefused:
    """Our word for an error that nobody foresaw; its trace goes to the log."""
    LOG.error("unforeseen error", exc_info=error)
    return RequestRefused(500, "the server made a mistake; its log says which")


async def _said(request: Request, error: Exception) -> Response:
    """An error of ours; the log gets those that are the server's own trouble."""
    if not isinstance(error, ConditionsError):
        raise AssertionError("this handler is for our errors only") from error
    if status_of(error) >= 500:
        LOG.warning("%s %s: %s", request.method, request.scope["path"], error)
    return problem_response(error, details=_wants_details(request.scope))


async def _http(request: Request, error: Exception) -> Response:
    """An unknown place or method, and whatever a framework says in its own words."""
    status = getattr(error, "status_code", 500)
    headers = dict(getattr(error, "headers", None) or {})
    if status == 404:
        text = f"no such place: {request.method} {request.scope['path']}"
    elif status == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request.app.routes, {**request.scope, "root_path": ""})))
        text = f"{request.method} is not possible here; {headers['Allow']} is"
    else:
        text = str(getattr(error, "detail", "") or HTTPStatus(status).phrase)
    return problem_response(RequestRefused(status, text, headers))


def _methods(routes: Iterable[BaseRoute], scope: Scope) -> set[str]:
    """What a path takes, of all routes that it fits."""
    found: set[str] = set()
    for route in routes:
        match, inner = route.matches(scope)
        if match is Match.NONE:
            continue
        if isinstance(route, Mount):
            found |= _methods(route.routes, {**scope, **inner})
        elif isinstance(route, Route):
            found |= route.methods or set()
    return found


async def _unforeseen(_request: Request, error: Exception) -> Response:
    return problem_response(unforeseen(error))


def _unless_text(value: object) -> int | float | str | None:
    """A number as it is, and nothing of all that could name a place."""
    return value if value is None or isinstance(value, int | float) else ""


def _without_paths(error: ConditionsError) -> ConditionsError:
    """The same error about "the server's file": where that lies is nobody's business."""
    match error:
        case errors.PayloadLost():
            return errors.PayloadLost(error.name, error.revision, "the server's file")
        case errors.PayloadCorrupt():
            return errors.PayloadCorrupt(error.name, error.revision, "the server's file", error.reason)
        case _:
            return error


def _wants_details(scope: Scope) -> bool:
    """Whether the answer goes to a client of ours; the older ones get the three words they know."""
    return str(scope.get("path", "")).startswith("/v1/")


def _headers(error: ConditionsError, status: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="conditions"'
    if isinstance(error, RequestRefused):
        headers |= error.headers
    return headers
