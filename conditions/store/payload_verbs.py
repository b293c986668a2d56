"""A store's verbs about payloads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from conditions.batch import check_md5
from conditions.errors import WrongChecksum
from conditions.iov import Run
from conditions.payload import Payload, check_metadata, check_payload_name
from conditions.store import listing, numbers, payload_changes, queries
from conditions.store.core import StoreCore
from conditions.store.streams import opened


class PayloadVerbs(StoreCore):
    """Keep payloads and hand them out."""

    def upload(
        self,
        name: str,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
        md5: str | None = None,
    ) -> Payload:
        """Keep a file's or a stream's bytes as the next revision of a payload.

        The same bytes under the same name again give the revision that is there, with the metadata it came with;
        so an upload may be repeated safely. The same bytes under another name share the file. Bytes that have
        another md5 than the one given, if any, are refused.

        Raises:
            BadName, BadMetadata, BadSource, WrongChecksum: what was given cannot be a payload.
            StoreFull: no space left; nothing is kept.
            FilesNotOurs: the payload folder is another store's.
        """
        check_payload_name(name)
        plain = check_metadata(metadata)
        with opened(source) as stream, self._uploading() as files:
            stored = files.keep(stream)
            if md5 is not None and check_md5(md5) != stored.md5:
                raise WrongChecksum(name, stored.md5, md5)
            with self._change() as change:
                return payload_changes.add_payload(change, name, stored, plain)

    def get_payload(self, name: str, revision: int | None = None) -> Payload:
        """One revision of a payload, by default the latest; PayloadNotFound when there is none."""
        with self._reading() as connection:
            return queries.get_payload(connection, name, revision)

    def latest_payloads(self, names: Iterable[str]) -> dict[str, Payload]:
        """The latest revision of each of these names, without those that have none."""
        with self._reading() as connection:
            return numbers.latest_payloads(connection, names)

    def list_payloads(
        self,
        *,
        pattern: str | None = None,
        regex: str | None = None,
        tag: str | None = None,
        run: Run | None = None,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> list[Payload]:
        """Payloads in order of name and revision.

        Args:
            pattern: only names like this, with `*` and `?`.
            regex: only names that this matches as a whole.
            tag: only payloads of this tag.
            run: with a tag, only those that a row of it has for this run.
            after: only what comes after this name and revision: the last of the page before.
            limit: at most so many.
        """
        page = listing.Page(regex, limit)
        with self._reading() as connection:
            return listing.list_payloads(connection, pattern, tag, run=run, after=after, page=page)

    def payload_path(self, payload: Payload) -> Path:
        """The payload's file, read-only, after its size and sha256 were compared.

        Raises:
            PayloadCorrupt, PayloadLost: the file holds other bytes, or is not there.
        """
        return self._files.verified_path(payload)

    def open_payload(self, payload: Payload, first: int = 0, last: int | None = None) -> BinaryIO:
        """A payload's bytes from `first` on as they are kept, without a copy and not compared with the digest.

        The caller closes the stream, and reads no further than `last`, which lets a bucket send no more than that.

        Raises:
            PayloadLost: it is not there.
        """
        return self._files.open_stream(payload, first, last)

    def payload_url(self, payload: Payload, expires_s: int = 3600) -> str | None:
        """A URL of the bucket that gives the bytes to whoever has it, for a while; None for a folder."""
        return self._files.presigned_url(payload.sha256, expires_s)

    def verify(self, payload: Payload) -> None:
        """Compare what is kept of a payload, and no copy of it, with its row; raises as `payload_path` does."""
        self._files.verify(payload)
