"""Long tags in PostgreSQL, written by the database itself: millions of rows in a minute.

Each payload name has an interval of ten runs after the other, experiment after experiment, and a payload of its own for
each interval.
"""

from __future__ import annotations

import psycopg
from sqlalchemy.engine import make_url

from conditions.iov import FOREVER_KEY, Run
from conditions.store.lookup import fork_of

PUBLISHED, OPEN = "published", "open"
RUNS_PER_EXPERIMENT = 5_000
RUNS_PER_STEP = 10


def fill(url: str, names: int, iovs: int) -> None:
    """A published and an open tag with the same rows."""
    steps = iovs // names
    libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    values = {"names": names, "steps": steps}
    with psycopg.connect(libpq) as connection:
        connection.execute(_STEPS)
        with connection.cursor().copy("COPY steps FROM STDIN") as copy:
            for step in range(steps):
                first = run_at(step).key
                final = run_at(step + 1).key - 1 if step + 1 < steps else FOREVER_KEY
                copy.write_row((step, first, final, fork_of(first, final)))
        for statement in (_NAMES, _PAYLOADS):
            connection.execute(statement, values)
        for number, (tag, state) in enumerate(((PUBLISHED, "PUBLISHED"), (OPEN, "OPEN")), 1):
            connection.execute(_TAG, {"id": number, "name": tag, "state": state})
            connection.execute(_IOVS, values | {"tag": number})
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")


def run_at(step: int) -> Run:
    """The run at which the intervals of a step begin."""
    return Run(*divmod(step * RUNS_PER_STEP, RUNS_PER_EXPERIMENT))


_STEPS = "CREATE TEMP TABLE steps (step int, first bigint, final bigint, fork bigint) ON COMMIT DROP"
_NAMES = """
INSERT INTO payload_names (id, name, last_revision)
SELECT n + 1, 'payload_' || lpad(n::text, 4, '0'), %(steps)s FROM generate_series(0, %(names)s - 1) AS n
"""
_PAYLOADS = """
INSERT INTO payloads (id, name_id, revision, sha256, md5, size_bytes, metadata, created_at, created_by)
SELECT step * %(names)s + n + 1, n + 1, step + 1, encode(sha256((step || '-' || n)::bytea), 'hex'),
       md5(step || '-' || n), 1000 + n, '{}', now() + step * interval '1 second', 'bench'
FROM steps, generate_series(0, %(names)s - 1) AS n ORDER BY step, n
"""
_TAG = """
INSERT INTO tags (id, name, state, type, description, content_revision, created_at, modified_at, modified_by)
VALUES (%(id)s, %(name)s, %(state)s, 'DEV', '', 1, now(), now(), 'bench')
"""
_IOVS = """
INSERT INTO iovs (tag_id, payload_id, first_key, final_key, fork, created_at, modified_at, modified_by, added_in)
SELECT %(tag)s, step * %(names)s + n + 1, first, final, fork, now() + step * interval '1 second',
       now() + step * interval '1 second', 'bench', 1
FROM steps, generate_series(0, %(names)s - 1) AS n ORDER BY step, n
"""
