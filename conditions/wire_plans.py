"""Plans, checks and differences of tags as the JSON of `/v1`, and back. Each payload is said once, beside the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from conditions.diff import Difference, TagDiff
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.plans.check import Gap, Overlap, PayloadFault, TagCheck
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.plan import Plan
from conditions.wire import Json, iov_from, iov_json, last_text, payload_from, payload_json


def plan_json(plan: Plan) -> Json:
    """What a change makes, changes and takes away."""
    payloads = [payload for payload, _ in plan.creates]
    payloads += [entry.payload for entry, _ in plan.changes]
    payloads += [entry.payload for entry in plan.deletes]
    return {
        "tag": plan.tag,
        "base_revision": plan.base_revision,
        "summary": plan.summary(),
        "creates": [_said(payload) | {"iov": str(iov)} for payload, iov in plan.creates],
        "changes": [iov_json(entry, with_payload=False) | {"new_iov": str(iov)} for entry, iov in plan.changes],
        "deletes": [iov_json(entry, with_payload=False) for entry in plan.deletes],
        "payloads": _once(payloads),
    }


def plan_from(json: Mapping[str, Any]) -> Plan:
    """The plan of `plan_json`."""
    payloads = _by_number(json["payloads"])
    parse = IntervalOfValidity.parse
    return Plan(
        json["tag"],
        json["base_revision"],
        tuple((payloads[each["payload_id"]], parse(each["iov"])) for each in json["creates"]),
        tuple((iov_from(each, payloads), parse(each["new_iov"])) for each in json["changes"]),
        tuple(iov_from(each, payloads) for each in json["deletes"]),
    )


def diff_json(diff: TagDiff) -> Json:
    """How the right tag differs from the left one, by checksum."""
    sides = [side for each in diff.differences for side in (each.left, each.right) if side is not None]
    return {
        "left": diff.left,
        "right": diff.right,
        "same_names": list(diff.same_names),
        "summary": diff.summary(),
        "differences": [
            {
                "name": each.name,
                "iov": str(each.iov),
                "change": each.word,
                "left": None if each.left is None else _said(each.left),
                "right": None if each.right is None else _said(each.right),
            }
            for each in diff.differences
        ],
        "payloads": _once(sides),
    }


def diff_from(json: Mapping[str, Any]) -> TagDiff:
    """The difference of `diff_json`."""
    payloads = _by_number(json["payloads"])

    def side(said: Mapping[str, Any] | None) -> Payload | None:
        return None if said is None else payloads[said["payload_id"]]

    differences = (
        Difference(each["name"], IntervalOfValidity.parse(each["iov"]), side(each["left"]), side(each["right"]))
        for each in json["differences"]
    )
    return TagDiff(json["left"], json["right"], tuple(differences), tuple(json["same_names"]))


def check_json(check: TagCheck) -> Json:
    """What was found in a tag."""
    return {
        "tag": check.tag,
        "content_revision": check.content_revision,
        "iovs": check.iov_count,
        "payloads_verified": check.payload_count,
        "ok": check.ok,
        "gaps": [{"name": gap.name, "iov": str(gap.iov)} for gap in check.gaps],
        "overlaps": [
            {"name": each.name, "iov": str(each.iov), "winner": _said(each.winner), "duplicate": each.is_duplicate}
            for each in check.overlaps
        ],
        "faults": [{"name": each.name, "revision": each.revision, "reason": each.reason} for each in check.faults],
        "payloads": _once(each.winner for each in check.overlaps),
    }


def check_from(json: Mapping[str, Any]) -> TagCheck:
    """The findings of `check_json`."""
    payloads = _by_number(json["payloads"])
    parse = IntervalOfValidity.parse
    return TagCheck(
        json["tag"],
        json["content_revision"],
        json["iovs"],
        json["payloads_verified"],
        tuple(Gap(each["name"], parse(each["iov"])) for each in json["gaps"]),
        tuple(
            Overlap(
                each["name"],
                parse(each["iov"]),
                payloads[each["winner"]["payload_id"]],
                each.get("duplicate") is True,
            )
            for each in json["overlaps"]
        ),
        tuple(PayloadFault(each["name"], each["revision"], each["reason"]) for each in json["faults"]),
    )


def filter_json(rows: IovFilter) -> Json:
    """Which rows are meant."""
    return {
        "name": rows.glob,
        "regex": rows.regex,
        "within": None if rows.within is None else str(rows.within),
        "contained": rows.contained,
        "cut": rows.cut,
        "revision": rows.revision,
        "ids": None if rows.ids is None else sorted(rows.ids),
    }


def edit_json(edit: IovEdit) -> Json:
    """What rows become."""
    return {
        "iov": None if edit.iov is None else str(edit.iov),
        "first": None if edit.first is None else str(edit.first),
        "last": None if edit.last is None else last_text(edit.last),
        "revision": edit.revision,
    }


def _said(payload: Payload) -> Json:
    """A payload in a row, whose whole is said beside the rows."""
    return {
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "payload_id": payload.id,
    }


def _once(payloads: Iterable[Payload]) -> list[Json]:
    return [payload_json(payload) for payload in {payload.id: payload for payload in payloads}.values()]


def _by_number(payloads: Iterable[Mapping[str, Any]]) -> dict[int, Payload]:
    return {each["id"]: payload_from(each) for each in payloads}
