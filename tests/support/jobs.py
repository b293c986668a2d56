"""What the processes of the store's hard tests do; each takes the store's place as its first two arguments."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from conditions.batch import Batch, NewIov, NewPayload
from conditions.errors import ChangeRefused
from conditions.iov import IntervalOfValidity, Run
from conditions.store.session import Store, open_store
from conditions.tags import TagState

WAY_TO_PUBLISHED = (TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED)
BULK_ROWS = 40  # enough for several statements, few enough to be quick


def content_of(number: int, size_bytes: int = 50_000) -> bytes:
    """Bytes that belong to a number."""
    return Random(number).randbytes(size_bytes)  # noqa: S311


def upload(url: str, files: str, name: str, number: int) -> int:
    """Upload the bytes of a number; returns the revision they got."""
    with open_store(url, files, user=f"process {number}") as store:
        return store.upload(name, io.BytesIO(content_of(number))).revision


def upload_file(url: str, files: str, name: str, path: str) -> int:
    """Upload a file, which may be a pipe that never ends."""
    with open_store(url, files) as store:
        return store.upload(name, Path(path)).revision


def make_tag(url: str, files: str | None, name: str) -> str:
    """Open the store, which may not be there yet, and make a tag."""
    with open_store(url, files) as store:
        return store.create_tag(name).name


def repair(url: str, files: str) -> bool:
    """Check and repair while others work; returns whether all payloads were sound."""
    with open_store(url, files) as store:
        report = store.check(repair=True)
        return not report.missing and not report.corrupt


def add_until_refused(url: str, files: str, tag: str, name: str, exp: int) -> int:
    """Add one row after the other until the tag's state forbids it; returns how many were added."""
    with open_store(url, files) as store:
        for run in range(1_000_000):
            # A look between two changes, as people do it: SQLite's one write lock is free meanwhile.
            store.list_iovs(tag, run=Run(exp, run))
            try:
                store.add_iov(tag, name, 1, IntervalOfValidity.of_run(Run(exp, run)))
            except ChangeRefused:
                return run
    raise AssertionError("the tag was never published")


def publish_when_rows_are_there(url: str, files: str, tag: str, rows: int) -> int:
    """Wait until writers have added so many rows, then publish; returns how many there were at that moment."""
    with open_store(url, files) as store:
        while store.get_tag(tag).content_revision < rows:
            pass
        with store.transaction():
            publish(store, tag)
            return len(store.list_iovs(tag))


def publish_alone(url: str, files: str, tag: str) -> str:
    """Publish, whoever else does."""
    with open_store(url, files) as store, store.transaction():
        publish(store, tag)
        return store.user


def clone(url: str, files: str, tag: str, new_name: str) -> int:
    """Clone a tag; returns how many payloads the clone has."""
    with open_store(url, files) as store:
        return store.clone_tag(tag, new_name).payload_count


def tag_round(url: str, files: str, number: int) -> None:
    """Fill the tag of a number in one call, clone it, publish the clone with a last upload in one transaction."""
    filled, copy = f"filled{number}", f"copy{number}"
    with open_store(url, files) as store:
        payload = store.get_payload("constants")
        rows = [(payload, IntervalOfValidity.of_run(Run(number, run))) for run in range(BULK_ROWS)]
        store.add_iovs(filled, rows)
        store.clone_tag(filled, copy)
        with store.transaction():
            last = store.upload(f"last{number}", io.BytesIO(content_of(number)))
            store.add_iov(copy, last.name, last.revision, IntervalOfValidity.always())
            publish(store, copy)


def submit_round(url: str, files: str, tag: str, number: int) -> int:
    """Submit three payloads with their rows, in an order that depends on the number, to a tag that may be new."""
    names = ["a", "b", "c"][number % 3 :] + ["a", "b", "c"][: number % 3]
    payloads = tuple(NewPayload(name, io.BytesIO(content_of(number) + name.encode())) for name in names)
    iovs = tuple(NewIov(name, IntervalOfValidity.of_run(Run(number, 0))) for name in names)
    state = None if tag == "together" else TagState.TESTING
    with open_store(url, files) as store:
        if store.find_tag(tag) is not None and state is not None:
            return 0
        return store.submit(Batch(tag, payloads, iovs, create=True, state=state)).n_added


def publish(store: Store, tag: str) -> None:
    """Walk an OPEN tag to PUBLISHED."""
    for state in WAY_TO_PUBLISHED:
        store.set_state(tag, state)


def call(job: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Another job: for processes that do different things at once."""
    return job(*args)
