"""A remote store's verbs about tags and their history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from conditions.client.remote_core import RemoteCore, moment_text, path_of
from conditions.errors import TagNotFound
from conditions.payload import check_text
from conditions.tags import AuditEntry, Tag, TagState, TagVerification, check_tag_name, check_tag_type, parse_state
from conditions.wire import audit_from, tag_from


class RemoteTags(RemoteCore):
    """Make tags, describe them, walk them through their states, and tell their history."""

    def create_tag(self, name: str, *, description: str = "", type: str = "DEV") -> Tag:  # noqa: A002
        """Make an empty, OPEN tag; TagExists when the name is taken."""
        body = {
            "name": check_tag_name(name),
            "description": check_text("description", description),
            "type": check_tag_type(type),
        }
        return self._send("POST", "v1/tags", tag_from, body)

    def get_tag(self, name: str) -> Tag:
        """The tag of that name; TagNotFound when there is none."""
        return self._get(_tag_path(name), tag_from)

    def find_tag(self, name: str) -> Tag | None:
        """The tag of that name, None when there is none."""
        try:
            return self.get_tag(name)
        except TagNotFound:
            return None

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
        """Tags in order of name, at most `limit` of those that come after a name."""
        wanted = None if state is None else parse_state(state).value
        return self._pages("v1/tags", _tags, after, limit, name=pattern, regex=regex, state=wanted, all=include_invalid)

    def modify_tag(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> Tag:
        """Rename, describe or relabel a tag while it is OPEN."""
        body = {
            "name": None if new_name is None else check_tag_name(new_name),
            "description": None if description is None else check_text("description", description),
            "type": None if type is None else check_tag_type(type),
        }
        return self._send("PATCH", _tag_path(name), tag_from, body, repeatable=new_name in (None, name))

    def clone_tag(self, name: str, new_name: str) -> Tag:
        """Make an OPEN tag with the content of another one."""
        return self._send("POST", _tag_path(name, "clone"), tag_from, {"name": check_tag_name(new_name)})

    def set_state(self, name: str, state: TagState | str) -> Tag:
        """Move a tag to another state; TransitionRefused when that cannot follow the present one."""
        return self._send("POST", _tag_path(name, "state"), tag_from, {"state": parse_state(state).value})

    def publish_tag(self, name: str) -> Tag:
        """Walk a tag to PUBLISHED, all steps or none, and keep its digest."""
        return self._send("POST", _tag_path(name, "publish"), tag_from, {})

    def tag_history(self, name: str) -> list[AuditEntry]:
        """What happened to a tag, in order, also under its earlier names."""
        return self._get(_tag_path(name, "history"), _entries)

    def tag_digest(self, name: str, *, revision: int | None = None) -> str:
        """The digest of a tag's effective content, also that of an earlier content revision."""
        return self._get(_tag_path(name, "digest"), lambda given: str(given["digest"]), revision=revision)

    def verify_tag(self, name: str) -> TagVerification:
        """Read all of a tag again, where it is kept: its rows for the digest, and the bytes of every payload."""
        return self._verified(_tag_path(name, "verify"), _verification)

    def audit(
        self,
        *,
        subject: str | None = None,
        who: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int = 0,
        limit: int | None = None,
    ) -> list[AuditEntry]:
        """Who changed what, in order; `subject` and `who` know `*` and `?`."""
        return self._pages(
            "v1/audit",
            _entries,
            str(after_id),
            limit,
            subject=subject,
            who=who,
            action=action,
            since=moment_text(since),
            until=moment_text(until),
        )


def _tag_path(name: str, *parts: str) -> str:
    return path_of("tags", check_tag_name(name), *parts)


def _tags(given: Any) -> list[Tag]:
    return [tag_from(each) for each in given["items"]]


def _entries(given: Any) -> list[AuditEntry]:
    return [audit_from(each) for each in given["items"]]


def _verification(given: Any) -> TagVerification:
    return TagVerification(tag_from(given["tag"]), given["digest"], given["stored_digest"], tuple(given["faults"]))
