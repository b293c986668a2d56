"""`/v1/tags/…/merge` and its like: changes of many rows, and what a tag is worth before and after."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Body, Query, Request, Response

from conditions.iov import IntervalOfValidity, Last, Run
from conditions.patterns import name_test
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.running import RunningMode
from conditions.rights import check_add_iovs, check_manage
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.routes.v1_tags import Name
from conditions.server.v1_answers import (
    CHANGES,
    BlockingRouter,
    answer,
    answers_with,
    changer_of,
    check_may_read_bytes,
    is_yes,
    parse_iov,
    parse_run,
    reads,
    reads_whole_tags,
    store_of,
    writing,
)
from conditions.store.session import Store
from conditions.tags import check_tag_name
from conditions.wire_plans import check_json, diff_json, plan_json

router = BlockingRouter(tags=["plans"])
_PLAN = answers_with(said.PlanOut, *CHANGES, 413)


@router.post("/tags/{name}/merge", operation_id="merge_tags", summary="Fill an OPEN tag from others", responses=_PLAN)
def merge_tags(request: Request, name: Name, body: Annotated[schemas.Merge, Body()]) -> Response:
    """Where two sources have a payload name for a run, the first one counts; intervals are cut to fit."""
    caller = changer_of(request, "merge tags")
    check_manage(caller, check_tag_name(name))
    plan = writing(request, caller).merge_tags(
        name,
        body.sources,
        within=parse_iov(body.within),
        dry_run=body.dry_run,
        expected_revision=body.expected_revision,
    )
    return answer(request, plan_json(plan))


@router.post(
    "/tags/{name}/running-update",
    operation_id="running_update",
    summary="Let a RUNNING tag go on with a VALIDATED one",
    responses=_PLAN,
)
def running_update(request: Request, name: Name, body: Annotated[schemas.RunningUpdate, Body()]) -> Response:
    """What the RUNNING tag has given out for earlier runs never changes."""
    caller = changer_of(request, "update RUNNING tags")
    check_manage(caller, check_tag_name(name), "update RUNNING tag")
    plan = writing(request, caller).running_update(
        name,
        body.staging,
        Run.parse(body.first_run),
        mode=RunningMode(**body.mode.model_dump()),
        dry_run=body.dry_run,
        expected_revision=body.expected_revision,
    )
    return answer(request, plan_json(plan))


@router.post("/tags/{name}/iovs/copy", operation_id="copy_iovs", summary="Copy rows into another tag", responses=_PLAN)
def copy_iovs(request: Request, name: Name, body: Annotated[schemas.Copy, Body()]) -> Response:
    """Rows that the target has already stay."""
    caller = changer_of(request, "copy IoVs")
    check_add_iovs(caller, body.target)
    store = writing(request, caller)
    chosen = _filter(store, check_tag_name(name), body.rows)
    plan = store.copy_iovs(
        name,
        body.target,
        chosen,
        to=parse_iov(body.to),
        dry_run=body.dry_run,
        expected_revision=body.expected_revision,
    )
    return answer(request, plan_json(plan))


@router.post(
    "/tags/{name}/iovs/modify", operation_id="modify_iovs", summary="Change rows of an OPEN tag", responses=_PLAN
)
def modify_iovs(request: Request, name: Name, body: Annotated[schemas.Edit, Body()]) -> Response:
    """Give rows another interval, another first or last run, or another revision of their payload."""
    caller = changer_of(request, "modify IoVs")
    check_manage(caller, check_tag_name(name))
    store = writing(request, caller)
    edit = IovEdit(parse_iov(body.iov), parse_run(body.first), _last(body), body.revision)
    chosen = _filter(store, name, body.rows)
    plan = store.modify_iovs(name, chosen, edit, dry_run=body.dry_run, expected_revision=body.expected_revision)
    return answer(request, plan_json(plan))


@router.post(
    "/tags/{name}/iovs/delete", operation_id="delete_iovs", summary="Take rows out of an OPEN tag", responses=_PLAN
)
def delete_iovs(request: Request, name: Name, body: Annotated[schemas.Deletion, Body()]) -> Response:
    """The payloads stay in the store."""
    caller = changer_of(request, "delete IoVs")
    check_manage(caller, check_tag_name(name))
    store = writing(request, caller)
    chosen = _filter(store, name, body.rows)
    plan = store.delete_iovs(name, chosen, dry_run=body.dry_run, expected_revision=body.expected_revision)
    return answer(request, plan_json(plan))


@router.get(
    "/diff", operation_id="diff_tags", summary="How two tags differ, by checksum", responses=reads(said.DiffOut, 404)
)
@reads_whole_tags
def diff_tags(
    request: Request,
    left: Annotated[schemas.TagName, Query(description="The tag to compare with.")],
    right: Annotated[schemas.TagName, Query(description="The tag that is compared.")],
    name: Annotated[schemas.Glob | None, Query(description="Only payload names like this.")] = None,
    within: Annotated[schemas.IovText | None, Query(description="Only these runs.")] = None,
) -> Response:
    """The runs for which the tags give out other bytes; none exactly when their digests are equal."""
    found = store_of(request).diff_tags(left, right, pattern=name, within=parse_iov(within))
    return answer(request, diff_json(found))


@router.get(
    "/tags/{name}/check",
    operation_id="check_tag",
    summary="Gaps, overlaps and damaged payloads of a tag",
    responses=reads(said.CheckOut, 401, 403, 404),
    openapi_extra={"security": [{}, {"token": []}]},
)
@reads_whole_tags
def check_tag(
    request: Request,
    name: Name,
    verify: Annotated[schemas.Flag, Query(description="Read every payload's bytes; needs a token.")] = "0",
) -> Response:
    """What comes before the first interval of a payload name or after the last is no gap."""
    if is_yes(verify):
        check_may_read_bytes(request)
    return answer(request, check_json(store_of(request).check_tag(check_tag_name(name), verify=is_yes(verify))))


def _filter(store: Store, tag: str, rows: schemas.RowFilter) -> IovFilter:
    """The filter; an expression is searched here, in linear time, and goes on as the names that it matches."""
    regex = rows.regex
    if regex is not None:
        fits = name_test(regex=regex)
        names = sorted({payload.name for payload in store.list_payloads(tag=tag) if fits(payload.name)})
        regex = "|".join(map(re.escape, names)) or "(?!)"
    ids = None if rows.ids is None else frozenset(rows.ids)
    return IovFilter(rows.name, regex, parse_iov(rows.within), rows.contained, rows.cut, rows.revision, ids)


def _last(edit: schemas.Edit) -> Last | None:
    """The new end of rows, None when they keep theirs."""
    return None if edit.last is None else IntervalOfValidity.parse(f"0,0,{edit.last}").last
