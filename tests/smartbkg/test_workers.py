"""Work on several processes: order, bounded memory, and processes that never outlive their job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smartbkg.errors import UnknownName, WorkerLost
from smartbkg.skim import get_skim
from smartbkg.workers import TASKS_AHEAD, in_order

# Works until it is ended; says so when the first task is done.
ENDLESS = """
import itertools, time
from smartbkg.workers import in_order
for done in in_order(time.sleep, itertools.repeat(0.1), 2):
    print("working", flush=True)
"""


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert list(in_order(abs, range(-30, 0), 2)) == list(range(30, 0, -1))


def test_only_a_few_tasks_are_taken_ahead() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = in_order(abs, tasks(), 2)
    assert next(results) == 0
    assert taken == 2 * TASKS_AHEAD + 1
    results.close()  # type: ignore[attr-defined]


def test_an_error_in_a_worker_comes_out_as_itself() -> None:
    with pytest.raises(UnknownName, match="unknown skim 'feiHadronik'; near: feiHadronic"):
        list(in_order(get_skim, ["feiHadronik"], 2))


def test_a_worker_that_dies_ends_the_job_with_a_message() -> None:
    with pytest.raises(WorkerLost, match="before its block was done"):
        list(in_order(os._exit, [9], 2, "its block"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_job_that_was_ended(number: signal.Signals) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == "working\n"
        children = _wait_for_children(job.pid, 3)  # two workers, and Python's own tracker of resources
        if number == signal.SIGINT:
            os.killpg(job.pid, number)  # as a terminal does it: the workers get it, too
        else:
            job.send_signal(number)
        _, said = job.communicate(timeout=60)  # ends when the last process has closed its stderr
        assert not any(_alive(child) for child in children)
        assert said.count("Traceback") == (1 if number == signal.SIGINT else 0)  # the script's own
    finally:
        job.kill()
        job.wait()


def _wait_for_children(pid: int, count: int) -> list[int]:
    """The children, once all of them have begun to ignore Ctrl-C: before that they are not in our code yet."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for task in tasks for child in task.read_text().split()]
        if len(children) == count and all(_ignores_interrupt(child) for child in children):
            return children
        time.sleep(0.02)
    raise AssertionError(f"{count} children did not start in time")


def _ignores_interrupt(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), 16)
    return bool(ignored >> (signal.SIGINT - 1) & 1)


def _alive(pid: int) -> bool:
    end = time.monotonic() + 60  # stderr is closed a moment before a process is gone
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.02)
    return True
