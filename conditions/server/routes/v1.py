"""`/v1`: the interface of our own, as one application with its OpenAPI document at `/v1/openapi.json`."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conditions.errors import BadInputError
from conditions.server import problems
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.routes import v1_audit, v1_batch, v1_files, v1_iovs, v1_payloads, v1_plans, v1_resolve, v1_tags
from conditions.server.service import Service
from conditions.server.v1_answers import answer, reads

API: Final = 1
ABOUT: Final = """Tags, payloads and the runs they are valid for.

Reads need no token. Changes carry `Authorization: Bearer TOKEN`; every change is one transaction. An error is
`{"code", "reason", "message", "details"}`. Lists come in pages: `next` of a page is `after` of the following one.
"""
_SAID_AT_MOST: Final = 5  # faults of a request that are named


def make_v1(service: Service) -> ASGIApp:
    """The application to mount at `/v1`."""
    app = FastAPI(
        title="Conditions",
        version=_version(),
        summary="Which file holds for which run",
        description=ABOUT,
        openapi_url="/openapi.json",
        docs_url=None,  # the page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_api_route(
        "/", _about, operation_id="about", summary="Who answers", responses=reads(said.ServiceOut), tags=["service"]
    )
    for room in (v1_tags, v1_iovs, v1_plans, v1_payloads, v1_files, v1_resolve, v1_audit, v1_batch):
        app.include_router(room.router)
    problems.install(app)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_exception_handler(405, _other_method)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return _HeadAsGet(app)


async def _about(request: Request) -> Response:
    """The service and its version; a client of another version finds out here."""
    return answer(request, {"service": "conditions", "version": _version(), "api": API})


class _HeadAsGet:
    """HEAD is a GET whose body is kept back, on every route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        # The server looks at the method of its own scope; who sends bytes looks at `asked_method`.
        inner = {**scope, "method": "GET", "asked_method": "HEAD"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope.update(inner | {"method": "HEAD"})  # layers around read what routes leave in the scope
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app(inner, receive, send_head)


async def _other_method(request: Request, _error: Exception) -> Response:
    """A method that the path does not take; all that it takes are named, whatever route they belong to."""
    place = request.url.path.removeprefix(request.scope.get("root_path", ""))
    paths = request.app.openapi()["paths"]
    fitting = [each for each in paths if re.fullmatch(re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(each)), place)]
    # A word in a path is a place of its own, also where a name could stand.
    known = {method.upper() for method in paths[min(fitting, key=lambda each: each.count("{"))]} if fitting else set()
    allowed = ", ".join(sorted(known | ({"HEAD"} if "GET" in known else set())))
    text = f"{request.method} is not possible here; {allowed} is"
    return problems.problem_response(problems.RequestRefused(405, text, {"Allow": allowed}))


async def _refused(request: Request, error: Exception) -> Response:
    """A request that the document does not allow, in our shape."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    named = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:_SAID_AT_MOST]]
    more = f"; and {len(faults) - _SAID_AT_MOST} more" if len(faults) > _SAID_AT_MOST else ""
    text = f"{request.method} {request.url.path} cannot be meant: {'; '.join(named)}{more}"
    return problems.problem_response(BadInputError(text.encode(errors="replace").decode()), details=True)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document; what a request must be is answered with 400 here, not with the framework's 422."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
        )
        schemas_of = document["components"]["schemas"]
        batch = schemas.NewBatch.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas_of |= batch.pop("$defs", {}) | {"NewBatch": batch}
        document["servers"] = [{"url": "/v1"}]
        document["components"].setdefault("securitySchemes", {})["token"] = {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
        }
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if "401" in operation["responses"]:
                    operation.setdefault("security", [{"token": []}])
        for name in ("HTTPValidationError", "ValidationError"):
            schemas_of.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema


def _version() -> str:
    try:
        return version("smartbkg")
    except PackageNotFoundError:
        return "unknown"
