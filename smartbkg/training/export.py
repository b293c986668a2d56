"""A GATGAP network as ONNX: packed batches of any size, with its manifest inside.

The graph is written node by node, because three things then come for free: the same weights give the same bytes,
an export takes milliseconds, and the attention is folded where a tracer would not see it. It is held to the torch
network by tests on batches of several sizes and lengths.

Folded are: Σ z·attn = h·(Wᵀ attn), one small product instead of a pass over all of z, together with the gate of the
pooling; and the bias of a layer, which may be added before the attention because the attention of a particle sums
to 1. Pooling is a product with the matrix (B, N) of weights, small because a call has few events. One mixed event
takes 0.10 ms of a core; with scatter operations for the pooling and broadcasts over the heads it was 0.12 ms.

Letters: `B` events, `N` particles, `H` heads, `U` units a head.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from smartbkg.atomic import write_atomically
from smartbkg.manifest import Manifest
from smartbkg.models.gat import LAYER_SLOPE, Gat, GatLayer
from smartbkg.models.layers import ATTENTION_SLOPE
from smartbkg.scorer import OUTPUT
from smartbkg.training.graph import Graph, array

_LOWEST = float(np.finfo(np.float32).min)


def export_onnx(path: Path | str, network: Gat, manifest: Manifest) -> None:
    """Write the exported file, whole or not at all."""
    write_atomically(path, onnx_bytes(network, manifest))


def onnx_bytes(network: Gat, manifest: Manifest) -> bytes:
    """Content of the exported file: the same network and manifest give the same bytes."""
    graph = _Graph()
    graph.add_network(network)
    return packed_model_bytes(graph, network.config.features, manifest)


def packed_model_bytes(graph: Graph, n_features: int, manifest: Manifest) -> bytes:
    """Content of the exported file of a network that takes packed batches, as every scorer gives them."""
    integer, many = TensorProto.INT64, "particles"
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [many, n_features]),
        helper.make_tensor_value_info("token", integer, [many]),
        helper.make_tensor_value_info("mother", integer, [many]),
        helper.make_tensor_value_info("event", integer, [many]),
        helper.make_tensor_value_info("n_events", integer, [1]),
    ]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["events"])]
    return graph.model_bytes(manifest.kind, inputs, outputs, manifest.to_json())


class _Graph(Graph):
    """The nodes of a GATGAP network."""

    def add_network(self, network: Gat) -> None:
        config = network.config
        self.heads, self.units = config.heads, config.units
        self._add_trees()
        embedded = self.op("Gather", self.constant(array(network.pdg_embedding.weight)), "token")
        h = self.op("Concat", embedded, "x", axis=1)  # (N, embedding + F)
        state: str | None = None
        layers: list[GatLayer] = [layer for layer in network.gat_layers if isinstance(layer, GatLayer)]
        source, target, _ = self._products(h, None, layers[0])
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            attention = self._attention(source, target)
            h = self.op("LeakyRelu", self._convolution(h, layer, attention), alpha=LAYER_SLOPE)  # (N, H * U)
            source, target, gate = self._products(h, layer, after)
            pooled = self.op("MatMul", self._pooling_weights(gate), h)  # (B, H * U)
            joined = pooled if state is None else self.op("Concat", state, pooled, axis=1)
            state = self.op("LeakyRelu", self._linear(joined, layer.fc.weight, layer.fc.bias), alpha=LAYER_SLOPE)
        assert state is not None  # noqa: S101 (a network has a layer)
        logits = self._linear(state, network.fc_output.weight, network.fc_output.bias)  # (B, 1)
        self.op("Squeeze", logits, self.integers(1), output=OUTPUT)  # (B,)

    def _add_trees(self) -> None:
        n = self.op("Shape", "mother")  # (1,)
        own = self.op("Range", self.scalar(0), self.op("Squeeze", n), self.scalar(1))  # (N,)
        edge = self.op("GreaterOrEqual", "mother", self.scalar(0))
        self.mother = self.op("Where", edge, "mother", own)  # (N,)
        self.mother_rows = self.op("Unsqueeze", self.mother, self.integers(1))  # (N, 1)
        self.linked = self.op("Unsqueeze", self.op("Cast", edge, to=TensorProto.FLOAT), self.integers(1))  # (N, 1)
        events = self.op("Range", self.scalar(0), self.op("Squeeze", "n_events"), self.scalar(1))  # (B,)
        members = self.op("Equal", self.op("Unsqueeze", events, self.integers(1)), "event")  # (B, N)
        self.members = self.op("Cast", members, to=TensorProto.FLOAT)
        # Softmax over a row that is outside everywhere would be a mean of strangers; an empty event pools to 0.
        outside = self.op("Sub", self.members, self.number(1.0))
        self.outside = self.op("Mul", outside, self.number(-_LOWEST / 2))  # 0 inside, hugely negative outside
        # A product with ones repeats a head's weight for its units: twice as fast as a broadcast over heads.
        heads = np.kron(np.eye(self.heads), np.ones((1, self.units)))
        self.spread = self.constant(heads.astype(np.float32))  # (H, H * U)
        count = self.op("ReduceSum", self.members, self.integers(1), keepdims=1)  # (B, 1)
        self.share = self.op("Div", self.members, self.op("Max", count, self.number(1.0)))  # (B, N) a mean's weights

    def _linear(self, h: str, weight: Any, bias: Any) -> str:
        return self.op("Gemm", h, self.constant(array(weight)), self.constant(array(bias)), transB=1)

    def _products(self, h: str, layer: GatLayer | None, after: GatLayer | None) -> tuple[str, str, str]:
        """Few numbers of each particle, by one product; an empty name for what is not there.

        Returns:
            (N, H) source and target of the attention of the layer `after`, and (N, 1) gate of the pooling of `layer`.
        """
        columns: dict[str, NDArray[np.float32]] = {}
        if after is not None:
            gat = after.gat
            weight = array(gat.fc.weight).astype(np.float64).reshape(self.heads, self.units, -1)  # (H, U, I)
            for name, vector in (("source", gat.attn_l), ("target", gat.attn_r)):
                columns[name] = np.einsum("hui,hu->ih", weight, array(vector)[0]).astype(np.float32)
        if layer is not None and layer.gap is not None:
            # The gate's bias is the same for all particles of an event: the softmax does not see it.
            columns["gate"] = array(layer.gap_gate.weight).T
        if not columns:
            return "", "", ""
        joined = self.op("MatMul", h, self.constant(np.concatenate([*columns.values()], axis=1)))
        parts = self.split(joined, [c.shape[1] for c in columns.values()], axis=1)
        found = dict(zip(columns, parts, strict=True))
        return found.get("source", ""), found.get("target", ""), found.get("gate", "")

    def _convolution(self, h: str, layer: GatLayer, attention: tuple[str, str, str]) -> str:
        """(N, I) -> (N, H * U), bias included."""
        z = self._linear(h, layer.gat.fc.weight, layer.gat.bias)
        own, down, up = (self.op("MatMul", weight, self.spread) for weight in attention)  # (N, H * U)
        from_mother = self.op("Mul", down, self.op("Gather", z, self.mother))
        out = self.op("Add", self.op("Mul", own, z), from_mother)
        return self.op("ScatterND", out, self.mother_rows, self.op("Mul", up, z), reduction="add")

    def _attention(self, source: str, target: str) -> tuple[str, str, str]:
        """The three weights (N, H) of `GATConv._attention`."""
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

    def _pooling_weights(self, gate: str) -> str:
        """(B, N) weight of each particle in each event: a softmax of the gate, or a mean's where there is none."""
        if not gate:
            return self.share
        row = self.op("Transpose", gate, perm=[1, 0])  # (1, N)
        weight = self.op("Softmax", self.op("Add", row, self.outside), axis=1)  # (B, N)
        return self.op("Mul", weight, self.members)
