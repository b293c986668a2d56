"""What filtering an event costs: exported networks in batches and one by one, against the plain torch network.

GATGAP and the multi-skim network, each at several sizes of a batch and numbers of threads. The peer of each is the
same network in torch on one event at a time with one thread, as an event loop without batches would call it.
Untrained networks of the deployed sizes are as fast as trained ones. Events are generated in the same run, so the cost
can be told as a fraction of theirs. Medians of several rounds; CPU time is of all threads together.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from smartbkg.bridging import build_bridged
from smartbkg.events import EVENT_TYPES, EventBatch
from smartbkg.features import GATGAP_SPEC, Features, build
from smartbkg.generate import GenerateConfig, generate
from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import KIND, load_checkpoint, save_checkpoint
from smartbkg.models.gat import GATGAP_CONFIG, Gat
from smartbkg.models.multiskim_checkpoint import load_multiskim
from smartbkg.models.scoring import network_logits
from smartbkg.models.transformer import Transformer, TransformerConfig
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.multiskim_scorer import open_multiskim
from smartbkg.scorer import OnnxScorer
from smartbkg.training.export import export_onnx
from smartbkg.training.multiskim_export import export_pair

SIZES = (1, 64, 1024)
LARGEST_DIFFERENCE = 2e-5  # in the logit: what the specification allows
PEER = "torch, one by one (peer)"
ONE_BY_ONE = 300  # events of a case that takes them one by one: it is slow, and no event differs from the next


Logits = Callable[[Features, NDArray[Any]], NDArray[np.float64]]  # of events, and their types


@dataclass(frozen=True)
class Filter:
    """One network: how its features are made, its exported forms for each number of threads, and torch."""

    name: str
    build: Callable[[EventBatch], Features]
    exported: dict[int, Logits]
    torch: Logits
    single: dict[int, Logits]
    integers: dict[int, Logits]


@dataclass(frozen=True)
class Case:
    """Something that is measured: calls on some events."""

    network: str
    what: str
    threads: int
    n_events: int
    run: Callable[[], Any]


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when an exported and its torch network differ."""
    options = _options(argv)
    torch.set_num_threads(1)
    batch, generate_ms = _events(options.type, options.events)
    with tempfile.TemporaryDirectory(prefix="bench-filter-") as folder:
        filters = [
            _gatgap(options.checkpoint, Path(folder), options.threads),
            _multiskim(options.multiskim_checkpoint, Path(folder), options.threads),
        ]
    cases = [case for each in filters for case in _cases(each, batch, options.threads)]
    networks = {each.name: _facts(each, batch) for each in filters}
    result = {
        "events": len(batch),
        "type": options.type,
        "generate_cpu_ms": round(generate_ms, 4),
        "networks": networks,
        "cases": _measured(cases, options.rounds),
        "versions": {
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "torch": torch.__version__,
        },
    }
    print(json.dumps(result, indent=2) if options.json else _text(result))
    wrong = {name: facts["largest_logit_difference"] for name, facts in networks.items()}
    for name, difference in wrong.items():
        if difference > LARGEST_DIFFERENCE:
            print(f"{name}: exported and torch network differ by {difference:.1e}", file=sys.stderr)
    return int(max(wrong.values()) > LARGEST_DIFFERENCE)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4096, help="how many events (default 4096)")
    parser.add_argument("--type", default="mixed", help="of which type (default mixed)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a median is taken of (default 5)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default 1 2)")
    parser.add_argument("--checkpoint", type=Path, help="a trained GATGAP network; random weights by default")
    parser.add_argument("--multiskim-checkpoint", type=Path, help="a trained multi-skim network; likewise")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def _events(event_type: str, n_events: int) -> tuple[EventBatch, float]:
    """Events, and the CPU time of each in ms; starting the generator belongs to the first block and is not counted."""
    blocks = generate(GenerateConfig(event_type=event_type, n_events=n_events, seed=1))
    first = next(blocks)
    started = time.process_time()
    rest = list(blocks)
    elapsed_ms = 1e3 * (time.process_time() - started)
    if not rest:
        raise SystemExit(f"{n_events} events are one block: take more, so that the generator's start is not counted")
    return EventBatch.concat([first, *rest]), elapsed_ms / sum(map(len, rest))


def _gatgap(checkpoint: Path | None, folder: Path, threads: list[int]) -> Filter:
    if checkpoint is None:
        torch.manual_seed(1)
        manifest = Manifest(KIND, GATGAP_SPEC, GATGAP_SPEC.token_digest, dataclasses.asdict(GATGAP_CONFIG))
        checkpoint = folder / "gatgap.pth"
        save_checkpoint(checkpoint, Gat(GATGAP_CONFIG).eval(), manifest)
    opened = load_checkpoint(checkpoint)
    export_onnx(folder / "gatgap.onnx", opened.network, opened.manifest)

    def exported(count: int) -> Logits:
        scorer = OnnxScorer(folder / "gatgap.onnx", count)
        return lambda features, _: scorer.logits(features)[:, None]

    def in_torch(features: Features, _: NDArray[Any]) -> NDArray[np.float64]:
        return network_logits(opened.network, features.network_inputs())[:, None]

    return Filter("GATGAP", build, {count: exported(count) for count in threads}, in_torch, {}, {})


def _multiskim(checkpoint: Path | None, folder: Path, threads: list[int]) -> Filter:
    if checkpoint is None:
        torch.manual_seed(1)
        network = Transformer(TransformerConfig()).eval()
        skims = tuple((number, f"skim{number}") for number in range(network.config.n_skims))
        manifest = MultiSkimManifest(skims, dataclasses.asdict(network.config))
    else:
        opened = load_multiskim(checkpoint)
        network, manifest = opened.network, opened.manifest
    files = folder / "single.onnx", folder / "batched.onnx"
    export_pair(*files, network, manifest)
    single, batched = ({count: open_multiskim(path, count).logits for count in threads} for path in files)
    integers = {count: open_multiskim(files[0], count, precision="int8").logits for count in threads}

    def in_torch(features: Features, kinds: NDArray[Any]) -> NDArray[np.float64]:
        tensors = (torch.from_numpy(array)[None] for array in (features.x, features.token, features.mother))
        with torch.inference_mode():
            return network(*tensors, torch.from_numpy(kinds.astype(np.int64))).numpy()

    return Filter("multi-skim", build_bridged, batched, in_torch, single, integers)


def _cases(each: Filter, batch: EventBatch, threads: list[int]) -> list[Case]:
    """Features, the exported network and its peer, for all sizes and numbers of threads."""
    features, kinds = each.build(batch), batch.event_type
    few = min(ONE_BY_ONE, len(batch))
    cases = []
    for size in SIZES:
        n = few if size == 1 else len(batch)
        parts = [slice(first, min(first + size, n)) for first in range(0, n, size)]
        events = [batch[part] for part in parts]
        cases.append(Case(each.name, f"features, batches of {size}", 1, n, partial(_each, each.build, events)))
        for count in threads:
            run = partial(_all, each.exported[count], features, kinds, parts)
            cases.append(Case(each.name, f"exported, batches of {size}", count, n, run))
    for count in threads:
        for form, logits in (("for one event", each.single), ("for one event, int8", each.integers)):
            if count in logits:
                run = partial(_all, logits[count], features, kinds, [slice(0, few)])
                cases.append(Case(each.name, f"exported {form}", count, few, run))
    ones = [slice(row, row + 1) for row in range(few)]
    cases.append(Case(each.name, PEER, 1, few, partial(_all, each.torch, features, kinds, ones)))
    return cases


def _each(call: Callable[[EventBatch], Any], events: list[EventBatch]) -> None:
    for part in events:
        call(part)


def _all(logits: Logits, features: Features, kinds: NDArray[Any], parts: list[slice]) -> NDArray[np.float64]:
    return np.concatenate([logits(features.between(part.start, part.stop), kinds[part]) for part in parts])


def _measured(cases: list[Case], rounds: int) -> list[dict[str, Any]]:
    """Medians of each case; rounds outside, so that a busy moment of the machine meets all cases alike."""
    times: list[list[tuple[float, float]]] = [[] for _ in cases]
    for _ in range(rounds):
        for case, found in zip(cases, times, strict=True):
            cpu, wall = time.process_time(), time.perf_counter()
            case.run()
            found.append((time.process_time() - cpu, time.perf_counter() - wall))
    rows = []
    for case, found in zip(cases, times, strict=True):
        cpu, wall = (statistics.median(values) / case.n_events for values in zip(*found, strict=True))
        row = {"network": case.network, "case": case.what, "threads": case.threads}
        rows.append({**row, "cpu_ms": round(1e3 * cpu, 4), "events_per_s": round(1 / wall)})
    peers = {row["network"]: row for row in rows if row["case"] == PEER}
    for row in rows:
        peer = peers[row["network"]]
        row["times_faster_than_peer"] = round(row["events_per_s"] / peer["events_per_s"], 2)
        row["times_less_cpu_than_peer"] = round(peer["cpu_ms"] / row["cpu_ms"], 2)
    return rows


def _facts(each: Filter, batch: EventBatch) -> dict[str, Any]:
    """How large events are, and how far the exported network is from torch: on events with particles."""
    features = each.build(batch)
    few = features.select(np.flatnonzero(features.counts)[:ONE_BY_ONE])
    kinds = np.resize(np.arange(len(EVENT_TYPES)), len(few))
    ones = [slice(row, row + 1) for row in range(len(few))]
    reference = _all(each.torch, few, kinds, ones)

    def change(forms: dict[int, Logits]) -> NDArray[np.float64]:
        return np.abs([logits(few, kinds) - reference for logits in forms.values()])

    facts = {
        "particles_per_event": round(float(features.counts.mean()), 1),
        "largest_logit_difference": float(max(change(forms).max() for forms in (each.exported, each.single) if forms)),
    }
    if each.integers:
        rough = change(each.integers)
        facts |= {"int8_mean_logit_change": float(rough.mean()), "int8_largest_logit_change": float(rough.max())}
    return facts


def _text(result: dict[str, Any]) -> str:
    lines = [f"{result['events']} {result['type']} events, generated in {result['generate_cpu_ms']} ms of CPU each"]
    for name, facts in result["networks"].items():
        lines.append(
            f"\n{name}: {facts['particles_per_event']} particles an event; "
            f"largest difference of a logit from torch {facts['largest_logit_difference']:.1e}"
        )
        if "int8_mean_logit_change" in facts:
            mean, largest = facts["int8_mean_logit_change"], facts["int8_largest_logit_change"]
            lines.append(f"int8 changes a logit by {mean:.4f} on average, {largest:.4f} at most")
        lines.append(f"{'':28}{'threads':>8}{'events/s':>10}{'× peer':>8}{'CPU ms/event':>14}{'× less':>8}")
        lines += [
            f"{row['case']:28}{row['threads']:8d}{row['events_per_s']:10d}{row['times_faster_than_peer']:8.2f}"
            f"{row['cpu_ms']:14.4f}{row['times_less_cpu_than_peer']:8.2f}"
            for row in result["cases"]
            if row["network"] == name
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
