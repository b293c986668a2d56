"""A program that knows nothing of this package but the interface of the payloads gives the same predictions.

It is written from the description of the deployed filter alone: particles, features, one event a call, activation.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import conditions
from conditions.store import open_store
from smartbkg.events import EventBatch, read_events
from smartbkg.framework import create_path, process
from smartbkg.modules.smartbackground import SmartBackground
from support.batches import write_events
from support.foreign import SKIMS
from support.generated import generated
from support.trained_multiskim import publish_random

INITIAL = 32


class ExistingProgram:
    """Opens the two payloads, and predicts one event after the other."""

    def __init__(self, weights: Path, config: Path) -> None:
        self.session = onnxruntime.InferenceSession(weights.read_bytes(), providers=["CPUExecutionProvider"])
        self.config: dict[str, Any] = json.loads(config.read_text())
        self.token = {code: token for token, code in enumerate(self.config["pdg_codes"])}

    def predict(self, particles: list[dict[str, float]], event_type: str, code: int) -> float:
        kept = [i for i, particle in enumerate(particles) if self.is_kept(particle)]
        first = particles[kept[0]]
        x = [
            [particles[i][q] - first[q] for q in ("t", "x", "y", "z")]
            + [particles[i][q] for q in ("e", "px", "py", "pz")]
            for i in kept
        ]
        inputs = {
            "x": np.array(x, dtype=np.float32),
            "pdg": np.array([self.token.get(int(particles[i]["pdg"]), 0) for i in kept], dtype=np.int32),
            "mother": np.array([self.mother(particles, i, kept) for i in kept], dtype=np.int32),
            "c": np.array(self.config["event_types"][event_type], dtype=np.int32),
        }
        (output,) = self.session.run(["output"], inputs)
        (skim,) = [skim for skim in self.config["skims"] if skim["code"] == code]
        exponent = skim["a"] * (float(output[skim["index"]]) - skim["b"])
        return min(max(math.exp(exponent), 1.0 / self.config["max_weight"]), 1.0)

    @staticmethod
    def is_kept(particle: dict[str, float]) -> bool:
        if int(particle["status"]) & INITIAL or max(particle["x"], particle["y"], particle["z"]) >= 10.0:
            return False
        return not (abs(particle["pdg"]) <= 5 or particle["pdg"] == 21)

    @staticmethod
    def mother(particles: list[dict[str, float]], i: int, kept: list[int]) -> int:
        """The nearest ancestor that is kept."""
        mother = int(particles[i]["mother"])
        while mother >= 0 and mother not in kept:
            mother = int(particles[mother]["mother"])
        return kept.index(mother) if mother >= 0 else -1


def listed(batch: EventBatch, row: int) -> list[dict[str, float]]:
    """One event's particles as plain numbers."""
    one, names = batch[row : row + 1].particles, {"e": "energy_gev", "px": "px_gev", "py": "py_gev", "pz": "pz_gev"}
    names |= {"t": "time_ns", "x": "x_cm", "y": "y_cm", "z": "z_cm"} | {n: n for n in ("pdg", "mother", "status")}
    return [{name: getattr(one, column)[i].item() for name, column in names.items()} for i in range(len(one))]


def test_an_existing_program_predicts_from_our_payloads_what_our_module_does(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"
    with open_store(url) as store:
        publish_random(store, tmp_path / "trained")
    with conditions.open(url, ["SmartBackground"]) as client:
        run = conditions.Run(0, 1)
        paths = [client.path(client.get(f"SmartBackground{what}_default", run)) for what in ("Weights", "Config")]
    program = ExistingProgram(*paths)
    for kind in ("charged", "uubar", "taupair"):
        batch = generated(kind, 40)
        path = create_path()
        path.add_module("EventInput", input_files=write_events(tmp_path / f"{kind}.parquet", batch))
        path.add_module(SmartBackground(list(SKIMS.values()), list(SKIMS), debugMode=True))
        path.add_module("EventOutput", output_file=tmp_path / "out.parquet")
        process(path, conditions=url)
        ours = read_events(tmp_path / "out.parquet").extra
        for name, code in SKIMS.items():
            theirs = [program.predict(listed(batch, row), kind, code) for row in range(len(batch))]
            np.testing.assert_allclose(ours[f"SmartBKG_Prediction_{name}"], theirs, rtol=2e-5)
            assert len(set(theirs)) > 20
