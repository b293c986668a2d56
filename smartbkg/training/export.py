"""A GATGAP network as ONNX: packed batches of any size, with its manifest inside.

The graph is written node by node, because three things then come for free: the same weights give the same bytes,
an export takes milliseconds, and the attention is folded where a tracer would not see it. It is held to the torch
network by tests on batches of several sizes and lengths.

Folded are: Σ z·attn = h·(Wᵀ attn), one small product instead of a pass over all of z; and the bias of a layer, which
may be added before the attention because the attention of a particle sums to 1.

Letters: `B` events, `N` particles, `H` heads, `U` units a head.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smartbkg import __version__
from smartbkg.atomic import write_atomically
from smartbkg.manifest import METADATA_PROPERTY, Manifest
from smartbkg.models.gat import LAYER_SLOPE, Gat, GatLayer
from smartbkg.models.layers import ATTENTION_SLOPE
from smartbkg.scorer import OUTPUT

OPSET = 18  # the first whose scatter operations know sums and maxima
IR_VERSION = 9  # read by ONNX Runtime since 1.16
_LOWEST = float(np.finfo(np.float32).min)


def export_onnx(path: Path | str, network: Gat, manifest: Manifest) -> None:
    """Write the exported file, whole or not at all."""
    write_atomically(path, onnx_bytes(network, manifest))


def onnx_bytes(network: Gat, manifest: Manifest) -> bytes:
    """Content of the exported file: the same network and manifest give the same bytes."""
    graph = _Graph()
    graph.add_network(network)
    integer, many = TensorProto.INT64, "particles"
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [many, network.config.features]),
        helper.make_tensor_value_info("token", integer, [many]),
        helper.make_tensor_value_info("mother", integer, [many]),
        helper.make_tensor_value_info("event", integer, [many]),
        helper.make_tensor_value_info("n_events", integer, [1]),
    ]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["events"])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, manifest.kind, inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="smartbkg",
        producer_version=__version__,
    )
    helper.set_model_props(model, {METADATA_PROPERTY: manifest.to_json()})
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Graph:
    """Nodes and constants in the order they are added; a value is the name of its node's output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add_network(self, network: Gat) -> None:
        config = network.config
        self.heads, self.units = config.heads, config.units
        self._add_trees()
        embedded = self.op("Gather", self.constant(_array(network.pdg_embedding.weight)), "token")
        h = self.op("Concat", embedded, "x", axis=1)  # (N, embedding + F)
        state: str | None = None
        for layer in network.gat_layers:
            if not isinstance(layer, GatLayer):
                raise TypeError(f"a {type(layer).__name__} where a GatLayer should be")
            h = self.op("LeakyRelu", self._convolution(h, layer), alpha=LAYER_SLOPE)  # (N, H * U)
            pooled = self._mean(h) if layer.gap is None else self._attention_pooling(h, layer)  # (B, H * U)
            joined = pooled if state is None else self.op("Concat", state, pooled, axis=1)
            state = self.op("LeakyRelu", self._linear(joined, layer.fc.weight, layer.fc.bias), alpha=LAYER_SLOPE)
        assert state is not None  # noqa: S101 (a network has a layer)
        logits = self._linear(state, network.fc_output.weight, network.fc_output.bias)  # (B, 1)
        self.op("Squeeze", logits, self.integers(1), output=OUTPUT)  # (B,)

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns its output."""
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def _add_trees(self) -> None:
        n = self.op("Shape", "mother")  # (1,)
        own = self.op("Range", self.scalar(0), self.op("Squeeze", n), self.scalar(1))  # (N,)
        edge = self.op("GreaterOrEqual", "mother", self.scalar(0))
        self.mother = self.op("Where", edge, "mother", own)  # (N,)
        self.mother_rows = self.op("Unsqueeze", self.mother, self.integers(1))  # (N, 1)
        self.linked = self.op("Unsqueeze", self.op("Cast", edge, to=TensorProto.FLOAT), self.integers(1))  # (N, 1)
        self.event_rows = self.op("Unsqueeze", "event", self.integers(1))  # (N, 1)
        width = self.integers(self.heads * self.units)
        self.pooled_shape = self.op("Concat", "n_events", width, axis=0)
        self.empty_pool = self._filled(self.pooled_shape, 0.0)  # (B, H * U)

    def scalar(self, value: int) -> str:
        return self.constant(np.array(value, dtype=np.int64))

    def _filled(self, shape: str, value: float) -> str:
        tensor = helper.make_tensor("value", TensorProto.FLOAT, [1], [value])
        return self.op("ConstantOfShape", shape, value=tensor)

    def _linear(self, h: str, weight: Any, bias: Any) -> str:
        return self.op("Gemm", h, self.constant(_array(weight)), self.constant(_array(bias)), transB=1)

    def _convolution(self, h: str, layer: GatLayer) -> str:
        """(N, I) -> (N, H * U), bias included."""
        gat = layer.gat
        z = self._linear(h, gat.fc.weight, gat.bias)
        z = self.op("Reshape", z, self.integers(0, self.heads, self.units))  # (N, H, U)
        own, down, up = (self.op("Unsqueeze", a, self.integers(2)) for a in self._attention(h, layer))  # (N, H, 1)
        from_mother = self.op("Mul", down, self.op("Gather", z, self.mother))
        out = self.op("Add", self.op("Mul", own, z), from_mother)
        out = self.op("ScatterND", out, self.mother_rows, self.op("Mul", up, z), reduction="add")
        return self.op("Reshape", out, self.integers(0, self.heads * self.units))

    def _attention(self, h: str, layer: GatLayer) -> tuple[str, str, str]:
        """The three weights (N, H) of `GATConv._attention`."""
        gat = layer.gat
        weight = _array(gat.fc.weight).astype(np.float64).reshape(self.heads, self.units, -1)  # (H, U, I)
        source, target = (
            self.op("MatMul", h, self.constant(np.einsum("hui,hu->ih", weight, _array(a)[0]).astype(np.float32)))
            for a in (gat.attn_l, gat.attn_r)
        )  # (N, H)
        mothers_source = self.op("Gather", source, self.mother)
        largest = self.op("Max", source, mothers_source)
        largest = self.op("ScatterND", largest, self.mother_rows, source, reduction="max")
        shift = self._edge(largest, target)
        own = self.op("Exp", self.op("Sub", self._edge(source, target), shift))
        down = self.op("Mul", self.op("Exp", self.op("Sub", self._edge(mothers_source, target), shift)), self.linked)
        upward = self._edge(source, self.op("Gather", target, self.mother))
        up = self.op("Exp", self.op("Sub", upward, self.op("Gather", shift, self.mother)))
        up = self.op("Mul", up, self.linked)
        total = self.op("ScatterND", self.op("Add", own, down), self.mother_rows, up, reduction="add")
        mothers_total = self.op("Gather", total, self.mother)
        return self.op("Div", own, total), self.op("Div", down, total), self.op("Div", up, mothers_total)

    def _edge(self, source: str, target: str) -> str:
        return self.op("LeakyRelu", self.op("Add", source, target), alpha=ATTENTION_SLOPE)

    def _attention_pooling(self, h: str, layer: GatLayer) -> str:
        """(N, H * U) -> (B, H * U)."""
        gate = self._linear(h, layer.gap_gate.weight, layer.gap_gate.bias)  # (N, 1)
        column = self.op("Concat", "n_events", self.integers(1), axis=0)
        lowest = self._filled(column, _LOWEST)  # (B, 1)
        largest = self.op("ScatterND", lowest, self.event_rows, gate, reduction="max")
        weight = self.op("Exp", self.op("Sub", gate, self.op("Gather", largest, "event")))
        total = self.op("ScatterND", self._filled(column, 0.0), self.event_rows, weight, reduction="add")
        weight = self.op("Div", weight, self.op("Gather", total, "event"))
        return self.op("ScatterND", self.empty_pool, self.event_rows, self.op("Mul", weight, h), reduction="add")

    def _mean(self, h: str) -> str:
        """(N, H * U) -> (B, H * U)."""
        column = self.op("Concat", "n_events", self.integers(1), axis=0)
        ones = self._filled(self.op("Shape", self.linked), 1.0)  # (N, 1)
        counts = self.op("ScatterND", self._filled(column, 0.0), self.event_rows, ones, reduction="add")
        counts = self.op("Max", counts, self.constant(np.array(1.0, dtype=np.float32)))
        total = self.op("ScatterND", self.empty_pool, self.event_rows, h, reduction="add")
        return self.op("Div", total, counts)


def _array(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().astype(np.float32)
    return array
