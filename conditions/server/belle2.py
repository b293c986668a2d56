"""Values as the JSON that existing Belle II clients read; one object of a tag serves the HSF-style readers, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import orjson

from conditions.iov import OPEN, EndOfExp, IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry, Resolved
from conditions.tags import TAG_TYPES, Tag, TagState

Json: TypeAlias = dict[str, Any]
PACKAGE: Final = "dbstore"
HSF_FOREVER: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SAFE: Final = "!$&'()*+,;=:@~"  # may stand in a part of a path as they are; what is left is quoted once

STATES: Final[dict[str, Json]] = {
    state.value: {"gtStatusId": number, "name": state.value, "description": text}
    for number, (state, text) in enumerate(
        {
            TagState.OPEN: "everything may change",
            TagState.TESTING: "fixed, being tested",
            TagState.VALIDATED: "fixed, tested",
            TagState.PUBLISHED: "fixed for ever",
            TagState.RUNNING: "grows by running updates only",
            TagState.INVALID: "not to be used any more",
        }.items(),
        1,
    )
}
# Clients compare a type as a whole object, so there is one for each.
TYPES: Final[dict[str, Json]] = {
    name: {"gtTypeId": number, "name": name, "description": f"{name} tags"} for number, name in enumerate(TAG_TYPES, 1)
}


def tag_json(tag: Tag) -> Json:
    """GlobalTag; `status` is the word of the HSF-style readers for the same thing."""
    state = STATES[tag.state.value]
    return {
        "globalTagId": tag.id,
        "name": tag.name,
        "description": tag.description,
        "isDefault": False,
        "globalTagType": TYPES[tag.type],
        "globalTagStatus": state,
        "status": {"name": tag.state.value},
        "payloadCount": tag.payload_count,
        "dtmIns": moment(tag.created_at),
        "dtmMod": moment(tag.modified_at),
        "modifiedBy": tag.modified_by,
    }


def payload_json(payload: Payload, base_url: str) -> Json:
    """Payload."""
    at = moment(payload.created_at)
    return {
        "payloadId": payload.id,
        "checksum": payload.md5,
        "revision": payload.revision,
        "payloadUrl": payload_url(payload),
        "baseUrl": base_url,
        "basf2Module": {"name": payload.name, "basf2Package": {"name": PACKAGE}},
        "isDefault": False,
        "dtmIns": at,
        "dtmMod": at,
        "modifiedBy": payload.created_by,
    }


def iov_json(entry: IovEntry) -> Json:
    """PayloadIov, -1 for open ends."""
    first_exp, first_run, final_exp, final_run = entry.iov.to_tuple()
    return {
        "payloadIovId": entry.id,
        "expStart": first_exp,
        "runStart": first_run,
        "expEnd": final_exp,
        "runEnd": final_run,
        "dtmIns": moment(entry.created_at or _EPOCH),
        "dtmMod": moment(entry.modified_at or entry.created_at or _EPOCH),
        "modifiedBy": entry.modified_by,
    }


def covering_json(entries: Iterable[IovEntry], base_url: str) -> list[Json]:
    """The answer of the run-time lookup: every row, with its payload."""
    return [{"payload": payload_json(entry.payload, base_url), "payloadIov": iov_json(entry)} for entry in entries]


def content_chunks(pages: Iterable[Iterable[IovEntry]], base_url: str) -> Iterator[bytes]:
    """The JSON of a tag's content, a piece for each page; the rows of one payload stand together, maybe over pages."""
    payload: Payload | None = None
    said = [b"["]
    for page in pages:
        for number, entries in groupby(page, key=_payload_number):
            rows = list(entries)
            if payload is not None and number == payload.id:
                said.append(b",")
            else:
                said.append(b'{"payloadId":' if payload is None else b']},{"payloadId":')
                payload = rows[0].payload
                said += [orjson.dumps(payload_json(payload, base_url)), b',"payloadIovs":[']
            said.append(orjson.dumps([iov_json(entry) for entry in rows])[1:-1])
        yield b"".join(said)
        said = []
    yield b"".join(said) + (b"]" if payload is None else b"]}]")


def payload_chunks(pages: Iterable[Iterable[Payload]], base_url: str) -> Iterator[bytes]:
    """The JSON of a list of payloads, a piece for each page."""
    said = b"["
    for page in pages:
        rows = [orjson.dumps(payload_json(payload, base_url)) for payload in page]
        if rows:
            yield said + b",".join(rows)
            said = b","
    yield b"[]" if said == b"[" else b"]"


def hsf_json(resolved: Resolved) -> Json:
    """One winner as the HSF-style readers know it."""
    payload = resolved.payload
    major_end, minor_end = _hsf_end(resolved.iov)
    return {
        "payload_type_name": payload.name,
        "payload_url": payload_url(payload),
        "checksum": payload.md5,
        "size": payload.size_bytes,
        "major_iov": resolved.iov.first.exp,
        "minor_iov": resolved.iov.first.run,
        "major_iov_end": major_end,
        "minor_iov_end": minor_end,
        "revision": str(payload.revision),
    }


def payload_url(payload: Payload) -> str:
    """Where a payload's bytes lie below the base URL; the part is the same for every type of file."""
    name = quote(payload.name, safe=_SAFE)
    return f"{PACKAGE}/{name}/{PACKAGE}_{name}_rev_{payload.revision}.root"


@lru_cache(maxsize=4_096)  # rows that came together have the same time
def moment(at: datetime) -> str:
    """A time, ISO 8601 with milliseconds and offset."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _payload_number(entry: IovEntry) -> int:
    return entry.payload.id


def _hsf_end(iov: IntervalOfValidity) -> tuple[int, int]:
    """The last run of an interval, the largest number for an open end."""
    if iov.last is OPEN:
        return HSF_FOREVER, HSF_FOREVER
    if isinstance(iov.last, EndOfExp):
        return iov.last.exp, HSF_FOREVER
    return iov.last.exp, iov.last.run
