"""Reading snapshots: as the store would answer, also those that other programs wrote."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conditions.errors import (
    BadSnapshot,
    ConditionsError,
    PastUnknown,
    PayloadNotHere,
    StoreUnavailable,
    TagNotFound,
    TagNotUsable,
)
from conditions.iov import IntervalOfValidity, Run
from conditions.offline.locations import Layout, PayloadFolder
from conditions.offline.schema import DETAILS
from conditions.offline.snapshot import SnapshotSource, is_snapshot
from conditions.payload import Payload
from support.snapshots import change, new_file

MD5 = {number: f"{number:032x}" for number in range(20)}
# Two base URLs, a payload with an URL of its own, overlaps, all kinds of ends, and tags in every state.
FOREIGN = f"""
INSERT INTO baseUrls VALUES (7, 'https://one.example.org/'), (9, 'https://two.example.org/data');
INSERT INTO payloadNames VALUES (3, 'gain'), (1, 'GATGAPgen.pth');
INSERT INTO payloads VALUES
    (100, 3, 1, '{MD5[1]}', NULL, 7), (101, 3, 2, '{MD5[2]}', 'elsewhere/gain v2.root', 9),
    (102, 3, 3, '{MD5[3].upper()}', NULL, 9), (103, 1, 12, '{MD5[4]}', NULL, 7);
INSERT INTO globaltags VALUES
    (50, 'mc16', 'PUBLISHED'), (51, 'online', 'running'), (52, 'gone', 'INVALID'), (53, 'fresh', 'OPEN'),
    (54, 'empty', 'VALIDATED');
INSERT INTO iovs VALUES
    (50, 102, 5, 10, 5, 20), (50, 100, 0, 0, -1, -1), (50, 101, 5, 0, 5, -1), (50, 103, 7, 0, 9, 3),
    (51, 103, 0, 0, -1, -1), (52, 100, 0, 0, -1, -1), (53, 100, 0, 0, 3, -1);
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return new_file(tmp_path / "foreign.sqlite", FOREIGN)


def revisions(source: SnapshotSource, stack: list[str], run: Run, **more: bool) -> dict[str, int]:
    return {name: won.payload.revision for name, won in source.resolve_many(stack, [run], **more)[run].items()}


def test_a_snapshot_by_another_program_is_read(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:
        assert revisions(source, ["mc16"], Run(0, 0)) == {"gain": 1}
        assert revisions(source, ["mc16"], Run(5, 0)) == {"gain": 2}
        assert revisions(source, ["mc16"], Run(5, 10)) == {"gain": 3}
        assert revisions(source, ["mc16"], Run(5, 20)) == {"gain": 3}
        assert revisions(source, ["mc16"], Run(5, 21)) == {"gain": 2}
        assert revisions(source, ["mc16"], Run(5, 2**31 - 2)) == {"gain": 2}
        assert revisions(source, ["mc16"], Run(6, 0)) == {"gain": 1}
        assert revisions(source, ["mc16"], Run(9, 3)) == {"gain": 1, "GATGAPgen.pth": 12}
        assert revisions(source, ["mc16"], Run(9, 4)) == {"gain": 1}
        assert revisions(source, ["mc16", "online"], Run(9, 4)) == {"gain": 1, "GATGAPgen.pth": 12}
        assert revisions(source, ["empty", "online"], Run(9, 4)) == {"GATGAPgen.pth": 12}
        assert revisions(source, ["empty"], Run(9, 4)) == {}


def test_a_payload_has_its_md5_and_says_that_more_is_not_known(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:
        won = source.resolve_many(["mc16"], [Run(5, 12)], ["gain"])[Run(5, 12)]["gain"]
    assert (won.payload.id, won.payload.md5, won.tag) == (102, MD5[3], "mc16")
    assert (won.payload.sha256, won.payload.size_bytes, won.payload.metadata) == ("", -1, {})
    assert won.iov == IntervalOfValidity.from_tuple(5, 10, 5, 20)


def test_states_decide_what_a_job_may_use(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:
        with pytest.raises(TagNotUsable, match="'gone' is INVALID"):
            source.resolve_many(["mc16", "gone"], [Run(0, 0)], allow_open=True)
        with pytest.raises(TagNotUsable, match="'fresh' is OPEN"):
            source.resolve_many(["fresh"], [Run(0, 0)])
        assert revisions(source, ["fresh"], Run(3, 7), allow_open=True) == {"gain": 1}
        with pytest.raises(TagNotFound, match="did you mean 'online'"):
            source.resolve_many(["onlin"], [Run(0, 0)])


def test_an_answer_says_for_which_runs_it_holds(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:

        def holds(run: Run, *names: str) -> str:
            return str(source.resolve_held(["mc16", "online"], run, names or None).holds)

        assert holds(Run(5, 12), "gain") == "5,10,5,20"
        assert holds(Run(5, 21), "gain") == "5,21,5,-1"
        assert holds(Run(6, 0), "gain") == "6,0,-1,-1"
        assert holds(Run(6, 0)) == "6,0,6,-1"  # from 7:0 on GATGAPgen.pth comes from another tag
        assert holds(Run(9, 4), "GATGAPgen.pth") == "9,4,-1,-1"
        assert holds(Run(9, 4), "unknown") == "0,0,-1,-1"
        facts = source.resolve_held(["mc16", "online"], Run(0, 0)).tags
        assert [(tag.name, tag.state.value, tag.id) for tag in facts] == [
            ("mc16", "PUBLISHED", 50),
            ("online", "RUNNING", 51),
        ]


def test_a_snapshot_knows_no_past(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:
        with pytest.raises(PastUnknown, match="one moment only"):
            source.resolve_many(
                ["mc16"],
                [Run(0, 0)],
                as_of=source.resolve_many(["mc16"], [Run(0, 0)])[Run(0, 0)]["gain"].payload.created_at,
            )
        with pytest.raises(PastUnknown, match="without --details"):
            source.resolve_many(["mc16@3"], [Run(0, 0)])


def test_urls_of_payloads_are_conventional_unless_they_say_otherwise(foreign: Path) -> None:
    with SnapshotSource(foreign) as source:
        won = {run: source.resolve_many(["mc16"], [run])[run]["gain"].payload for run in (Run(0, 0), Run(5, 0))}
        assert source.payload_url(won[Run(0, 0)]) == (
            "https://one.example.org/",
            "dbstore/gain/dbstore_gain_rev_1.root",
        )
        assert source.payload_url(won[Run(5, 0)]) == ("https://two.example.org/data/", "elsewhere/gain v2.root")
    change(foreign, "UPDATE baseUrls SET baseUrl = '' WHERE baseUrlId = 7")
    with SnapshotSource(foreign) as source:
        assert source.payload_url(won[Run(0, 0)]) is None


@pytest.mark.parametrize(
    "url",
    [
        "../../etc/passwd",
        "a/../../b",
        "%2e%2e/b",
        "%252e%252e/b",
        "file:///etc/passwd",
        "https://evil.example.org/x",
        "/etc/passwd",
        "a//b",
        "a\\..\\b",
        "",
        "a\nb",
        "nul%00",
    ],
)
def test_a_payload_url_that_leads_elsewhere_is_refused(foreign: Path, url: str) -> None:
    connection = sqlite3.connect(foreign)
    with connection:
        connection.execute("UPDATE payloads SET payloadUrl = ? WHERE payloadId = 100", (url,))
    connection.close()
    with SnapshotSource(foreign) as source:
        gain = source.resolve_many(["mc16"], [Run(0, 0)])[Run(0, 0)]["gain"].payload  # its bytes may be in a folder
        with pytest.raises(BadSnapshot, match="payloadUrl"):
            source.payload_url(gain)


@pytest.mark.parametrize("base", ["file:///etc/", "/srv/data/", "ftp://example.org/", "https://a b/"])
def test_a_base_url_that_no_server_has_is_refused(foreign: Path, base: str) -> None:
    change(foreign, f"UPDATE baseUrls SET baseUrl = '{base}' WHERE baseUrlId = 7")
    with SnapshotSource(foreign) as source:
        gain = source.resolve_many(["mc16"], [Run(0, 0)])[Run(0, 0)]["gain"].payload
        with pytest.raises(BadSnapshot, match="base URL"):
            source.payload_url(gain)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("PRAGMA application_id = 5", "application_id is 0x5"),
        ("PRAGMA user_version = 2", "version 2, this program knows 1"),
        ("DROP TABLE iovs", "has no table iovs"),
        ("ALTER TABLE payloads DROP COLUMN checksum", "checksum"),
        ("DROP TABLE iovs; CREATE VIEW iovs AS SELECT 1 AS globalTagId", "has no table iovs"),
        ("UPDATE globaltags SET globalTagName = x'00ff' WHERE globalTagId = 53", "tag b'"),
        ("UPDATE globaltags SET globalTagName = CAST(x'ff' AS TEXT) WHERE globalTagId = 53", "decode"),
    ],
)
def test_a_file_that_is_no_snapshot_is_refused_at_once(foreign: Path, statement: str, reason: str) -> None:
    change(foreign, f"DROP VIEW iov_payloads; DROP VIEW full_payloads; {statement}")
    with pytest.raises(BadSnapshot, match=reason):
        SnapshotSource(foreign)


@pytest.mark.parametrize("state", ["'FROZEN'", "NULL"])
def test_a_tag_of_an_unknown_state_is_passed_over_and_the_others_serve(
    foreign: Path, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    with SnapshotSource(foreign) as source:
        unknown = next(tag.facts.name for tag in source.tags() if tag.facts.id == 53)
        others = [tag.facts.name for tag in source.tags() if tag.facts.id != 53]
    change(foreign, f"UPDATE globaltags SET globalTagStatus = {state} WHERE globalTagId = 53")
    with SnapshotSource(foreign) as source:
        assert [tag.facts.name for tag in source.tags()] == others
        assert f"tag {unknown!r}" in caplog.text
        with pytest.raises(TagNotFound):
            source.resolve_many([unknown], [Run(0, 0)])


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE iovs SET firstExp = -1", "first run cannot be negative"),
        ("UPDATE iovs SET firstRun = -4", "first run cannot be negative"),
        ("UPDATE iovs SET firstRun = -4 WHERE rowid = 1", "first run cannot be negative"),
        ("UPDATE iovs SET finalRun = -2 WHERE rowid = 1", "only negative number"),
        ("UPDATE iovs SET finalRun = 2147483647 WHERE rowid = 1", "end at"),
        ("UPDATE iovs SET finalExp = -1, finalRun = 3", "open experiment needs an open run"),
        ("UPDATE iovs SET finalRun = -2", "only negative number"),
        ("UPDATE iovs SET finalExp = 0, firstExp = 8", "first run comes after its last"),
        ("UPDATE iovs SET finalExp = 'many'", "all four numbers are ints"),
        ("UPDATE iovs SET firstRun = 2.5", "all four numbers are ints"),
        ("UPDATE iovs SET firstRun = NULL", "all four numbers are ints"),
        ("UPDATE iovs SET finalExp = 4294967296", "end at"),
        ("UPDATE iovs SET payloadId = 999 WHERE rowid = 1", "payload 999 that is not there"),
        ("UPDATE iovs SET payloadId = x'00' WHERE rowid = 1", "that is not there"),
        ("UPDATE payloads SET checksum = 'abc'", "no md5"),
        ("UPDATE payloads SET checksum = NULL", "no md5"),
        ("UPDATE payloads SET revision = -1 WHERE payloadId = 100", "revision -1"),
        ("UPDATE payloads SET revision = 'x' WHERE payloadId = 100", "revision 'x'"),
        ("UPDATE payloads SET payloadNameId = 77 WHERE payloadId = 100", "it is empty"),
        ("UPDATE payloadNames SET payloadName = '../gain' WHERE payloadNameId = 3", "path separator"),
        ("UPDATE payloadNames SET payloadName = 'a' || char(0) || 'b' WHERE payloadNameId = 3", "control characters"),
        ("UPDATE payloadNames SET payloadName = x'01' WHERE payloadNameId = 3", "it is empty"),
    ],
)
def test_a_row_that_cannot_be_meant_stops_the_job(foreign: Path, statement: str, reason: str) -> None:
    change(foreign, statement)
    with SnapshotSource(foreign) as source, pytest.raises(BadSnapshot, match=reason):
        source.resolve_many(["mc16"], [Run(5, 12)])


def test_damaged_bytes_are_an_error_and_never_an_answer(foreign: Path, tmp_path: Path) -> None:
    whole = foreign.read_bytes()
    with SnapshotSource(foreign) as source:
        right = source.resolve_many(["mc16"], [Run(9, 3)])
    for length in range(0, len(whole), 512):
        cut = tmp_path / "cut.sqlite"
        cut.write_bytes(whole[:length])
        with pytest.raises(BadSnapshot, match=r"cut off|no SQLite file"):
            SnapshotSource(cut).resolve_many(["mc16"], [Run(9, 3)])
    for page in range(4096, len(whole), 4096):
        holed = tmp_path / "holed.sqlite"
        holed.write_bytes(whole[:page] + b"\xff" * 4096 + whole[page + 4096 :])
        try:
            with SnapshotSource(holed) as source:
                assert source.resolve_many(["mc16"], [Run(9, 3)]) == right  # the page was not one that matters
        except BadSnapshot:
            pass


def test_whatever_bytes_are_damaged_no_foreign_error_comes_out(foreign: Path, tmp_path: Path) -> None:
    draw = random.Random(11)  # noqa: S311 - a test that is the same every time
    change(foreign, DETAILS)
    whole = foreign.read_bytes()
    spoilt = tmp_path / "spoilt.sqlite"
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 3, 40])):
            content[draw.choice([draw.randrange(100), draw.randrange(len(whole))])] = draw.randrange(256)
        spoilt.write_bytes(content)
        try:
            with SnapshotSource(spoilt) as source:
                source.resolve_many(["mc16", "online"], [Run(0, 0), Run(5, 12), Run(9, 4)])
                source.tags()
                source.check()
        except ConditionsError:
            refused += 1
    assert 100 < refused < 300  # bytes that nothing stands in may be any


def test_what_is_no_file_or_no_database_says_so(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, whatever its name")
    with pytest.raises(BadSnapshot, match="no SQLite file"):
        SnapshotSource(text)
    with pytest.raises(StoreUnavailable, match="no such file"):
        SnapshotSource(tmp_path / "absent.sqlite")
    with pytest.raises(StoreUnavailable, match="it is no file"):
        SnapshotSource(tmp_path)


def test_a_file_that_somebody_is_writing_is_refused(foreign: Path) -> None:
    connection = sqlite3.connect(foreign, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("UPDATE globaltags SET globalTagStatus = 'INVALID'")
    with pytest.raises(BadSnapshot, match="somebody is writing it"):
        SnapshotSource(foreign)
    connection.execute("ROLLBACK")
    connection.close()
    with SnapshotSource(foreign) as source:
        assert revisions(source, ["mc16"], Run(0, 0)) == {"gain": 1}


def test_a_strange_path_is_read(foreign: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a ?mode=rw&b #1 100%"
    folder.mkdir()
    path = foreign.rename(folder / "snäp shot?.sqlite")
    with SnapshotSource(path) as source:
        assert revisions(source, ["mc16"], Run(0, 0)) == {"gain": 1}
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_snapshot_is_known_by_its_mark(foreign: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    change(other, "CREATE TABLE t (x)")
    assert [is_snapshot(path) for path in (foreign, other, tmp_path / "absent", tmp_path)] == [
        True,
        False,
        False,
        False,
    ]


def test_a_read_only_folder_is_enough(foreign: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="conditions-read-only-") as name:  # others cannot enter pytest's folders
        path = Path(shutil.copyfile(foreign, Path(name) / "snapshot.sqlite"))
        code = f"""
import os
from conditions.iov import Run
from conditions.offline.snapshot import SnapshotSource
os.setuid(65534) if os.getuid() == 0 else None
with SnapshotSource({str(path)!r}) as source:
    print(sorted(source.resolve_many(["mc16"], [Run(9, 3)])[Run(9, 3)]))
"""
        path.chmod(0o444)
        path.parent.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        path.parent.chmod(0o755)
    assert done.stdout == "['GATGAPgen.pth', 'gain']\n", done.stderr


def _answer_in_child(source: SnapshotSource, run: Run, answers: multiprocessing.SimpleQueue[dict[str, int]]) -> None:
    answers.put(revisions(source, ["mc16", "online"], run))


def test_children_of_a_fork_read_on(foreign: Path) -> None:
    context = multiprocessing.get_context("fork")
    with SnapshotSource(foreign) as source:
        revisions(source, ["mc16"], Run(5, 12))  # the parent has the first tag in memory, not the second
        answers = context.SimpleQueue()
        children = [context.Process(target=_answer_in_child, args=(source, Run(9, 4), answers)) for _ in range(4)]
        for child in children:
            child.start()
        found = [answers.get() for _ in children]
        for child in children:
            child.join()
        assert found == [{"gain": 1, "GATGAPgen.pth": 12}] * 4
        assert revisions(source, ["online"], Run(9, 4)) == {"GATGAPgen.pth": 12}


def test_a_job_keeps_the_file_that_it_opened(foreign: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    newer = new_file(tmp_path / "newer.sqlite", FOREIGN.replace("(51, 103, 0, 0, -1, -1)", "(51, 100, 0, 0, -1, -1)"))
    with SnapshotSource(foreign) as source:
        newer.replace(foreign)
        assert revisions(source, ["online"], Run(0, 0)) == {"GATGAPgen.pth": 12}
        source.close()
        assert revisions(source, ["online"], Run(0, 0)) == {"gain": 1}
    assert "was replaced while it was used" in caplog.text


def test_files_come_from_the_first_folder_that_has_the_right_bytes(tmp_path: Path, foreign: Path) -> None:
    change(foreign, "UPDATE payloads SET checksum = '900150983cd24fb0d6963f7d28e17f72' WHERE payloadId = 100")  # of abc
    first, second = PayloadFolder(tmp_path / "first"), PayloadFolder(tmp_path / "payloads")
    with SnapshotSource(foreign, [first.path, second.path]) as source:
        payload: Payload = source.resolve_many(["mc16"], [Run(0, 0)])[Run(0, 0)]["gain"].payload
        with pytest.raises(PayloadNotHere, match=r"first, .*payloads has it"):
            source.payload_path(payload)
        good = tmp_path / "abc"
        good.write_bytes(b"abc")
        kept = second.keep(payload, good, Layout.FLAT)
        assert source.payload_path(payload) == kept == second.path / "dbstore_gain_rev_1.root"
        wrong = first.path / "90" / "gain_r1.root"
        wrong.parent.mkdir(parents=True)
        wrong.write_bytes(b"abd")
        assert source.payload_path(payload) == kept
    with SnapshotSource(foreign) as source:  # without being told: `payloads` beside the snapshot
        assert source.payload_path(payload) == kept
