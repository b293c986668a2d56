"""Managers' changes in many processes at once, and killed in the middle: each is whole or was never begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.iov import IntervalOfValidity, Run
from conditions.store.session import Store
from support import plan_jobs
from support.processes import STRESS, chosen_steps, count_steps, kill_at, run_together
from support.stores import upload_text

UPDATERS = 4  # processes at once: two for each core of a small machine
UPDATE_ROUNDS = 2 * STRESS
MERGE_ROUNDS = 2 * STRESS
UPDATE_KILLS = 8 * STRESS
PAYLOADS = 5  # names in the tags
SEED = 20_260_701


@pytest.fixture
def place(store_url: str, files_dir: Path) -> tuple[str, str]:
    """Where the store is, as every job's first two arguments."""
    return store_url, str(files_dir)


def test_of_many_updates_at_once_one_is_done_and_the_others_are_refused(store: Store, place: tuple[str, str]) -> None:
    online = plan_jobs.make_running(store, "online", PAYLOADS)
    staged = [plan_jobs.make_staging(store, f"staging{n}", n + 2, PAYLOADS) for n in range(UPDATERS)]
    done = f"online: {PAYLOADS} to create, {PAYLOADS} to change"
    for number in range(1, UPDATE_ROUNDS + 1):
        # The winner of the last round is what is valid now, and would change nothing.
        current = store.resolve(online, Run(number, 0))["p0"].payload.revision
        others = [name for name in staged if name != f"staging{current - 2}"]
        outcomes = run_together(plan_jobs.update, [(*place, online, name, number) for name in others])
        assert sorted(str(outcome.value) for outcome in outcomes) == [done] + ["refused"] * (len(others) - 1)
        assert store.get_tag(online).content_revision == number + 1
        rows = store.list_iovs(online, run=Run(number, 0))
        assert len(rows) == PAYLOADS
        assert len({row.payload.revision for row in rows}) == 1
        assert store.check_tag(online).ok
    assert [e.action for e in store.tag_history(online)][-UPDATE_ROUNDS:] == ["running update"] * UPDATE_ROUNDS


def test_merges_of_tags_into_each_other_all_come_to_an_end(store: Store, place: tuple[str, str]) -> None:
    payload = upload_text(store, "p0")
    for number in range(MERGE_ROUNDS):
        tags = [f"ring{number}_{place_in_ring}" for place_in_ring in range(UPDATERS)]
        for exp, tag in enumerate(tags):
            store.create_tag(tag)
            store.add_iovs(tag, [(payload, IntervalOfValidity.of_run(Run(exp, 0)))])
        ring = [(*place, tag, tag, following) for tag, following in zip(tags, [*tags[1:], tags[0]], strict=True)]
        outcomes = run_together(plan_jobs.merge, ring)
        assert [outcome.message for outcome in outcomes] == [""] * UPDATERS
        assert all(outcome.value >= 1 for outcome in outcomes)


def test_a_kill_in_an_update_leaves_it_whole_or_undone_and_it_can_be_done_again(
    store: Store, place: tuple[str, str]
) -> None:
    staging = plan_jobs.make_staging(store, "staging", 2, PAYLOADS)
    counted = plan_jobs.make_running(store, "counted", PAYLOADS)
    start = store.clone_tag(counted, "start").name
    steps = count_steps(plan_jobs.update, *place, counted, staging, 1)
    updated = content(store, counted)
    seen = set()
    after_the_commit = steps - 2
    for number, step in enumerate([*chosen_steps(steps, UPDATE_KILLS, SEED), after_the_commit]):
        online = store.clone_tag(start, f"online{number}").name
        store.set_state(online, "RUNNING")
        before = content(store, online)
        kill_at(step, plan_jobs.update, *place, online, staging, 1)
        found, actions = content(store, online), [entry.action for entry in store.tag_history(online)]
        assert found in (before, updated)
        assert store.get_tag(online).content_revision == (2 if found == updated else 1)
        assert actions == ["clone", "state", *(["running update"] if found == updated else [])]
        again = plan_jobs.update(*place, online, staging, 1)
        assert (again == "refused") == (found == updated)
        assert content(store, online) == updated
        seen.add(found == updated)
    assert seen == {True, False}


def content(store: Store, tag: str) -> list[str]:
    return [f"{row.payload} {row.iov}" for row in store.list_iovs(tag)]
