"""Lists of payloads that are being tried out: every line counts, or is listed as an error."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from conditions.errors import BadLines, BadSource, PayloadCorrupt
from conditions.iov import Run
from conditions.offline.testing import TestingPayloads, last_of_each, read_lines


def database(folder: Path, *lines: str, files: dict[str, bytes] | None = None) -> Path:
    """A `database.txt` with the files beside it; `gain` 1 to 3 are always there."""
    standard = {f"dbstore_gain_rev_{number}.root": f"gain {number}".encode() for number in (1, 2, 3)}
    for name, content in (standard | (files or {})).items():
        (folder / name).write_bytes(content)
    path = folder / "database.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_last_line_that_holds_for_a_run_wins(tmp_path: Path) -> None:
    path = database(
        tmp_path,
        "# gains of today",
        "dbstore/gain 3 5,0,5,-1",
        "",
        "   dbstore/gain \t 1   0,0,-1,-1   # for ever",
        "dbstore/gain 2 5,10,5,20",
    )
    payloads = TestingPayloads(path)
    won = {run: payloads.resolve(Run(*run))["gain"] for run in ((0, 0), (5, 0), (5, 10), (5, 20), (5, 21))}
    assert [each.payload.revision for each in won.values()] == [1, 1, 2, 2, 1]
    assert won[5, 10].tag == str(path)
    assert payloads.payload_path(won[5, 10].payload).read_bytes() == b"gain 2"
    assert payloads.holds(won[5, 10].payload)
    assert payloads.names == {"gain"}
    assert payloads.resolve(Run(0, 0), ["gat"]) == {}
    assert TestingPayloads(tmp_path).resolve(Run(5, 10), "gain") == {"gain": won[5, 10]}  # its folder is enough


def test_an_answer_says_for_which_runs_it_holds(tmp_path: Path) -> None:
    path = database(tmp_path, "dbstore/gain 1 1,0,8,-1", "dbstore/gain 2 5,10,5,20")
    payloads = TestingPayloads(path)
    grid = [Run(exp, run) for exp in range(10) for run in (0, 9, 10, 15, 20, 21, 2**31 - 2)]
    for run in grid:
        answer, holds = payloads.resolve_held(run)
        assert run in holds
        assert answer == payloads.resolve(run)
        assert all(payloads.resolve(other) == answer for other in grid if other in holds)
    assert str(payloads.resolve_held(Run(5, 10))[1]) == "5,10,5,20"
    assert str(payloads.resolve_held(Run(5, 21))[1]) == "5,21,8,-1"
    assert str(payloads.resolve_held(Run(9, 0))[1]) == "9,0,-1,-1"


def test_any_list_wins_as_read_from_below(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311 - a test that is the same every time
    for _ in range(20):
        lines = []
        for _ in range(draw.randrange(1, 9)):
            first = draw.randrange(4), draw.randrange(4)
            final = draw.choice([(-1, -1), (first[0], -1), (first[0] + 1, draw.randrange(4))])
            lines.append((draw.randrange(1, 4), first, final))
        text = [
            f"dbstore/gain {revision} {first[0]},{first[1]},{final[0]},{final[1]}" for revision, first, final in lines
        ]
        payloads = TestingPayloads(database(tmp_path, *text))
        for run in [(exp, number) for exp in range(6) for number in range(5)]:
            expected = None
            for revision, first, final in lines:  # in order, the last one stays
                if first <= run and (
                    final[0] == -1 or run[0] < final[0] or (run[0] == final[0] and final[1] in (-1, *range(run[1], 9)))
                ):
                    expected = revision
            found = payloads.resolve(Run(*run)).get("gain")
            assert (found and found.payload.revision) == expected, (text, run)


def test_a_revision_may_be_digits_of_the_md5(tmp_path: Path) -> None:
    md5 = hashlib.md5(b"new weights", usedforsecurity=False).hexdigest()
    name = f"dbstore_GATGAPgen.pth_rev_{md5[:6]}.root"
    path = database(tmp_path, f"dbstore/GATGAPgen.pth {md5[:6]} 0,0,-1,-1", files={name: b"new weights"})
    won = TestingPayloads(path).resolve(Run(0, 0))["GATGAPgen.pth"].payload
    assert (won.revision, won.md5, won.size_bytes) == (0, md5, 11)
    (tmp_path / name).write_bytes(b"other weights")
    with pytest.raises(PayloadCorrupt, match=f"does not begin {md5[:6]}"):
        TestingPayloads(path).resolve(Run(0, 0))


def test_a_file_that_changes_in_mid_job_is_not_used(tmp_path: Path) -> None:
    payloads = TestingPayloads(database(tmp_path, "dbstore/gain 1 0,0,-1,-1"))
    won = payloads.resolve(Run(0, 0))["gain"].payload
    (tmp_path / "dbstore_gain_rev_1.root").write_bytes(b"gain 9")
    with pytest.raises(PayloadCorrupt, match="it changed while it was used"):
        payloads.payload_path(won)


BAD = {
    "gain 1 0,0,-1,-1": "is not dbstore/NAME REVISION",
    "dbstore/gain 1": "is not dbstore/NAME REVISION",
    "dbstore/gain": "is not dbstore/NAME REVISION",
    "dbstore/ 1 0,0,-1,-1": "is not dbstore/NAME|it is empty",
    "dbstore/../gain 1 0,0,-1,-1": "path separator",
    "dbstore/a\\b 1 0,0,-1,-1": "path separator",
    "dbstore/a..b 1 0,0,-1,-1": "'..' are folders",
    "dbstore/ga\x07in 1 0,0,-1,-1": "control characters",
    "dbstore/gain abc12 0,0,-1,-1": "is no revision",
    "dbstore/gain -1 0,0,-1,-1": "is no revision",
    "dbstore/gain 1.0 0,0,-1,-1": "is no revision",
    "dbstore/gain xyzxyz 0,0,-1,-1": "is no revision",
    "dbstore/gain 1 0,0,-1": "is no interval",
    "dbstore/gain 1 0,0,-1,-1,7": "is no interval",
    "dbstore/gain 1 always": "is no interval",
    "dbstore/gain 1 0, 0, -1, -1": "is no",
    "dbstore/gain 1 0,0,-1,5": "open experiment needs an open run",
    "dbstore/gain 1 5,0,4,-1": "first run comes after its last",
    "dbstore/gain 1 -1,0,4,-1": "first run cannot be negative",
    "dbstore/gain 1 a,0,4,-1": "is no interval",
    "dbstore/gain 1 0,0,99999999999,-1": "end at",
    "dbstore/gain 4 0,0,-1,-1": "there is no file",
    "dbstore/gain 1 0,0,-1,-1 2": "is no",
    f"dbstore/{'x' * 201} 1 0,0,-1,-1": "longer than 200 bytes",
}


@pytest.mark.parametrize("line", BAD)
def test_a_line_that_cannot_be_meant_is_an_error_with_its_number(tmp_path: Path, line: str) -> None:
    path = database(tmp_path, "# first", line, "dbstore/gain 1 0,0,-1,-1")
    with pytest.raises(BadLines) as caught:
        TestingPayloads(path)
    (error,) = caught.value.errors
    assert re.match(rf"{re.escape(str(path))}:2 error: .*({BAD[line]})", error)


def test_all_errors_are_listed_in_one_go(tmp_path: Path) -> None:
    path = database(tmp_path, *BAD)
    with pytest.raises(BadLines) as caught:
        read_lines(path)
    assert [error.split(" ")[0] for error in caught.value.errors] == [f"{path}:{n + 1}" for n in range(len(BAD))]
    assert str(caught.value).splitlines()[1:] == list(caught.value.errors)


def test_lines_of_other_systems_are_read(tmp_path: Path) -> None:
    path = database(tmp_path)
    path.write_bytes("\ufeffdbstore/gain 1 0,0,-1,-1\r\n\r\n# naïve\r\ndbstore/gain 2 1,0,1,-1\r\n".encode())
    assert [(line.number, line.revision) for line in read_lines(path)] == [(1, "1"), (4, "2")]
    path.write_bytes(b"dbstore/gain 1 0,0,-1,-1\ndbstore/ga\xff 1 0,0,-1,-1\n\x00\x00\n")
    with pytest.raises(BadLines) as caught:
        read_lines(path)
    assert [error.split(" ")[0] for error in caught.value.errors] == [f"{path}:2", f"{path}:3"]


def test_a_name_may_hold_spaces_and_hashes_inside(tmp_path: Path) -> None:
    name = "gain #2 of today"
    path = database(tmp_path, "dbstore/gain#2 1 0,0,-1,-1#x", files={"dbstore_gain#2_rev_1.root": b""})
    with pytest.raises(BadLines, match="is no"):
        read_lines(path)
    path = database(tmp_path, "dbstore/gain#2 1 0,0,-1,-1 #x", files={"dbstore_gain#2_rev_1.root": b""})
    assert [line.name for line in read_lines(path)] == ["gain#2"]
    spaced = name.replace("#2 ", "")
    path = database(tmp_path, f"dbstore/{spaced} 1 0,0,-1,-1", files={f"dbstore_{spaced}_rev_1.root": b""})
    assert [line.name for line in read_lines(path)] == [spaced]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"cannot read .*absent.txt: No such file"):
        TestingPayloads(tmp_path / "absent.txt")
    with pytest.raises(BadSource, match=r"database.txt: No such file"):
        TestingPayloads(tmp_path)


def test_of_lines_about_the_same_interval_the_last_one_counts(tmp_path: Path) -> None:
    path = database(
        tmp_path,
        "dbstore/gain 1 0,0,-1,-1",
        "dbstore/gain 2 1,0,1,-1",
        "dbstore/gain 3 0,0,-1,-1",
    )
    assert [(line.number, line.revision) for line in last_of_each(read_lines(path))] == [(2, "2"), (3, "3")]
