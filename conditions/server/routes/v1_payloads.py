"""`/v1/payloads`: what is known of payloads, and their bytes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Path, Query, Request, Response

from conditions.errors import BadInputError, ConditionsError, PayloadFileError
from conditions.payload import Payload, check_payload_name
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.problems import status_of
from conditions.server.v1_answers import (
    USUAL_ITEMS,
    BlockingRouter,
    Limit,
    answer,
    answers_with,
    check_may_read_bytes,
    listed,
    page,
    parse_number,
    parse_run,
    reads,
    reads_whole_tags,
    store_of,
)
from conditions.wire import error_json, payload_json

router = BlockingRouter(tags=["payloads"])
Name = Annotated[schemas.PayloadName, Path(description="The payload's name.")]
Revision = Annotated[int, Path(ge=1, le=schemas.LARGEST, description="Its revision.", examples=[1])]
Mark = tuple[str, int]


@router.get("/payloads", operation_id="list_payloads", summary="List payloads", responses=reads(said.PayloadPage, 404))
def list_payloads(
    request: Request,
    name: Annotated[schemas.Glob | None, Query()] = None,
    regex: Annotated[schemas.Regex | None, Query()] = None,
    tag: Annotated[schemas.TagName | None, Query(description="Only payloads of this tag.")] = None,
    run: Annotated[schemas.RunText | None, Query(description="With `tag`: only what covers this run.")] = None,
    after: Annotated[schemas.PayloadMark | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = USUAL_ITEMS,
) -> Response:
    """All revisions, in order of name and revision."""
    store, at = store_of(request), parse_run(run)

    def read(after: Mark | None, limit: int) -> list[Payload]:
        return store.list_payloads(pattern=name, tag=tag, run=at, after=after, limit=limit)

    begin = None if after is None else _mark_from(after)
    found = listed(read, regex, begin, limit + 1, name_of=lambda each: each.name, mark_of=_mark)
    return answer(request, page(found, limit, payload_json, lambda each: f"{each.revision}:{each.name}"))


@router.post(
    "/payloads/find",
    operation_id="find_payloads",
    summary="Which payloads are there",
    responses=answers_with(said.PayloadList, 413),
)
def find_payloads(request: Request, body: Annotated[schemas.WantedPayloads, Body()]) -> Response:
    """The payloads there are of these names and md5; a read, in spite of its method."""
    found = store_of(request).find_payloads([(each.name, each.md5.lower()) for each in body.payloads])
    return answer(request, {"items": [payload_json(payload) for payload in found]})


@router.post(
    "/payloads/latest",
    operation_id="latest_payloads",
    summary="The latest revisions of many payloads",
    responses=answers_with(said.PayloadList, 413),
)
def latest_payloads(request: Request, body: Annotated[schemas.WantedNames, Body()]) -> Response:
    """Names that there are no payloads of are not in the answer; a read, in spite of its method."""
    found = store_of(request).latest_payloads([check_payload_name(name) for name in body.names])
    return answer(request, {"items": [payload_json(found[name]) for name in sorted(found)]})


@router.get(
    "/payloads/{name}",
    operation_id="get_latest_payload",
    summary="Show the latest revision of a payload",
    responses=reads(said.PayloadOut, 404),
)
def get_latest_payload(request: Request, name: Name) -> Response:
    """The latest revision; `/v1/payloads?name=NAME` lists all of them."""
    return answer(request, payload_json(store_of(request).get_payload(check_payload_name(name))))


@router.get(
    "/payloads/{name}/{revision:number}",
    operation_id="get_payload",
    summary="Show a payload",
    responses=reads(said.PayloadOut, 404),
)
def get_payload(request: Request, name: Name, revision: Revision) -> Response:
    """One revision of a payload, with its metadata."""
    return answer(request, payload_json(store_of(request).get_payload(check_payload_name(name), revision)))


@router.get(
    "/payloads/{name}/{revision:number}/verify",
    operation_id="verify_payload",
    summary="Compare a payload's bytes with what is said of them",
    responses=reads(said.SoundOut, 401, 403, 404),
)
@reads_whole_tags
def verify_payload(request: Request, name: Name, revision: Revision) -> Response:
    """Reads all of the file where it is kept."""
    check_may_read_bytes(request)
    store = store_of(request)
    payload = store.get_payload(check_payload_name(name), revision)
    problem: ConditionsError | None = None
    try:
        store.verify(payload)
    except PayloadFileError as error:
        problem = error
    said = None if problem is None else error_json(problem, status_of(problem))
    return answer(request, {"ok": problem is None, "problem": said})


def _mark(payload: Payload) -> Mark:
    return payload.name, payload.revision


def _mark_from(text: str) -> Mark:
    """Where a page begins: REVISION:NAME of the last payload of the page before."""
    revision, colon, name = text.partition(":")
    if not colon:
        raise BadInputError(f"{text!r} is not where a page begins: give `next` of the page before")
    return name, parse_number(revision)
