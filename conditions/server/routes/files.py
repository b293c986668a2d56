"""Payload bytes: `dbstore/{name}/dbstore_{name}_rev_{rev}.root`, whatever the type of the file.

The bytes of a URL never change, so caches may keep them for ever. They are sent as they are, without any encoding:
clients compare the md5 of the raw stream.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conditions.errors import PayloadNotFound
from conditions.payload import Payload
from conditions.server.arguments import payload_names
from conditions.server.problems import RequestRefused
from conditions.server.service import Service
from conditions.store.session import Store

REMEMBERED: Final = 20_000  # payloads whose rows a worker remembers, for rows never change; 1 kB each
_FILE: Final = re.compile(r"dbstore_(.+)_rev_([1-9][0-9]{0,17})\.root", re.DOTALL)


def routes(service: Service) -> list[Route]:
    """All of them, at the server's root."""
    return [Route("/dbstore/{name}/{file}", FileRoutes(service).send)]


class FileRoutes:
    """Payload files, by their conventional URL."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._payloads: OrderedDict[tuple[str, str], Payload] = OrderedDict()

    async def send(self, request: Request) -> Response:
        """The bytes of a payload, or where they are."""
        place = request.path_params["name"], request.path_params["file"]
        payload = self._payloads.get(place)
        if payload is None:
            payload = await self.service.run(_payload_at, self.service.store, *place)
            self._payloads[place] = payload
            if len(self._payloads) > REMEMBERED:
                self._payloads.popitem(last=False)
        return await self.service.bytes.response(request, payload)


def _payload_at(store: Store, name: str, file: str) -> Payload:
    """The payload that a path names; both its parts must name the same one."""
    found = _FILE.fullmatch(file)
    if found is None:
        raise RequestRefused(
            404, f"no such file: {file[:80]!r}; payload files are dbstore/NAME/dbstore_NAME_rev_N.root"
        )
    names, inner = payload_names(name), payload_names(found[1])
    for name_, inner_ in zip(names, inner, strict=False):
        if name_ == inner_:
            try:
                return store.get_payload(name_, int(found[2]))
            except PayloadNotFound:
                if name_ == names[-1]:
                    raise
    raise RequestRefused(404, f"no such file: {name[:80]!r} and {file[:80]!r} name different payloads")
