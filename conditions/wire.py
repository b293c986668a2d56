"""Values as the plain JSON of `/v1`, and back.

Field names are those that `--json` prints, with numbers and metadata beside them.

For each value there is `tag_json(tag)` and `tag_from(json)`. What is read here was written by this file, so a `*_from`
raises KeyError, TypeError or ValueError where the other side speaks another language; whoever reads turns that into
an error that names the other side. Only `batch_from` reads what anybody may have written, and says what is wrong.

Runs are texts `EXP:RUN`, intervals `FIRST_EXP,FIRST_RUN,FINAL_EXP,FINAL_RUN` with -1 for an open end, times ISO 8601
with an offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import Parameter, signature
from pathlib import PurePath
from typing import Any, Final, TypeAlias

from conditions import errors
from conditions.errors import ConditionsError
from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload, check_payload
from conditions.resolve import Held, IovEntry, Resolved, TagFacts
from conditions.tags import AuditEntry, Tag, TagState

Json: TypeAlias = dict[str, Any]
UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)  # of a payload in an answer that does not say when it was made


def tag_json(tag: Tag) -> Json:
    """A tag without its contents."""
    return {
        "id": tag.id,
        "name": tag.name,
        "state": tag.state.value,
        "type": tag.type,
        "payloads": tag.payload_count,
        "content_revision": tag.content_revision,
        "description": tag.description,
        "created_at": tag.created_at.isoformat(),
        "modified_at": tag.modified_at.isoformat(),
        "modified_by": tag.modified_by,
    }


def tag_from(json: Mapping[str, Any]) -> Tag:
    """The tag of `tag_json`."""
    return Tag(
        name=json["name"],
        state=TagState(json["state"]),
        type=json["type"],
        description=json["description"],
        payload_count=json["payloads"],
        created_at=datetime.fromisoformat(json["created_at"]),
        modified_at=datetime.fromisoformat(json["modified_at"]),
        modified_by=json["modified_by"],
        content_revision=json["content_revision"],
        id=json["id"],
    )


def payload_json(payload: Payload) -> Json:
    """A payload with all that is known about its file."""
    return {
        "id": payload.id,
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "md5": payload.md5,
        "size_bytes": payload.size_bytes,
        "created_at": payload.created_at.isoformat(),
        "created_by": payload.created_by,
        "metadata": dict(payload.metadata),
    }


def payload_from(json: Mapping[str, Any]) -> Payload:
    """The payload of `payload_json`, or of an item of an answer, which says less about it.

    Raises:
        BadInputError: files must not be named by what it says.
    """
    created_at = json.get("created_at")
    payload = Payload(
        name=json["name"],
        revision=json["revision"],
        sha256=json["sha256"],
        md5=json["md5"],
        size_bytes=json["size_bytes"],
        metadata=json.get("metadata", {}),
        created_at=UNKNOWN_TIME if created_at is None else datetime.fromisoformat(created_at),
        created_by=json.get("created_by", ""),
        id=json.get("id", 0),
    )
    return check_payload(payload)


def iov_json(entry: IovEntry, *, with_payload: bool = True) -> Json:
    """One row of a tag. A list of rows says each payload once, beside them, and leaves `payload` out here."""
    json = {
        "id": entry.id,
        "tag": entry.tag,
        "name": entry.payload.name,
        "revision": entry.payload.revision,
        "iov": str(entry.iov),
        "sha256": entry.payload.sha256,
        "payload_id": entry.payload.id,
    }
    return json | {"payload": payload_json(entry.payload)} if with_payload else json


def iov_from(json: Mapping[str, Any], payloads: Mapping[int, Payload] | None = None) -> IovEntry:
    """The row of `iov_json`; `payloads` by number where they stand beside the rows."""
    payload = payload_from(json["payload"]) if payloads is None else payloads[json["payload_id"]]
    return IovEntry(json["id"], payload, IntervalOfValidity.parse(json["iov"]), json["tag"])


def last_text(last: Last) -> str:
    """The end of an interval, -1 where it is open."""
    return str(IntervalOfValidity(Run(0, 0), last)).split(",", 2)[2]


def iovs_json(entries: Iterable[IovEntry]) -> Json:
    """Rows, and each payload of them once: `{"items": […], "payloads": […]}`."""
    payloads: dict[int, Payload] = {}
    items = []
    for entry in entries:
        payloads.setdefault(entry.payload.id, entry.payload)
        items.append(iov_json(entry, with_payload=False))
    return {"items": items, "payloads": [payload_json(payload) for payload in payloads.values()]}


def iovs_from(json: Mapping[str, Any]) -> list[IovEntry]:
    """The rows of `iovs_json`."""
    payloads = {each["id"]: payload_from(each) for each in json["payloads"]}
    return [iov_from(item, payloads) for item in json["items"]]


def audit_json(entry: AuditEntry) -> Json:
    """One line of the history."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "who": entry.who,
        "action": entry.action,
        "subject": entry.subject,
        "before": None if entry.before is None else dict(entry.before),
        "after": None if entry.after is None else dict(entry.after),
    }


def audit_from(json: Mapping[str, Any]) -> AuditEntry:
    """The line of `audit_json`."""
    fields = (json[name] for name in ("who", "action", "subject", "before", "after", "id"))
    return AuditEntry(datetime.fromisoformat(json["at"]), *fields)


def facts_json(facts: TagFacts) -> Json:
    """What decides whether an answer from a tag still holds."""
    return {
        "id": facts.id,
        "name": facts.name,
        "state": facts.state.value,
        "content_revision": facts.content_revision,
        "digest": facts.digest,
    }


def facts_from(json: Mapping[str, Any]) -> TagFacts:
    """The facts of `facts_json`."""
    return TagFacts(json["name"], TagState(json["state"]), json["content_revision"], json["digest"], json["id"])


def resolved_json(resolved: Resolved) -> Json:
    """A winner. `url` is relative to that of the answer, as references in a page are: `files/SHA256`."""
    payload = resolved.payload
    return {
        "id": payload.id,
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "md5": payload.md5,
        "size_bytes": payload.size_bytes,
        "iov": str(resolved.iov),
        "tag": resolved.tag,
        "url": f"files/{payload.sha256}",
    }


def resolved_from(json: Mapping[str, Any], payloads: Mapping[int, Payload] | None = None) -> Resolved:
    """The winner of `resolved_json`; without payloads beside it nothing is known of metadata, and when it was made."""
    payload = payload_from(json) if payloads is None else payloads[json["id"]]
    return Resolved(payload, IntervalOfValidity.parse(json["iov"]), json["tag"])


def held_json(run: Run, held: Held) -> Json:
    """The answer of GET `/v1/resolve`: the winners for a run, in order of name, and the runs that it holds for."""
    return {
        "run": str(run),
        "holds": str(held.holds),
        "tags": [facts_json(facts) for facts in held.tags],
        "payloads": [resolved_json(held.answer[name]) for name in sorted(held.answer)],
    }


def held_from(json: Mapping[str, Any]) -> Held:
    """The answer of `held_json`."""
    answer = {item["name"]: resolved_from(item) for item in json["payloads"]}
    tags = tuple(facts_from(each) for each in json["tags"])
    return Held(answer, IntervalOfValidity.parse(json["holds"]), tags)


def answers_json(answers: Mapping[Run, Mapping[str, Resolved]], tags: Sequence[TagFacts]) -> Json:
    """The answer of POST `/v1/resolve`: the winners for many runs, and each payload of them once."""
    payloads = {one.payload.id: one.payload for found in answers.values() for one in found.values()}
    return {
        "tags": [facts_json(facts) for facts in tags],
        "answers": [
            {"run": str(run), "payloads": [resolved_json(found[name]) for name in sorted(found)]}
            for run, found in answers.items()
        ],
        "payloads": [payload_json(payload) for payload in payloads.values()],
    }


def answers_from(json: Mapping[str, Any]) -> dict[Run, dict[str, Resolved]]:
    """The winners of `answers_json`."""
    payloads = {each["id"]: payload_from(each) for each in json["payloads"]}
    return {
        Run.parse(answer["run"]): {item["name"]: resolved_from(item, payloads) for item in answer["payloads"]}
        for answer in json["answers"]
    }


def error_json(error: ConditionsError, code: int) -> Json:
    """An error as everybody gets it: `{"code", "reason", "message", "details"}`.

    Where the server keeps its data is not said: `store` of a tag that is not there is filled in by who asked.
    """
    if isinstance(error, errors.TagNotFound):
        error = errors.TagNotFound(error.name, error.near)
    details = {name: _plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    return {"code": code, "reason": type(error).__name__, "message": str(error), "details": details}


def error_from(json: Mapping[str, Any]) -> ConditionsError:
    """The error of `error_json`, of the same class with the same attributes.

    A reason that this program does not know, or that comes without the attributes of its class, gives the branch of
    the tree that the code belongs to.
    """
    code, message = json.get("code"), str(json.get("message") or json.get("reason") or "no reason was given")
    kind, details = getattr(errors, str(json.get("reason")), None), json.get("details")
    if isinstance(kind, type) and issubclass(kind, ConditionsError):
        given = {str(k): _value(k, v) for k, v in details.items()} if isinstance(details, dict) else {}
        attributes = _attributes(kind)
        if all(name in given or default is not Parameter.empty for name, default in attributes.items()):
            error = kind.__new__(kind, message)
            error.__dict__.update(attributes | given)
            return error
    return _BRANCHES.get(code if isinstance(code, int) else 500, errors.StoreError)(message)


_BRANCHES: Final[Mapping[int, type[ConditionsError]]] = {
    400: errors.BadInputError,
    401: errors.RefusedError,
    403: errors.RefusedError,
    404: errors.NotFoundError,
    405: errors.BadInputError,
    409: errors.RefusedError,
    410: errors.RefusedError,
    412: errors.RefusedError,
    413: errors.BadInputError,
    415: errors.BadInputError,
    422: errors.BadInputError,
}


def _attributes(kind: type[ConditionsError]) -> dict[str, Any]:
    """What a class of errors is made with, and keeps as attributes, with the defaults."""
    given = list(signature(kind.__init__).parameters.values())[1:]
    return {
        each.name: each.default for each in given if each.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }


def _plain(value: object) -> Any:
    """An attribute of an error as JSON knows it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case PurePath():
            return str(value)
        case tuple() | list() | set() | frozenset():
            return [_plain(each) for each in value]
        case _:
            return str(value)


def _value(name: str, plain: Any) -> Any:
    """An attribute from its JSON: errors keep tuples, and a run as a run."""
    if isinstance(plain, list):
        return tuple(_value("", each) for each in plain)
    if name == "run" and isinstance(plain, str):
        try:
            return Run.parse(plain)
        except errors.BadRun:
            return plain
    return plain
