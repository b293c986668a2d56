"""Managers' changes that tests run in other processes, to race or kill them. Arguments and results are plain values."""

from __future__ import annotations

from conditions.errors import UpdateRefused
from conditions.iov import IntervalOfValidity, Run
from conditions.store.session import Store, open_store
from support.stores import upload_text


def update(url: str, files: str, running: str, staging: str, exp: int) -> str:
    """A running update from the first run of an experiment on; what became of it."""
    with open_store(url, files) as store:
        try:
            return store.running_update(running, staging, Run(exp, 0)).summary()
        except UpdateRefused:
            return "refused"


def merge(url: str, files: str, target: str, first: str, second: str) -> int:
    """A merge of two tags; the number of steps of its plan."""
    with open_store(url, files) as store:
        return store.merge_tags(target, [first, second]).step_count


def make_running(store: Store, name: str, payload_count: int) -> str:
    """A RUNNING tag with so many payload names, each open since (0,0)."""
    return _filled(store, name, 1, payload_count, "RUNNING")


def make_staging(store: Store, name: str, revision: int, payload_count: int) -> str:
    """A VALIDATED tag with that revision of each payload, always valid."""
    return _filled(store, name, revision, payload_count, "TESTING", "VALIDATED")


def _filled(store: Store, name: str, revision: int, payload_count: int, *states: str) -> str:
    store.create_tag(name)
    rows = []
    for number in range(payload_count):
        for each in range(1, revision + 1):
            payload = upload_text(store, f"p{number}", f"{number} {each}")
        rows.append((payload, IntervalOfValidity.always()))
    store.add_iovs(name, rows)
    for state in states:
        store.set_state(name, state)
    return name
