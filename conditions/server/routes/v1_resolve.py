"""`/v1/resolve`: which payloads a run gets from a stack of tags, and for which runs that holds."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Query, Request, Response

from conditions.iov import Run
from conditions.payload import check_payload_name
from conditions.server import v1_said as said
from conditions.server import v1_schemas as schemas
from conditions.server.responses import FOR_A_WHILE
from conditions.server.v1_answers import BlockingRouter, answer, answers_with, is_yes, parse_moment, reads, store_of
from conditions.tags import TagState
from conditions.wire import answers_json, facts_json, held_json

router = BlockingRouter(tags=["resolve"])
Stack = Annotated[
    list[schemas.StackEntry],
    Query(alias="tag", min_length=1, max_length=100, description="A tag of the stack; the first one wins."),
]
AsOf = Annotated[schemas.Moment | None, Query(description="With the content that all tags had at this moment.")]


@router.get(
    "/resolve",
    operation_id="resolve",
    summary="Resolve a run",
    responses=reads(said.HeldOut, 404, 409),
)
def resolve(
    request: Request,
    tag: Stack,
    run: Annotated[schemas.RunText, Query()],
    name: Annotated[
        list[schemas.PayloadName] | None, Query(max_length=1_000, description="Only these payloads; all without any.")
    ] = None,
    allow_open: Annotated[schemas.Flag, Query(description="Use OPEN tags too, which may still change.")] = "0",
    as_of: AsOf = None,
) -> Response:
    """The winners by payload name. `holds` are the runs around this one that certainly have the same winners.

    A payload that no tag has for the run is not in the answer. An OPEN tag that was not allowed, or an INVALID one, is
    a 409.
    """
    found = store_of(request).resolve_held(
        tag, Run.parse(run), _names(name), allow_open=is_yes(allow_open), as_of=parse_moment(as_of)
    )
    kept = FOR_A_WHILE if all(facts.state is TagState.PUBLISHED for facts in found.tags) else {}
    return answer(request, held_json(Run.parse(run), found), headers=kept)


@router.post(
    "/resolve",
    operation_id="resolve_many",
    summary="Resolve many runs",
    responses=answers_with(said.AnswersOut, 404, 409, 413),
)
def resolve_many(request: Request, body: Annotated[schemas.ManyRuns, Body()]) -> Response:
    """The winners for each run; a read, in spite of its method."""
    store, as_of = store_of(request), parse_moment(body.as_of)
    runs = [Run.parse(text) for text in body.runs]
    names = None if body.names is None else [check_payload_name(name) for name in body.names]
    found = store.resolve_many(body.tags, runs, names, allow_open=body.allow_open, as_of=as_of)
    return answer(request, answers_json(found, store.tag_facts(body.tags)))


@router.get(
    "/facts",
    operation_id="tag_facts",
    summary="State and content revision of tags",
    responses=reads(said.FactsList, 404),
)
def tag_facts(request: Request, tag: Stack) -> Response:
    """What decides whether an answer from these tags still holds, in one cheap query."""
    return answer(request, {"tags": [facts_json(facts) for facts in store_of(request).tag_facts(tag)]})


def _names(names: list[str] | None) -> list[str] | None:
    """The names that were given, None for all."""
    return [check_payload_name(name) for name in names or ()] or None
