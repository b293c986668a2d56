"""`/v1/tags`: tags, their states and their history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Path, Query, Request, Response

from conditions.errors import BadInputError
from conditions.rights import check_manage, check_rename
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.v1_answers import (
    CHANGES,
    USUAL_ITEMS,
    BlockingRouter,
    Limit,
    answer,
    answers_with,
    changer_of,
    check_expected,
    check_may_read_bytes,
    is_yes,
    listed,
    page,
    reads,
    reads_whole_tags,
    store_of,
    writing,
)
from conditions.tags import Tag, check_tag_name
from conditions.wire import audit_json, tag_json

router = BlockingRouter(tags=["tags"])
Name = Annotated[schemas.TagName, Path(description="The tag's name.")]


@router.get("/tags", operation_id="list_tags", summary="List tags", responses=reads(said.TagPage))
def list_tags(
    request: Request,
    name: Annotated[schemas.Glob | None, Query()] = None,
    regex: Annotated[schemas.Regex | None, Query()] = None,
    state: Annotated[schemas.State | None, Query()] = None,
    include_invalid: Annotated[schemas.Flag, Query(alias="all", description="Show INVALID tags too.")] = "0",
    after: Annotated[schemas.Glob | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = USUAL_ITEMS,
) -> Response:
    """Tags in order of name; INVALID ones only with `all` or `state`."""
    store = store_of(request)

    def read(after: str | None, limit: int) -> list[Tag]:
        return store.list_tags(
            pattern=name, state=state, include_invalid=is_yes(include_invalid), after=after, limit=limit
        )

    found = listed(read, regex, after, limit + 1, name_of=lambda tag: tag.name, mark_of=lambda tag: tag.name)
    return answer(request, page(found, limit, tag_json, lambda tag: tag.name))


@router.post(
    "/tags",
    operation_id="create_tag",
    summary="Make an empty OPEN tag",
    status_code=201,
    responses=answers_with(said.TagOut, 401, 403, 409, 413, 507, status=201, note="Made."),
)
def create_tag(request: Request, body: Annotated[schemas.NewTag, Body()]) -> Response:
    """Make an empty OPEN tag. A name that is taken, also by an INVALID tag, is a 409."""
    caller = changer_of(request, "create tags")
    check_manage(caller, body.name)
    made = writing(request, caller).create_tag(body.name, description=body.description, type=body.type)
    return answer(request, tag_json(made), 201)


@router.get("/tags/{name}", operation_id="get_tag", summary="Show a tag", responses=reads(said.TagOut, 404))
def get_tag(request: Request, name: Name) -> Response:
    """One tag."""
    return answer(request, tag_json(store_of(request).get_tag(check_tag_name(name))))


@router.patch(
    "/tags/{name}",
    operation_id="modify_tag",
    summary="Rename, describe or relabel an OPEN tag",
    responses=answers_with(said.TagOut, *CHANGES, 413),
)
def modify_tag(request: Request, name: Name, body: Annotated[schemas.TagChange, Body()]) -> Response:
    """Change what is given; what is absent stays."""
    caller = changer_of(request, "change tags")
    check_tag_name(name)
    check_manage(caller, name)
    if body.name is not None:
        check_rename(caller, name, body.name)
    with writing(request, caller).transaction() as store:
        changed = store.modify_tag(name, new_name=body.name, description=body.description, type=body.type)
        check_expected(name, changed.content_revision, body.expected_revision)
    return answer(request, tag_json(changed))


@router.post(
    "/tags/{name}/state",
    operation_id="set_state",
    summary="Move a tag to another state",
    responses=answers_with(said.TagOut, *CHANGES, 413),
)
def set_state(request: Request, name: Name, body: Annotated[schemas.StateChange, Body()]) -> Response:
    """One step of OPEN -> TESTING -> VALIDATED -> PUBLISHED -> INVALID, or to and from RUNNING."""
    caller = changer_of(request, "change the state of tags")
    check_manage(caller, check_tag_name(name))
    with writing(request, caller).transaction() as store:
        changed = store.set_state(name, body.state)
        check_expected(name, changed.content_revision, body.expected_revision)
    return answer(request, tag_json(changed))


@router.post(
    "/tags/{name}/publish",
    operation_id="publish_tag",
    summary="Walk a tag to PUBLISHED",
    responses=answers_with(said.TagOut, *CHANGES, 413),
)
def publish_tag(request: Request, name: Name, body: Annotated[schemas.Publication, Body()]) -> Response:
    """All steps that are left, or none; the digest of the content is kept."""
    caller = changer_of(request, "publish tags")
    check_manage(caller, check_tag_name(name))
    with writing(request, caller).transaction() as store:
        published = store.publish_tag(name)
        check_expected(name, published.content_revision, body.expected_revision)
    return answer(request, tag_json(published))


@router.post(
    "/tags/{name}/clone",
    operation_id="clone_tag",
    summary="Make an OPEN tag with the content of this one",
    status_code=201,
    responses=answers_with(said.TagOut, *CHANGES, 413, status=201, note="Made."),
)
def clone_tag(request: Request, name: Name, body: Annotated[schemas.Clone, Body()]) -> Response:
    """Any tag may be cloned; the new name must be one that the caller has rights to."""
    caller = changer_of(request, "clone tags")
    check_tag_name(name)
    check_manage(caller, body.name)
    return answer(request, tag_json(writing(request, caller).clone_tag(name, body.name)), 201)


@router.get(
    "/tags/{name}/history",
    operation_id="tag_history",
    summary="What happened to a tag",
    responses=reads(said.AuditPage, 404),
)
def tag_history(request: Request, name: Name) -> Response:
    """All changes in order, also under earlier names of the tag."""
    entries = store_of(request).tag_history(check_tag_name(name))
    return answer(request, {"items": [audit_json(entry) for entry in entries], "next": None})


@router.get(
    "/tags/{name}/digest",
    operation_id="tag_digest",
    summary="The digest of a tag's effective content",
    responses=reads(said.DigestOut, 404),
)
@reads_whole_tags
def tag_digest(request: Request, name: Name, revision: Annotated[schemas.Number | None, Query()] = None) -> Response:
    """One sha256, equal for two tags exactly when every run gets the same bytes from both."""
    store = store_of(request)
    asked = store.get_tag(check_tag_name(name)).content_revision if revision is None else revision
    if asked > schemas.LARGEST:
        raise BadInputError(f"no tag has a content revision {asked}")
    digest = store.tag_digest(name, revision=asked)
    return answer(request, {"tag": name, "content_revision": asked, "digest": digest})


@router.get(
    "/tags/{name}/verify",
    operation_id="verify_tag",
    summary="Read all of a tag again",
    responses=reads(said.VerificationOut, 401, 403, 404),
)
@reads_whole_tags
def verify_tag(request: Request, name: Name) -> Response:
    """Its rows for the digest, which a published tag must still have, and the bytes of every payload in it."""
    check_may_read_bytes(request)
    found = store_of(request).verify_tag(check_tag_name(name))
    digests = {"digest": found.digest, "stored_digest": found.stored_digest, "faults": list(found.faults)}
    return answer(request, {"tag": tag_json(found.tag), **digests})
