"""Random changes of a tag's content, also as the release before the history of content wrote them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text

from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.lookup import fork_of
from conditions.store.session import Store
from support.stores import upload_text

RUNS = [Run(exp, run) for exp in range(4) for run in range(5)]
NAMES = ("gat", "cnn", "pxd")


def random_interval(draw: random.Random) -> IntervalOfValidity:
    """An interval around the first few runs; often with an open end."""
    first, last = sorted((draw.randrange(4), draw.randrange(6)) for _ in range(2))
    end = draw.choice([f"{last[0]},{last[1]}", f"{last[0]},-1", "-1,-1"])
    return IntervalOfValidity.parse(f"{first[0]},{first[1]},{end}")


def some_payloads(store: Store, revisions: int = 3) -> list[Payload]:
    """Several revisions of several payloads."""
    return [upload_text(store, name, f"{name} {number}") for name in NAMES for number in range(revisions)]


class Changer:
    """Changes an OPEN tag at random, each time by one content revision."""

    def __init__(self, store: Store, tag: str, payloads: list[Payload], draw: random.Random) -> None:
        self.store, self.tag, self.payloads, self.draw = store, tag, payloads, draw

    def change(self) -> None:
        """One change, of whichever kind is possible."""
        rows = self.store.list_iovs(self.tag)
        adding: list[Callable[[list[IovEntry]], None]] = [self.add, self.add_many, self.old_add]
        others = [self.delete, self.close, self.modify, self.old_delete, self.old_update]
        before = self.store.get_tag(self.tag).content_revision
        while self.store.get_tag(self.tag).content_revision == before:
            self.draw.choice(adding + others if rows else adding)(rows)
        assert self.store.get_tag(self.tag).content_revision == before + 1

    def add(self, _rows: list[IovEntry]) -> None:
        payload = self.draw.choice(self.payloads)
        self.store.add_iov(self.tag, payload.name, payload.revision, random_interval(self.draw))

    def add_many(self, _rows: list[IovEntry]) -> None:
        self.store.add_iovs(self.tag, [(self.draw.choice(self.payloads), random_interval(self.draw)) for _ in range(3)])

    def delete(self, rows: list[IovEntry]) -> None:
        self.store.delete_iov(self.tag, self.draw.choice(rows).id)

    def close(self, rows: list[IovEntry]) -> None:
        row = self.draw.choice(rows)
        if self.is_free(row, IntervalOfValidity(row.iov.first, row.iov.first), rows):
            self.store.close_iov(self.tag, row.id, row.iov.first)

    def modify(self, rows: list[IovEntry]) -> None:
        row, wanted = self.draw.choice(rows), random_interval(self.draw)
        if self.is_free(row, wanted, rows):
            self.store.modify_iov(self.tag, row.id, wanted)

    def old_add(self, rows: list[IovEntry]) -> None:
        payload, iov = self.draw.choice(self.payloads), random_interval(self.draw)
        if not any(row.payload == payload and row.iov == iov for row in rows):
            self.write(
                "INSERT INTO iovs"
                " (tag_id, payload_id, first_key, final_key, fork, created_at, modified_at, modified_by)"
                " VALUES (:tag, :payload, :first, :final, :fork, :now, :now, 'old')",
                payload=payload.id,
                **keys(iov),
            )

    def old_delete(self, rows: list[IovEntry]) -> None:
        self.write("DELETE FROM iovs WHERE id = :id", id=self.draw.choice(rows).id)

    def old_update(self, rows: list[IovEntry]) -> None:
        row, wanted = self.draw.choice(rows), random_interval(self.draw)
        if self.is_free(row, wanted, rows):
            self.write(
                "UPDATE iovs SET first_key = :first, final_key = :final, fork = :fork, modified_at = :now,"
                " modified_by = 'old' WHERE id = :id",
                id=row.id,
                **keys(wanted),
            )

    def write(self, statement: str, **values: object) -> None:
        """A change of rows and then of the tag, as the release before wrote them."""
        values |= {"now": datetime.now(UTC), "tag": self.store.get_tag(self.tag).id}
        touch = (
            "UPDATE tags SET modified_at = :now, modified_by = 'old', content_revision = content_revision + 1"
            " WHERE id = :tag"
        )
        with self.store._writer.begin() as connection:
            connection.execute(text("SELECT id FROM tags WHERE id = :tag"), values)
            for each in (statement, touch):
                bound = text(each)
                used = {name: value for name, value in values.items() if f":{name}" in each}
                if "now" in used:
                    used["now"] = stored(connection.dialect.name, values["now"])
                connection.execute(bound, used)

    @staticmethod
    def is_free(row: IovEntry, iov: IntervalOfValidity, rows: list[IovEntry]) -> bool:
        """Whether a row may get this interval: no other row is the same."""
        return row.iov != iov and not any(each.payload == row.payload and each.iov == iov for each in rows)


def keys(iov: IntervalOfValidity) -> dict[str, int]:
    return {"first": iov.first_key, "final": iov.final_key, "fork": fork_of(iov.first_key, iov.final_key)}


def stored(dialect: str, moment: object) -> object:
    """A moment as the database of that kind keeps it."""
    assert isinstance(moment, datetime)
    if dialect != "sqlite":
        return moment
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
