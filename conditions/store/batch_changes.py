"""Many new payloads at once, and a whole batch, with few statements for many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from conditions.batch import Batch, BatchResult, NewIov, check_md5
from conditions.errors import TagChanged
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.store import iov_changes, numbers, tag_changes
from conditions.store.audit import Change
from conditions.store.queries import (
    batches,
    find_tag,
    get_tag,
    lock_tag,
    payload_not_found,
    payload_row,
    payloads_query,
)
from conditions.store.streams import StoredFile
from conditions.store.tables import AuditRow, PayloadNameRow, PayloadRow
from conditions.tags import steps_to

ROWS_AT_ONCE: Final = 1_000  # of payloads, which have metadata
Upload = tuple[str, StoredFile, dict[str, Any]]  # name, what is known of the bytes, metadata


def submit(change: Change, batch: Batch, uploads: Sequence[Upload]) -> BatchResult:
    """Do all of a batch, whose bytes lie under their digests.

    Names of payloads are locked first and the tag afterwards, as who uploads and then adds does it.

    Raises:
        TagChanged: the tag has another content revision than the batch was made for.
        RefusedError: the tag's state forbids what is asked.
        NotFoundError: the tag or a payload is not there.
    """
    connection = change.connection
    payloads = add_payloads(change, uploads)
    if batch.tag is None:
        return BatchResult(None, tuple(payloads), 0)
    if batch.create and find_tag(connection, batch.tag) is None:
        tag_changes.ensure_tag(change, batch.tag, batch.description, batch.type)
    tag = lock_tag(connection, batch.tag)
    check_expected(batch, tag.content_revision)
    entries = _entries(change, batch.iovs, payloads)
    # A batch that walked the tag to its state was done as a whole: sent again, it finds all its rows in a closed tag.
    is_done = batch.state is tag.state and iov_changes.holds(change, tag, entries)
    added = iov_changes.add_iovs(change, tag.name, entries) if entries and not is_done else 0
    for state in steps_to(tag.state, batch.state or tag.state):
        tag_changes.set_state(change, tag.name, state)
    return BatchResult(get_tag(connection, tag.name), tuple(payloads), added)


def check_expected(batch: Batch, found: int) -> None:
    """Refuse a batch that was made for another content revision."""
    if batch.expected_revision is not None and batch.expected_revision != found:
        raise TagChanged(str(batch.tag), found, batch.expected_revision)


def add_payloads(change: Change, uploads: Sequence[Upload]) -> list[Payload]:
    """The revisions that have these bytes, in the order given; those that a name lacks are made, in that order.

    The names' rows stay locked until the end of the transaction. They are locked in one order by everybody, so that
    two batches at once wait for each other and never cross.
    """
    last_revisions = _lock_names(change, {name for name, _, _ in uploads})
    found: list[Payload] = []
    for some in batches(uploads, ROWS_AT_ONCE):
        there = _by_digest(change, some, last_revisions)
        new: dict[tuple[str, str], dict[str, Any]] = {}
        for name, stored, metadata in some:
            key = name, stored.sha256
            if key not in there and key not in new:
                name_id, last_revision = last_revisions[name]
                last_revisions[name] = name_id, last_revision + 1
                new[key] = _row(change, name_id, last_revision + 1, stored, metadata)
        there |= _insert(change, new)
        found += [there[name, stored.sha256] for name, stored, _ in some]
    return found


def _entries(
    change: Change, iovs: Iterable[NewIov], payloads: Iterable[Payload]
) -> list[tuple[Payload, IntervalOfValidity]]:
    """The rows to add, each with its payload."""
    connection, wanted, coming = change.connection, list(iovs), list(payloads)
    of_batch = {payload.name: payload for payload in coming}  # the last one of a name
    by_md5 = {(payload.name, payload.md5): payload for payload in coming}
    announced = {(iov.name, check_md5(iov.md5)) for iov in wanted if iov.md5 is not None}
    there = numbers.find_payloads(connection, announced - by_md5.keys()) if announced - by_md5.keys() else []
    by_md5 |= {(payload.name, payload.md5): payload for payload in there}
    without = {iov.name for iov in wanted if iov.revision is None and iov.md5 is None and iov.name not in of_batch}
    latest = (numbers.latest_payloads(connection, without) if without else {}) | of_batch
    pinned = {(iov.name, iov.revision) for iov in wanted if iov.revision is not None}
    exact = numbers.payloads_by_revision(connection, pinned) if pinned else {}
    entries = []
    for iov in wanted:
        if iov.md5 is not None:
            payload = by_md5.get((iov.name, check_md5(iov.md5)))
        else:
            payload = latest.get(iov.name) if iov.revision is None else exact.get((iov.name, iov.revision))
        if payload is None:
            raise payload_not_found(connection, iov.name, iov.revision)
        entries.append((payload, iov.iov))
    return entries


def _lock_names(change: Change, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Number and last revision of each name, locked; names that are new are made.

    All are made before the first is locked, both in order of their characters: who waits for a name holds none that
    comes after it.
    """
    connection, ordered = change.connection, sorted(names)
    is_sqlite = connection.dialect.name == "sqlite"
    insert_into = sqlite.insert if is_sqlite else postgresql.insert
    for some in batches(ordered, ROWS_AT_ONCE):
        made = insert_into(PayloadNameRow).values([{"name": name, "last_revision": 0} for name in some])
        connection.execute(made.on_conflict_do_nothing(index_elements=["name"]))
    columns = select(PayloadNameRow.name, PayloadNameRow.id, PayloadNameRow.last_revision).with_for_update()
    # SQLite compares characters of itself, PostgreSQL when told to.
    in_order = columns.order_by(PayloadNameRow.name if is_sqlite else PayloadNameRow.name.collate("C"))
    locked: dict[str, tuple[int, int]] = {}
    for some in batches(ordered, ROWS_AT_ONCE):
        rows = connection.execute(in_order.where(PayloadNameRow.name.in_(some)))
        locked |= {name: (number, last) for name, number, last in rows}
    return locked


def _by_digest(
    change: Change, uploads: Iterable[Upload], last_revisions: dict[str, tuple[int, int]]
) -> dict[tuple[str, str], Payload]:
    """Those of the payloads that are there already, by name and digest."""
    wanted = {(last_revisions[name][0], stored.sha256): name for name, stored, _ in uploads}
    digests = sorted({digest for _, digest in wanted})
    rows = change.connection.execute(payloads_query().where(PayloadRow.sha256.in_(digests)))
    pairs = {(name, digest) for (_, digest), name in wanted.items()}
    there = map(payload_row, rows)
    return {(each.name, each.sha256): each for each in there if (each.name, each.sha256) in pairs}


def _row(change: Change, name_id: int, revision: int, stored: StoredFile, metadata: dict[str, Any]) -> dict[str, Any]:
    """The row of a new revision."""
    return {
        "name_id": name_id,
        "revision": revision,
        "sha256": stored.sha256,
        "md5": stored.md5,
        "size_bytes": stored.size_bytes,
        "metadata": metadata,
        "created_at": change.at,
        "created_by": change.who,
    }


def _insert(change: Change, new: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], Payload]:
    """Write new revisions, their names' last ones, and the trail."""
    if not new:
        return {}
    connection, rows = change.connection, list(new.values())
    inserted = insert(PayloadRow).returning(PayloadRow.name_id, PayloadRow.revision, PayloadRow.id)
    ids = {(name_id, revision): number for name_id, revision, number in connection.execute(inserted, rows)}
    last = {row["name_id"]: row["revision"] for row in rows}  # they grow, so the last one stays
    statement = update(PayloadNameRow).where(PayloadNameRow.id == bindparam("of_name"))
    connection.execute(
        statement.values(last_revision=bindparam("last")),
        [{"of_name": number, "last": revision} for number, revision in last.items()],
        execution_options={"synchronize_session": None},
    )
    made: dict[tuple[str, str], Payload] = {}
    trail: list[dict[str, Any]] = []
    for (name, sha256), row in new.items():
        number = ids[row["name_id"], row["revision"]]
        facts = {key: row[key] for key in ("revision", "sha256", "md5", "size_bytes")}
        made[name, sha256] = Payload(
            name, metadata=row["metadata"], created_at=change.at, created_by=change.who, id=number, **facts
        )
        trail.append(
            {
                "at": change.at,
                "who": change.who,
                "action": "upload",
                "subject_kind": "payload",
                "subject_id": number,
                "subject": name,
                "before": None,
                "after": facts | {"metadata": row["metadata"]},
            }
        )
    connection.execute(insert(AuditRow), trail)
    return made
