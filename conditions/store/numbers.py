"""Many payloads at once, by what identifies them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from conditions.payload import Payload
from conditions.store.queries import batches, payload_row, payloads_query
from conditions.store.tables import PayloadNameRow, PayloadRow


def find_payloads(connection: Connection, wanted: Iterable[tuple[str, str]]) -> list[Payload]:
    """The payloads there are of these (name, md5), in order of name and revision."""
    pairs = set(wanted)
    found: list[Payload] = []
    for digests in batches(sorted({md5 for _, md5 in pairs})):
        rows = connection.execute(payloads_query().where(PayloadRow.md5.in_(digests)))
        found += [payload for payload in map(payload_row, rows) if (payload.name, payload.md5) in pairs]
    return sorted(found, key=lambda payload: (payload.name, payload.revision))


def payloads_by_number(connection: Connection, numbers: Iterable[int]) -> dict[int, Payload]:
    """The payloads there are of these numbers."""
    found = (
        payload_row(row)
        for some in batches(sorted(set(numbers)))
        for row in connection.execute(payloads_query().where(PayloadRow.id.in_(some)))
    )
    return {payload.id: payload for payload in found}


def payloads_by_revision(connection: Connection, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Payload]:
    """The payloads there are of these (name, revision)."""
    pairs = set(wanted)
    found: dict[tuple[str, int], Payload] = {}
    names = sorted({name for name, _ in pairs})
    revisions = sorted({revision for _, revision in pairs})
    for some_names in batches(names):
        for some in batches(revisions):
            statement = payloads_query().where(PayloadNameRow.name.in_(some_names), PayloadRow.revision.in_(some))
            for payload in map(payload_row, connection.execute(statement)):
                if (payload.name, payload.revision) in pairs:
                    found[payload.name, payload.revision] = payload
    return found


def latest_payloads(connection: Connection, names: Iterable[str]) -> dict[str, Payload]:
    """The latest revision of each of these names, without those that have none."""
    found: dict[str, Payload] = {}
    for some in batches(sorted(set(names))):
        is_latest = PayloadRow.revision == PayloadNameRow.last_revision
        rows = connection.execute(payloads_query().where(PayloadNameRow.name.in_(some), is_latest))
        found |= {payload.name: payload for payload in map(payload_row, rows)}
    return found


def numbers_of(connection: Connection, payloads: Iterable[Payload]) -> dict[tuple[str, int], int]:
    """The store's own number of each payload that it has; name, revision and digest must agree.

    A payload read from this store carries its number. One from elsewhere is found by name and revision.
    """
    wanted = {(payload.name, payload.revision): payload for payload in payloads}
    numbers: dict[tuple[str, int], int] = {}
    columns = select(PayloadNameRow.name, PayloadRow.revision, PayloadRow.id, PayloadRow.sha256).join_from(
        PayloadRow, PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id
    )
    for some in batches({payload.id for payload in wanted.values() if payload.id}):
        for name, revision, number, sha256 in connection.execute(columns.where(PayloadRow.id.in_(some))):
            payload = wanted.get((name, revision))
            if payload is not None and payload.sha256 == sha256:
                numbers[name, revision] = number
    others = wanted.keys() - numbers.keys()
    for place, payload in payloads_by_revision(connection, others).items() if others else ():
        if wanted[place].sha256 == payload.sha256:
            numbers[place] = payload.id
    return numbers
