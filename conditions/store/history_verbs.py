"""A store's verbs about what was: the audit trail, and digests of content, past and present."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from conditions.errors import PayloadFileError
from conditions.resolve import TagFacts, parse_stack
from conditions.store import listing, queries
from conditions.store.contents import content_digest
from conditions.store.core import StoreCore
from conditions.store.covering import stack_facts
from conditions.tags import AuditEntry, TagVerification


class HistoryVerbs(StoreCore):
    """Tell who changed what, and whether content is what it was."""

    def tag_history(self, name: str) -> list[AuditEntry]:
        """What happened to a tag, in order, also under its earlier names."""
        with self._reading() as connection:
            return listing.tag_history(connection, name)

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
        """Who changed what, in order.

        Args:
            subject: names of tags and payloads as they were then; knows `*` and `?`.
            who: only what this user did; knows `*` and `?`.
            action: only this kind of change, such as `add iovs`.
            since: only from this moment on, itself inside.
            until: only before this moment.
            after_id: only what comes after the line of this number.
            limit: at most so many lines.
        """
        asked = listing.AuditFilter(subject, who, action, since, until, after_id)
        with self._reading() as connection:
            return listing.audit(connection, asked, limit)

    def tag_facts(self, stack: Sequence[str] | str, *, as_of: datetime | None = None) -> tuple[TagFacts, ...]:
        """What decides whether an answer from these tags still holds, in one cheap query.

        Raises:
            TagNotFound: a tag does not exist; one in any state has facts.
            PastUnknown: an entry names a content revision of which nothing is known.
        """
        refs = parse_stack(stack)
        with self._reading() as connection:
            return stack_facts(connection, refs, as_of)

    def tag_digest(self, name: str, *, revision: int | None = None) -> str:
        """The digest of a tag's effective content (`conditions.digest`), or of that of an earlier content revision."""
        with self._at_one_moment() as connection:
            return content_digest(connection, queries.tag_id(connection, name), revision)

    def verify_tag(self, name: str) -> TagVerification:
        """Read all of a tag again: its rows for the digest, and the bytes of every payload in it.

        A tag that is PUBLISHED or INVALID must still have the digest that it was published with.
        """
        with self._at_one_moment() as connection:
            tag = queries.get_tag(connection, name)
            digest = content_digest(connection, tag.id)
            stored_digest = queries.published_digest(connection, tag.id)
            payloads = listing.list_payloads(connection, None, name)
        files, faults = self._files, []
        if stored_digest not in (None, digest):
            faults.append(f"tag {name!r} was published with digest {stored_digest} and has {digest} now")
        for payload in payloads:
            try:
                files.verify(payload)
            except PayloadFileError as error:
                faults.append(str(error))
        return TagVerification(tag, digest, stored_digest, tuple(faults))
