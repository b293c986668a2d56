"""Managers' changes on both databases: planned, then applied as planned, in one transaction or not at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from conditions.errors import (
    BadInputError,
    ChangeRefused,
    IovNotFound,
    PayloadNotFound,
    TagChanged,
    TagNotFound,
    TagNotUsable,
    UpdateRefused,
)
from conditions.iov import OPEN, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.plan import Plan
from conditions.plans.running import RunningMode
from conditions.store import plan_changes
from conditions.store.session import Store
from support.rows import EVERY_RUN, said
from support.stores import upload_text

ALWAYS = IntervalOfValidity.always()
RUNNING = "p1 r1 0,1,1,0; p1 r2 1,1,-1,-1; p2 r1 0,1,-1,-1; p3 r1 0,1,1,0; p4 r1 0,1,-1,-1; p5 r1 0,1,-1,-1"
STAGING = "p1 r3 0,0,1,8; p1 r4 1,9,1,20; p2 r2 1,5,1,20; p3 r2 0,0,-1,-1; p4 r1 0,0,1,20"
UPDATED = [
    "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
    "CREATE p1 r3 1,2,1,8",
    "CREATE p1 r4 1,9,1,20",
    "CLOSE p2 r1 0,1,-1,-1 -> 0,1,1,4",
    "CREATE p2 r2 1,5,1,20",
    "CREATE p3 r2 1,2,-1,-1",
    "CLOSE p4 r1 0,1,-1,-1 -> 0,1,1,20",
]
ALLOW_CLOSED = RunningMode(allow_closed=True)
GRID_RUNS = [Run(exp, run) for exp in range(3) for run in range(4)]
RANDOM_ROUNDS = 12
CROSSING_ROUNDS = 10


def iov(text: str) -> IntervalOfValidity:
    return IntervalOfValidity.parse(text)


def payload(store: Store, name: str, revision: int) -> Payload:
    """A payload of this revision; all before it are made, too."""
    for number in range(1, revision + 1):
        made = upload_text(store, name, f"{name} {number}")
    return made


def fill(store: Store, tag: str, text: str, *states: str) -> str:
    """A new tag with these rows, walked through some states."""
    store.create_tag(tag)
    entries = []
    for line in filter(None, text.split("; ")):
        name, revision, runs = line.split()
        entries.append((payload(store, name, int(revision[1:])), iov(runs)))
    store.add_iovs(tag, entries)
    for state in states:
        store.set_state(tag, state)
    return tag


def content(store: Store, tag: str) -> list[str]:
    return [f"{row.payload} {row.iov}" for row in store.list_iovs(tag)]


def history(store: Store, tag: str) -> list[tuple[str, Any, Any]]:
    return [(entry.action, entry.before, entry.after) for entry in store.tag_history(tag)]


def applied_as_planned(store: Store, change: Callable[..., Plan], tag: str) -> Plan:
    """Plan without applying, see that nothing changed, apply, and see that what was planned was done."""
    before, revision, past = store.list_iovs(tag), store.get_tag(tag).content_revision, history(store, tag)
    planned = change(dry_run=True)
    assert (store.list_iovs(tag), store.get_tag(tag).content_revision, history(store, tag)) == (before, revision, past)
    assert change() == planned
    assert planned.base_revision == revision
    assert store.get_tag(tag).content_revision == (revision if planned.is_empty else revision + 1)
    assert sorted(content(store, tag)) == sorted(said(planned.applied(before)))
    return planned


def test_tags_are_merged_into_an_empty_one(store: Store) -> None:
    fill(store, "A", "p1 r2 1,0,1,10; p1 r3 1,20,1,22; p2 r1 1,0,1,-1")
    fill(store, "B", "p1 r1 1,1,1,30; p2 r2 0,1,1,20")
    fill(store, "target", "")
    applied_as_planned(store, partial(store.merge_tags, "target", ["A", "B"]), "target")
    assert content(store, "target") == [
        "p1 r2 1,0,1,10",
        "p1 r1 1,11,1,19",
        "p1 r3 1,20,1,22",
        "p1 r1 1,23,1,30",
        "p2 r2 0,1,0,-1",
        "p2 r1 1,0,1,-1",
    ]
    action, before, after = history(store, "target")[-1]
    assert (action, before, after["from"], after["content_revision"]) == ("merge", None, ["A", "B"], 1)
    assert ["p1", 1, "1,11,1,19"] in after["added"]


def test_tags_are_merged_for_some_runs(store: Store) -> None:
    fill(store, "A", "p1 r2 1,0,1,10; p1 r3 1,20,1,22; p2 r1 1,0,1,-1")
    fill(store, "B", "p1 r1 1,1,1,30; p2 r2 0,1,1,20")
    fill(store, "target", "")
    store.merge_tags("target", ["A", "B"], within=iov("1,0,1,21"))
    rows = ["p1 r2 1,0,1,10", "p1 r1 1,11,1,19", "p1 r3 1,20,1,21", "p2 r1 1,0,1,21"]
    assert content(store, "target") == rows


def test_a_merge_into_a_filled_tag_says_what_goes_and_what_changes(store: Store) -> None:
    fill(store, "A", "p1 r3 1,0,1,-1; p2 r2 always")
    fill(store, "target", "p1 r1 0,0,3,-1; p2 r1 1,0,1,-1")
    with pytest.raises(ChangeRefused, match="it holds 2 IoVs and is none of the tags to merge"):
        store.merge_tags("target", ["A"])
    first = store.list_iovs("target")[0]
    applied_as_planned(store, partial(store.merge_tags, "target", ["A", "target"]), "target")
    assert content(store, "target") == [
        "p1 r1 0,0,0,-1",
        "p1 r3 1,0,1,-1",
        "p1 r1 2,0,3,-1",
        "p2 r2 0,0,-1,-1",
    ]
    assert store.list_iovs("target")[0].id == first.id
    _, before, after = history(store, "target")[-1]
    assert before["changed"] == [[first.id, "p1", 1, "0,0,3,-1"]]
    assert [row[1:] for row in before["deleted"]] == [["p2", 1, "1,0,1,-1"]]
    assert after["changed"] == [[first.id, "p1", 1, "0,0,0,-1"]]
    assert store.merge_tags("target", ["A", "target"]).is_empty


@pytest.mark.parametrize(
    "states", [["TESTING"], ["TESTING", "VALIDATED"], ["TESTING", "VALIDATED", "PUBLISHED"], ["RUNNING", "INVALID"]]
)
def test_a_frozen_tag_takes_no_change_by_any_path(store: Store, states: list[str]) -> None:
    fill(store, "source", "p1 r2 always", "TESTING", "VALIDATED")
    fill(store, "frozen", "p1 r1 always", *states)
    row = store.list_iovs("frozen")[0]
    past = history(store, "frozen")
    changes: list[Callable[[], object]] = [
        lambda: store.merge_tags("frozen", ["source", "frozen"]),
        lambda: store.running_update("frozen", "source", Run(1, 0)),
        lambda: store.apply_running("frozen", [(row.id, Run(5, 5))], [(row.payload.id, iov("6,0,-1,-1"))]),
        lambda: store.copy_iovs("source", "frozen", IovFilter()),
        lambda: store.copy_iovs("frozen", "frozen", IovFilter(), to=iov("1,0,1,1")),
        lambda: store.modify_iovs("frozen", IovFilter(), IovEdit(last=Run(1, 1))),
        lambda: store.delete_iovs("frozen", IovFilter()),
        lambda: store.delete_iovs("frozen", IovFilter(), dry_run=True),
    ]
    for change in changes:
        with pytest.raises(ChangeRefused, match=f"'frozen', which is {states[-1]}"):
            change()
    assert store.list_iovs("frozen") == [row]
    assert history(store, "frozen") == past


def test_a_running_tag_changes_by_updates_only(store: Store) -> None:
    fill(store, "source", "p1 r2 always")
    fill(store, "online", "p1 r1 always", "RUNNING")
    running_changes: list[Callable[[], object]] = [
        lambda: store.merge_tags("online", ["source", "online"]),
        lambda: store.copy_iovs("source", "online", IovFilter()),
        lambda: store.modify_iovs("online", IovFilter(), IovEdit(last=Run(1, 1))),
        lambda: store.delete_iovs("online", IovFilter()),
    ]
    for change in running_changes:
        with pytest.raises(ChangeRefused, match="'online', which is RUNNING"):
            change()
    assert content(store, "online") == ["p1 r1 0,0,-1,-1"]


def test_rows_of_an_invalid_tag_are_not_taken(store: Store) -> None:
    fill(store, "bad", "p1 r1 always", "RUNNING", "INVALID")
    fill(store, "target", "")
    with pytest.raises(TagNotUsable, match="'bad' is INVALID"):
        store.merge_tags("target", ["bad"])
    with pytest.raises(TagNotUsable, match="'bad' is INVALID"):
        store.copy_iovs("bad", "target", IovFilter())
    with pytest.raises(TagNotFound, match="no tag 'bda'"):
        store.merge_tags("target", ["bda"])
    with pytest.raises(BadInputError, match="at least one tag"):
        store.merge_tags("target", [])


@pytest.fixture
def online(store: Store) -> str:
    """The running tag of the example."""
    return fill(store, "online", RUNNING, "RUNNING")


@pytest.fixture
def staging(store: Store) -> str:
    """The staging tag of the example."""
    return fill(store, "staging", STAGING, "TESTING", "VALIDATED")


def test_a_running_tag_goes_on_with_staging(store: Store, online: str, staging: str) -> None:
    plan = applied_as_planned(
        store, partial(store.running_update, online, staging, Run(1, 2), mode=ALLOW_CLOSED), online
    )
    assert plan.lines() == UPDATED
    action, before, after = history(store, online)[-1]
    assert (action, after["from"], after["first_run"], after["content_revision"]) == (
        "running update",
        ["staging"],
        "1:2",
        2,
    )
    assert [row[1:] for row in before["changed"]] == [
        ["p1", 2, "1,1,-1,-1"],
        ["p2", 1, "0,1,-1,-1"],
        ["p4", 1, "0,1,-1,-1"],
    ]


@pytest.mark.parametrize(
    ("mode", "changed"),
    [
        (RunningMode(full_replacement=True), "p5 r1 0,1,1,1"),
        (RunningMode(fix_closed=True), "p2 r2 1,5,-1,-1"),
    ],
)
def test_the_modes_of_an_update_reach_the_store(
    store: Store, online: str, staging: str, mode: RunningMode, changed: str
) -> None:
    assert changed not in content(store, online)
    store.running_update(online, staging, Run(1, 2), mode=mode)
    assert changed in content(store, online)


@pytest.mark.parametrize(
    ("run", "mode", "reason"),
    [
        (Run(1, 2), RunningMode(), "3 closed payloads"),
        (Run(1, 2), RunningMode(simple=True), "4 IoVs other than"),
        (Run(1, 1), ALLOW_CLOSED, "p1 r2 1,1,-1,-1"),
        (Run(1, 6), ALLOW_CLOSED, "p2 r2 1,5,1,20"),
    ],
)
def test_a_refused_update_changes_nothing(
    store: Store, online: str, staging: str, run: Run, mode: RunningMode, reason: str
) -> None:
    before, past = content(store, online), history(store, online)
    for dry_run in (True, False):
        with pytest.raises(UpdateRefused, match=reason):
            store.running_update(online, staging, run, mode=mode, dry_run=dry_run)
    assert (content(store, online), history(store, online)) == (before, past)


def test_states_of_both_tags_are_asked_for(store: Store, online: str, staging: str) -> None:
    open_tag = fill(store, "open", "p1 r1 always")
    with pytest.raises(ChangeRefused, match="'open', which is OPEN: a running update needs a RUNNING tag"):
        store.running_update(open_tag, staging, Run(1, 2))
    with pytest.raises(ChangeRefused, match="'open', which is OPEN: walk it to VALIDATED first"):
        store.running_update(online, open_tag, Run(1, 2))


def test_an_update_leaves_the_past_of_the_tag_to_be_looked_at(store: Store, online: str, staging: str) -> None:
    def answers(tag: str) -> list[dict[str, int]]:
        found = store.resolve_many([tag], EVERY_RUN)
        return [{name: one.payload.revision for name, one in found[run].items()} for run in EVERY_RUN]

    before = answers(online)
    store.running_update(online, staging, Run(1, 2), mode=ALLOW_CLOSED)
    assert answers(f"{online}@1") == before
    assert answers(online) != before


def test_operations_from_outside_are_done_all_or_not_at_all(store: Store, online: str) -> None:
    number = {str(row.payload): row.id for row in store.list_iovs(online)}
    new = [(payload(store, "p1", 3).id, iov("1,2,-1,-1")), (payload(store, "p6", 1).id, iov("1,2,-1,-1"))]
    before, past = content(store, online), history(store, online)
    refused: list[tuple[list[Any], list[Any], type[Exception]]] = [
        ([(number["p1 r2"], Run(1, 1)), (number["p1 r1"], Run(0, 5))], new, UpdateRefused),
        ([(number["p1 r2"], Run(1, 1))], [*new, (new[0][0], iov("1,0,1,0"))], UpdateRefused),
        ([], new, UpdateRefused),  # p1 r2 is still open
        ([(number["p1 r2"], Run(1, 1))], [*new, (987654321, iov("1,2,-1,-1"))], PayloadNotFound),
        ([(number["p1 r2"], Run(1, 1)), (987654321, Run(1, 1))], new, IovNotFound),
    ]
    for closes, creates, error in refused:
        with pytest.raises(error):
            store.apply_running(online, closes, creates)
        assert (content(store, online), history(store, online)) == (before, past)
    closes = [(number["p1 r2"], Run(1, 1)), (number["p5 r1"], Run(1, 1))]
    applied_as_planned(store, partial(store.apply_running, online, closes, new), online)
    assert {"p1 r2 1,1,1,1", "p1 r3 1,2,-1,-1", "p5 r1 0,1,1,1", "p6 r1 1,2,-1,-1"} <= set(content(store, online))


def test_chosen_rows_are_copied_modified_and_deleted(store: Store) -> None:
    fill(store, "source", "gain r1 0,0,1,-1; gain r2 2,0,-1,-1; map r1 always")
    fill(store, "target", "map r1 always")
    gain = IovFilter(glob="gain")
    applied_as_planned(store, partial(store.copy_iovs, "source", "target", gain), "target")
    assert content(store, "target") == ["gain r1 0,0,1,-1", "gain r2 2,0,-1,-1", "map r1 0,0,-1,-1"]
    new_end = IovEdit(last=OPEN)
    first = IovFilter(revision=1, glob="gain")
    applied_as_planned(store, partial(store.modify_iovs, "target", first, new_end), "target")
    part = IovFilter(glob="map", within=iov("3,0,3,-1"), cut=True)
    applied_as_planned(store, partial(store.delete_iovs, "target", part), "target")
    assert content(store, "target") == [
        "gain r1 0,0,-1,-1",
        "gain r2 2,0,-1,-1",
        "map r1 0,0,2,-1",
        "map r1 4,0,-1,-1",
    ]
    actions = [action for action, _, _ in history(store, "target")]
    assert actions[-3:] == ["copy iovs", "modify iovs", "delete iovs"]


def test_chosen_rows_get_another_revision_that_must_be_there(store: Store) -> None:
    fill(store, "target", "gain r1 always; map r2 always")
    payload(store, "gain", 3)
    with pytest.raises(PayloadNotFound, match="no revision 3 of payload 'map'; the latest is 2"):
        store.modify_iovs("target", IovFilter(), IovEdit(revision=3))
    part = IovFilter(glob="gain", within=iov("3,0,-1,-1"), cut=True)
    applied_as_planned(store, partial(store.modify_iovs, "target", part, IovEdit(revision=3)), "target")
    assert content(store, "target") == ["gain r1 0,0,2,-1", "gain r3 3,0,-1,-1", "map r2 0,0,-1,-1"]


def test_a_change_that_was_looked_at_before_is_not_applied_to_another_content(store: Store) -> None:
    fill(store, "A", "p1 r1 always")
    fill(store, "target", "")
    seen = store.merge_tags("target", ["A"], dry_run=True).base_revision
    store.add_iov("target", "p1", 1, iov("5,0,5,5"))
    with pytest.raises(TagChanged, match="content revision 1 and no longer 0"):
        store.merge_tags("target", ["target", "A"], expected_revision=seen)
    with pytest.raises(TagChanged):
        store.delete_iovs("target", IovFilter(), expected_revision=seen)
    assert content(store, "target") == ["p1 r1 5,0,5,5"]
    store.merge_tags("target", ["target", "A"], expected_revision=1)
    assert len(content(store, "target")) == 3


def test_several_changes_of_one_transaction_are_kept_together_or_not_at_all(store: Store) -> None:
    fill(store, "A", "p1 r1 always; p2 r1 always")
    fill(store, "target", "")
    with pytest.raises(RuntimeError, match="on purpose"), store.transaction():
        store.merge_tags("target", ["A"])
        store.delete_iovs("target", IovFilter(glob="p2"))
        assert content(store, "target") == ["p1 r1 0,0,-1,-1"]
        raise RuntimeError("on purpose")
    assert content(store, "target") == []
    assert [action for action, _, _ in history(store, "target")] == ["create"]


def test_tags_are_compared_by_what_they_give_out(store: Store) -> None:
    fill(store, "old", "p1 r1 always; p2 r1 always; q r1 always")
    fill(store, "new", "p1 r1 0,0,1,-1; p1 r2 2,0,-1,-1; p2 r1 0,0,4,-1; p2 r1 3,0,-1,-1; q r1 always")
    diff = store.diff_tags("old", "new")
    assert [(each.name, str(each.iov), each.word) for each in diff.differences] == [("p1", "2,0,-1,-1", "changed")]
    assert diff.same_names == ("p2", "q")
    assert store.diff_tags("old", "new", within=iov("0,0,1,-1")).is_empty
    assert store.diff_tags("old", "new", pattern="[pq]*").same_names == ()
    assert store.diff_tags("old", "new", pattern="q*").same_names == ("q",)
    with pytest.raises(TagNotFound):
        store.diff_tags("old", "newer")


def test_a_check_finds_gaps_overlaps_and_payloads_that_do_not_verify(store: Store) -> None:
    fill(store, "t", "p1 r1 0,0,1,-1; p1 r2 3,0,-1,-1; p2 r1 always; p2 r2 5,0,5,-1; p3 r1 always")
    progress: list[tuple[int, int]] = []
    sound = store.check_tag("t", on_progress=lambda done, count: progress.append((done, count)))
    assert (sound.iov_count, sound.payload_count, sound.content_revision) == (5, 5, 1)
    assert [str(gap) for gap in sound.gaps] == ["p1 2,0,2,-1: nothing is valid there"]
    assert [str(overlap) for overlap in sound.overlaps] == ["p2 5,0,5,-1: two or more are valid there, r2 wins"]
    assert sound.faults == ()
    assert progress == [(number, 5) for number in range(1, 6)]
    broken = store.payload_path(store.get_payload("p3", 1))
    broken.chmod(0o600)
    broken.write_bytes(b"other")
    store.payload_path(store.get_payload("p1", 1)).unlink()
    faults = store.check_tag("t").faults
    assert [(fault.name, fault.revision) for fault in faults] == [("p1", 1), ("p3", 1)]
    assert "lost its file" in faults[0].reason
    assert "is corrupt" in faults[1].reason
    assert store.check_tag("t", verify=False).payload_count == 0
    assert not store.check_tag("t", verify=False).faults


def test_long_plans_are_remembered_in_readable_parts(store: Store) -> None:
    count = 2 * plan_changes.AUDITED_AT_ONCE + 1
    gain = payload(store, "gain", 1)
    fill(store, "A", "")
    store.add_iovs("A", [(gain, IntervalOfValidity.of_run(Run(0, 2 * run))) for run in range(count)])
    fill(store, "target", "")
    store.merge_tags("target", ["A"])
    store.modify_iovs("target", IovFilter(within=iov("0,0,0,9")), IovEdit(first=Run(0, 0)))
    store.delete_iovs("target", IovFilter())
    parts = [entry for entry in history(store, "target") if entry[0] == "merge"]
    assert [len(after["added"]) for _, _, after in parts] == [1_000, 1_000, 1]
    assert {after["content_revision"] for _, _, after in parts} == {1}
    assert [len(b["deleted"]) for action, b, _ in history(store, "target") if action == "delete iovs"] == [
        1_000,
        1_000,
        1,
    ]
    assert content(store, "target") == []


def test_random_changes_are_done_as_they_were_planned(store: Store) -> None:
    draw = random.Random(20_261_122)  # noqa: S311 - the same changes every time
    payloads = [payload(store, name, revision) for name in ("p1", "p2") for revision in (1, 2, 3)]
    for number in range(RANDOM_ROUNDS):
        tags = [f"{side}{number}" for side in ("a", "b", "t")]
        for tag in tags:
            store.create_tag(tag)
            store.add_iovs(tag, [(draw.choice(payloads), some_iov(draw)) for _ in range(draw.randrange(7))])
        a, b, target = tags
        order = draw.sample([a, b, target], 3)
        within = draw.choice([None, some_iov(draw)])
        cut = within is not None
        some, p1, p2 = (IovFilter(glob=glob, within=within, cut=cut) for glob in (None, "p1", "p2"))
        other_runs = IovFilter(glob="p2", within=within), IovEdit(iov=iov("1,1,2,2"))
        changes = [
            partial(store.merge_tags, target, order, within=within),
            partial(store.copy_iovs, a, target, some),
            partial(store.modify_iovs, target, p1, IovEdit(revision=3)),
            partial(store.modify_iovs, target, *other_runs),
            partial(store.delete_iovs, target, p2),
        ]
        for change in draw.sample(changes, len(changes)):
            applied_as_planned(store, change, target)
        assert store.diff_tags(target, target).is_empty


def some_iov(draw: random.Random) -> IntervalOfValidity:
    first, last = sorted(draw.choices(GRID_RUNS, k=2))
    return IntervalOfValidity(first, draw.choice([last, OPEN]))


def test_merges_that_cross_each_other_do_not_stop_each_other(store: Store) -> None:
    fill(store, "A", "p1 r1 0,0,1,-1")
    fill(store, "B", "p1 r2 2,0,-1,-1")
    with ThreadPoolExecutor(2) as threads:
        for _ in range(CROSSING_ROUNDS):
            both = [threads.submit(store.merge_tags, *names) for names in (("A", ["A", "B"]), ("B", ["B", "A"]))]
            assert [done.result().tag for done in both] == ["A", "B"]
    assert content(store, "A") == content(store, "B") == ["p1 r1 0,0,1,-1", "p1 r2 2,0,-1,-1"]


def test_of_two_running_updates_at_once_one_is_done_and_the_other_refused(store: Store) -> None:
    fill(store, "online", "p1 r1 0,1,-1,-1", "RUNNING")
    stagings = [fill(store, f"staging{n}", f"p1 r{n} always; p2 r{n} always", "TESTING", "VALIDATED") for n in (2, 3)]
    before = history(store, "online")

    def update(staging: str) -> Plan | UpdateRefused:
        try:
            return store.running_update("online", staging, Run(1, 0))
        except UpdateRefused as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(update, stagings))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Plan", "UpdateRefused"]
    assert len(history(store, "online")) == len(before) + 1
    (done,) = (outcome for outcome in outcomes if isinstance(outcome, Plan))
    assert sorted(content(store, "online")) == sorted(
        ["p1 r1 0,1,0,-1", *(f"{made} {runs}" for made, runs in done.creates)]
    )
