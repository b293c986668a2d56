"""All rows of a tag as arrays of numbers, read in bulk and in one snapshot: what an index is compiled from.

PostgreSQL streams them in its binary form, where every row has the same length, so that a block of rows becomes an
array without a look at a single one; SQLite hands over lists of plain rows.

N rows of the tag, P payloads in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from conditions.errors import StoreUnavailable, TagNotFound
from conditions.resolve import TagFacts
from conditions.store.engine import shown
from conditions.store.index_verbs import facts_from

_NUMBERS: Final = ("id", "payload", "first_key", "final_key", "created", "modified")
IOV: Final = np.dtype([*((name, "i8") for name in _NUMBERS), ("by", "i4")])
_PAYLOAD_NUMBERS: Final = ("id", "name", "revision", "size", "created")
_DIGESTS: Final = (("md5", "V16"), ("sha256", "V32"))
PAYLOAD: Final = np.dtype([*((name, "i8") for name in _PAYLOAD_NUMBERS), ("by", "i4"), *_DIGESTS])
BLOCK_BYTES: Final = 8 << 20  # of one array made from a stream; larger ones gain nothing
BLOCK_ROWS: Final = 50_000
_EPOCH_US: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000  # where PostgreSQL counts from


@dataclass
class TagRows:
    """A tag's content at one moment. Times are microseconds since 1970; `by` counts in `people`, `name` in `names`."""

    store_id: str
    facts: TagFacts
    iovs: NDArray[np.void]  # (N,) IOV, in no order; `payload` is the payload's number
    payloads: NDArray[np.void]  # (P,) PAYLOAD, by number
    names: list[str]  # in order
    people: list[str]


def read_rows(connection: Connection, tag_id: int) -> TagRows:
    """The rows of a tag; the connection is in a transaction that sees one snapshot.

    Raises:
        TagNotFound: no tag has this number.
    """
    found = connection.execute(_FACTS, {"tag": tag_id}).one_or_none()
    if found is None:
        raise TagNotFound(f"number {tag_id}", (), shown(connection.engine.url))
    store_id = connection.execute(text("SELECT store_id FROM store_identity")).scalar_one()
    people = sorted(connection.execute(_PEOPLE, {"tag": tag_id}).scalars())
    n_iovs, n_payloads = connection.execute(_COUNTS, {"tag": tag_id}).one()
    read = _postgresql_blocks if connection.dialect.name == "postgresql" else _sqlite_blocks
    iovs = _joined(read(connection, _IOVS, IOV, tag_id, people), n_iovs, IOV)
    payloads = _joined(read(connection, _PAYLOADS, PAYLOAD, tag_id, people), n_payloads, PAYLOAD)
    names = _names(connection, tag_id)
    numbers = np.array(sorted(names), dtype=np.int64)
    in_order = sorted(names.values())
    place_of = {name: place for place, name in enumerate(in_order)}
    places = np.array([place_of[names[number]] for number in numbers.tolist()], dtype=np.int64)
    payloads["name"] = places[np.searchsorted(numbers, payloads["name"])]
    return TagRows(store_id, facts_from(found), iovs, payloads, in_order, people)


def _names(connection: Connection, tag_id: int) -> dict[int, str]:
    """The payload names of a tag by their number."""
    return {row.id: row.name for row in connection.execute(_NAMES, {"tag": tag_id})}


def _joined(blocks: Iterator[NDArray[np.void]], n_rows: int, kind: np.dtype[np.void]) -> NDArray[np.void]:
    """One array of blocks, without holding them twice."""
    rows = np.empty(n_rows, dtype=kind)
    done = 0
    for block in blocks:
        rows[done : done + len(block)] = block
        done += len(block)
    if done != n_rows:
        raise AssertionError("one snapshot has one number of rows")
    return rows


def _postgresql_blocks(
    connection: Connection, columns: str, kind: np.dtype[np.void], tag_id: int, people: list[str]
) -> Iterator[NDArray[np.void]]:
    """Rows from PostgreSQL's binary stream: 19 bytes of header, rows of equal length, two bytes at the end."""
    import psycopg

    wire = _wire_type(kind)
    values = {"tag": tag_id, "people": people}
    statement = columns.format(**_POSTGRESQL_WORDS)
    driver: Any = connection.connection.dbapi_connection
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT binary)", values) as stream:
            pieces = bytearray()
            header = 19
            for piece in stream:
                pieces += piece
                if len(pieces) >= BLOCK_BYTES:
                    whole = (len(pieces) - header) // wire.itemsize
                    yield _from_wire(np.frombuffer(pieces, wire, whole, header), kind)
                    pieces, header = pieces[header + whole * wire.itemsize :], 0
            yield _from_wire(np.frombuffer(pieces, wire, (len(pieces) - header) // wire.itemsize, header), kind)
    except psycopg.Error as error:
        raise StoreUnavailable(shown(connection.engine.url), str(error).strip()) from error


def _wire_type(kind: np.dtype[np.void]) -> np.dtype[np.void]:
    """How a row of this kind stands in the stream: the number of fields, then each with its length."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name in kind.names or ():
        field = kind[name]
        fields += [(f"{name}_length", ">i4"), (name, f">i{field.itemsize}" if field.kind == "i" else field.str)]
    return np.dtype(fields)


def _from_wire(block: NDArray[np.void], kind: np.dtype[np.void]) -> NDArray[np.void]:
    """The same rows in this machine's order of bytes."""
    rows = np.empty(len(block), dtype=kind)
    for name in kind.names or ():
        rows[name] = block[name]
        if name in ("created", "modified"):
            rows[name] += _EPOCH_US
    return rows


def _sqlite_blocks(
    connection: Connection, columns: str, kind: np.dtype[np.void], tag_id: int, people: list[str]
) -> Iterator[NDArray[np.void]]:
    """Rows from SQLite, by lists."""
    code_of = {name: code for code, name in enumerate(people)}
    result = iter(connection.exec_driver_sql(columns.format(**_SQLITE_WORDS), {"tag": tag_id}))
    while found := list(islice(result, BLOCK_ROWS)):
        rows = np.empty(len(found), dtype=kind)
        for name, values in zip(kind.names or (), zip(*found, strict=True), strict=True):
            if name == "by":
                rows[name] = [code_of[value] for value in values]
            elif name in ("created", "modified"):
                rows[name] = np.array(values, dtype="datetime64[us]").astype(np.int64)
            elif kind[name].kind == "V":
                rows[name] = np.frombuffer(bytes.fromhex("".join(values)), dtype=kind[name])
            else:
                rows[name] = values
        yield rows


_FACTS: Final = text("SELECT id, name, state, content_revision, published_digest FROM tags WHERE id = :tag")
_COUNTS: Final = text("SELECT count(*), count(DISTINCT payload_id) FROM iovs WHERE tag_id = :tag")
_PEOPLE: Final = text(
    "SELECT modified_by FROM iovs WHERE tag_id = :tag "
    "UNION SELECT created_by FROM payloads WHERE id IN (SELECT payload_id FROM iovs WHERE tag_id = :tag)"
)
_NAMES: Final = text(
    "SELECT id, name FROM payload_names WHERE id IN (SELECT name_id FROM payloads WHERE id IN "
    "(SELECT payload_id FROM iovs WHERE tag_id = :tag))"
)
_IOVS: Final = """
SELECT id, payload_id, first_key, final_key, created_at, modified_at, {modified_by} FROM iovs WHERE tag_id = {tag}
"""
_PAYLOADS: Final = """
SELECT id, name_id, revision, size_bytes, created_at, {created_by}, {md5}, {sha256}
FROM payloads WHERE id IN (SELECT payload_id FROM iovs WHERE tag_id = {tag}) ORDER BY id
"""
_CODE: Final = "array_position(%(people)s::text[], {}) - 1"
_POSTGRESQL_WORDS: Final = {
    "tag": "%(tag)s",
    "modified_by": _CODE.format("modified_by"),
    "created_by": _CODE.format("created_by"),
    "md5": "decode(md5, 'hex')",
    "sha256": "decode(sha256, 'hex')",
}
_SQLITE_WORDS: Final = {"tag": ":tag"} | {word: word for word in ("modified_by", "created_by", "md5", "sha256")}
