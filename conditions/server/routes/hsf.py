"""Routes of HSF-style readers, at the root and below `/v2`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conditions.server import belle2
from conditions.server.arguments import asked, query, tag_name
from conditions.server.arguments import run as run_of
from conditions.server.responses import json_response
from conditions.server.routes.belle2_tags import TagRoutes
from conditions.server.service import Service
from conditions.tags import TagState


def routes(service: Service) -> list[Route]:
    """All of them; below `/v2`, the tag is that of the Belle II interface, which came first."""
    reads = HsfRoutes(service)
    return [
        Route("/gtstatus", reads.states),
        Route("/gtstatus/", reads.states),
        Route("/user_settings/CDB_PAYLOAD_BASE_URL", reads.base_url),
        Route("/user_settings/CDB_PAYLOAD_BASE_URL/", reads.base_url),
        Route("/payloadiovs/", reads.winners),
        Route("/payloadiovs", reads.winners),
        Route("/globalTag/{name}", TagRoutes(service).show),
        Route("/globalTag/{name}/", TagRoutes(service).show),
    ]


class HsfRoutes:
    """What an HSF-style reader asks."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def states(self, _request: Request) -> Response:
        """The states of tags."""
        return json_response([{"name": state.value} for state in TagState])

    async def base_url(self, request: Request) -> Response:
        """What payload URLs are relative to."""
        return json_response({"CDB_PAYLOAD_BASE_URL": self.service.base_url(request.scope)})

    async def winners(self, request: Request) -> Response:
        """The payload of every name for a run: the highest revision that covers it."""
        values = query(request)
        tag, run = tag_name(asked(values, "gtName")), run_of(values, "majorIOV", "minorIOV")
        found = await self.service.run(self.service.store.resolve, tag, run, allow_open=True)
        return json_response([belle2.hsf_json(found[name]) for name in sorted(found)])
