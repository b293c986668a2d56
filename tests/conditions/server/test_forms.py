"""A form says rows exactly as the function says them that it was read off."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from conditions.iov import FOREVER_KEY, IntervalOfValidity, Run
from conditions.resolve import IovEntry, Resolved
from conditions.server import belle2
from conditions.server.forms import NUL, SPACE, Form, FormUnfit, Say, entry_of
from conditions.server.index import TagIndex, compile_index
from conditions.wire import resolved_json
from support.tag_rows import NOON, Row, tag_rows

BASE = "https://c.example/x/"
ROWS: list[Row] = [
    ("a", 1, 0, FOREVER_KEY),
    ("b.é \"q\" \\ %25 ~{}", 12_345, Run(7, 100_000).key, IntervalOfValidity.parse("7,0,9,-1").final_key),
    ("n" * 200, 3, Run(2_147_483_646, 0).key, Run(2_147_483_646, 2_147_483_646).key),
    ("a", 99_999, Run(0, 5).key, Run(0, 5).key),
]  # fmt: skip


def covering(row: IovEntry) -> Any:
    return belle2.covering_json([row], BASE)[0]


def hsf(row: IovEntry) -> Any:
    return belle2.hsf_json(Resolved(row.payload, row.iov, row.tag))


def resolved(row: IovEntry) -> Any:
    return resolved_json(Resolved(row.payload, row.iov, row.tag))


def everything(row: IovEntry) -> Any:
    """A shape nobody uses: values in lists, first and last, in texts, and times with a variable width."""
    return [row.id, row.payload.md5, {"at": row.created_at, "who": row.modified_by, "r": row.payload.revision}, row.tag]


def check(index: TagIndex, say: Say, fill: bytes, open_end: bytes = b"-1") -> None:
    form = Form(index, say, fill=fill, open_end=open_end)
    said = orjson.loads(form.fill(index.rows, b'{"x":[', b"]}"))["x"]
    assert said == [orjson.loads(orjson.dumps(say(entry_of(index, row)))) for row in index.rows]


@pytest.mark.parametrize("first_id", [1, 2**31 - 2, 2**53])
@pytest.mark.parametrize(
    ("say", "fill", "open_end"),
    [
        (covering, SPACE, b"-1"),
        (hsf, SPACE, str(belle2.HSF_FOREVER).encode()),
        (resolved, NUL, b"-1"),
        (everything, SPACE, b"-1"),
        (covering, NUL, b"-1"),
    ],
)
def test_a_form_says_what_the_function_says(say: Say, fill: bytes, open_end: bytes, first_id: int) -> None:
    people = ("ada", 'ben "b" \\ é\t', "c" * 300)
    times = (NOON, NOON + 1, NOON + 1_000, NOON - 10**15)
    check(compile_index(tag_rows(ROWS, people=people, times=times, first_id=first_id)), say, fill, open_end)


def test_many_different_times_are_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conditions.server.index.FEW_MOMENTS", 1)
    index = compile_index(tag_rows(ROWS, times=(NOON, NOON + 7, 1 - NOON)))
    assert len(index.moments) == 0
    check(index, covering, SPACE)
    check(index, everything, SPACE)


def test_values_too_many_for_a_table_are_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conditions.server.columns.MAX_TABLE", 1)
    check(compile_index(tag_rows(ROWS)), covering, SPACE)


def test_no_rows_are_an_empty_list() -> None:
    index = compile_index(tag_rows(ROWS))
    assert Form(index, covering).fill(index.rows[:0], b"[", b"]") == b"[]"


def test_a_tag_without_rows_has_a_form() -> None:
    index = compile_index(tag_rows([]))
    assert Form(index, covering).fill(index.rows, b"[", b"]") == b"[]"


def test_two_values_in_one_text_need_the_form_that_takes_padding_out() -> None:
    with pytest.raises(FormUnfit, match="two values"):
        Form(compile_index(tag_rows(ROWS)), resolved, fill=SPACE)


def test_an_open_end_that_is_said_wrong_is_noticed() -> None:
    with pytest.raises(FormUnfit, match="said otherwise"):
        Form(compile_index(tag_rows(ROWS)), hsf, open_end=b"-1")


def test_a_row_as_wide_as_a_page_is_refused() -> None:
    with pytest.raises(FormUnfit, match="bytes"):
        Form(compile_index(tag_rows(ROWS, people=("x" * 20_000,))), covering)


def test_forms_that_say_something_else_have_other_fingerprints() -> None:
    index = compile_index(tag_rows(ROWS))
    prints = [
        Form(index, say).fingerprint for say in (covering, everything, lambda row: belle2.covering_json([row], "/")[0])
    ]
    assert len(set(prints)) == 3
    assert Form(index, covering).fingerprint == prints[0]
