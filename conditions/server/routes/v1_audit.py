"""`/v1/audit`: who changed what, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.v1_answers import (
    USUAL_ITEMS,
    BlockingRouter,
    Limit,
    answer,
    page,
    parse_moment,
    parse_number,
    reads,
    store_of,
)
from conditions.wire import audit_json

router = BlockingRouter(tags=["audit"])


@router.get("/audit", operation_id="audit", summary="List changes", responses=reads(said.AuditPage))
def audit(
    request: Request,
    subject: Annotated[schemas.Glob | None, Query(description="Name of a tag or payload, with `*` and `?`.")] = None,
    who: Annotated[schemas.Glob | None, Query(description="User who did it.")] = None,
    action: Annotated[schemas.Glob | None, Query(examples=["state"])] = None,
    since: Annotated[schemas.Moment | None, Query()] = None,
    until: Annotated[schemas.Moment | None, Query()] = None,
    after: Annotated[schemas.NumberMark | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = USUAL_ITEMS,
) -> Response:
    """Changes in the order in which they were made."""
    found = store_of(request).audit(
        subject=subject,
        who=who,
        action=action,
        since=parse_moment(since),
        until=parse_moment(until),
        after_id=parse_number(after),
        limit=limit + 1,
    )
    return answer(request, page(found, limit, audit_json, lambda entry: str(entry.id)))
