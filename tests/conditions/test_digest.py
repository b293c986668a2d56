"""The effective content of a tag and its digest, against every single run."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime

import pytest

from conditions.digest import digest_of_rows, effective, tag_digest
from conditions.errors import BadInputError
from conditions.iov import MAX_NUMBER, IntervalOfValidity, IovSet, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry, resolve

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = [Run(exp, run) for exp in range(4) for run in [*range(5), MAX_NUMBER]] + [Run(MAX_NUMBER, MAX_NUMBER)]


def payload(name: str, revision: int, text: str | None = None) -> Payload:
    data = (text or f"{name} {revision}").encode()
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Payload(name, revision, sha256, md5, len(data), {}, NOW, "tester")


def entries(*rows: tuple[str, int, str]) -> list[IovEntry]:
    """One row for each (name, revision, interval)."""
    return [
        IovEntry(number, payload(name, revision), IntervalOfValidity.parse(text), "a")
        for number, (name, revision, text) in enumerate(rows, 1)
    ]


def random_entries(draw: random.Random, count: int) -> list[IovEntry]:
    rows = []
    for _ in range(count):
        first, last = sorted((draw.randrange(4), draw.choice([0, 1, 2, 3, 4, MAX_NUMBER])) for _ in range(2))
        end = draw.choice([f"{last[0]},{last[1]}", f"{last[0]},-1", "-1,-1"])
        rows.append((draw.choice(["gat", "cnn", "ünlü"]), draw.randrange(1, 4), f"{first[0]},{first[1]},{end}"))
    return entries(*rows)


def bytes_by_run(rows: list[IovEntry]) -> list[dict[str, str]]:
    """What every run gets, by the rule itself."""
    return [{name: won.payload.sha256 for name, won in resolve(["a"], run, rows).items()} for run in RUNS]


@pytest.mark.parametrize("seed", range(60))
def test_the_pieces_say_of_every_run_what_it_gets(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    rows = random_entries(draw, draw.randrange(1, 12))
    pieces = list(effective(rows))
    for run, expected in zip(RUNS, bytes_by_run(rows), strict=True):
        assert {name: each.sha256 for name, iov, each in pieces if run in iov} == expected
    assert sum(run in iov for _, iov, _ in pieces for run in RUNS) == sum(map(len, bytes_by_run(rows)))
    assert pieces == sorted(pieces, key=lambda piece: (piece[0].encode(), piece[1].first))


@pytest.mark.parametrize("seed", range(20))
def test_two_tags_have_one_digest_exactly_when_every_run_gets_the_same_bytes(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    tags = [random_entries(draw, draw.randrange(3)) for _ in range(12)]
    # Cut in two, a row gives out the same; nothing that matters has changed.
    tags += [cut(draw, rows) for rows in tags]
    for left in tags:
        for right in tags:
            same = bytes_by_run(left) == bytes_by_run(right)
            assert (tag_digest(left) == tag_digest(right)) is same


def cut(draw: random.Random, rows: list[IovEntry]) -> list[IovEntry]:
    """The same content from other rows, in another order."""
    at = IntervalOfValidity.parse(draw.choice(["1,2,1,3", "2,0,2,-1", "0,0,3,-1"]))
    pieces = [(row.payload, iov) for row in rows for iov in (*(row.iov - at), row.iov & at) if iov is not None]
    draw.shuffle(pieces)
    return [IovEntry(number, each, iov, "a") for number, (each, iov) in enumerate(pieces, 1)]


@pytest.mark.parametrize("seed", range(10))
def test_the_digest_of_plain_rows_is_that_of_the_values(seed: int) -> None:
    rows = random_entries(random.Random(seed), 15)  # noqa: S311
    plain = [
        (e.payload.name, e.iov.first_key, e.iov.final_key, e.payload.revision, e.id, e.payload.sha256) for e in rows
    ]
    assert digest_of_rows(sorted(plain, key=lambda row: (row[0].encode(), row[1]))) == tag_digest(rows)


def test_the_digest_is_of_lines_that_anybody_can_write() -> None:
    rows = entries(("gat", 1, "always"), ("gat", 2, "5,0,5,-1"), ("cnn", 1, "1,1,2,0"))
    one, two, cnn = (payload(*which).sha256 for which in (("gat", 1), ("gat", 2), ("cnn", 1)))
    lines = (
        f"cnn\t{cnn}\t1,1,2,0\n"
        f"gat\t{one}\t0,0,4,-1\n"
        f"gat\t{two}\t5,0,5,-1\n"
        f"gat\t{one}\t6,0,-1,-1\n"
    )  # fmt: skip
    assert tag_digest(rows) == hashlib.sha256(lines.encode()).hexdigest()
    assert tag_digest([]) == hashlib.sha256(b"").hexdigest()


def test_revision_numbers_are_not_in_the_digest() -> None:
    here = [IovEntry(1, payload("gat", 3, "weights"), IntervalOfValidity.always(), "a")]
    there = [IovEntry(9, payload("gat", 1, "weights"), IntervalOfValidity.always(), "b")]
    assert tag_digest(here) == tag_digest(there)


def test_an_end_after_which_no_run_can_come_is_written_in_one_way() -> None:
    to_the_last_run = entries(("gat", 1, f"0,0,5,{MAX_NUMBER}"))
    assert tag_digest(to_the_last_run) == tag_digest(entries(("gat", 1, "0,0,5,-1")))
    to_the_last_exp = entries(("gat", 1, f"0,0,{MAX_NUMBER},-1"))
    assert tag_digest(to_the_last_exp) == tag_digest(entries(("gat", 1, "always")))


def test_where_only_md5_is_known_pieces_are_told_apart_and_no_digest_is_given() -> None:
    known = [
        IovEntry(number, Payload("gat", number, "", md5, -1, {}, NOW, ""), IntervalOfValidity.parse(text), "a")
        for number, md5, text in [(1, "a" * 32, "always"), (2, "b" * 32, "3,0,3,-1"), (3, "a" * 32, "4,0,-1,-1")]
    ]
    assert [(str(iov), each.md5[0]) for _, iov, each in effective(known)] == [
        ("0,0,2,-1", "a"),
        ("3,0,3,-1", "b"),
        ("4,0,-1,-1", "a"),
    ]
    with pytest.raises(BadInputError, match="sha256 of gat r1"):
        tag_digest(known)


def test_pieces_of_one_payload_do_not_touch() -> None:
    rows = entries(("gat", 1, "1,0,1,4"), ("gat", 1, "1,5,1,-1"), ("gat", 1, "2,0,-1,-1"))
    assert [str(iov) for _, iov, _ in effective(rows)] == ["1,0,-1,-1"]
    assert len(IovSet(iov for _, iov, _ in effective(rows))) == 1
