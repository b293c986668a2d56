"""The statements of the run-time lookup, one for each database and kind of question.

Plain SQL, because the two databases want the list of tree nodes (`lookup.py`) handed over differently, and because
each must be held to walking from the nodes to the index.

A row of the result is an entry of the stack (its text, the tag's number, state, content revision, published digest,
the content revision that is asked for and the oldest that is known, both None when it is about the present), then a
row of content that covers one of the runs. That one has no number where a tag has no such row, and also where it says
between which places nothing else begins or ends: see `_BOUNDS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import JSON, TextClause, bindparam, text
from sqlalchemy.sql.selectable import TextualSelect

from conditions.resolve import TagRef
from conditions.store.lookup import path_to
from conditions.store.tables import UtcDateTime

WALKED_ROWS: Final = 200  # of other names are looked at for the next row of a wanted name; then one of them must do


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: which rows of a stack cover the runs, now or in the past."""

    stack: tuple[TagRef, ...]
    keys: tuple[int, ...]
    names: tuple[str, ...] | None
    as_of: datetime | None = None
    bounded: bool = False  # also between which places around the one run no row begins or ends

    @property
    def is_past(self) -> bool:
        """Whether content of the past is asked for."""
        return self.as_of is not None or any(ref.content_revision is not None for ref in self.stack)


def statement(dialect: str, question: Question) -> TextualSelect:
    """The query that answers a question."""
    return _statement(dialect, question.names is not None, question.is_past, question.bounded)


def facts_statement(dialect: str, question: Question) -> TextClause:
    """The query for the entries of a stack alone."""
    made = text(_stack(dialect, question.is_past) + _FACTS)
    return made.bindparams(bindparam("as_of", type_=UtcDateTime)) if question.is_past else made


def facts_parameters(dialect: str, question: Question) -> dict[str, object]:
    """The values of that query's parameters."""
    values: dict[str, object] = {"as_of": question.as_of} if question.is_past else {}
    stack = question.stack
    if dialect == "sqlite":
        given = [[str(ref), ref.name, ref.content_revision] for ref in stack]
        return values | {"stack": json.dumps(given if question.is_past else [ref.name for ref in stack])}
    values |= {"stack": [ref.name for ref in stack]}
    if question.is_past:
        values |= {"entries": list(map(str, stack)), "revisions": [ref.content_revision for ref in stack]}
    return values


def parameters(dialect: str, question: Question) -> dict[str, object]:
    """The values of the query's parameters, in the form the database takes lists."""
    left, right = _probes(question.keys)
    names = question.names
    values = facts_parameters(dialect, question)
    if dialect == "sqlite":
        values |= {"left": json.dumps(list(left.items())), "right": json.dumps(list(right.items()))}
        values |= {} if names is None else {"names": json.dumps(names)}
    else:
        values |= {"left_nodes": list(left), "left_keys": list(left.values())}
        values |= {"right_nodes": list(right), "right_keys": list(right.values())}
        values |= {} if names is None else {"names": list(names)}
    if question.bounded:
        (values["key"],) = question.keys
    return values


def _probes(keys: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Each node to look at, with the final key that rows there must reach, or the first key they must not pass.

    Runs share most of their nodes: of those right of a node the first asks for the least, of those left the last.
    """
    left: dict[int, int] = {}
    right: dict[int, int] = {}
    for key in keys:
        left_nodes, right_nodes = path_to(key)
        for node in left_nodes:
            left[node] = min(left.get(node, key), key)
        for node in right_nodes:
            right[node] = max(right.get(node, key), key)
    return left, right


_FACTS: Final = """
SELECT stack.entry, stack.id, stack.state, stack.content_revision, stack.published_digest, stack.asked, stack.oldest
FROM stack
"""
_RESULT: Final = """
SELECT stack.entry, stack.id, stack.state, stack.content_revision, stack.published_digest, stack.asked, stack.oldest,
       hit.id, hit.first_key, hit.final_key, hit.payload_name, hit.payload_id, hit.revision,
       hit.sha256, hit.md5, hit.size_bytes, hit.metadata, hit.created_at, hit.created_by
FROM stack LEFT JOIN ({arms}) AS hit ON hit.entry = stack.entry
"""
_COLUMNS: Final = """
stack.entry, {row}, i.first_key, i.final_key, n.name AS payload_name, p.id AS payload_id, p.revision,
p.sha256, p.md5, p.size_bytes, p.metadata, p.created_at, p.created_by
"""
_STACK: Final = """
WITH stack AS (SELECT {entry} AS entry, t.id, t.state, t.content_revision, t.published_digest, {asked} FROM {tags})
"""
_PRESENT: Final = "CAST(NULL AS bigint) AS asked, CAST(NULL AS bigint) AS oldest"
_PAST: Final = """
COALESCE({revision}, (SELECT max(content_revision) FROM tag_contents WHERE tag_id = t.id AND at <= :as_of)) AS asked,
(SELECT min(content_revision) FROM tag_contents WHERE tag_id = t.id) AS oldest
"""
# Rows without added_in came before history was kept, which begins with the oldest content revision that is known.
_SINCE: Final = "(stack.asked IS NULL OR COALESCE(i.added_in, 0) <= stack.asked)"
_UNTIL: Final = "COALESCE(i.added_in, 0) <= stack.asked AND i.removed_in > stack.asked"
# CROSS JOIN holds SQLite to the order written: tag, node, index. json_extract, because `->>` came only with 3.38.
_SQLITE_ARM: Final = """
SELECT {columns} FROM stack CROSS JOIN json_each(:{side}) AS probe
CROSS JOIN {table} AS i ON i.tag_id = stack.id AND i.fork = json_extract(probe.value, '$[0]') AND {limit} AND {known}
CROSS JOIN payloads AS p ON p.id = i.payload_id CROSS JOIN payload_names AS n ON n.id = p.name_id {names}
"""
_SQLITE_TAGS: Final = "tags AS t WHERE t.name IN (SELECT value FROM json_each(:stack))"
_SQLITE_PAST_TAGS: Final = "json_each(:stack) AS e JOIN tags AS t ON t.name = json_extract(e.value, '$[1]')"
# OFFSET 0 and LATERAL hold PostgreSQL to one index probe a node; it cannot know how few rows a node has.
_POSTGRESQL_ARM: Final = """
SELECT {columns} FROM stack
CROSS JOIN unnest(CAST(:{side}_nodes AS bigint[]), CAST(:{side}_keys AS bigint[])) AS probe(node, key)
CROSS JOIN LATERAL (SELECT * FROM {table} AS i
                    WHERE i.tag_id = stack.id AND i.fork = probe.node AND {limit} AND {known} OFFSET 0) AS i
JOIN payloads AS p ON p.id = i.payload_id JOIN payload_names AS n ON n.id = p.name_id {names}
"""
_POSTGRESQL_TAGS: Final = "tags AS t WHERE t.name = ANY(CAST(:stack AS varchar[]))"
_POSTGRESQL_PAST_TAGS: Final = """
unnest(CAST(:entries AS varchar[]), CAST(:stack AS varchar[]), CAST(:revisions AS bigint[])) AS e(entry, name, revision)
JOIN tags AS t ON t.name = e.name
"""
# The places next to the run where a row of the tag begins and one ends, of whichever content revision: at most too
# near. With names, those of the wanted names; when many rows of others come first, the last of these has to do.
_BOUNDS: Final = """
SELECT stack.entry, NULL, {next_first}, {last_final}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM stack
"""
_NEAREST: Final = """
(SELECT b.{key} FROM {table} AS b WHERE b.tag_id = stack.id AND b.{key} {beyond} :key ORDER BY b.{key} {way} LIMIT 1)
"""
_NEAREST_NAMED: Final = """
(SELECT COALESCE({nearest}(CASE WHEN {named} THEN b.{key} END), CASE WHEN count(*) = {walked} THEN {far}(b.{key}) END)
 FROM (SELECT b.{key}, b.payload_id FROM {table} AS b WHERE b.tag_id = stack.id AND b.{key} {beyond} :key
       ORDER BY b.{key} {way} LIMIT {walked}) AS b
 JOIN payloads AS p ON p.id = b.payload_id JOIN payload_names AS n ON n.id = p.name_id)
"""


@lru_cache
def _statement(dialect: str, named: bool, past: bool, bounded: bool) -> TextualSelect:
    """The query for a database: with a list of payload names or without, of the past or not, with bounds or not."""
    if dialect == "sqlite":
        arm, key = _SQLITE_ARM, "json_extract(probe.value, '$[1]')"
        chosen = "n.name IN (SELECT value FROM json_each(:names))"
    else:
        arm, key = _POSTGRESQL_ARM, "probe.key"
        chosen = "n.name = ANY(CAST(:names AS varchar[]))"
    tables = {"iovs": ("i.id", _SINCE if past else "true"), "past_iovs": ("i.iov_id AS id", _UNTIL)}
    limits = {"left": f"i.final_key >= {key}", "right": f"i.first_key <= {key}"}
    where = f"WHERE {chosen}" if named else ""
    arms = [
        arm.format(columns=_COLUMNS.format(row=row), side=side, table=table, limit=limit, known=known, names=where)
        for table, (row, known) in tables.items()
        for side, limit in limits.items()
        if past or table == "iovs"
    ]
    if bounded:
        arms += [_bounds(table, chosen if named else None) for table in tables if past or table == "iovs"]
    made = text(_stack(dialect, past) + _RESULT.format(arms=" UNION ALL ".join(arms)))
    if past:
        made = made.bindparams(bindparam("as_of", type_=UtcDateTime))
    return made.columns(metadata=JSON, created_at=UtcDateTime)


def _stack(dialect: str, past: bool) -> str:
    """The part of a query that finds the tags of the stack, and which of their content revisions is asked for."""
    is_sqlite = dialect == "sqlite"
    if not past:
        tags = _SQLITE_TAGS if is_sqlite else _POSTGRESQL_TAGS
        return _STACK.format(entry="t.name", asked=_PRESENT, tags=tags)
    if is_sqlite:
        entry, revision, tags = "json_extract(e.value, '$[0]')", "json_extract(e.value, '$[2]')", _SQLITE_PAST_TAGS
    else:
        entry, revision, tags = "e.entry", "e.revision", _POSTGRESQL_PAST_TAGS
    return _STACK.format(entry=entry, asked=_PAST.format(revision=revision), tags=tags)


def _bounds(table: str, named: str | None) -> str:
    """The arm that says between which places nothing begins or ends, but what covers the run."""
    form = _NEAREST if named is None else _NEAREST_NAMED
    shared = {"table": table, "named": named, "walked": WALKED_ROWS}
    return _BOUNDS.format(
        next_first=form.format(key="first_key", beyond=">", way="ASC", nearest="min", far="max", **shared),
        last_final=form.format(key="final_key", beyond="<", way="DESC", nearest="max", far="min", **shared),
    )
