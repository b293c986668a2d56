"""Routes of the Belle II interface about tags."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conditions.errors import BadInputError, StoreBusy, TagNotFound
from conditions.rights import Caller, check_known, check_manage, check_rename
from conditions.server import belle2
from conditions.server.arguments import int_of, json_object, number, tag_name, text_of
from conditions.server.responses import json_response
from conditions.server.service import Service
from conditions.store.session import Store
from conditions.tags import Tag


def routes(service: Service) -> list[Route]:
    """All of them, below the interface's root."""
    tags = TagRoutes(service)
    return [
        Route("/globalTagStatus", tags.states),
        Route("/globalTagType", tags.types),
        Route("/globalTags", tags.list),
        Route("/globalTags/{number}", tags.clone, methods=["POST"]),
        Route("/globalTag", tags.modify, methods=["PUT"]),
        Route("/globalTag/{name}", tags.show),
        Route("/globalTag/{type}", tags.create, methods=["POST"]),
        Route("/globalTag/{name}/updateGlobalTagStatus/{state}", tags.set_state, methods=["PUT"]),
    ]


class TagRoutes:
    """Tags as clients of the Belle II interface see them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._counts: dict[int, tuple[int, int]] = {}

    async def states(self, _request: Request) -> Response:
        """The states of tags; clients begin with this question."""
        return json_response(list(belle2.STATES.values()))

    async def types(self, _request: Request) -> Response:
        """The types of tags."""
        return json_response(list(belle2.TYPES.values()))

    async def list(self, _request: Request) -> Response:
        """All tags, INVALID ones too."""
        tags = await self.service.run(self.service.store.counted_tags, self._counts)
        return json_response([belle2.tag_json(tag) for tag in tags])

    async def show(self, request: Request) -> Response:
        """One tag."""
        name = tag_name(request.path_params["name"])
        found = await self.service.run(self.service.store.counted_tags, self._counts, name)
        if not found:  # get_tag knows the names that are near
            found = [await self.service.run(self.service.store.get_tag, name)]
        return json_response(belle2.tag_json(found[0]))

    async def create(self, request: Request) -> Response:
        """A new tag of a type."""
        caller = self.service.changer(request.scope, "create tags")
        given = await json_object(request)
        name = text_of(given, "name")
        check_manage(caller, name, "create tag")
        store = self.service.store_for(caller)
        type_, description = request.path_params["type"], text_of(given, "description", "")
        tag = await self.service.run(store.create_tag, name, description=description, type=type_)
        return json_response(belle2.tag_json(tag))

    async def clone(self, request: Request) -> Response:
        """A copy of a tag, under a name that is to be changed next. Whoever has a token may make one."""
        caller = self.service.changer(request.scope, "clone tags")
        check_known(caller, "clone tags")
        source = number(request.path_params["number"], "the tag's number")
        tag = await self.service.run(self.service.store_for(caller).clone_by_number, source)
        return json_response(belle2.tag_json(tag))

    async def modify(self, request: Request) -> Response:
        """Another name, description or type for the tag whose number the object has."""
        caller = self.service.changer(request.scope, "change tags")
        given = await json_object(request)
        int_of(given.get("globalTagId"), "globalTagId")
        tag = await self.service.run(_modify, self.service.store_for(caller), caller, given)
        return json_response(belle2.tag_json(tag))

    async def set_state(self, request: Request) -> Response:
        """The next state of a tag."""
        caller = self.service.changer(request.scope, "change the state of tags")
        name = tag_name(request.path_params["name"])
        check_manage(caller, name, "change the state of tag")
        store = self.service.store_for(caller)
        tag = await self.service.run(store.set_state, name, request.path_params["state"])
        return json_response(belle2.tag_json(tag))


def _modify(store: Store, caller: Caller, given: dict[str, Any]) -> Tag:
    """Change what differs in a tag from the object that a client sends back."""
    tag = store.get_tag_by_id(given["globalTagId"])
    new_name = text_of(given, "name", tag.name)
    own_clone = new_name != tag.name and _is_own_clone(store, tag, caller)
    check_rename(caller, tag.name, new_name, is_own_clone=own_clone)
    wanted = {
        "new_name": (new_name, tag.name),
        "description": (text_of(given, "description", tag.description), tag.description),
        "type": (_type_of(given, tag.type), tag.type),
    }
    changes = {field: new for field, (new, old) in wanted.items() if new != old}
    if not changes:
        return tag
    with store.transaction():
        changed = store.modify_tag(tag.name, **changes)
        if changed.id != tag.id:  # the name went to another tag since it was read
            raise StoreBusy("the server", f"tag {tag.name!r} was renamed at the same moment")
    return changed


def _is_own_clone(store: Store, tag: Tag, caller: Caller) -> bool:
    """Whether a tag still has the name that clones are born with, and this caller made it."""
    if re.match(rf"{tag.id}_copy_of_", tag.name) is None:
        return False
    try:
        first = store.tag_history(tag.name)[0]
    except (TagNotFound, IndexError):
        return False
    return first.action == "clone" and first.who == caller.name


def _type_of(given: dict[str, Any], default: str) -> str:
    """The type's name in the object of a tag."""
    kind = given.get("globalTagType")
    if kind is None:
        return default
    if not isinstance(kind, dict):
        raise BadInputError(f"globalTagType is {kind!r:.60}, not an object with a name")
    return text_of(kind, "name", default)
