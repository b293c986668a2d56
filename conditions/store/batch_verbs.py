"""A store's verb for many changes at once."""

from __future__ import annotations

from contextlib import ExitStack

from conditions.batch import Batch, BatchResult, check_batch, check_md5
from conditions.errors import WrongChecksum
from conditions.payload import check_metadata
from conditions.store import batch_changes, queries
from conditions.store.core import StoreCore
from conditions.store.streams import StoredFile


class BatchVerbs(StoreCore):
    """Keep payloads, add IoVs and move a tag together."""

    def submit(self, batch: Batch) -> BatchResult:
        """Keep all payloads of a batch, add all its IoVs to its tag and walk that to its state: all or nothing.

        The same batch again changes nothing that is done already, so it may be repeated safely; unless it expects a
        content revision, which then has grown.

        Raises:
            BadInputError: what was given cannot be meant; WrongChecksum when bytes are not those announced.
            TagChanged: the tag has another content revision than the batch expects.
            RefusedError, NotFoundError: as for the single changes.
        """
        check_batch(batch)
        metadata = [check_metadata(payload.metadata) for payload in batch.payloads]
        self._look_before(batch)

        def accept(position: int, stored: StoredFile) -> None:
            payload = batch.payloads[position]
            if payload.md5 is not None and check_md5(payload.md5) != stored.md5:
                raise WrongChecksum(payload.name, stored.md5, payload.md5)

        with ExitStack() as held:
            stored: list[StoredFile] = []
            if batch.payloads:
                files = held.enter_context(self._uploading())
                stored = files.keep_all((payload.source for payload in batch.payloads), accept)
            uploads = [
                (payload.name, kept, plain)
                for payload, kept, plain in zip(batch.payloads, stored, metadata, strict=True)
            ]
            with self._change() as change:
                return batch_changes.submit(change, batch, uploads)

    def _look_before(self, batch: Batch) -> None:
        """Refuse what the present tag refuses anyway, before all bytes are kept; the transaction looks again."""
        if batch.tag is None:
            return
        with self._reading() as connection:
            tag = queries.find_tag(connection, batch.tag)
            if tag is None and not batch.create:
                raise queries.tag_not_found(connection, batch.tag)
        batch_changes.check_expected(batch, 0 if tag is None else tag.content_revision)
