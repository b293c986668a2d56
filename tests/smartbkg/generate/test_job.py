"""Jobs: the same events however they are made, and files that are whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest

from smartbkg.errors import GenerationError, MissingExtra
from smartbkg.events import EventBatch, read_batches, read_events, read_metadata
from smartbkg.generate import GenerateConfig, generate, generate_file
from smartbkg.generate.config import BLOCK_EVENTS


def table(**settings: object) -> pa.Table:
    return EventBatch.concat(generate(GenerateConfig(**settings))).to_table()  # type: ignore[arg-type]


@pytest.mark.parametrize("event_type", ["mixed", "ssbar"])
def test_workers_do_not_change_the_events(tmp_path: Path, event_type: str) -> None:
    config = GenerateConfig(event_type, 1700, seed=3, exp=7, run=5)
    for workers in (1, 2):
        generate_file(config, tmp_path / f"{workers}.parquet", workers)
    one, two = (read_events(tmp_path / f"{n}.parquet").to_table() for n in (1, 2))
    assert one.num_rows == 1700
    assert one.equals(two)


@pytest.mark.parametrize("cut", [1, 321, 500, 999])
def test_a_job_cut_in_two_makes_the_same_events(cut: int) -> None:
    whole = table(event_type="charged", n_events=1000, seed=8, first_event=41)
    head = table(event_type="charged", n_events=cut, seed=8, first_event=41)
    tail = table(event_type="charged", n_events=1000 - cut, seed=8, first_event=41 + cut)
    assert whole.equals(pa.concat_tables([head, tail]).combine_chunks())


@pytest.mark.parametrize("change", [{"seed": 2}, {"exp": 1}, {"run": 1}, {"event_type": "charged"}])
def test_seed_experiment_run_and_type_make_other_events(change: dict[str, object]) -> None:
    settings: dict[str, object] = {"event_type": "mixed", "n_events": 20, "seed": 1}
    assert not table(**settings)["particles"].equals(table(**{**settings, **change})["particles"])


def test_events_come_in_blocks_as_they_are_made() -> None:
    huge = GenerateConfig("taupair", 100_000_000, seed=1)  # a day of work if it were not lazy
    first = list(islice(generate(huge), 2))
    assert [len(batch) for batch in first] == [BLOCK_EVENTS, BLOCK_EVENTS]
    assert first[1].event[0] == BLOCK_EVENTS + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_no_events_make_a_valid_empty_file(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "none.parquet"
    generate_file(GenerateConfig("mixed", 0, seed=1), path, workers)
    assert len(read_events(path)) == 0
    assert read_metadata(path)["times_ms"] == {"generate": 0.0}


def test_the_file_says_how_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    seen: list[int] = []
    config = GenerateConfig("taupair", 700, seed=4)
    generate_file(config, path, command="smartbkg generate taupair", progress=seen.append)
    metadata = read_metadata(path)
    step = metadata["provenance"][0]
    assert step["config"] == config.to_json()
    assert step["command"] == "smartbkg generate taupair"
    assert step["versions"]["pythia8mc"] == "8.317.2"
    assert step["beams"]["electron_gev"] == 7.004
    assert step["decays"] == {"table": "Pythia 8"}
    assert 0 < metadata["times_ms"]["generate"] < 100
    assert seen == [500, 700]
    assert [len(batch) for batch in read_batches(path)] == [700]


def test_a_missing_folder_is_found_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere for x\.parquet"):
        generate_file(GenerateConfig("mixed", 10**9, seed=1), tmp_path / "nowhere" / "x.parquet")


def test_a_folder_as_target_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        generate_file(GenerateConfig("mixed", 10**9, seed=1), tmp_path)


def test_no_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="workers must be 1 or more"):
        generate_file(GenerateConfig("mixed", 1, seed=1), tmp_path / "x.parquet", 0)


def test_a_missing_pythia_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)  # what the import system does for a package that is not there
    with pytest.raises(MissingExtra, match=r"pythia8mc.*smartbkg\[generate\]"):
        next(generate(GenerateConfig("mixed", 1, seed=1)))


@pytest.mark.parametrize("name", ["smartbkg.generate", "smartbkg.cli.generate", "smartbkg.cli.events"])
def test_nothing_heavy_is_imported_before_it_is_needed(name: str) -> None:
    heavy = "{'pythia8mc', 'awkward', 'decaylanguage', 'pyhepmc', 'particle', 'torch'}"
    code = f"import sys, {name}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_job_leaves_no_file_and_no_process(tmp_path: Path, workers: str, number: signal.Signals) -> None:
    target = tmp_path / "events.parquet"
    target.write_bytes(b"what was there before")
    command = [sys.executable, "-c", "from smartbkg.cli import main; main()", "generate", "mixed", "-n", "100000000"]
    job = subprocess.Popen([*command, "--seed", "1", "-o", target, "--workers", workers], stderr=subprocess.PIPE)
    try:
        _wait_for(lambda: any(part.stat().st_size > 100_000 for part in tmp_path.glob(".events*.part")))
        children = _children(job.pid)
        assert (len(children) >= 2) == (workers == "2")
        job.send_signal(number)
        assert job.wait(30) != 0
        _wait_for(lambda: not any(_alive(child) for child in children))
    finally:
        job.kill()
        job.communicate()
    assert target.read_bytes() == b"what was there before"
    if number == signal.SIGINT:
        assert os.listdir(tmp_path) == ["events.parquet"]  # noqa: PTH208  hidden files too


def _wait_for(condition, timeout_s: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    """There is no event of another process's file to wait on; look until it is there."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
