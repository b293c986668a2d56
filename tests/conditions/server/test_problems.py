"""Every error of the tree has an answer."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime

import pytest

from conditions import errors, wire
from conditions.errors import ConditionsError
from conditions.server.problems import STATUS_OF, RequestRefused, json_bytes, problem, status_of

PUBLIC = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ConditionsError) and kind is not ConditionsError
]


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_public_error_has_a_status(kind: type[ConditionsError]) -> None:
    named = [base for base in kind.__mro__ if base in STATUS_OF]
    assert named, f"{kind.__name__} stands below no branch of the table"
    assert 400 <= STATUS_OF[named[0]] <= 599


def test_what_the_client_can_mend_is_told_from_what_the_server_must() -> None:
    assert status_of(errors.BadInterval("x", "no")) == 400
    assert status_of(errors.TagNotFound("x")) == 404
    assert status_of(errors.TagExists("x")) == 409
    assert status_of(errors.TokenRefused("no")) == 401
    assert status_of(errors.RightMissing("bob", "do", "claim", "x")) == 403
    assert status_of(errors.StoreBusy("x", "y")) == 503


def test_an_answer_has_three_words_and_no_null() -> None:
    status, body, headers = problem(errors.TagNotFound("mc61", ["mc16"], "postgresql://somewhere"))
    assert body == {"code": 404, "reason": "TagNotFound", "message": "no tag 'mc61' (did you mean 'mc16'?)"}
    assert (status, headers["Cache-Control"]) == (404, "no-store")
    assert problem(errors.TagNotFound("mc61"), details=True)[1]["details"]["name"] == "mc61"


def test_a_server_in_trouble_says_when_to_come_back_and_not_where_it_keeps_its_data() -> None:
    status, body, headers = problem(errors.StoreUnavailable("postgresql://db.inside/x", "connection refused"))
    assert (status, int(headers["Retry-After"]) > 0) == (503, True)
    assert "db.inside" not in str(body)
    told = problem(errors.StoreUnavailable("postgresql://db.inside/x", "connection refused"), details=True)[1]
    assert "db.inside" not in str(told)
    assert type(wire.error_from(told)) is errors.StoreUnavailable
    assert str(wire.error_from(told)) == told["message"]


def test_a_status_without_an_error_of_ours_has_a_word_too() -> None:
    for status, word in ((404, "NotFound"), (405, "MethodNotAllowed"), (413, "PayloadTooLarge"), (400, "BadRequest")):
        assert problem(RequestRefused(status, "no"))[1] == {"code": status, "reason": word, "message": "no"}


def test_no_answer_says_where_the_server_keeps_its_files() -> None:
    for error in (
        errors.PayloadLost("gat", 2, "/srv/secret/ab/abc"),
        errors.PayloadCorrupt("gat", 2, "/srv/secret/ab/abc", "has 3 bytes"),
        errors.StoreFull("/srv/secret"),
        errors.FilesNotOurs("/srv/secret", "a", "b"),
    ):
        _, body, _ = problem(error, details=True)
        assert "secret" not in str(body)
        assert body["reason"] == type(error).__name__


def test_whatever_a_database_holds_can_be_told() -> None:
    """An earlier release kept metadata that a strict writer of JSON refuses."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    odd = {"seed": 10**30, "text": "a\ud800"}
    assert json.loads(json_bytes(odd | {"at": at})) == odd | {"at": "2026-01-02T00:00:00+00:00"}
    assert json_bytes({"at": at}) == b'{"at":"2026-01-02T00:00:00+00:00"}'
