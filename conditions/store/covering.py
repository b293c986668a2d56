"""The run-time lookup: every row of the stack's tags that covers one of the runs, in one query.

Plain SQL, because the two databases want the list of tree nodes (`lookup.py`) handed over differently, and because
each must be held to walking from the nodes to the index.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import JSON, Connection, TextClause, text
from sqlalchemy.sql.selectable import TextualSelect

from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry, Resolved, resolve
from conditions.store.lookup import path_to
from conditions.store.queries import name_list, payload_from, tag_not_found
from conditions.store.tables import UtcDateTime
from conditions.tags import TagState, check_usable


def resolve_runs(
    connection: Connection, stack: Sequence[str], runs: Iterable[Run], names: Iterable[str] | None, *, allow_open: bool
) -> dict[Run, dict[str, Resolved]]:
    """The winners for each run, by payload name.

    Raises:
        TagNotFound: a tag of the stack does not exist.
        TagNotUsable: a tag is INVALID, or OPEN and not allowed to be.
    """
    ordered = sorted(set(runs))
    wanted = None if names is None else name_list(names)
    statement = _statement(connection.dialect.name, wanted is not None)
    values = _parameters(connection.dialect.name, stack, [run.key for run in ordered], wanted)
    rows = connection.execute(statement, values).all()
    states = {row[0]: TagState(row[1]) for row in rows}
    for tag in stack:
        if tag not in states:
            raise tag_not_found(connection, tag)
        check_usable(tag, states[tag], allow_open=allow_open)
    return _distribute(stack, ordered, rows)


def _distribute(
    stack: Sequence[str], runs: Sequence[Run], rows: Sequence[Sequence[Any]]
) -> dict[Run, dict[str, Resolved]]:
    """Give each row to the runs it covers, and let `resolve` decide."""
    keys = [run.key for run in runs]
    covering: dict[Run, list[IovEntry]] = {run: [] for run in runs}
    payloads: dict[int, Payload] = {}
    seen: set[int] = set()
    for row in rows:
        tag, iov_id, first_key, final_key, payload_id = row[0], row[2], row[3], row[4], row[6]
        if iov_id is None or iov_id in seen:  # a tag without any row; or found from two sides, for two runs
            continue
        seen.add(iov_id)
        payload = payloads.get(payload_id)
        if payload is None:
            payload = payloads[payload_id] = payload_from(row[6:14], row[5])
        entry = IovEntry(iov_id, payload, IntervalOfValidity.from_keys(first_key, final_key), tag)
        for run in runs[bisect_left(keys, first_key) : bisect_right(keys, final_key)]:
            covering[run].append(entry)
    return {run: resolve(stack, run, entries) for run, entries in covering.items()}


def _parameters(
    dialect: str, stack: Sequence[str], keys: Sequence[int], names: Sequence[str] | None
) -> dict[str, object]:
    """The values of the statement's parameters, in the form the database takes lists."""
    left, right = _probes(keys)
    if dialect == "sqlite":
        values: dict[str, object] = {
            "stack": json.dumps(list(stack)),
            "left": json.dumps(list(left.items())),
            "right": json.dumps(list(right.items())),
        }
        return values if names is None else values | {"names": json.dumps(names)}
    values = {"stack": list(stack)}
    values |= {"left_nodes": list(left), "left_keys": list(left.values())}
    values |= {"right_nodes": list(right), "right_keys": list(right.values())}
    return values if names is None else values | {"names": list(names)}


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


_RESULT: Final = """
SELECT stack.name, stack.state, hit.id, hit.first_key, hit.final_key, hit.payload_name, hit.payload_id, hit.revision,
       hit.sha256, hit.md5, hit.size_bytes, hit.metadata, hit.created_at, hit.created_by
FROM stack LEFT JOIN ({left} UNION ALL {right}) AS hit ON hit.tag_id = stack.id
"""
_COLUMNS: Final = """
i.tag_id, i.id, i.first_key, i.final_key, n.name AS payload_name, p.id AS payload_id, p.revision,
p.sha256, p.md5, p.size_bytes, p.metadata, p.created_at, p.created_by
"""
# CROSS JOIN holds SQLite to the order written: tag, node, index. json_extract, because `->>` came only with 3.38.
_SQLITE_ARM: Final = """
SELECT {columns} FROM stack CROSS JOIN json_each(:{side}) AS probe
CROSS JOIN iovs AS i ON i.tag_id = stack.id AND i.fork = json_extract(probe.value, '$[0]') AND {limit}
CROSS JOIN payloads AS p ON p.id = i.payload_id CROSS JOIN payload_names AS n ON n.id = p.name_id {names}
"""
_SQLITE_STACK: Final = (
    "WITH stack AS (SELECT id, name, state FROM tags WHERE name IN (SELECT value FROM json_each(:stack)))"
)
# OFFSET 0 and LATERAL hold PostgreSQL to one index probe a node; it cannot know how few rows a node has.
_POSTGRESQL_ARM: Final = """
SELECT {columns} FROM stack
CROSS JOIN unnest(CAST(:{side}_nodes AS bigint[]), CAST(:{side}_keys AS bigint[])) AS probe(node, key)
CROSS JOIN LATERAL (SELECT * FROM iovs AS i WHERE i.tag_id = stack.id AND i.fork = probe.node AND {limit} OFFSET 0) AS i
JOIN payloads AS p ON p.id = i.payload_id JOIN payload_names AS n ON n.id = p.name_id {names}
"""
_POSTGRESQL_STACK: Final = (
    "WITH stack AS (SELECT id, name, state FROM tags WHERE name = ANY(CAST(:stack AS varchar[])))"
)


@lru_cache
def _statement(dialect: str, named: bool) -> TextualSelect:
    """The query for a database, with or without a list of payload names."""
    if dialect == "sqlite":
        arm, stack, key = _SQLITE_ARM, _SQLITE_STACK, "json_extract(probe.value, '$[1]')"
        names = "WHERE n.name IN (SELECT value FROM json_each(:names))"
    else:
        arm, stack, key = _POSTGRESQL_ARM, _POSTGRESQL_STACK, "probe.key"
        names = "WHERE n.name = ANY(CAST(:names AS varchar[]))"
    limits = {"left": f"i.final_key >= {key}", "right": f"i.first_key <= {key}"}
    arms = {
        side: arm.format(columns=_COLUMNS, side=side, limit=limit, names=names if named else "")
        for side, limit in limits.items()
    }
    statement: TextClause = text(stack + _RESULT.format(**arms))
    return statement.columns(metadata=JSON, created_at=UtcDateTime)
