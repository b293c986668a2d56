"""What all routes of `/v1` share: the store they ask, who asks, answers with an ETag, pages, documents of errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from conditions.errors import BadInputError, TagChanged
from conditions.iov import IntervalOfValidity, Run
from conditions.patterns import name_test
from conditions.rights import Caller
from conditions.server.etags import is_known
from conditions.server.problems import json_bytes
from conditions.server.service import Service
from conditions.server.v1_said import ErrorOut
from conditions.store.session import Store
from conditions.wire import Json

T = TypeVar("T")
M = TypeVar("M")
F = TypeVar("F", bound=Callable[..., Any])
MOST_ITEMS: Final = 10_000
USUAL_ITEMS: Final = 1_000
JSON_TYPE: Final = "application/json"
Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="How many items a page has at most.")]


class NumberConvertor(Convertor[str]):
    """A part of a path that is a number, so that a word there is another place; its size is looked at later."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return str(value)


register_url_convertor("number", NumberConvertor())


class BlockingRouter(APIRouter):
    """Routes that are plain functions: each is called in one of the service's threads, where it may block."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        """Add a route."""
        super().add_api_route(path, endpoint if iscoroutinefunction(endpoint) else _in_thread(endpoint), **kwargs)


def service_of(request: Request) -> Service:
    """What the routes of this application stand on."""
    service: Service = request.app.state.service
    return service


def store_of(request: Request) -> Store:
    """The store, for reading."""
    return service_of(request).store


def changer_of(request: Request, action: str) -> Caller:
    """Who wants to change something; nobody without a token may."""
    return service_of(request).changer(request.scope, action)


def writing(request: Request, caller: Caller) -> Store:
    """The store, changing things on the caller's behalf."""
    return service_of(request).store_for(caller)


def reads_whole_tags(endpoint: F) -> F:
    """Mark a route that may take long: only a few of them are at work at once."""
    vars(endpoint)["reads_whole_tags"] = True
    return endpoint


def check_may_read_bytes(request: Request) -> None:
    """Refuse strangers what reads all bytes again; a token says who has the server do that."""
    changer_of(request, "have bytes compared")


def _in_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    is_long = "reads_whole_tags" in vars(endpoint)

    @wraps(endpoint)
    async def called(request: Request, **kwargs: Any) -> Any:
        service = service_of(request)
        run = service.run_long if is_long else service.run
        return await run(endpoint, request=request, **kwargs)

    return called


def answer(request: Request, json: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer; that of a GET has an ETag, and is 304 without a body for who has it already."""
    body = json_bytes(json)
    sent = {"Cache-Control": "no-cache"} | (headers or {})
    if request.method == "GET" and status == 200:
        sent["ETag"] = etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        if is_known(request.headers.get("If-None-Match"), etag):
            return Response(status_code=304, headers=sent)
    return Response(body, status, sent, JSON_TYPE)


def page(items: Sequence[T], limit: int, to_json: Callable[[T], Json], mark: Callable[[T], str]) -> Json:
    """A page from a list that was asked for one item more than it shall hold."""
    shown = items[:limit]
    following = mark(shown[-1]) if len(items) > limit and shown else None
    return {"items": [to_json(each) for each in shown], "next": following}


def listed(
    read: Callable[[M | None, int], list[T]],
    regex: str | None,
    after: M | None,
    limit: int,
    *,
    name_of: Callable[[T], str],
    mark_of: Callable[[T], M],
) -> list[T]:
    """The first items after a mark whose name an expression matches; without one, what the database gives."""
    if regex is None:
        return read(after, limit)
    fits = name_test(regex=regex)
    found: list[T] = []
    while len(found) < limit:
        read_now = read(after, MOST_ITEMS)
        found += [each for each in read_now if fits(name_of(each))]
        if len(read_now) < MOST_ITEMS:
            break
        after = mark_of(read_now[-1])
    return found[:limit]


def parse_run(text: str | None) -> Run | None:
    """A run, None where none was given."""
    return None if text is None else Run.parse(text)


def parse_iov(text: str | None) -> IntervalOfValidity | None:
    """An interval, None where none was given."""
    return None if text is None else IntervalOfValidity.parse(text)


def parse_moment(text: str | None) -> datetime | None:
    """A moment, None where none was given.

    Raises:
        BadInputError: it is no time with an offset, or lies outside of the years that can be kept.
    """
    if text is None:
        return None
    try:
        # In a query, the + of an offset is often left unquoted and arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is None:
            raise ValueError("it has no offset; write +00:00 for UTC")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"{text!r} is no moment: {error}") from error


def parse_number(text: str | None) -> int:
    """The number after which a page begins, 0 for the first page."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise BadInputError(f"{text!r} is not where a page begins: give `next` of the page before")
    return int(text)


def is_yes(flag: str) -> bool:
    """Whether a flag of a query is set."""
    return flag in ("1", "true")


def check_expected(tag: str, found: int, expected: int | None) -> None:
    """Refuse a change that was made for another content; inside a transaction that takes the change back."""
    if expected is not None and found != expected:
        raise TagChanged(tag, found, expected)


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The documents of errors that a route may answer with; those of every route are among them."""
    return {code: {"model": ErrorOut, "description": _REASONS[code]} for code in sorted({400, 500, 503, *codes})}


def answers_with(model: Any, *codes: int, status: int = 200, note: str = "Done.") -> dict[int | str, dict[str, Any]]:
    """The documents of a route's answer and of its errors."""
    return {status: {"model": model, "description": note}, **errors(*codes)}


def reads(model: Any, *codes: int) -> dict[int | str, dict[str, Any]]:
    """The documents of a read that may be unchanged since the last one."""
    return {304: {"description": "Unchanged; sent when If-None-Match names the ETag."}, **answers_with(model, *codes)}


CHANGES: Final = (401, 403, 404, 409, 507)
_REASONS: Final = {
    400: "What was asked cannot be meant.",
    401: "No token, or one that proves nothing.",
    403: "The token gives no right to this, or the server is read-only.",
    404: "Nothing of that name is there.",
    405: "The path takes other methods.",
    408: "The body came too slowly.",
    409: "It is there, and a rule forbids the change or the use.",
    413: "The request is too large.",
    410: "The bytes of the payload are lost; uploading them again puts them back.",
    415: "The body is of another type.",
    416: "The bytes that were asked for are not there.",
    500: "A payload's file is damaged, or the server has a fault.",
    503: "The database or the payload files cannot be reached, or are full.",
    507: "No space left.",
}
