"""Writing snapshots: what other programs read in them, what is kept when they grow, and that they are whole."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.digest import tag_digest
from conditions.errors import BadSnapshot, ConditionsError, NotSaved, OtherOrigin
from conditions.iov import MAX_NUMBER, IntervalOfValidity, Run
from conditions.offline.snapshot import SnapshotSource
from conditions.offline.writer import TagContent, write_snapshot
from conditions.payload import Payload
from conditions.resolve import IovEntry, resolve
from conditions.store.session import Store
from conditions.tags import Tag, TagState
from support.snapshots import COLUMNS, change, new_file, rows, winners
from support.stores import publish, upload_text

NOW = datetime(2026, 5, 4, 3, 2, 1, 600, tzinfo=UTC)
GRID = [Run(exp, run) for exp in range(5) for run in (0, 1, 2, 3, 4, 5, MAX_NUMBER)]


def payload(number: int, name: str, revision: int) -> Payload:
    return Payload(name, revision, f"{number:064x}", f"{number:032x}", number, {"auc": 0.5}, NOW, "me", number)


def content(
    entries: Sequence[tuple[Payload, str]],
    *,
    name: str = "mc16",
    number: int = 50,
    state: TagState = TagState.PUBLISHED,
    first_id: int = 1,
    runs: str | None = None,
) -> TagContent:
    """A tag with rows numbered in the order given."""
    of_tag = [IovEntry(first_id + n, p, IntervalOfValidity.parse(iov), name) for n, (p, iov) in enumerate(entries)]
    tag = Tag(name, state, "DEV", "for tests", len(entries), NOW, NOW, "me", 7, number)
    within = None if runs is None else IntervalOfValidity.parse(runs)
    return TagContent(tag, of_tag, within, None if within else tag_digest(of_tag))


GAIN, GAIN_2, GAT = payload(100, "gain", 1), payload(101, "gain", 2), payload(103, "GATGAPgen.pth", 12)
MC16 = [(GAIN, "always"), (GAIN_2, "5,10,5,20"), (GAT, "7,0,9,-1")]


def test_another_reader_finds_everything_through_the_two_views(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)], base_url="https://example.org/")
    url = "https://example.org/"
    assert rows(path) == [
        ("mc16", 100, "gain", 1, f"{100:032x}", 0, 0, -1, -1, "dbstore/gain/dbstore_gain_rev_1.root", url),
        ("mc16", 101, "gain", 2, f"{101:032x}", 5, 10, 5, 20, "dbstore/gain/dbstore_gain_rev_2.root", url),
        (
            *("mc16", 103, "GATGAPgen.pth", 12, f"{103:032x}", 7, 0, 9, -1),
            *("dbstore/GATGAPgen.pth/dbstore_GATGAPgen.pth_rev_12.root", url),
        ),
    ]
    full = "SELECT payloadId, payloadName, revision, checksum, payloadUrl, baseUrl FROM full_payloads"
    assert rows(path, full) == [tuple(row[1:5] + row[9:]) for row in rows(path)]
    assert rows(path, "SELECT globalTagId, globalTagName, globalTagStatus FROM globaltags") == [
        (50, "mc16", "PUBLISHED")
    ]
    assert rows(path, "SELECT payloadUrl FROM payloads") == [(None,)] * 3  # the convention needs no words
    assert rows(path, "PRAGMA application_id") == [(0xB2CDB,)]
    assert rows(path, "PRAGMA user_version") == [(1,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def columns(path: Path, table: str) -> list[str]:
    return [row[1] for row in rows(path, f"PRAGMA table_info({table})")]  # type: ignore[misc]


def test_the_tables_are_those_that_others_know(tmp_path: Path) -> None:
    path, theirs = tmp_path / "s.sqlite", new_file(tmp_path / "theirs.sqlite")
    write_snapshot(path, [content(MC16)])
    named = "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    assert rows(path, named) == rows(theirs, named)
    for _, table in rows(theirs, named):
        assert columns(path, str(table)) == columns(theirs, str(table))
    assert columns(path, "iov_payloads") == list(COLUMNS)
    (unique,) = [row for row in rows(path, "PRAGMA index_list(iovs)") if row[2]]
    assert len(rows(path, f"PRAGMA index_info({unique[1]})")) == 6
    with pytest.raises(sqlite3.IntegrityError):
        change(path, "INSERT INTO iovs SELECT * FROM iovs LIMIT 1")
    with pytest.raises(sqlite3.IntegrityError):
        change(path, "INSERT INTO payloads SELECT 999, payloadNameId, revision, '', NULL, 1 FROM payloads LIMIT 1")


def test_the_same_tags_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.sqlite", "b.sqlite"):
        write_snapshot(tmp_path / name, [content(MC16)], details=True)
    assert (tmp_path / "a.sqlite").read_bytes() == (tmp_path / "b.sqlite").read_bytes()


def test_details_bring_back_all_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    given = content(MC16)
    write_snapshot(path, [given], details=True)
    with SnapshotSource(path) as source:
        won = source.resolve_many(["mc16@7"], [Run(5, 10)])[Run(5, 10)]["gain"]
        assert won.payload == GAIN_2
        (facts,) = source.tag_facts(["mc16"])
        assert (facts.content_revision, facts.digest) == (7, given.digest)
        (shown,) = source.tags()
        assert (shown.type, shown.description, shown.runs, shown.digest) == ("DEV", "for tests", None, given.digest)
    assert rows(path)[0][2] == "gain"  # other readers read it as before


def test_only_a_published_digest_is_a_promise(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    given = content(MC16, state=TagState.RUNNING)
    write_snapshot(path, [given], details=True)
    with SnapshotSource(path) as source:
        assert source.tag_facts(["mc16"])[0].digest is None  # the tag may have grown since
        assert source.tags()[0].digest == given.digest


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payloadDetails SET metadata = '{'",
        "UPDATE payloadDetails SET metadata = '[1]'",
        "UPDATE payloadDetails SET sha256 = '../x'",
        "UPDATE payloadDetails SET sizeBytes = 'large'",
        "UPDATE payloadDetails SET createdAt = 'yesterday'",
    ],
)
def test_details_that_cannot_be_meant_are_an_error(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)], details=True)
    change(path, statement)
    with SnapshotSource(path) as source, pytest.raises(BadSnapshot, match="the details of gain r2"):
        source.resolve_many(["mc16"], [Run(5, 10)])


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)])
    before = path.read_bytes()
    with pytest.raises(NotSaved, match="it is there already"):
        write_snapshot(path, [content(MC16[:1])])
    assert path.read_bytes() == before
    write_snapshot(path, [content(MC16[:1])], replace=True)
    assert len(rows(path)) == 1


def test_an_error_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)])
    before = path.read_bytes()

    def failing() -> object:
        yield content(MC16[:1])
        raise NotSaved("the next tag", "of the test")

    for more in ({"append": True}, {"replace": True}):
        with pytest.raises(NotSaved, match="of the test"):
            write_snapshot(path, failing(), **more)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["s.sqlite"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotSaved, match="No such file or directory"):
        write_snapshot(tmp_path / "absent" / "s.sqlite", [content(MC16)])


def test_more_tags_are_added_and_changed_ones_refreshed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    online = content([(GAIN, "0,0,3,-1")], name="online", number=51, state=TagState.RUNNING, first_id=90)
    assert [tag.change for tag in write_snapshot(path, [content(MC16), online])] == ["added", "added"]
    assert [tag.change for tag in write_snapshot(path, [online], append=True)] == ["unchanged"]
    new = payload(200, "gain", 3)
    grown = content([(GAIN, "0,0,3,-1"), (new, "4,0,-1,-1")], name="online", number=51, state=TagState.RUNNING)
    third = content([(GAT, "always")], name="third", number=52)
    written = write_snapshot(path, [grown, third], append=True)
    assert [(tag.name, tag.change, tag.n_iovs) for tag in written] == [
        ("online", "refreshed", 2),
        ("third", "added", 1),
    ]
    with SnapshotSource(path) as source:
        assert [tag.facts.name for tag in source.tags()] == ["mc16", "online", "third"]
        assert source.resolve_many(["online"], [Run(9, 9)])[Run(9, 9)]["gain"].payload.id == 200
        assert len(source.resolve_many(["mc16"], [Run(7, 9)])[Run(7, 9)]) == 2
    assert winners(path, ["online"], 9, 9)["gain"][0] == 3


def test_what_no_tag_needs_any_more_goes(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16), content([(GAIN, "always")], name="other", number=51)], details=True)
    changed = content([(GAIN_2, "always")])
    write_snapshot(path, [changed], append=True)
    assert rows(path, "SELECT payloadId FROM payloads ORDER BY 1") == [(100,), (101,)]  # 100 is the other tag's
    assert rows(path, "SELECT payloadId FROM payloadDetails ORDER BY 1") == [(100,), (101,)]


def test_a_tag_that_became_invalid_or_has_another_name_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)])
    assert write_snapshot(path, [content(MC16, state=TagState.INVALID)], append=True)[0].change == "refreshed"
    assert rows(path, "SELECT globalTagStatus FROM globaltags") == [("INVALID",)]
    write_snapshot(path, [content(MC16, name="mc16_old", state=TagState.INVALID)], append=True)
    assert rows(path, "SELECT globalTagId, globalTagName FROM globaltags") == [(50, "mc16_old")]


def test_files_by_another_program_grow_too(tmp_path: Path) -> None:
    theirs = new_file(
        tmp_path / "theirs.sqlite",
        f"""
        INSERT INTO baseUrls VALUES (1, 'https://one.example.org/');
        INSERT INTO payloadNames VALUES (5, 'gain');
        INSERT INTO payloads VALUES (100, 5, 1, '{100:032x}', 'own/place.root', 1);
        INSERT INTO globaltags VALUES (40, 'theirs', 'PUBLISHED');
        INSERT INTO iovs VALUES (40, 100, 0, 0, -1, -1);
        """,
    )
    write_snapshot(theirs, [content(MC16)], append=True, base_url="https://two.example.org/")
    urls = {(row[0], row[1]): row[9:] for row in rows(theirs)}
    assert urls["theirs", 100] == urls["mc16", 100] == ("own/place.root", "https://one.example.org/")
    assert urls["mc16", 101] == ("dbstore/gain/dbstore_gain_rev_2.root", "https://two.example.org/")
    assert rows(theirs, "SELECT count(*) FROM payloadNames") == [(2,)]


@pytest.mark.parametrize(
    "other",
    [
        content(MC16, number=51),
        content([(replace(GAIN, md5="f" * 32), "always")], name="b", number=51),
        content([(replace(GAIN, name="gat"), "always")], name="b", number=51),
        content([(replace(GAIN, id=999), "always")], name="b", number=51),
    ],
    ids=["tag number", "md5", "name", "payload number"],
)
def test_a_file_from_another_database_is_not_mixed_with_this_one(tmp_path: Path, other: TagContent) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)])
    before = path.read_bytes()
    with pytest.raises(OtherOrigin, match="made from another database"):
        write_snapshot(path, [other], append=True)
    assert path.read_bytes() == before


def test_only_snapshots_grow(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    change(other, "CREATE TABLE t (x)")
    with pytest.raises(BadSnapshot, match="application_id is 0x0"):
        write_snapshot(other, [content(MC16)], append=True)
    write_snapshot(tmp_path / "new.sqlite", [content(MC16)], append=True)
    assert len(rows(tmp_path / "new.sqlite")) == 3


def test_a_damaged_file_does_not_grow(tmp_path: Path) -> None:
    path, spoilt = tmp_path / "s.sqlite", tmp_path / "spoilt.sqlite"
    write_snapshot(path, [content(MC16)], details=True)
    whole, draw = path.read_bytes(), random.Random(4)  # noqa: S311 - a test that is the same every time
    third, refused = content([(GAT, "always")], name="third", number=52), 0
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[draw.randrange(len(whole))] = draw.randrange(256)
        spoilt.write_bytes(damaged)
        try:
            write_snapshot(spoilt, [third], append=True)
        except ConditionsError:
            refused += 1
            assert spoilt.read_bytes() == damaged
    assert refused > 50
    assert sorted(each.name for each in tmp_path.iterdir()) == ["s.sqlite", "spoilt.sqlite"]


def test_a_range_of_runs_is_cut_so_that_nothing_wrong_is_answered_outside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    # Outside of the range gain has a revision that was left out; the first row must not answer in its place.
    within = content([(GAIN, "always")], runs="1,0,1,9")
    write_snapshot(path, [within], details=True)
    assert rows(path)[0][5:9] == (1, 0, 1, 9)
    with SnapshotSource(path) as source:
        assert source.resolve_many(["mc16"], [Run(1, 9), Run(2, 0)]) == {
            Run(1, 9): source.resolve_many(["mc16"], [Run(1, 9)])[Run(1, 9)],
            Run(2, 0): {},
        }
        assert source.tags()[0].runs == "1,0,1,9"
        assert source.tag_facts(["mc16"])[0].digest is None  # that of the whole tag would promise too much


def test_rows_that_become_the_same_by_being_cut_are_one(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    written = write_snapshot(path, [content([(GAIN, "0,0,4,-1"), (GAIN, "always"), (GAIN, "9,0,9,9")], runs="1,0,1,9")])
    assert written[0].n_iovs == 1
    assert len(rows(path)) == 1


def test_of_rows_with_one_payload_the_youngest_wins_also_after_they_were_cut(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content([(GAIN, "0,0,4,-1"), (GAIN, "1,0,1,5"), (GAIN, "always")], runs="1,0,1,9")])
    with SnapshotSource(path) as source:
        assert str(source.resolve_many(["mc16"], [Run(1, 2)])[Run(1, 2)]["gain"].iov) == "1,0,1,9"


def _add(path: Path, number: int) -> None:
    tag = content([(payload(1000 + number, f"p{number}", 1), "always")], name=f"tag{number}", number=1000 + number)
    write_snapshot(path, [tag], append=True)


def test_many_who_add_to_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_snapshot(path, [content(MC16)])
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add, args=(path, number)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert rows(path, "SELECT count(*) FROM globaltags") == [(9,)]
    assert [each.name for each in tmp_path.iterdir()] == ["s.sqlite"]


ends = st.sampled_from([0, 1, 2, 3, MAX_NUMBER, -1])
intervals = st.one_of(
    st.just("always"),
    st.builds(
        lambda e1, r1, more, r2: IntervalOfValidity.from_tuple(
            e1, r1, e1 + more, max(r1, r2) if not more and r2 >= 0 else r2
        ),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 2),
        ends,
    ).map(str),
    st.builds(lambda e, r: f"{e},{r},-1,-1", st.integers(0, 4), st.integers(0, 4)),
)
names_and_revisions = st.tuples(st.sampled_from(["gain", "gat"]), st.integers(1, 3))
tag_rows = st.lists(st.tuples(names_and_revisions, intervals), max_size=12, unique=True)


@settings(max_examples=60, deadline=None)
@given(first=tag_rows, second=tag_rows)
def test_any_two_tags_resolve_as_they_did(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[tuple[str, int], str]],
    second: list[tuple[tuple[str, int], str]],
) -> None:
    def tag(given_rows: list[tuple[tuple[str, int], str]], name: str, number: int) -> TagContent:
        some = [(payload(10 * revision + len(of), of, revision), iov) for (of, revision), iov in given_rows]
        return content(some, name=name, number=number, first_id=100 * number)

    contents = [tag(first, "a", 1), tag(second, "b", 2)]
    entries = [entry for each in contents for entry in each.entries]
    path = tmp_path_factory.mktemp("any") / "s.sqlite"
    write_snapshot(path, contents, details=True)
    with SnapshotSource(path) as source:
        found = source.resolve_many(["b", "a"], GRID)
        for run in GRID:
            expected = resolve(["b", "a"], run, entries)
            assert found[run] == expected
            held = source.resolve_held(["b", "a"], run)
            assert held.answer == expected
            assert run in held.holds
            for other in GRID:
                if other in held.holds:
                    assert found[other] == expected
            theirs = winners(path, ["b", "a"], run.exp, run.run)
            assert {name: facts[:2] for name, facts in theirs.items()} == {
                name: (won.payload.revision, won.payload.md5) for name, won in expected.items()
            }


def test_a_store_and_its_snapshot_answer_the_same_for_every_run(embedded: Store, tmp_path: Path) -> None:
    draw = random.Random(5)  # noqa: S311 - a test that is the same every time
    for tag in ("a", "b"):
        embedded.create_tag(tag)
        for _ in range(30):
            name = draw.choice(["gain", "gat", "cnn"])
            kept = upload_text(embedded, name, f"{name} {draw.randrange(6)}")
            first = draw.randrange(4), draw.randrange(5)
            final = draw.choice([(first[0], -1), (first[0] + 1, draw.randrange(5)), (-1, -1), (first[0], first[1] + 2)])
            embedded.add_iov(tag, name, kept.revision, IntervalOfValidity.from_tuple(*first, *final))
        publish(embedded, tag)
    path = tmp_path / "s.sqlite"
    contents = [TagContent(embedded.get_tag(tag), embedded.list_iovs(tag)) for tag in ("a", "b")]
    write_snapshot(path, contents, details=True)
    with SnapshotSource(path) as source:
        for stack in (["a"], ["b"], ["b", "a"]):
            assert source.resolve_many(stack, GRID) == embedded.resolve_many(stack, GRID)
            assert source.resolve_many(stack, GRID, ["gat"]) == embedded.resolve_many(stack, GRID, ["gat"])
