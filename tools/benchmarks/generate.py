"""Events a second of the generator, by type: CPU time of one core, from nothing to arrays.

Two ways in the same run, on the same generator with the same settings: ours, where the records of 500 events are read
in bulk and cleaned into arrays; and, as the peer, what one would write first: one event after the other, each
particle of Pythia's record asked for its code, status, mother, momentum and vertex in a Python loop (without our
cleaning of the history, so the peer does less). Each figure is the median of the repeats; the two ways take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from smartbkg.events import EVENT_TYPES
from smartbkg.generate import GenerateConfig
from smartbkg.generate.beams import sample_b_pairs
from smartbkg.generate.config import B_PAIR_TYPES, BLOCK_EVENTS, DECAY_TABLES
from smartbkg.generate.pythia import PythiaSource

Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    options = _options(argv)
    cases = [(kind, options.decays, "auto") for kind in options.types]
    if "taupair" in options.types and not options.fast_only:
        cases.append(("taupair", options.decays, "correlated"))
    rows = []
    for case in cases:
        rows.append(_measure(GenerateConfig(case[0], 0, options.seed, decays=case[1], tau_decays=case[2]), options))
        if not options.json:
            _print_row(rows[-1], header=len(rows) == 1)
    if options.json:
        print(json.dumps({"block_events": BLOCK_EVENTS, "repeats": options.repeats, "results": rows}, indent=2))
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench generate", description="Generated events a second and core.")
    parser.add_argument("--types", nargs="+", default=list(EVENT_TYPES), choices=EVENT_TYPES)
    parser.add_argument("--blocks", type=int, default=4, help=f"blocks of {BLOCK_EVENTS} events a repeat")
    parser.add_argument("--loop-events", type=int, default=200, help="events a repeat read particle by particle")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--decays", default="pythia", choices=DECAY_TABLES)
    parser.add_argument(
        "--fast-only", action="store_true", help="without tau pairs with spin correlations (80 events/s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def _measure(config: GenerateConfig, options: argparse.Namespace) -> Row:
    slow = config.event_type == "taupair" and config.tau_mode == "correlated"
    n_blocks, n_loop = (1, min(50, options.loop_events)) if slow else (options.blocks, options.loop_events)
    source = PythiaSource(config)
    batch = source.block(0)  # warm
    numbers = iter(range(1, 1 + options.repeats * n_blocks))
    bulk, loop = [], []
    for _ in range(options.repeats):
        bulk.append(_cpu_s(lambda: [source.block(next(numbers)) for _ in range(n_blocks)]) / (n_blocks * BLOCK_EVENTS))
        loop.append(_cpu_s(lambda: _loop(source, n_loop)) / n_loop)
    bulk_s, loop_s = statistics.median(bulk), statistics.median(loop)
    return {
        "event_type": config.event_type,
        "decays": config.decays,
        "tau_decays": config.tau_mode,
        "particles_per_event": len(batch.particles) / len(batch),
        "events_per_s": 1 / bulk_s,
        "slowest_repeat_events_per_s": 1 / max(bulk),
        "ms_per_event": bulk_s * 1000,
        "particle_loop_events_per_s": 1 / loop_s,
        "ratio": loop_s / bulk_s,
    }


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _loop(source: PythiaSource, n_events: int) -> list[list[tuple[float, ...]]]:
    """Events one by one, particles one by one."""
    pythia, kind = source.pythia, source.config.event_type
    pairs = None
    if kind in B_PAIR_TYPES:
        pdg = B_PAIR_TYPES[kind]
        data = pythia.particleData
        pairs = sample_b_pairs(pdg, data.m0(pdg), data.tau0(pdg), (1, 0, 0, np.arange(1, n_events + 1)))
    events = []
    for number in range(n_events):
        if pairs is not None:
            pythia.event.reset()
            for code, momentum in zip(pairs.pdg[number].tolist(), pairs.b_gev[number].tolist(), strict=True):
                pythia.event.append(code, 1, 0, 0, *momentum, pairs.b_mass_gev)
        pythia.next()
        events.append([_particle(particle) for particle in pythia.event])
    return events


def _particle(p: Any) -> tuple[float, ...]:
    momentum = (p.px(), p.py(), p.pz(), p.e())
    return (p.id(), p.status(), p.mother1(), p.m(), *momentum, p.xProd(), p.yProd(), p.zProd(), p.tProd())


def _print_row(row: Row, *, header: bool) -> None:
    if header:
        print("type     decays  tau         particles  events/s  (slowest)  ms/event  particle loop  ratio")
    print(
        f"{row['event_type']:<8} {row['decays']:<7} {row['tau_decays']:<10} {row['particles_per_event']:10.1f}"
        f" {row['events_per_s']:9,.0f} {row['slowest_repeat_events_per_s']:10,.0f} {row['ms_per_event']:9.3f}"
        f" {row['particle_loop_events_per_s']:14,.0f} {row['ratio']:6.1f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
