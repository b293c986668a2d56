"""A remote store's verbs about payloads; their files come through the verified cache of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from conditions.batch import Batch, BatchResult, NewPayload, check_batch
from conditions.client.remote_core import MOST_ITEMS, RemoteCore, path_of, run_text
from conditions.client.upload import prepared
from conditions.iov import Run
from conditions.payload import Payload, check_metadata, check_payload_name
from conditions.wire import error_from, payload_from
from conditions.wire_batch import result_from


class RemotePayloads(RemoteCore):
    """Keep payloads and hand them out."""

    def submit(self, batch: Batch) -> BatchResult:
        """Keep payloads, add IoVs and move a tag, all in one request and one transaction.

        After a broken connection the same batch is sent again, which changes nothing that is done already; unless it
        expects a content revision, which then has grown: whether it was done is then said to be unknown.
        """
        check_batch(batch)
        with prepared(batch) as upload, self._named():
            response = self._http.respond(
                "POST",
                "v1/batch",
                body=upload.body,
                headers={"Content-Type": upload.content_type},
                repeatable=batch.expected_revision is None,
                change=True,
            )
            return self._read(response, result_from)

    def upload(
        self,
        name: str,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
        md5: str | None = None,
    ) -> Payload:
        """Keep a file's or a stream's bytes as the next revision of a payload; the same bytes again keep theirs."""
        given = Path(source) if isinstance(source, str | os.PathLike) else source
        new = NewPayload(check_payload_name(name), given, check_metadata(metadata), md5)
        return self.submit(Batch(None, (new,))).payloads[0]

    def get_payload(self, name: str, revision: int | None = None) -> Payload:
        """One revision of a payload, by default the latest; PayloadNotFound when there is none."""
        parts = (check_payload_name(name),) if revision is None else (check_payload_name(name), revision)
        return self._get(path_of("payloads", *parts), payload_from)

    def latest_payloads(self, names: Iterable[str]) -> dict[str, Payload]:
        """The latest revision of each of these names, without those that have none."""
        asked = sorted(set(names))
        found: list[Payload] = []
        for begin in range(0, len(asked), MOST_ITEMS):
            found += self._ask("v1/payloads/latest", _payloads, {"names": asked[begin : begin + MOST_ITEMS]})
        return {payload.name: payload for payload in found}

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
        """Payloads in order of name and revision, at most `limit` of those after a name and revision."""
        begin = None if after is None else f"{after[1]}:{after[0]}"
        given = {"name": pattern, "regex": regex, "tag": tag, "run": run_text(run)}
        return self._pages("v1/payloads", _payloads, begin, limit, **given)

    def find_payloads(self, wanted: Iterable[tuple[str, str]]) -> list[Payload]:
        """The payloads there are of these names and md5."""
        asked = [{"name": name, "md5": md5} for name, md5 in wanted]
        found: list[Payload] = []
        for begin in range(0, len(asked), MOST_ITEMS):
            found += self._ask("v1/payloads/find", _payloads, {"payloads": asked[begin : begin + MOST_ITEMS]})
        return found

    def payload_path(self, payload: Payload) -> Path:
        """The payload's file in this machine's cache, fetched if it is not there, verified; read-only."""
        by_name = path_of("payloads", payload.name, payload.revision, "file")
        path = f"v1/files/{payload.sha256}" if payload.sha256 else by_name
        return self._cache.path_of(payload, lambda sink: self._http.fetch(path, sink))

    def verify(self, payload: Payload) -> None:
        """Let the server compare a payload's bytes with what is said of them.

        Raises:
            PayloadCorrupt, PayloadLost: they are others, or are not there.
        """
        path = path_of("payloads", check_payload_name(payload.name), payload.revision, "verify")
        problem = self._verified(path, lambda given: cast("dict[str, Any] | None", given["problem"]))
        if problem is not None:
            raise error_from(problem)


def _payloads(given: Any) -> list[Payload]:
    return [payload_from(each) for each in given["items"]]
