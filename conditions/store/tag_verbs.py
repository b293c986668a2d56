"""A store's verbs about tags."""

from __future__ import annotations

from conditions.store import queries, tag_changes
from conditions.store.core import StoreCore
from conditions.tags import AuditEntry, Tag, TagState, check_tag_name, parse_state


class TagVerbs(StoreCore):
    """Make tags, describe them, walk them through their states, and tell their history."""

    def create_tag(self, name: str, *, description: str = "", type: str = "DEV") -> Tag:  # noqa: A002
        """Make an empty, OPEN tag; TagExists when the name is taken."""
        tag_changes.check_new_tag(name, description, type)
        with self._change() as change:
            return tag_changes.create_tag(change, name, description, type)

    def get_tag(self, name: str) -> Tag:
        """The tag of that name; TagNotFound when there is none."""
        with self._reading() as connection:
            return queries.get_tag(connection, name)

    def find_tag(self, name: str) -> Tag | None:
        """The tag of that name, None when there is none."""
        with self._reading() as connection:
            return queries.find_tag(connection, name)

    def list_tags(
        self, *, pattern: str | None = None, state: TagState | str | None = None, include_invalid: bool = False
    ) -> list[Tag]:
        """Tags in order of name. `pattern` knows `*` and `?`; INVALID ones are hidden unless asked for."""
        wanted = None if state is None else parse_state(state)
        with self._reading() as connection:
            return queries.list_tags(connection, pattern, wanted, include_invalid=include_invalid)

    def modify_tag(self, name: str, *, new_name: str | None = None, description: str | None = None) -> Tag:
        """Rename or describe a tag while it is OPEN."""
        with self._change() as change:
            return tag_changes.modify_tag(change, name, new_name, description)

    def clone_tag(self, name: str, new_name: str) -> Tag:
        """Make an OPEN tag with the content of another one."""
        check_tag_name(new_name)
        with self._change() as change:
            return tag_changes.clone_tag(change, name, new_name)

    def set_state(self, name: str, state: TagState | str) -> Tag:
        """Move a tag to another state; TransitionRefused when that cannot follow the present one."""
        wanted = parse_state(state)
        with self._change() as change:
            return tag_changes.set_state(change, name, wanted)

    def tag_history(self, name: str) -> list[AuditEntry]:
        """What happened to a tag, in order, also under its earlier names."""
        with self._reading() as connection:
            return queries.tag_history(connection, name)
