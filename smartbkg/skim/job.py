"""A skim job: a file of reconstructed events in, one row an event out: what passes, and the observables.

The columns: exp, run, event, event_type; for each skim NAME a bool column NAME and its variables as
`NAME_<variable>`; every observable; and the extra info (scores, weights) that came with the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from smartbkg import __version__
from smartbkg.detector.job import file_digest
from smartbkg.detector.reco import RecoBatch, read_reco_batches
from smartbkg.errors import BadEvent
from smartbkg.events import KEY_COLUMNS, key_arrays
from smartbkg.parquet import TableWriter, read_metadata
from smartbkg.skim.shared import SharedBatch
from smartbkg.skim.skims import Skim


def skim_file(
    skims: Sequence[Skim],
    reco: Path | str,
    output: Path | str,
    *,
    command: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Apply skims to all events of a file; the output takes its name only when it is complete.

    Returns:
        The output's metadata: `retention` of each skim (passed over all), and `times_ms.skim`, the CPU time of
        observables and skims an event, without reading and writing.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing, BadEvent.
    """
    before = read_metadata(reco)
    done, cpu_s, passed = 0, 0.0, dict.fromkeys((skim.name for skim in skims), 0)
    empty = skim_table(skims, RecoBatch.concat([]))
    with TableWriter(output, empty.schema, {**before, "kind": "skimmed"}) as writer:
        for batch in read_reco_batches(reco):
            start = time.process_time()
            table = skim_table(skims, batch)
            cpu_s += time.process_time() - start
            if not done:
                writer.set_schema(table.schema)
            writer.write_table(table)
            done += len(batch)
            for name in passed:
                passed[name] += table[name].to_numpy().sum().item()
            if progress is not None:
                progress(done)
        step = {
            "step": "skim",
            "command": command,
            "skims": [{"name": skim.name, "code": skim.code} for skim in skims],
            "versions": {"smartbkg": __version__},
            "input": {"name": Path(reco).name, "sha256": file_digest(reco)},
        }
        writer.metadata["provenance"] = [*before.get("provenance", []), step]
        writer.metadata["times_ms"] = {**before.get("times_ms", {}), "skim": 1000 * cpu_s / done if done else 0.0}
        writer.metadata["events"] = done
        writer.metadata["retention"] = {name: count / done if done else 0.0 for name, count in passed.items()}
    return writer.metadata


def skim_table(skims: Sequence[Skim], reco: RecoBatch) -> pa.Table:
    """One row an event, the columns as in the file.

    Raises:
        BadEvent: two columns would have the same name.
    """
    values = SharedBatch(reco)
    columns: dict[str, pa.Array] = key_arrays(reco.exp, reco.run, reco.event, reco.event_type)
    own: list[tuple[str, Any]] = []
    for skim in skims:
        result = skim.apply(reco, values)
        own.append((skim.name, result.passed))
        own.extend((f"{skim.name}_{name}", value) for name, value in result.variables.items())
    for name, value in (*own, *values.items(), *reco.extra.items()):
        if name in columns:
            raise BadEvent(f"two columns named {name!r}: {', '.join(KEY_COLUMNS)}, skims, observables and extra info")
        columns[name] = pa.array(value)
    return pa.table(columns)
