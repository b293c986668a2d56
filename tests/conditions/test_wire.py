"""Errors and batches as JSON, and back: the same classes with the same facts, and nothing taken on trust."""

from __future__ import annotations

import inspect
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conditions import errors
from conditions.errors import BadInputError, ConditionsError, NoPayloadForRun, StoreError, TagNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.wire import error_from, error_json
from conditions.wire_batch import BATCH_EXAMPLE, batch_from, batch_json

GIVEN: dict[str, Any] = {
    "str": "text",
    "int": 7,
    "int | None": 7,
    "str | None": "text",
    "object": "text",
    "Iterable[str]": ["a", "b"],
    "Sequence[str]": ["a", "b"],
    "str | Iterable[str]": ["a", "b"],
    "bool": True,
    "float": 2.5,
    "Iterable[object]": ["/there", "/elsewhere"],
    "Iterable[tuple[str, str]]": [("first", "it is away"), ("second", "it is empty")],
}
LEAVES = [kind for _, kind in sorted(inspect.getmembers(errors, inspect.isclass)) if issubclass(kind, ConditionsError)]


def example(kind: type[ConditionsError]) -> ConditionsError:
    """An error of a class, with something for every argument; one of a new kind needs a line in `GIVEN`."""
    if "__init__" not in vars(kind):
        return kind("said")
    parameters = list(inspect.signature(kind).parameters.values())
    known = [p for p in parameters if p.annotation in GIVEN or p.default is p.empty]
    return kind(**{p.name: GIVEN[p.annotation] for p in known if p.kind is not p.VAR_POSITIONAL})


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_with_its_class_its_words_and_its_facts(kind: type[ConditionsError]) -> None:
    error = example(kind)
    back = error_from(json.loads(json.dumps(error_json(error, 400))))
    assert type(back) is kind
    if kind is not TagNotFound:  # where the server keeps its data is not said
        assert str(back) == str(error)
        assert vars(back) == vars(error)


def test_a_run_comes_back_as_a_run_and_a_list_as_a_tuple() -> None:
    error = NoPayloadForRun(["gain"], Run(7, 120), ["mc16", "online"])
    back = error_from(json.loads(json.dumps(error_json(error, 404))))
    assert vars(back) == vars(error)
    assert isinstance(back, NoPayloadForRun)
    assert back.run == Run(7, 120)


def test_what_json_has_no_word_for_is_said_as_text() -> None:
    said = error_json(errors.BadSource(Path("/a/b"), str(datetime(2026, 1, 1, tzinfo=UTC))), 400)
    assert said["details"]["source"] == "/a/b"
    json.dumps(said)


def test_where_the_server_keeps_its_data_is_not_said() -> None:
    said = json.dumps(error_json(TagNotFound("a", ["b"], "postgresql://me@host/name"), 404))
    assert "postgresql" not in said


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"code": 404, "reason": "New", "message": "no"}, errors.NotFoundError),
        ({"code": 409, "reason": "os", "message": "no"}, errors.RefusedError),
        ({"code": 400, "reason": None, "message": "no"}, BadInputError),
        ({"code": 500, "reason": "ValueError", "message": "no"}, StoreError),
        ({"code": "x", "reason": "Sequence"}, StoreError),
        ({"code": 404, "reason": "TagNotFound", "message": "no"}, errors.NotFoundError),
        ({"code": 409, "reason": "TransitionRefused", "message": "no", "details": {"tag": "t"}}, errors.RefusedError),
        ({"code": 409, "reason": "TagExists", "message": "no", "details": ["t"]}, errors.RefusedError),
    ],
)
def test_a_reason_nobody_here_knows_gives_the_branch_of_its_status(said: Any, kind: type[ConditionsError]) -> None:
    assert type(error_from(said)) is kind


def test_an_error_whose_message_told_less_has_all_attributes_of_its_class() -> None:
    back = error_from({"code": 404, "reason": "TagNotFound", "message": "no", "details": {"name": "t"}})
    assert isinstance(back, TagNotFound)
    assert (back.name, tuple(back.near), back.store) == ("t", (), "")


def test_a_batch_comes_back_as_it_was() -> None:
    source = io.BytesIO(b"1.5")
    batch = batch_from(BATCH_EXAMPLE, [source])
    assert (batch.tag, batch.create, batch.state) == ("user_me_gains", True, None)
    assert batch.iovs[0].iov == IntervalOfValidity.always()
    assert batch.payloads[0].metadata == {"auc": 0.91}
    assert batch_from(json.loads(json.dumps(batch_json(batch))), [source]) == batch


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "must be an object"),
        ({"tag": 7}, "tag of the batch must be text"),
        ({"create": 1}, "create of the batch must be true or false"),
        ({"expected_revision": True}, "must be a whole number"),
        ({"expected_revision": 2**63}, "must lie between"),
        ({"state": "SHUT"}, "no state"),
        ({"iovs": [{"iov": "0,0,-1,-1"}]}, r"iovs\[0\] of the batch has no name"),
        ({"iovs": [{"name": "a", "iov": "always and ever"}]}, "no interval of validity"),
        ({"iovs": "none"}, "iovs of the batch must be a list"),
        ({"tags": "a"}, "fields that do not exist: 'tags'"),
        ({"payloads": [{"name": "a"}]}, "names 1 payloads, and 0 files"),
    ],
)
def test_a_batch_that_cannot_be_meant_is_refused_by_name(document: Any, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        batch_from(document, [])
