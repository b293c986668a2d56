"""A skim job: a file of reconstructed events in, one row an event out: what passes, and the observables.

The columns: exp, run, event, event_type; for each skim NAME a bool column NAME and its variables as
`NAME_<variable>`; every observable; and the extra info (scores, weights) that came with the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pyarrow as pa

from smartbkg import __version__
from smartbkg.detector.job import file_digest
from smartbkg.detector.reco import RecoBatch, read_reco_batches
from smartbkg.errors import BadEvent, NotASkim
from smartbkg.events import KEY_COLUMNS, key_arrays
from smartbkg.parquet import TableWriter, read_metadata
from smartbkg.skim.observables import observables
from smartbkg.skim.own import find_skims
from smartbkg.skim.skims import Skim, all_skims, apply_skims
from smartbkg.workers import in_order


def skim_file(
    skims: Sequence[Skim | str],
    reco: Path | str,
    output: Path | str,
    *,
    workers: int = 1,
    command: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Apply skims to all events of a file; the output takes its name only when it is complete.

    Args:
        skims: themselves, or the words of `find_skims`; words go to any number of workers.
        reco: a file of reconstructed events.
        output: replaced if it is there. Its content does not depend on the workers.
        workers: processes side by side.
        command: the command line, to be kept in the file.
        progress: called with the number of events written so far.

    Returns:
        The output's metadata: `retention` of each skim (passed over all), and `times_ms.skim`, the CPU time of
        observables and skims an event, without reading and writing.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing, BadEvent, SkimError, UnknownName.
    """
    before, own = read_metadata(reco), found_skims(skims)
    named = all_skims(own)
    done, cpu_s, passed = 0, 0.0, dict.fromkeys(named, 0)
    empty = skim_table(own, RecoBatch.concat([]))
    with TableWriter(output, empty.schema, {**before, "kind": "skimmed"}) as writer:
        for table, used_s in skimmed_batches(skims, reco, workers):
            if not done:
                writer.set_schema(table.schema)
            writer.write_table(table)
            done += len(table)
            cpu_s += used_s
            for name in passed:
                passed[name] += table[name].to_numpy().sum().item()
            if progress is not None:
                progress(done)
        step = {
            "step": "skim",
            "command": command,
            "skims": [{"name": name, "code": skim.code} for name, skim in named.items()],
            "versions": {"smartbkg": __version__},
            "input": {"name": Path(reco).name, "sha256": file_digest(reco)},
        }
        writer.metadata["provenance"] = [*before.get("provenance", []), step]
        writer.metadata["times_ms"] = {**before.get("times_ms", {}), "skim": 1000 * cpu_s / done if done else 0.0}
        writer.metadata["events"] = done
        writer.metadata["retention"] = {name: count / done if done else 0.0 for name, count in passed.items()}
    return writer.metadata


def skimmed_batches(
    skims: Sequence[Skim | str], reco: Path | str, workers: int = 1
) -> Iterator[tuple[pa.Table, float]]:
    """Tables of `skim_table` in the order of the file, and the CPU seconds each took.

    Raises:
        NotASkim: a skim that cannot be sent to other processes.
    """
    batches = read_reco_batches(reco)
    if workers == 1:
        return map(partial(_timed, tuple(found_skims(skims))), batches)
    try:
        ForkingPickler.dumps(tuple(skims))
    except Exception as error:  # whatever a user's object raises when it is taken apart
        raise NotASkim(
            f"these skims cannot be sent to {workers} workers ({error}): put your own into a file and name it "
            "as FILE.py:NAME, or use one worker"
        ) from error
    return in_order(partial(_timed, tuple(skims)), batches, workers, "its batch of events")


def skim_table(skims: Iterable[Skim], reco: RecoBatch) -> pa.Table:
    """One row an event, the columns as in the file.

    Raises:
        BadEvent: two columns would have the same name.
    """
    values = observables(reco)
    columns: dict[str, pa.Array] = key_arrays(reco.exp, reco.run, reco.event, reco.event_type)
    own: list[tuple[str, Any]] = []
    for skim, result in apply_skims(skims, reco, values).items():
        own.append((skim, result.passed))
        own.extend((f"{skim}_{name}", value) for name, value in result.variables.items())
    for name, value in (*own, *values.items(), *reco.extra.items()):
        if name in columns:
            raise BadEvent(f"two columns named {name!r}: {', '.join(KEY_COLUMNS)}, skims, observables and extra info")
        columns[name] = pa.array(value)
    return pa.table(columns)


def _timed(skims: Sequence[Skim | str], reco: RecoBatch) -> tuple[pa.Table, float]:
    found = found_skims(skims)
    start = time.process_time()
    return skim_table(found, reco), time.process_time() - start


def found_skims(skims: Iterable[Skim | str]) -> list[Skim]:
    """The skims themselves, words looked up; raises as `find_skims`."""
    return [skim for given in skims for skim in (find_skims([given]) if isinstance(given, str) else [given])]
