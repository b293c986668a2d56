"""Payloads of the multi-skim filter as an existing program has them: written with onnx.helper from the interface alone.

The network is small and deterministic: means of the particles' numbers, of an embedding of their tokens and of who has
a mother, then one dense layer and a bias for each event type.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smartbkg.events import EVENT_TYPES
from smartbkg.pdg import PdgTable

SKIMS = {"feiHadronic": 11180500, "feiSL": 11180600, "TauGeneric": 18570600, "XToD0_D0ToHpJm": 17230100}
WEIGHTS, CONFIG = "SmartBackgroundWeights_default.onnx", "SmartBackgroundConfig_default.json"


def write_weights(path: Path, n_skims: int = len(SKIMS), seed: int = 1) -> Path:
    """Weights of one event a call, without any metadata."""
    nodes = [
        helper.make_node("Gather", ["embedding", "pdg"], ["tokens"]),  # (n, 4)
        helper.make_node("Cast", ["mother"], ["mother_f"], to=TensorProto.FLOAT),
        helper.make_node("Sign", ["mother_f"], ["has_mother"]),  # (n,)
        helper.make_node("Unsqueeze", ["has_mother", "last"], ["linked"]),  # (n, 1)
        helper.make_node("Concat", ["x", "tokens", "linked"], ["all"], axis=1),  # (n, 13)
        helper.make_node("ReduceMean", ["all", "particles"], ["mean"], keepdims=0),  # (13,)
        helper.make_node("MatMul", ["mean", "dense"], ["seen"]),  # (S,)
        helper.make_node("Gather", ["types", "c"], ["type"]),  # (S,)
        helper.make_node("Add", ["seen", "type"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8]),
        helper.make_tensor_value_info("pdg", TensorProto.INT32, ["n"]),
        helper.make_tensor_value_info("mother", TensorProto.INT32, ["n"]),
        helper.make_tensor_value_info("c", TensorProto.INT32, []),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [n_skims])]
    constants = {**_parameters(n_skims, seed), "last": np.array([1]), "particles": np.array([0])}
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "single", inputs, outputs, initializers)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), str(path))
    return path


def write_config(path: Path, skims: Mapping[str, int] = SKIMS, **more: Any) -> Path:
    """A configuration with the fields of the deployed one, and what else is given."""
    values = {
        "max_weight": 100.0,
        "event_types": {name: number for number, name in enumerate(EVENT_TYPES)},
        "skims": [
            {"index": i, "code": code, "name": name, "a": 0.5 + 0.1 * i, "b": 0.2 * i}
            for i, (name, code) in enumerate(skims.items())
        ],
        "pdg_codes": list(PdgTable.smartbackground().codes),
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def write_pair(folder: Path, seed: int = 1, **config: Any) -> tuple[Path, Path]:
    """Weights and configuration that belong together, as two files; nothing in them says so."""
    return write_weights(folder / WEIGHTS, seed=seed), write_config(folder / CONFIG, **config)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected_logits(
    x: NDArray[np.float32], pdg: Sequence[int], mother: Sequence[int], c: int, seed: int = 1, n_skims: int = len(SKIMS)
) -> NDArray[np.float64]:
    """(S,) what the network of `write_weights` gives for one event, in numpy."""
    own = {name: value.astype(np.float64) for name, value in _parameters(n_skims, seed).items()}
    rows = np.column_stack([x, own["embedding"][np.asarray(pdg)], np.sign(mother)])
    logits: NDArray[np.float64] = rows.mean(axis=0) @ own["dense"] + own["types"][c]
    return logits


def _parameters(n_skims: int, seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = {"embedding": (562, 4), "dense": (13, n_skims), "types": (7, n_skims)}
    values = {name: rng.normal(0.0, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}
    # Logits of real events reach both ends of the activation.
    return {"embedding": values["embedding"], "dense": 4 * values["dense"], "types": values["types"] - 6}
