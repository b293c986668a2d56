"""How long a run-time lookup takes: every payload of a long tag for one run, on SQLite and PostgreSQL.

Two layouts of the same number of intervals: `chain`, where each name's intervals follow each other, and `overlap`,
where each reaches over the next three, so that four revisions of each name cover a run. Each store is asked three
ways in the same run, warm, for random runs: our `resolve`; its one query without making values; and, as the peer, the
range predicate one would write first (first_key <= run AND final_key >= run) on the same rows with the indexes it
likes best. Answers are compared with the peer's.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, insert, text

from conditions.iov import FOREVER_KEY, Run
from conditions.store import covering, open_store
from conditions.store.lookup import fork_of
from conditions.store.schema import upgrade
from conditions.store.session import Store
from conditions.store.tables import IovRow, PayloadNameRow, PayloadRow, TagRow

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support.postgres import cluster, create_database

TAG = "long"
RUNS_PER_EXPERIMENT = 5_000
LAYOUTS = {"chain": 1, "overlap": 4}  # how many steps an interval reaches over
BATCH = 20_000
PEER = """
SELECT n.name, p.id, p.revision, p.sha256, p.md5, p.size_bytes, p.metadata, p.created_at, p.created_by,
       i.id, i.first_key, i.final_key
FROM iovs AS i JOIN tags AS t ON t.id = i.tag_id JOIN payloads AS p ON p.id = i.payload_id
JOIN payload_names AS n ON n.id = p.name_id
WHERE t.name = :tag AND i.first_key <= :key AND i.final_key >= :key
"""


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when an answer differs from the peer's."""
    options = _options(argv)
    results = []
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-lookup-")))
        for database in options.databases:
            admin = ending.enter_context(cluster({"shared_buffers": "256MB"})) if database == "postgresql" else None
            for layout in options.layouts:
                url = create_database(admin) if admin else f"sqlite:///{folder / layout}.sqlite"
                upgrade(url)
                with open_store(url, folder / "files", user="bench") as store:
                    results.append({"database": database, "layout": layout} | _measure(store, layout, options))
                    if not options.json:
                        _print_row(results[-1], header=len(results) == 1)
    if options.json:
        print(json.dumps({"names": options.names, "iovs": options.iovs, "results": results}, indent=2))
    return 0 if all(result["same_answers"] for result in results) else 1


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench lookup", description="Median time of a run-time lookup.")
    parser.add_argument("--names", type=int, default=200, help="payload names in the tag")
    parser.add_argument("--iovs", type=int, default=200_000, help="intervals in the tag")
    parser.add_argument("--lookups", type=int, default=300, help="random runs asked for, for each figure")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=list(LAYOUTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def _measure(store: Store, layout: str, options: argparse.Namespace) -> dict[str, object]:
    """Fill one store and time the three ways to ask it."""
    engine = store._reader
    began = time.perf_counter()
    _fill(store._writer, layout, options.names, options.iovs)
    filled_s = time.perf_counter() - began
    steps = options.iovs // options.names
    draw = random.Random(options.seed)  # noqa: S311
    runs = [_run_at(draw.randrange(steps)) for _ in range(options.lookups)]
    names = [_name(number) for number in range(0, options.names, max(1, options.names // 2))]
    with engine.connect() as connection:

        def query(run: Run) -> object:
            statement = covering._statement(connection.dialect.name, named=False)
            return connection.execute(
                statement, covering._parameters(connection.dialect.name, [TAG], [run.key], None)
            ).all()

        def peer(run: Run) -> list[object]:
            return list(connection.execute(text(PEER), {"tag": TAG, "key": run.key}).all())

        peer_runs = runs[: max(20, options.lookups // 10)]  # it is slow
        result: dict[str, object] = {
            "resolve_us": _median_us(lambda run: store.resolve(TAG, run), runs),
            "resolve_two_names_us": _median_us(lambda run: store.resolve(TAG, run, names), runs),
            "query_us": _median_us(query, runs),
            "range_predicate_us": _median_us(peer, peer_runs),
        }
        many = list(dict.fromkeys(runs))[:100]
        store.resolve_many(TAG, many)
        began = time.perf_counter()
        store.resolve_many(TAG, many)
        result["resolve_many_us_per_run"] = (time.perf_counter() - began) / len(many) * 1e6
        result["same_answers"] = all(_winners(peer(run)) == _ours(store, run) for run in peer_runs[:20])
    return result | {"fill_s": filled_s}


def _fill(engine: Engine, layout: str, names: int, iovs: int) -> None:
    """A published tag: one payload revision for each interval of a name."""
    now, steps = datetime.now(UTC), iovs // names
    stamps = {"created_at": now, "modified_at": now, "modified_by": "bench"}
    with engine.begin() as connection:
        tag = {"id": 1, "name": TAG, "state": "PUBLISHED", "type": "DEV", "description": "", "content_revision": 1}
        connection.execute(insert(TagRow).values(tag | stamps))
        rows = [{"id": number + 1, "name": _name(number), "last_revision": steps} for number in range(names)]
        connection.execute(insert(PayloadNameRow), rows)
        for batch in _batches(_payload_rows(names, steps, now)):
            connection.execute(insert(PayloadRow), batch)
        for batch in _batches(_iov_rows(layout, names, steps)):
            connection.execute(insert(IovRow), [row | stamps for row in batch])
    with engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()


def _payload_rows(names: int, steps: int, now: datetime) -> Iterator[dict[str, object]]:
    for step in range(steps):
        for number in range(names):
            place = step * names + number + 1
            digests = {"sha256": f"{place:064x}", "md5": f"{place:032x}", "size_bytes": place}
            who = {"created_at": now, "created_by": "bench", "metadata": {"auc": 0.9}}
            yield {"id": place, "name_id": number + 1, "revision": step + 1} | digests | who


def _iov_rows(layout: str, names: int, steps: int) -> Iterator[dict[str, object]]:
    for step in range(steps):
        first_key = _run_at(step).key
        after = step + LAYOUTS[layout]
        final_key = _run_at(after).key - 1 if after < steps else FOREVER_KEY
        for number in range(names):
            place = step * names + number + 1
            yield {"tag_id": 1, "payload_id": place, "first_key": first_key, "final_key": final_key} | {
                "fork": fork_of(first_key, final_key)
            }


def _run_at(step: int) -> Run:
    """The run at which the intervals of a step begin: every tenth run, experiment after experiment."""
    return Run(*divmod(step * 10, RUNS_PER_EXPERIMENT))


def _name(number: int) -> str:
    return f"payload_{number:04d}"


def _batches(rows: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _median_us(ask: Callable[[Run], object], runs: list[Run]) -> float:
    for run in runs[:10]:  # plans, caches and connections are warm
        ask(run)
    times = []
    for run in runs:
        began = time.perf_counter()
        ask(run)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def _winners(rows: list[object]) -> dict[str, int]:
    best: dict[str, int] = {}
    for row in rows:
        name, revision = row[0], row[2]  # type: ignore[index]
        best[name] = max(best.get(name, 0), revision)
    return best


def _ours(store: Store, run: Run) -> dict[str, int]:
    return {name: found.payload.revision for name, found in store.resolve(TAG, run).items()}


def _print_row(result: dict[str, object], *, header: bool) -> None:
    columns = {
        "resolve": "resolve_us",
        "2 names": "resolve_two_names_us",
        "query only": "query_us",
        "per run of 100": "resolve_many_us_per_run",
        "range predicate": "range_predicate_us",
    }
    if header:
        print("median µs           " + "".join(f"{name:>17}" for name in columns) + "   same answers")
    figures = "".join(f"{result[key]:>17,.0f}" for key in columns.values())
    print(
        f"{result['database']:<11}{result['layout']:<9}{figures}   {'yes' if result['same_answers'] else 'NO'}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
