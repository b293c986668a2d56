"""Processes killed with SIGKILL in the middle: the store stays whole, and the work can be done again.

Kills fall on a step chosen at random from each part of the way (a step is a call into the operating system or the
database), or into an upload whose bytes are still coming. Seeds are fixed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from conditions.store.schema import HEAD
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support import jobs
from support.processes import STRESS, chosen_steps, count_steps, kill_at, running
from support.stores import upload_text

UPLOAD_KILLS = 16 * STRESS
FED_UPLOAD_KILLS = 5 * STRESS
COMMAND_KILLS = 2 * STRESS
TAGGING_KILLS = 20 * STRESS
CREATION_KILLS = 8 * STRESS
SEED = 20_260_101


@pytest.fixture
def place(store_url: str, files_dir: Path) -> tuple[str, str]:
    """Where the store is, as every job's first two arguments."""
    return store_url, str(files_dir)


def assert_whole(store: Store) -> None:
    """Every row has its bytes; at most files that nobody speaks of lie about, and a repair removes those."""
    found = store.check(repair=True)
    assert (found.missing, found.corrupt) == ((), ())
    assert len(found.orphans) + len(found.leftovers) <= 1
    clean = store.check()
    assert clean.ok
    assert (clean.orphans, clean.leftovers) == ((), ())


def test_a_kill_in_an_upload_leaves_at_most_an_orphan_and_it_can_be_done_again(
    store: Store, place: tuple[str, str]
) -> None:
    upload_text(store)  # the first upload takes more steps: it makes the folder the store's
    steps = count_steps(jobs.upload, *place, "counted", 0)
    kept = 0
    for number, step in enumerate(chosen_steps(steps, UPLOAD_KILLS, SEED), start=1):
        kill_at(step, jobs.upload, *place, "weights", number)
        rows = store.list_payloads(pattern="weights")
        assert [payload.revision for payload in rows] == list(range(1, len(rows) + 1))
        assert len(rows) - kept in (0, 1)
        assert_whole(store)
        revision = jobs.upload(*place, "weights", number)
        assert revision == kept + 1
        kept = revision
        assert store.payload_path(store.get_payload("weights")).read_bytes() == jobs.content_of(number)


def test_a_kill_while_the_bytes_are_coming_leaves_a_leftover_that_repair_finds(
    store: Store, place: tuple[str, str], tmp_path: Path
) -> None:
    draw = random.Random(SEED)  # noqa: S311
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for _ in range(FED_UPLOAD_KILLS):
        # More than a pipe holds, so that the last of it is taken only by an upload that has begun.
        size_bytes = draw.randrange(200_000, 4_000_000)
        with running(jobs.upload_file, *place, "fed", str(fifo)) as uploader, fifo.open("wb") as feeder:
            feeder.write(draw.randbytes(size_bytes))
            feeder.flush()
            uploader.kill()
            uploader.join()
        found = store.check(repair=True)
        assert (found.orphans, len(found.leftovers)) == ((), 1)
        assert store.list_payloads(pattern="fed") == []
        assert store.check().ok
    assert upload_text(store, "fed").revision == 1


def test_a_killed_command_leaves_a_store_that_the_next_command_uses(store: Store, place: tuple[str, str]) -> None:
    conditions = [str(Path(sys.executable).parent / "conditions"), "--store", place[0], "--files", place[1]]
    upload = [*conditions, "payload", "upload", "-", "--name", "piped"]
    for _ in range(COMMAND_KILLS):
        command = subprocess.Popen(upload, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert command.stdin is not None
        # More than the pipe holds, so that this returns only when the command reads.
        command.stdin.write(b"x" * 3_000_000)
        command.kill()
        command.stdin.close()
        command.wait()
        assert store.list_payloads() == []
        checked = subprocess.run([*conditions, "db", "check", "--repair"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
    done = subprocess.run(upload, input=b"whole", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert store.payload_path(store.get_payload("piped")).read_bytes() == b"whole"


def test_a_kill_in_tagging_leaves_each_change_whole_or_undone(store: Store, place: tuple[str, str]) -> None:
    upload_text(store, "constants")
    store.create_tag("filled0")
    steps = count_steps(jobs.tag_round, *place, 0)
    stages = set()
    after_the_last_commit = steps - 2
    for number, step in enumerate([*chosen_steps(steps, TAGGING_KILLS, SEED), after_the_last_commit], start=1):
        store.create_tag(f"filled{number}")
        kill_at(step, jobs.tag_round, *place, number)
        stages.add(stage_of(store, number))
        assert_whole(store)
    assert stages == {"nothing", "filled", "cloned", "published"}


def stage_of(store: Store, number: int) -> str:
    """How far the killed process came; fails when a change is half there."""
    filled, copy = store.list_iovs(f"filled{number}"), store.find_tag(f"copy{number}")
    uploaded = store.list_payloads(pattern=f"last{number}")
    history = [entry.action for entry in store.tag_history(f"filled{number}")]
    if not filled:
        assert (history, copy, uploaded) == (["create"], None, [])
        return "nothing"
    assert len(filled) == jobs.BULK_ROWS
    assert history == ["create", "add iovs"]
    if copy is None:
        assert uploaded == []
        return "filled"
    history = [entry.action for entry in store.tag_history(copy.name)]
    rows = len(store.list_iovs(copy.name))
    if copy.state is TagState.OPEN:
        assert (rows, history, uploaded) == (jobs.BULK_ROWS, ["clone"], [])
        return "cloned"
    assert copy.state is TagState.PUBLISHED
    assert (rows, len(uploaded)) == (jobs.BULK_ROWS + 1, 1)
    assert history == ["clone", "add iovs", "state", "state", "state"]
    return "published"


def test_a_kill_while_the_embedded_store_makes_itself_leaves_no_half_store(tmp_path: Path) -> None:
    def url(name: str) -> str:
        return f"sqlite:///{tmp_path / name / 'store.sqlite'}"

    steps = count_steps(jobs.make_tag, url("counted"), None, "first")
    for number, step in enumerate(chosen_steps(steps, CREATION_KILLS, SEED)):
        kill_at(step, jobs.make_tag, url(str(number)), None, "first")
        with open_store(url(str(number))) as store:
            assert store.revision == HEAD
            made = [tag.name for tag in store.list_tags()]
            assert made in ([], ["first"])
            store.create_tag("second")
            assert_whole(store)
        left = {path.name for path in (tmp_path / str(number)).iterdir()}
        assert left == {"store.sqlite", "payloads"}
