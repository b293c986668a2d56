"""32 processes write to one tag of an embedded store, and of one on PostgreSQL, while others read and one publishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conditions.store.session import Store
from support import jobs, storm_jobs
from support.processes import STRESS, run_together
from support.stores import upload_text

WRITERS = 32
READERS = 2
PUBLISHED_WITH = 64 * STRESS  # rows at least


def test_32_processes_write_until_a_tag_is_published_and_each_row_that_is_in_stays(
    store: Store, store_url: str, files_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    place = (store_url, str(files_dir))
    upload_text(store, "constants")
    store.create_tag("storm")
    acting: list[tuple[Any, tuple[Any, ...]]] = [
        (jobs.add_until_refused, (*place, "storm", "constants", exp)) for exp in range(WRITERS)
    ]
    acting += [(storm_jobs.read_until_published, (*place, "storm"))] * READERS
    acting.append((jobs.publish_when_rows_are_there, (*place, "storm", PUBLISHED_WITH)))
    outcomes = run_together(jobs.call, acting)
    assert [outcome.message for outcome in outcomes] == [""] * len(acting)
    added = [outcome.value for outcome in outcomes[:WRITERS]]
    reads = [outcome.value for outcome in outcomes[WRITERS:-1]]
    published_with = outcomes[-1].value
    rows = store.list_iovs("storm")
    assert published_with == sum(added) == len(rows) >= PUBLISHED_WITH
    assert [sum(row.iov.first.exp == exp for row in rows) for exp in range(WRITERS)] == added
    assert [faults for _, faults in reads] == [[]] * READERS
    assert [entry.action for entry in store.tag_history("storm")] == [
        "create",
        *["add iovs"] * published_with,
        *["state"] * 3,
    ]
    verified = store.verify_tag("storm")
    assert (verified.ok, verified.tag.content_revision) == (True, published_with)
    operations = published_with + sum(count for count, _ in reads)
    print(f"{operations} operations, {published_with} of them rows")
    record_property("operations", operations)
