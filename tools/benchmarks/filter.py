"""What filtering an event costs: the exported network in batches and one by one, against the plain torch network.

Events are generated in the same run, so the cost can be told as a fraction of theirs. "features" is the time to make
the network's inputs, in batches as large as the network's. The peer is the torch network on one event at a time,
as an event loop without batches would call it. CPU time of one thread, medians of several rounds.
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
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from smartbkg.events import EventBatch
from smartbkg.features import GATGAP_SPEC, Features, build
from smartbkg.generate import GenerateConfig, generate
from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import KIND, load_checkpoint, save_checkpoint
from smartbkg.models.gat import GATGAP_CONFIG, Gat
from smartbkg.models.scoring import network_logits
from smartbkg.scorer import OnnxScorer
from smartbkg.training.export import export_onnx

BATCHES = (64, 1024)
LARGEST_DIFFERENCE = 2e-5  # in the logit: what the specification allows


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when exported and torch network differ."""
    options = _options(argv)
    torch.set_num_threads(1)
    batch, generate_ms = _events(options.type, options.events)
    with tempfile.TemporaryDirectory(prefix="bench-filter-") as folder:
        scorer, network = _models(options.checkpoint, Path(folder))
    result, difference = _measure(batch, scorer, network, options.rounds)
    result |= {
        "generate_ms": round(generate_ms, 4),
        "fraction_of_generation": {
            name: round(value["ms"] / generate_ms, 2) for name, value in result["cases"].items()
        },
        "largest_logit_difference": difference,
        "versions": {
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "torch": torch.__version__,
        },
    }
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        _print(result)
    if difference > LARGEST_DIFFERENCE:
        print(f"exported and torch network differ by {difference:.1e}", file=sys.stderr)
        return 1
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=4096, help="how many events (default 4096)")
    parser.add_argument("--type", default="mixed", help="of which type (default mixed)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds a median is taken of (default 5)")
    parser.add_argument(
        "--checkpoint", type=Path, help="trained network; the deployed size with random weights by default"
    )
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


def _models(checkpoint: Path | None, folder: Path) -> tuple[OnnxScorer, Gat]:
    """The same network twice: exported, and as torch runs it."""
    if checkpoint is None:
        torch.manual_seed(1)
        network = Gat(GATGAP_CONFIG).eval()
        manifest = Manifest(KIND, GATGAP_SPEC, GATGAP_SPEC.token_digest, dataclasses.asdict(GATGAP_CONFIG))
        checkpoint = folder / "network.pth"
        save_checkpoint(checkpoint, network, manifest)
    opened = load_checkpoint(checkpoint)
    export_onnx(folder / "network.onnx", opened.network, opened.manifest)
    return OnnxScorer(folder / "network.onnx"), opened.network


def _measure(batch: EventBatch, scorer: OnnxScorer, network: Gat, rounds: int) -> tuple[dict[str, Any], float]:
    features = build(batch, scorer.spec)
    few = features.between(0, min(len(features), 500))  # one by one is slow, and no event differs from the next

    def exported(part: Features, size: int) -> NDArray[np.float64]:
        return np.concatenate(
            [scorer.logits(part.between(i, min(i + size, len(part)))) for i in range(0, len(part), size)]
        )

    def peer() -> NDArray[np.float64]:
        return np.concatenate(
            [network_logits(network, few.between(i, i + 1).network_inputs()) for i in range(len(few))]
        )

    cases: dict[str, tuple[Callable[[], Any], int]] = {}
    for size in BATCHES:
        cases[f"features, batches of {size}"] = (_feature_case(batch, size), len(batch))
        cases[f"exported, batches of {size}"] = (lambda size=size: exported(features, size), len(features))
    cases["exported, one by one"] = (lambda: exported(few, 1), len(few))
    cases["torch, one by one (peer)"] = (peer, len(few))
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):  # rounds outside, so that a busy moment of the machine meets all cases alike
        for name, (run, n_events) in cases.items():
            started = time.process_time()
            run()
            times[name].append(1e3 * (time.process_time() - started) / n_events)
    median = {name: statistics.median(values) for name, values in times.items()}
    peer_ms = median["torch, one by one (peer)"]
    rows = {
        name: {"ms": round(ms, 4), "events_per_s": round(1e3 / ms), "times_faster_than_peer": round(peer_ms / ms, 2)}
        for name, ms in median.items()
    }
    difference = float(np.abs(exported(few, 64) - peer()).max())
    return {
        "events": len(batch),
        "particles_per_event": round(float(features.counts.mean()), 1),
        "cases": rows,
    }, difference


def _feature_case(batch: EventBatch, size: int) -> Callable[[], None]:
    parts = [batch[i : i + size] for i in range(0, len(batch), size)]

    def run() -> None:
        for part in parts:
            build(part)

    return run


def _print(result: dict[str, Any]) -> None:
    print(
        f"{result['events']} events of {result['particles_per_event']} particles, "
        f"generated in {result['generate_ms']} ms each"
    )
    print(f"{'':32}{'ms/event':>10}{'events/s':>10}{'× peer':>8}{'× generation':>14}")
    for name, row in result["cases"].items():
        fraction = result["fraction_of_generation"][name]
        print(
            f"{name:32}{row['ms']:10.4f}{row['events_per_s']:10d}{row['times_faster_than_peer']:8.2f}{fraction:14.2f}"
        )
    print(f"largest difference of a logit: {result['largest_logit_difference']:.1e}")


if __name__ == "__main__":
    sys.exit(main())
