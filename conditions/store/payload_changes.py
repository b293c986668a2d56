"""A new revision of a payload: its row, written when its bytes already lie under their digest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from conditions.payload import Payload
from conditions.store.audit import Change, Subject, record
from conditions.store.queries import find_payload_by_digest, get_payload
from conditions.store.streams import StoredFile
from conditions.store.tables import PayloadNameRow, PayloadRow


def add_payload(change: Change, name: str, stored: StoredFile, metadata: dict[str, Any]) -> Payload:
    """The revision of a name that has these bytes, made if there is none; the first one's metadata stay.

    The name's row stays locked until the end of the transaction, so of two uploads at once one waits, and finds
    either the other's revision or the next number.
    """
    connection = change.connection
    insert_into = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new_name = insert_into(PayloadNameRow).values(name=name, last_revision=0)
    connection.execute(new_name.on_conflict_do_nothing(index_elements=["name"]))
    locked = select(PayloadNameRow.id, PayloadNameRow.last_revision).where(PayloadNameRow.name == name)
    name_id, last_revision = connection.execute(locked.with_for_update()).one()
    there = find_payload_by_digest(connection, name_id, stored.sha256)
    if there is not None:
        return there
    revision = last_revision + 1
    of_name = update(PayloadNameRow).where(PayloadNameRow.id == name_id)
    connection.execute(of_name.values(last_revision=revision))
    facts: dict[str, Any] = {
        "revision": revision,
        "sha256": stored.sha256,
        "md5": stored.md5,
        "size_bytes": stored.size_bytes,
    }
    row = insert(PayloadRow).values(
        name_id=name_id, details=metadata, created_at=change.at, created_by=change.who, **facts
    )
    number = connection.execute(row.returning(PayloadRow.id)).scalar_one()
    record(change, "upload", Subject("payload", number, name), None, facts | {"metadata": metadata})
    return get_payload(connection, name, revision)
