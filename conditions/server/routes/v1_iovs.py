"""`/v1/tags/…/iovs`: the rows of tags, one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Body, Path, Query, Request, Response

from conditions.errors import BadInputError, IovNotFound
from conditions.iov import IntervalOfValidity, Last
from conditions.patterns import name_test
from conditions.payload import Payload, check_payload_name
from conditions.resolve import IovEntry
from conditions.rights import check_add_iovs, check_manage
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.routes.v1_tags import Name
from conditions.server.v1_answers import (
    CHANGES,
    USUAL_ITEMS,
    BlockingRouter,
    Limit,
    answer,
    answers_with,
    changer_of,
    check_expected,
    listed,
    parse_iov,
    parse_number,
    parse_run,
    reads,
    store_of,
    writing,
)
from conditions.store.session import Store
from conditions.tags import check_tag_name
from conditions.wire import iov_json, iovs_json, payload_json

router = BlockingRouter(tags=["iovs"])
Number = Annotated[int, Path(ge=0, le=schemas.LARGEST, description="The row's number.", examples=[1])]
PayloadNames = Annotated[list[schemas.PayloadName] | None, Query(alias="payload", max_length=1_000)]


@router.get(
    "/tags/{name}/iovs",
    operation_id="list_iovs",
    summary="List the rows of a tag",
    responses=reads(said.RowPage, 404),
)
def list_iovs(
    request: Request,
    name: Name,
    payload: PayloadNames = None,
    like: Annotated[schemas.Glob | None, Query(alias="name", description="Only payload names like this.")] = None,
    regex: Annotated[schemas.Regex | None, Query()] = None,
    run: Annotated[schemas.RunText | None, Query(description="Only rows that cover this run.")] = None,
    within: Annotated[schemas.IovText | None, Query(description="Only rows that share a run with this.")] = None,
    after: Annotated[schemas.NumberMark | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = USUAL_ITEMS,
) -> Response:
    """Rows in order of payload name, first run and revision. An unknown tag is a 404."""
    store, tag = store_of(request), check_tag_name(name)
    at, inside = parse_run(run), parse_iov(within)

    def read(after_id: int | None, limit: int) -> list[IovEntry]:
        return store.list_iovs(
            tag,
            names=payload or None,
            pattern=like,
            run=at,
            within=inside,
            after_id=after_id,
            limit=limit,
        )

    begin = None if after is None else parse_number(after)
    found = listed(read, regex, begin, limit + 1, name_of=lambda each: each.payload.name, mark_of=lambda each: each.id)
    shown = found[:limit]
    following = str(shown[-1].id) if len(found) > limit else None
    return answer(request, iovs_json(shown) | {"next": following})


@router.get(
    "/tags/{name}/payloads",
    operation_id="list_tag_payloads",
    summary="List the payloads of a tag",
    responses=reads(said.PayloadList, 404),
)
def list_tag_payloads(
    request: Request,
    name: Name,
    regex: Annotated[schemas.Regex | None, Query()] = None,
    like: Annotated[schemas.Glob | None, Query(alias="name", description="Only payload names like this.")] = None,
) -> Response:
    """All payloads that rows of the tag name, each once; `/v1/payloads?tag=NAME` gives them page by page."""
    fits = name_test(regex=regex)
    found = store_of(request).list_payloads(pattern=like, tag=check_tag_name(name))
    return answer(request, {"items": [payload_json(each) for each in found if fits(each.name)]})


@router.post(
    "/tags/{name}/iovs",
    operation_id="add_iovs",
    summary="Add rows to a tag, all of them or none",
    responses=answers_with(said.AddedOut, *CHANGES, 413),
)
def add_iovs(request: Request, name: Name, body: Annotated[schemas.NewRows, Body()]) -> Response:
    """Rows that are there already stay, so that the same request may be repeated."""
    caller = changer_of(request, "add IoVs")
    check_add_iovs(caller, check_tag_name(name))
    with writing(request, caller).transaction() as store:
        wanted = _wanted(store, body)
        n_added = store.add_iovs(name, wanted)
        after = store.get_tag(name).content_revision
        check_expected(name, after - bool(n_added), body.expected_revision)
        rows = _rows(store, name, wanted)
    return answer(request, iovs_json(rows) | {"n_added": n_added})


@router.get(
    "/tags/{name}/iovs/{iov_id:number}",
    operation_id="get_iov",
    summary="Show a row of a tag",
    responses=reads(said.WholeRowOut, 404),
)
def get_iov(request: Request, name: Name, iov_id: Number) -> Response:
    """One row with its payload."""
    store = store_of(request)
    tag, entry = store.get_tag(check_tag_name(name)), store.get_iov_by_id(iov_id)
    if entry.tag != tag.name:
        raise IovNotFound(tag.name, iov_id)
    whole = store.get_payload(entry.payload.name, entry.payload.revision)
    return answer(request, iov_json(replace(entry, payload=whole)))


@router.patch(
    "/tags/{name}/iovs/{iov_id:number}",
    operation_id="modify_iov",
    summary="Give a row another interval, or an earlier last run",
    responses=answers_with(said.WholeRowOut, *CHANGES, 413),
)
def modify_iov(request: Request, name: Name, iov_id: Number, body: Annotated[schemas.RowChange, Body()]) -> Response:
    """Give `iov`, or `last` to close the row: any row of an OPEN tag, one without an end in a RUNNING tag."""
    caller = changer_of(request, "modify IoVs")
    check_manage(caller, check_tag_name(name))
    if (body.iov is None) == (body.last is None):
        raise BadInputError("give either iov, the new interval, or last, the new last run")
    with writing(request, caller).transaction() as store:
        before = store.get_tag(name).content_revision
        if body.last is not None:
            changed = store.close_iov(name, iov_id, _last_from(body.last))
        else:
            changed = store.modify_iov(name, iov_id, IntervalOfValidity.parse(body.iov or ""))
        _check_grown(store, name, before, body.expected_revision)
    return answer(request, iov_json(changed))


@router.delete(
    "/tags/{name}/iovs/{iov_id:number}",
    operation_id="delete_iov",
    summary="Take a row out of an OPEN tag",
    status_code=204,
    responses={204: {"description": "Done."}, **answers_with(said.ErrorOut, *CHANGES, status=400)},
)
def delete_iov(
    request: Request,
    name: Name,
    iov_id: Number,
    expected_revision: Annotated[schemas.Number | None, Query()] = None,
) -> Response:
    """The payload stays in the store."""
    caller = changer_of(request, "delete IoVs")
    check_manage(caller, check_tag_name(name))
    with writing(request, caller).transaction() as store:
        before = store.get_tag(name).content_revision
        store.delete_iov(name, iov_id)
        _check_grown(store, name, before, expected_revision)
    return Response(status_code=204)


def _wanted(store: Store, body: schemas.NewRows) -> list[tuple[Payload, IntervalOfValidity]]:
    """The payloads that rows name; each is looked up once."""
    known: dict[tuple[str, int | None], Payload] = {}
    for row in body.iovs:
        place = row.name, row.revision
        if place not in known:
            known[place] = store.get_payload(check_payload_name(row.name), row.revision)
    return [(known[row.name, row.revision], IntervalOfValidity.parse(row.iov)) for row in body.iovs]


def _rows(store: Store, tag: str, wanted: list[tuple[Payload, IntervalOfValidity]]) -> list[IovEntry]:
    """The rows that were asked for, as they are in the tag now."""
    there = {
        (entry.payload.id, entry.iov): entry
        for entry in store.list_iovs(tag, names={payload.name for payload, _ in wanted})
    }
    return [there[payload.id, iov] for payload, iov in dict.fromkeys(wanted)]


def _check_grown(store: Store, tag: str, before: int, expected: int | None) -> None:
    """Refuse a change that met another content; `before` was read without the lock on the tag."""
    after = store.get_tag(tag).content_revision
    check_expected(tag, before if after == before else after - 1, expected)


def _last_from(text: str) -> Last:
    """The end of an interval from EXP,RUN or EXP,-1."""
    return IntervalOfValidity.parse(f"0,0,{text}").last
