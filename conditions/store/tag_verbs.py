"""A store's verbs about tags."""

from __future__ import annotations

from conditions.store import listing, queries, tag_changes
from conditions.store.core import StoreCore
from conditions.tags import Tag, TagState, check_tag_name, parse_state


class TagVerbs(StoreCore):
    """Make tags, describe them and walk them through their states."""

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
        self,
        *,
        pattern: str | None = None,
        regex: str | None = None,
        state: TagState | str | None = None,
        include_invalid: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Tag]:
        """Tags in order of name.

        Args:
            pattern: only names like this, with `*` and `?`.
            regex: only names that this matches as a whole.
            state: only tags in this state.
            include_invalid: INVALID ones, too; they are hidden unless asked for.
            after: only names that come after this one: the last of the page before.
            limit: at most so many.
        """
        wanted = None if state is None else parse_state(state)
        page = listing.Page(regex, limit)
        with self._reading() as connection:
            return listing.list_tags(
                connection, pattern, wanted, include_invalid=include_invalid, after=after, page=page
            )

    def modify_tag(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> Tag:
        """Rename, describe or relabel a tag while it is OPEN."""
        with self._change() as change:
            return tag_changes.modify_tag(change, name, new_name, description, type)

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

    def publish_tag(self, name: str) -> Tag:
        """Walk a tag to PUBLISHED by all steps that are left, all or none, and keep the digest of its content."""
        with self._change() as change:
            return tag_changes.publish_tag(change, name)
