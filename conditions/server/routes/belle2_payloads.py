"""Routes of the Belle II interface about payloads, with the upload of one."""

from __future__ import annotations

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conditions.errors import BadInputError, PayloadNotFound
from conditions.rights import check_upload
from conditions.server import belle2
from conditions.server.arguments import json_list, number, payload_names, plain, tag_name
from conditions.server.multipart import Part, Parts, spool_folder
from conditions.server.responses import json_response, json_stream
from conditions.server.service import Service
from conditions.store.session import Store

MOST_CHECKED: Final = 1_000
MAX_WORDS_BYTES: Final = 64 * 1024  # of the part that says what the other one is


def routes(service: Service) -> list[Route]:
    """All of them, below the interface's root."""
    payloads = PayloadRoutes(service)
    return [
        Route("/payloads", payloads.list),
        Route("/payload/{number}", payloads.show),
        Route("/module/{name}/payloads", payloads.of_name),
        Route("/globalTag/{name}/payloads", payloads.of_tag),
        Route("/checkPayloads", payloads.check, methods=["POST"]),
        Route("/package/dbstore/module/{name}/payload", payloads.upload, methods=["POST"]),
    ]


class PayloadRoutes:
    """Payloads as clients of the Belle II interface see them."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def list(self, request: Request) -> Response:
        """All payloads."""
        pages = self.service.store.payload_pages()
        return await json_stream(self.service, request, belle2.payload_chunks(pages, self._base_url(request)))

    async def show(self, request: Request) -> Response:
        """One payload."""
        wanted = number(request.path_params["number"], "the payload's number")
        payload = await self.service.run(self.service.store.get_payload_by_id, wanted)
        return json_response(belle2.payload_json(payload, self._base_url(request)))

    async def of_name(self, request: Request) -> Response:
        """All revisions of a payload."""
        name = await self.service.run(_known_name, self.service.store, request.path_params["name"])
        pages = self.service.store.payload_pages(name)
        return await json_stream(self.service, request, belle2.payload_chunks(pages, self._base_url(request)))

    async def of_tag(self, request: Request) -> Response:
        """The payloads of a tag, each once."""
        pages = self.service.store.payload_pages(tag=tag_name(request.path_params["name"]))
        return await json_stream(self.service, request, belle2.payload_chunks(pages, self._base_url(request)))

    async def check(self, request: Request) -> Response:
        """The payloads among these names and checksums."""
        wanted = [_name_and_md5(each) for each in await json_list(request, MOST_CHECKED)]
        found = await self.service.run(self.service.store.find_payloads, wanted)
        return json_response([belle2.payload_json(payload, self._base_url(request)) for payload in found])

    async def upload(self, request: Request) -> Response:
        """Keep a payload's bytes; the same again give the revision that is there."""
        caller = self.service.changer(request.scope, "upload payloads")
        name = payload_names(request.path_params["name"])[-1]  # no client names a payload with an escape in it
        check_upload(caller, name)
        store, settings = self.service.store_for(caller), self.service.settings
        folder = spool_folder(settings.spool, settings.files)
        async with Parts(request, self.service.threads, folder) as parts:
            checksum, content = _checksum_and_content(parts)
            payload = await self.service.finish(store.upload, name, parts.stream(content), md5=checksum)
        return json_response(belle2.payload_json(payload, self._base_url(request)))

    def _base_url(self, request: Request) -> str:
        return self.service.base_url(request.scope)


def _known_name(store: Store, text: str) -> str:
    """The name that a path means: of those it may mean the first that there is a payload of."""
    names = payload_names(text)
    for name in names[:-1]:
        try:
            store.get_payload(name)
        except PayloadNotFound:
            continue
        return name
    return store.get_payload(names[-1]).name


def _name_and_md5(given: Any) -> tuple[str, str]:
    """What one entry of a list asks for."""
    found = (given.get("name"), given.get("checksum")) if isinstance(given, dict) else (None, None)
    name, md5 = found
    if not isinstance(name, str) or not isinstance(md5, str):
        raise BadInputError(f"{given!r:.80} is not {{'name': …, 'checksum': …}}")
    return plain(name, "a payload"), plain(md5, "a checksum").lower()


def _checksum_and_content(parts: Parts) -> tuple[str, Part]:
    """The announced md5, and the part with the bytes: parts come in any order, and the file's may be named anything."""
    words = [part for part in parts.all if part.name == "json" and part.content_type in ("application/json", "")]
    contents = [part for part in parts.all if part not in words]
    if len(words) != 1 or len(contents) != 1:
        names = ", ".join(repr(part.name[-40:]) for part in parts.all) or "none"
        raise BadInputError(f"a part named 'json' and one with the bytes are needed; there are {names}")
    try:
        given = orjson.loads(parts.content(words[0], MAX_WORDS_BYTES))
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"the part 'json' is no JSON: {error}") from error
    checksum = given.get("checksum") if isinstance(given, dict) else None
    if not isinstance(checksum, str):
        raise BadInputError('the part \'json\' has no checksum: write {"checksum": MD5, "isDefault": false}')
    return checksum, contents[0]
