"""What every place that keeps conditions does, the same with a database at hand and over a server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conditions.batch import Batch, NewIov, NewPayload
from conditions.catalogue import Catalogue
from conditions.client.cache import PayloadCache
from conditions.client.http import HttpConfig
from conditions.client.remote import RemoteStore
from conditions.errors import (
    BadInputError,
    BadInterval,
    ChangeRefused,
    IovNotFound,
    NoPayloadForRun,
    NotFoundError,
    PastUnknown,
    PayloadNotFound,
    RefusedError,
    TagChanged,
    TagExists,
    TagNotFound,
    TagNotUsable,
    TransitionRefused,
    UpdateRefused,
    WrongChecksum,
)
from conditions.iov import OPEN, EndOfExp, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.running import RunningMode
from conditions.resolve import require
from conditions.tags import TagState
from support.server import session_server

ALWAYS = IntervalOfValidity.always()
QUICK = HttpConfig(attempts=2, backoff_s=0.001)


@pytest.fixture(params=["sqlite", "postgresql", "server"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """A place with nothing in it that a test would name: stores are fresh, names on the server are made new."""
    if request.param != "server":
        request.applymarker(pytest.mark.usefixtures("store_url"))
        url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
        from conditions.store.session import open_store

        with open_store(url, tmp_path / "payloads", user="ada") as store:
            yield store
        return
    server = session_server(request.config, "postgresql")
    with RemoteStore(server.url, PayloadCache(tmp_path / "cache"), QUICK, server.token("ada")) as remote:
        yield remote


@pytest.fixture
def new(request: pytest.FixtureRequest) -> str:
    """The beginning of all names of one test."""
    server = session_server(request.config, "postgresql")
    return server.unique("t") + "_"


def iov(text: str) -> IntervalOfValidity:
    return IntervalOfValidity.parse(text)


def keep(catalogue: Catalogue, name: str, text: str = "1.5") -> Payload:
    return catalogue.upload(name, io.BytesIO(text.encode()), metadata={"said": text})


def tag_of(catalogue: Catalogue, name: str, **iovs: str) -> str:
    """An OPEN tag; each keyword is a payload named `{tag}.{keyword}` with its interval."""
    catalogue.create_tag(name)
    for key, text in iovs.items():
        catalogue.add_iov(name, keep(catalogue, f"{name}.{key}").name, None, iov(text))
    return name


def test_a_tag_is_made_shown_changed_and_listed(catalogue: Catalogue, new: str) -> None:
    made = catalogue.create_tag(f"{new}a", description="Größe", type="RELEASE")
    assert catalogue.get_tag(f"{new}a") == made
    assert (made.state, made.type, made.description, made.modified_by) == (TagState.OPEN, "RELEASE", "Größe", "ada")
    changed = catalogue.modify_tag(f"{new}a", new_name=f"{new}b", description="", type="DEV")
    assert (changed.name, changed.description, changed.type, changed.id) == (f"{new}b", "", "DEV", made.id)
    assert catalogue.find_tag(f"{new}a") is None
    catalogue.clone_tag(f"{new}b", f"{new}c")
    assert [tag.name for tag in catalogue.list_tags(pattern=f"{new}*")] == [f"{new}b", f"{new}c"]
    assert [tag.name for tag in catalogue.list_tags(regex=f"{new}[c-z]")] == [f"{new}c"]
    assert [tag.name for tag in catalogue.list_tags(pattern=f"{new}*", limit=1)] == [f"{new}b"]
    assert [tag.name for tag in catalogue.list_tags(pattern=f"{new}*", after=f"{new}b")] == [f"{new}c"]


def test_refusals_are_of_the_same_class_with_the_same_facts(catalogue: Catalogue, new: str) -> None:
    tag_of(catalogue, f"{new}a", one="0,0,-1,-1")
    with pytest.raises(TagExists) as exists:
        catalogue.create_tag(f"{new}a")
    assert exists.value.name == f"{new}a"
    with pytest.raises(TagNotFound) as missing:
        catalogue.get_tag(f"{new}A")
    assert missing.value.name == f"{new}A"
    assert f"{new}a" in missing.value.near
    assert missing.value.store == catalogue.url
    with pytest.raises(TransitionRefused) as refused:
        catalogue.set_state(f"{new}a", TagState.PUBLISHED)
    assert refused.value.allowed == ("TESTING", "RUNNING")
    with pytest.raises(PayloadNotFound) as no_payload:
        catalogue.get_payload(f"{new}a.one", 7)
    assert (no_payload.value.revision, no_payload.value.latest) == (7, 1)
    with pytest.raises(IovNotFound):
        catalogue.delete_iov(f"{new}a", 2**40)
    with pytest.raises(TagNotUsable):
        catalogue.resolve(f"{new}a", Run(1, 1))
    with pytest.raises(BadInputError):
        catalogue.create_tag("no/tag")
    with pytest.raises(NoPayloadForRun):
        require(catalogue.resolve(f"{new}a", Run(1, 1), allow_open=True), ["none"], Run(1, 1), [f"{new}a"])
    with pytest.raises(PastUnknown):
        catalogue.resolve(f"{new}a@99", Run(1, 1), allow_open=True)


def test_the_same_bytes_keep_their_revision_and_metadata(catalogue: Catalogue, new: str, tmp_path: Path) -> None:
    first = keep(catalogue, f"{new}gain ä%2F?.json")
    assert catalogue.upload(first.name, io.BytesIO(b"1.5"), metadata={"other": 1}) == first
    (tmp_path / "file").write_bytes(b"2.5")
    second = catalogue.upload(first.name, tmp_path / "file")
    assert (second.revision, second.created_by, second.metadata) == (2, "ada", {})
    assert catalogue.get_payload(first.name) == second
    assert catalogue.get_payload(first.name, 1) == first
    assert catalogue.list_payloads(pattern=f"{new}*") == [first, second]
    assert catalogue.list_payloads(pattern=f"{new}*", after=(first.name, 1)) == [second]
    assert catalogue.find_payloads([(first.name, first.md5), (first.name, "0" * 32)]) == [first]
    assert catalogue.latest_payloads([first.name, "none"]) == {first.name: second}
    assert catalogue.payload_path(first).read_bytes() == b"1.5"
    catalogue.verify(first)
    with pytest.raises(WrongChecksum):
        catalogue.upload(first.name, io.BytesIO(b"3.5"), md5="0" * 32)
    assert catalogue.get_payload(first.name) == second


def test_an_empty_payload_is_one_too(catalogue: Catalogue, new: str) -> None:
    empty = catalogue.upload(f"{new}empty", io.BytesIO(b""))
    assert empty.size_bytes == 0
    assert catalogue.payload_path(empty).read_bytes() == b""


def test_rows_are_added_listed_changed_and_taken_away(catalogue: Catalogue, new: str) -> None:
    tag = tag_of(catalogue, f"{new}a", one="1,0,5,-1", two="0,0,-1,-1")
    one, two = catalogue.list_iovs(tag)
    assert (one.payload.name, str(one.iov), one.tag) == (f"{tag}.one", "1,0,5,-1", tag)
    assert one.payload == catalogue.get_payload(f"{tag}.one")
    assert catalogue.add_iov(tag, one.payload.name, 1, one.iov) == one
    assert catalogue.add_iovs(tag, [(one.payload, one.iov), (two.payload, iov("2,0,2,5"))]) == 1
    assert [entry.id for entry in catalogue.list_iovs(tag, run=Run(0, 7))] == [two.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, names=[one.payload.name])] == [one.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, pattern="*.one")] == [one.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, regex=r".*\.one")] == [one.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, within=iov("6,0,7,-1"))] == [two.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, limit=1)] == [one.id]
    assert [entry.id for entry in catalogue.list_iovs(tag, after_id=one.id, limit=1)] == [two.id]
    assert catalogue.list_iovs(tag, names=[]) == []
    assert str(catalogue.close_iov(tag, one.id, EndOfExp(4)).iov) == "1,0,4,-1"
    with pytest.raises(BadInterval):
        catalogue.close_iov(tag, two.id, OPEN)
    assert str(catalogue.modify_iov(tag, one.id, iov("0,0,9,9")).iov) == "0,0,9,9"
    catalogue.delete_iov(tag, one.id)
    assert one.id not in [entry.id for entry in catalogue.list_iovs(tag)]


def test_runs_are_resolved_with_what_they_hold_for(catalogue: Catalogue, new: str) -> None:
    tag = tag_of(catalogue, f"{new}a", one="1,0,5,-1", two="0,0,-1,-1")
    runs = [Run(0, 1), Run(3, 7), Run(9, 9)]
    found = catalogue.resolve_many([tag], runs, allow_open=True)
    assert list(found) == runs
    assert [sorted(found[run]) for run in runs] == [[f"{tag}.two"], [f"{tag}.one", f"{tag}.two"], [f"{tag}.two"]]
    assert found[Run(3, 7)][f"{tag}.one"].payload.metadata == {"said": "1.5"}
    held = catalogue.resolve_held([tag], Run(3, 7), [f"{tag}.one"], allow_open=True)
    assert list(held.answer) == [f"{tag}.one"]
    assert held.holds.contains(Run(5, 2**30))
    assert not held.holds.contains(Run(6, 0))
    assert held.tags == catalogue.tag_facts([tag])
    assert catalogue.resolve(tag, Run(3, 7), [], allow_open=True) == {}


def test_the_past_is_resolved_by_revision_and_by_moment(catalogue: Catalogue, new: str) -> None:
    tag = tag_of(catalogue, f"{new}a", one="0,0,-1,-1")
    before = catalogue.get_tag(tag)
    catalogue.delete_iov(tag, catalogue.list_iovs(tag)[0].id)
    assert catalogue.resolve(tag, Run(1, 1), allow_open=True) == {}
    assert list(catalogue.resolve(f"{tag}@{before.content_revision}", Run(1, 1), allow_open=True)) == [f"{tag}.one"]
    assert list(catalogue.resolve(tag, Run(1, 1), allow_open=True, as_of=before.modified_at)) == [f"{tag}.one"]
    later = datetime.now(UTC) + timedelta(days=1)
    assert catalogue.resolve(tag, Run(1, 1), allow_open=True, as_of=later) == {}
    assert catalogue.tag_digest(tag, revision=before.content_revision) != catalogue.tag_digest(tag)


def test_publishing_walks_all_steps_and_is_in_the_history(catalogue: Catalogue, new: str) -> None:
    tag = tag_of(catalogue, f"{new}a", one="0,0,-1,-1")
    assert catalogue.publish_tag(tag).state is TagState.PUBLISHED
    verified = catalogue.verify_tag(tag)
    assert verified.ok
    assert verified.stored_digest == verified.digest == catalogue.tag_digest(tag)
    assert catalogue.tag_facts(tag)[0].digest == verified.digest
    with pytest.raises(ChangeRefused):
        catalogue.add_iov(tag, f"{tag}.one", None, iov("1,1,1,1"))
    history = catalogue.tag_history(tag)
    assert [entry.action for entry in history][:2] == ["create", "add iovs"]
    assert {entry.who for entry in history} == {"ada"}
    assert catalogue.audit(subject=tag) == history
    assert (
        catalogue.audit(subject=f"{new}*", action="state", limit=2) == [e for e in history if e.action == "state"][:2]
    )
    assert catalogue.audit(subject=tag, after_id=history[-2].id) == history[-1:]
    assert catalogue.audit(subject=tag, until=history[0].at) == []
    assert catalogue.audit(subject=tag, since=history[-1].at)[-1] == history[-1]


def test_a_batch_is_all_or_nothing_and_may_be_repeated(catalogue: Catalogue, new: str, tmp_path: Path) -> None:
    name, tag = f"{new}gain.json", f"{new}a"
    (tmp_path / "one").write_bytes(b"one")

    def batch(**more: object) -> Batch:
        payloads = (NewPayload(name, tmp_path / "one", {"n": 1}), NewPayload(name, io.BytesIO(b"two")))
        return Batch(tag, payloads, (NewIov(name, ALWAYS), NewIov(name, iov("0,0,3,-1"), 1)), create=True, **more)  # type: ignore[arg-type]

    done = catalogue.submit(batch())
    assert [payload.revision for payload in done.payloads] == [1, 2]
    assert (done.n_added, done.tag) == (2, catalogue.get_tag(tag))
    again = catalogue.submit(batch(state=TagState.TESTING))
    assert (again.payloads, again.n_added) == (done.payloads, 0)
    assert again.tag is not None
    assert again.tag.state is TagState.TESTING
    with pytest.raises(TagChanged) as changed:
        catalogue.submit(batch(expected_revision=0))
    assert (changed.value.found, changed.value.expected) == (1, 0)
    with pytest.raises(RefusedError):
        catalogue.submit(Batch(tag, (NewPayload(f"{new}b", io.BytesIO(b"x")),), (NewIov(f"{new}b", ALWAYS),)))
    with pytest.raises(PayloadNotFound):
        catalogue.get_payload(f"{new}b")
    with pytest.raises(NotFoundError):
        catalogue.submit(Batch(f"{new}none", (), (NewIov(name, ALWAYS),)))


def test_a_merge_is_planned_and_then_done_just_so(catalogue: Catalogue, new: str) -> None:
    left, right = tag_of(catalogue, f"{new}l", one="1,0,1,10"), tag_of(catalogue, f"{new}r", two="0,0,-1,-1")
    catalogue.create_tag(f"{new}m")
    plan = catalogue.merge_tags(f"{new}m", [left, right], dry_run=True)
    assert catalogue.list_iovs(f"{new}m") == []
    assert catalogue.merge_tags(f"{new}m", [left, right], within=iov("0,0,-1,-1")) == plan
    assert {(e.payload, e.iov) for e in catalogue.list_iovs(f"{new}m")} == set(plan.creates)
    catalogue.create_tag(f"{new}n")
    with pytest.raises(TagChanged):
        catalogue.merge_tags(f"{new}n", [left], expected_revision=3)
    diff = catalogue.diff_tags(left, f"{new}m")
    assert [(each.word, each.name) for each in diff.differences] == [("added", f"{right}.two")]
    assert diff.same_names == (f"{left}.one",)
    assert catalogue.diff_tags(left, f"{new}m", pattern="*.one", within=iov("0,0,-1,-1")).is_empty


def test_rows_are_copied_changed_and_deleted_by_filters(catalogue: Catalogue, new: str) -> None:
    source = tag_of(catalogue, f"{new}s", one="1,0,5,-1", two="0,0,-1,-1")
    target = tag_of(catalogue, f"{new}t")
    plan = catalogue.copy_iovs(source, target, IovFilter(regex=r".*\.(one|three)"), to=iov("0,0,0,5"))
    assert [(payload.name, str(interval)) for payload, interval in plan.creates] == [(f"{source}.one", "0,0,0,5")]
    copied = catalogue.list_iovs(target)[0]
    edited = catalogue.modify_iovs(target, IovFilter(ids=frozenset([copied.id])), IovEdit(last=OPEN))
    assert [(row.id, str(interval)) for row, interval in edited.changes] == [(copied.id, "0,0,-1,-1")]
    gone = catalogue.delete_iovs(target, IovFilter(glob="*.one", within=iov("2,0,-1,-1"), cut=True), dry_run=True)
    assert gone.step_count == 1
    assert catalogue.delete_iovs(target, IovFilter()).deletes[0].id == copied.id
    assert catalogue.list_iovs(target) == []
    with pytest.raises(IovNotFound):
        catalogue.delete_iovs(target, IovFilter(ids=frozenset([2**40])))


def test_a_running_tag_goes_on(catalogue: Catalogue, new: str) -> None:
    running = tag_of(catalogue, f"{new}run", one="0,1,-1,-1")
    staging = tag_of(catalogue, f"{new}stage")
    catalogue.add_iov(staging, keep(catalogue, f"{running}.one", "2.5").name, None, ALWAYS)
    with pytest.raises(ChangeRefused):
        catalogue.running_update(running, staging, Run(1, 2))
    catalogue.set_state(running, TagState.RUNNING)
    for state in (TagState.TESTING, TagState.VALIDATED):
        catalogue.set_state(staging, state)
    with pytest.raises(UpdateRefused) as refused:
        catalogue.running_update(running, staging, Run(0, 1))
    assert len(refused.value.faults) == 1
    plan = catalogue.running_update(running, staging, Run(1, 2), mode=RunningMode(full_replacement=True), dry_run=True)
    assert catalogue.running_update(running, staging, Run(1, 2)) == plan
    assert [str(row.iov) for row in catalogue.list_iovs(running)] == ["0,1,1,1", "1,2,-1,-1"]


def test_a_check_finds_gaps_and_overlaps(catalogue: Catalogue, new: str) -> None:
    tag = tag_of(catalogue, f"{new}a", one="1,0,1,5")
    catalogue.add_iov(tag, f"{tag}.one", None, iov("3,0,3,5"))
    catalogue.add_iov(tag, f"{tag}.one", None, iov("3,2,3,9"))
    told: list[tuple[int, int]] = []
    check = catalogue.check_tag(tag, on_progress=lambda *progress: told.append(progress))
    assert [str(gap.iov) for gap in check.gaps] == ["1,6,2,-1"]
    assert [(str(each.iov), each.winner, each.is_duplicate) for each in check.overlaps] == [
        ("3,2,3,5", catalogue.get_payload(f"{tag}.one"), True)
    ]
    assert (check.faults, told[-1]) == ((), (1, 1))
    assert catalogue.check_tag(tag, verify=False).payload_count == 0
