"""Parquet files that appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartbkg.errors import BadEvent, ColumnsMissing, NotAnEventFile
from smartbkg.parquet import TableWriter, count_rows, merge_metadata, read_metadata, read_tables

SCHEMA = pa.schema([("n", pa.int64())])


def numbers(n: int) -> pa.Table:
    return pa.table({"n": range(n)})


def test_an_error_leaves_neither_target_nor_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TableWriter(tmp_path / "x.parquet", SCHEMA) as writer:
        writer.write_table(numbers(10))
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "x.parquet", SCHEMA) as writer:
        writer.write_table(numbers(10))
    with pytest.raises(KeyboardInterrupt), TableWriter(tmp_path / "x.parquet", SCHEMA) as writer:
        raise KeyboardInterrupt
    assert count_rows(tmp_path / "x.parquet") == 10


def test_rows_of_another_kind_are_refused_and_leave_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(BadEvent, match=r"x\.parquet: rows of other kinds"),
        TableWriter(tmp_path / "x.parquet", SCHEMA) as writer,
    ):
        writer.write_table(numbers(10))
        writer.write_table(pa.table({"n": ["ten"]}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after_rows", [0, 3])
def test_kill_9_leaves_nothing_under_the_name_that_was_asked_for(tmp_path: Path, after_rows: int) -> None:
    code = (
        "import sys, pyarrow as pa; from smartbkg.parquet import TableWriter\n"
        "with TableWriter(sys.argv[1], pa.schema([('n', pa.int64())])) as w:\n"
        "    for i in range(10**9):\n"
        "        w.write_table(pa.table({'n': range(1000)}))\n"
        "        print(i, flush=True)\n"
    )
    target = tmp_path / "x.parquet"
    with subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(after_rows + 1):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not target.exists()


@pytest.mark.parametrize("sizes", [[1] * 50, [4096], [5000, 1, 0, 9000]])
def test_row_groups_do_not_depend_on_how_many_rows_come_at_once(tmp_path: Path, sizes: list[int]) -> None:
    with TableWriter(tmp_path / "x.parquet", SCHEMA) as writer:
        for size in sizes:
            writer.write_table(numbers(size))
    footer = pq.read_metadata(tmp_path / "x.parquet")
    groups = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
    assert sum(groups) == sum(sizes)
    assert set(groups[:-1]) <= {4096}
    content = pq.read_table(tmp_path / "x.parquet")["n"].to_pylist()
    assert content == [n for size in sizes for n in range(size)]


def test_a_target_in_a_missing_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match=r"no folder .*no for x\.parquet"),
        TableWriter(tmp_path / "no" / "x.parquet", SCHEMA),
    ):
        pass


def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe is a device or a pipe"), TableWriter(tmp_path / "pipe", SCHEMA):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_finished_file_can_be_read_by_others(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "x.parquet", SCHEMA):
        pass
    assert (tmp_path / "x.parquet").stat().st_mode & 0o444 == 0o444


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    pq.write_table(numbers(3), tmp_path / "x.parquet")
    with pytest.raises(ColumnsMissing, match="lacks m; it has n"):
        list(read_tables(tmp_path / "x.parquet", ["m"]))


def test_a_file_from_elsewhere_has_no_metadata(tmp_path: Path) -> None:
    pq.write_table(numbers(3), tmp_path / "x.parquet")
    assert read_metadata(tmp_path / "x.parquet") == {}


@pytest.mark.parametrize("raw", ["{", "[1]"])
def test_damaged_metadata_is_refused(tmp_path: Path, raw: str) -> None:
    pq.write_table(numbers(3).replace_schema_metadata({"smartbkg": raw}), tmp_path / "x.parquet")
    with pytest.raises(NotAnEventFile, match="metadata is no JSON"):
        read_metadata(tmp_path / "x.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("events")
    with pytest.raises(NotAnEventFile, match=r"x\.parquet"):
        count_rows(tmp_path / "x.parquet")


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*x\.parquet"):
        count_rows(tmp_path / "x.parquet")


def test_merged_metadata_have_all_steps_once_and_mean_times() -> None:
    made, other = {"step": "generate", "seed": 1}, {"step": "generate", "seed": 2}
    first = {"kind": "events", "provenance": [made], "times_ms": {"generate": 1.0, "filter": 3.0}, "decays": "a"}
    second = {"kind": "events", "provenance": [made, other], "times_ms": {"generate": 4.0}, "decays": "b"}
    assert merge_metadata([(first, 200), (second, 100)]) == {
        "kind": "events",
        "provenance": [made, other],
        "times_ms": {"generate": 2.0},
    }
    assert merge_metadata([(first, 5)]) == first
