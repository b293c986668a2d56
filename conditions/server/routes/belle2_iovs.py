"""Routes of the Belle II interface about the content of tags, and the run-time lookup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conditions.errors import BadInputError, StoreBusy, TagNotFound
from conditions.plans.operations import Close
from conditions.resolve import IovEntry
from conditions.rights import Caller, check_add_iovs, check_manage
from conditions.server import belle2
from conditions.server.arguments import asked, int_of, interval, json_list, last_run, number, numbers, query, tag_name
from conditions.server.arguments import run as run_of
from conditions.server.responses import json_response, json_stream, no_content
from conditions.server.service import Service
from conditions.store.session import Store

MOST_OPERATIONS: Final = 100_000
_ENDS: Final = ("expStart", "runStart", "expEnd", "runEnd")


def routes(service: Service) -> list[Route]:
    """All of them, below the interface's root."""
    iovs = IovRoutes(service)
    return [
        Route("/iovPayloads", iovs.covering),
        Route("/iovPayloads/", iovs.covering),
        Route("/globalTag/{name}/globalTagPayloads", iovs.content),
        Route("/globalTagPayload/{pair}/payloadIov/{interval}", iovs.create, methods=["POST"]),
        Route("/globalTagPayload/{name}/updateRunningPayloads", iovs.update_running, methods=["POST"]),
        Route("/payloadIov/{number}", iovs.delete, methods=["DELETE"]),
        Route("/payloadIov/{number}", iovs.modify, methods=["PUT"]),
    ]


class IovRoutes:
    """Rows of tags as clients of the Belle II interface see them."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def covering(self, request: Request) -> Response:
        """Every row of a tag that covers a run."""
        values = query(request)
        tag, run = tag_name(asked(values, "gtName")), run_of(values, "expNumber", "runNumber")
        rows = await self.service.run(self.service.store.covering_rows, tag, run)
        return json_response(belle2.covering_json(rows, self.service.base_url(request.scope)))

    async def content(self, request: Request) -> Response:
        """All rows of a tag; nothing for a tag that does not exist, as clients expect."""
        tag, base_url = tag_name(request.path_params["name"]), self.service.base_url(request.scope)
        chunks = belle2.content_chunks(_pages(self.service.store, tag), base_url)
        return await json_stream(self.service, request, chunks)

    async def create(self, request: Request) -> Response:
        """A payload for an interval; the same again gives the row that is there."""
        caller = self.service.changer(request.scope, "add IoVs")
        tag_id, payload_id = numbers(request.path_params["pair"], "tag and payload", 2)
        iov = interval(numbers(request.path_params["interval"], "the interval", 4))

        def add(store: Store) -> IovEntry:
            with store.transaction():
                tag = store.tag_name_of(tag_id)
                check_add_iovs(caller, tag)
                payload = store.get_payload_by_id(payload_id)
                entry = store.add_iov(tag, payload.name, payload.revision, iov)
                # That locked a tag by its name, which may have become another tag's since it was read.
                if store.tag_name_of(tag_id) != tag:
                    raise StoreBusy("the server", f"tag {tag!r} was renamed at the same moment")
            return entry

        entry = await self.service.run(add, self.service.store_for(caller))
        return json_response(belle2.iov_json(entry))

    async def delete(self, request: Request) -> Response:
        """Take a row out of an OPEN tag."""
        caller = self.service.changer(request.scope, "delete IoVs")
        iov_id = number(request.path_params["number"], "the IoV's number")

        def delete(store: Store) -> None:
            store.delete_iov(_manageable(store, caller, iov_id).tag, iov_id)

        await self.service.run(delete, self.service.store_for(caller))
        return no_content()

    async def modify(self, request: Request) -> Response:
        """Another interval for a row; what the query leaves out stays."""
        caller = self.service.changer(request.scope, "change IoVs")
        iov_id, values = number(request.path_params["number"], "the IoV's number"), query(request)

        def modify(store: Store) -> IovEntry:
            entry = _manageable(store, caller, iov_id)
            present = dict(zip(_ENDS, entry.iov.to_tuple(), strict=True))
            ends = [number(values[end], end) if end in values else present[end] for end in _ENDS]
            return store.modify_iov(entry.tag, iov_id, interval(ends))

        entry = await self.service.run(modify, self.service.store_for(caller))
        return json_response(belle2.iov_json(entry))

    async def update_running(self, request: Request) -> Response:
        """Close open rows of a RUNNING tag and add later ones: all of it, or nothing."""
        caller = self.service.changer(request.scope, "update RUNNING tags")
        tag = tag_name(request.path_params["name"])
        check_manage(caller, tag, "update RUNNING tag")
        closes: list[Close] = []
        creates = []
        for operation in await json_list(request, MOST_OPERATIONS):
            kind, data = _operation(operation)
            if kind == "MODIFY":
                closes.append((data[0], last_run(data[1], data[2])))
            else:
                creates.append((data[0], interval(data[1:])))
        store = self.service.store_for(caller)
        plan = await self.service.run(store.apply_running, tag, closes, creates)
        return json_response({"name": tag, "modified": len(plan.changes), "created": len(plan.creates)})


def _pages(store: Store, tag: str) -> Iterator[list[IovEntry]]:
    """The rows of a tag; none where there is no such tag."""
    try:
        yield from store.content_pages(tag)
    except TagNotFound:
        return


def _manageable(store: Store, caller: Caller, iov_id: int) -> IovEntry:
    """A row by its number, of a tag that the caller may change."""
    entry = store.get_iov_by_id(iov_id)
    check_manage(caller, entry.tag, "change IoVs of tag")
    return entry


def _operation(given: Any) -> tuple[str, list[int]]:
    """One operation of a running update: its kind and its numbers."""
    count_of = {"MODIFY": 3, "CREATE": 5}
    kind, data = (given.get("operation"), given.get("data")) if isinstance(given, dict) else (None, None)
    if not isinstance(kind, str) or kind not in count_of:
        raise BadInputError(f"{given!r:.80} is no operation: its name must be MODIFY or CREATE")
    if not isinstance(data, list) or len(data) != count_of[kind]:
        raise BadInputError(f"the data of {kind} are {data!r:.80}, not {count_of[kind]} numbers")
    return kind, [int_of(each, f"a number of {kind}") for each in data]
