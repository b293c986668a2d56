"""A batch and its result as the JSON of `/v1/batch`. The payloads' bytes travel beside it, in the same order.

`BATCH_EXAMPLE` shows every field; only the names, and the interval of an IoV, must be there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from conditions.batch import Batch, BatchResult, NewIov, NewPayload
from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity
from conditions.tags import parse_state
from conditions.wire import Json, payload_from, payload_json, tag_from, tag_json

SHOWN_CHARACTERS: Final = 60
BATCH_EXAMPLE: Final = {
    "tag": "user_me_gains",
    "create": True,
    "description": "First gains",
    "type": "DEV",
    "state": None,
    "expected_revision": None,
    "payloads": [{"name": "gains.json", "md5": None, "sha256": None, "metadata": {"auc": 0.91}}],
    "iovs": [{"name": "gains.json", "iov": "0,0,-1,-1", "revision": None, "md5": None}],
}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def batch_json(batch: Batch) -> Json:
    """A batch without the bytes of its payloads."""
    return {
        "tag": batch.tag,
        "create": batch.create,
        "description": batch.description,
        "type": batch.type,
        "state": None if batch.state is None else batch.state.value,
        "expected_revision": batch.expected_revision,
        "payloads": [{"name": p.name, "md5": p.md5, "metadata": dict(p.metadata)} for p in batch.payloads],
        "iovs": [
            {"name": each.name, "iov": str(each.iov), "revision": each.revision, "md5": each.md5} for each in batch.iovs
        ],
    }


def batch_from(json: object, sources: Sequence[Path | BinaryIO]) -> Batch:
    """A batch that anybody may have written, with the bytes that came beside it.

    Raises:
        BadInputError: naming the field that cannot be meant, or how many files are missing or too many.
    """
    fields = _Fields("the batch", json)
    payloads, iovs = fields.items("payloads"), fields.items("iovs")
    if len(payloads) != len(sources):
        raise BadInputError(f"the batch names {len(payloads)} payloads, and {len(sources)} files came with it")
    state = fields.text("state", None)
    batch = Batch(
        tag=fields.text("tag", None),
        payloads=tuple(_new_payload(each, source) for each, source in zip(payloads, sources, strict=True)),
        iovs=tuple(_new_iov(each) for each in iovs),
        create=fields.flag("create"),
        description=fields.text("description", "") or "",
        type=fields.text("type", "DEV") or "DEV",
        state=None if state is None else parse_state(state),
        expected_revision=fields.number("expected_revision"),
    )
    fields.done()
    return batch


def announced_sha256(json: Mapping[str, Any]) -> list[str | None]:
    """The sha256 that each payload of a batch must have, None where nobody said; `batch_from` has read the batch."""
    return [each.get("sha256") for each in json.get("payloads") or []]


def result_json(result: BatchResult) -> Json:
    """What came of a batch."""
    return {
        "tag": None if result.tag is None else tag_json(result.tag),
        "payloads": [payload_json(payload) for payload in result.payloads],
        "n_added": result.n_added,
    }


def result_from(json: Mapping[str, Any]) -> BatchResult:
    """The result of `result_json`."""
    tag = None if json["tag"] is None else tag_from(json["tag"])
    return BatchResult(tag, tuple(payload_from(each) for each in json["payloads"]), json["n_added"])


def _new_payload(json: _Fields, source: Path | BinaryIO) -> NewPayload:
    metadata = json.take("metadata", dict, {})
    payload = NewPayload(json.required("name"), source, metadata, json.text("md5", None))
    sha256 = json.text("sha256", None)
    if sha256 is not None and _SHA256.fullmatch(sha256) is None:
        raise BadInputError(f"sha256 of {json.where} must be 64 hexadecimal digits, not {_shown(sha256)}")
    json.done()
    return payload


def _new_iov(json: _Fields) -> NewIov:
    name, iov = json.required("name"), IntervalOfValidity.parse(json.required("iov"))
    entry = NewIov(name, iov, json.number("revision"), json.text("md5", None))
    json.done()
    return entry


class _Fields:
    """An object of JSON whose fields are taken one by one; what is left is a mistake."""

    def __init__(self, where: str, json: object) -> None:
        if not isinstance(json, dict):
            raise BadInputError(f"{where} must be an object with names, not {_shown(json)}")
        self.where, self.json = where, dict(json)

    def take(self, name: str, kind: type, absent: Any) -> Any:
        value = self.json.pop(name, None)
        if value is None:
            return absent
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise BadInputError(f"{name} of {self.where} must be {_KINDS[kind]}, not {_shown(value)}")
        return value

    def text(self, name: str, absent: str | None) -> str | None:
        value: str | None = self.take(name, str, absent)
        return value

    def required(self, name: str) -> str:
        value = self.text(name, None)
        if value is None:
            raise BadInputError(f"{self.where} has no {name}")
        return value

    def flag(self, name: str) -> bool:
        return bool(self.take(name, bool, False))

    def number(self, name: str) -> int | None:
        value: int | None = self.take(name, int, None)
        if value is not None and not 0 <= value < 2**63:
            raise BadInputError(f"{name} of {self.where} must lie between 0 and 2⁶³, not {_shown(value)}")
        return value

    def items(self, name: str) -> list[_Fields]:
        found = self.take(name, list, [])
        return [_Fields(f"{name}[{position}] of {self.where}", each) for position, each in enumerate(found)]

    def done(self) -> None:
        if self.json:
            raise BadInputError(f"{self.where} has fields that do not exist: {', '.join(map(_shown, self.json))}")


_KINDS: Final = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


def _shown(value: object) -> str:
    """A value in a message, not longer than a line."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
