"""A multi-skim network as ONNX, with its manifest inside: for one event a call, and for padded batches.

The graph of one event has exactly the interface that existing programs call: `x` float32 (n, 8), `pdg` int32 (n),
`mother` int32 (n), `c` int32 scalar -> `output` float32 (S). It is the graph of batches around one event and one
row of padding, so an event without particles works, too. Both use standard operators only.

Folded are: the norms' weights into the dense layer that follows, the scale of the attention into its query, and what
brings logarithms to order one into the first layer. All dense layers work on (B * P, D), where ONNX Runtime adds
bias and activation in the same pass.

Letters: `B` events, `P` particles padded, `N` = B * P, `D` width, `H` heads, `U` units a head, `K` queries, `S` skims.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

from smartbkg.atomic import write_atomically
from smartbkg.models.transformer import (
    AT_REST_GEV,
    N_SCALED,
    PADDING,
    SHRINK,
    UNITS,
    USUAL_PARTICLES,
    Layer,
    Pooling,
    Transformer,
)
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.training.graph import Graph, array

N_FEATURES = 8
NORM_EPSILON = 1e-5  # of every nn.LayerNorm that does not say otherwise


def export_pair(
    single: Path | str, batched: Path | str, network: Transformer, manifest: MultiSkimManifest
) -> tuple[str, str]:
    """Write both forms, bound to each other; returns the sha256 of each."""
    digest = export_single(single, network, manifest)
    return digest, export_batched(batched, network, dataclasses.replace(manifest, single_sha256=digest))


def export_single(path: Path | str, network: Transformer, manifest: MultiSkimManifest) -> str:
    """Write the form for one event a call, whole or not at all; returns its sha256."""
    return _write(path, single_bytes(network, dataclasses.replace(manifest, single_sha256=None)))


def export_batched(path: Path | str, network: Transformer, manifest: MultiSkimManifest) -> str:
    """Write the form for padded batches, whole or not at all; returns its sha256.

    Args:
        path: the file.
        network: in any precision; weights are written in single precision.
        manifest: its `single_sha256` names the other form of the same network.
    """
    return _write(path, batched_bytes(network, manifest))


def batched_bytes(network: Transformer, manifest: MultiSkimManifest) -> bytes:
    """Content of the file for batches: the same network and manifest give the same bytes."""
    graph = _Graph(network)
    graph.add_network("x", "pdg", "mother", "c", "output")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["events", "particles", N_FEATURES]),
        helper.make_tensor_value_info("pdg", TensorProto.INT32, ["events", "particles"]),
        helper.make_tensor_value_info("mother", TensorProto.INT32, ["events", "particles"]),
        helper.make_tensor_value_info("c", TensorProto.INT32, ["events"]),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["events", network.config.n_skims])
    return graph.model_bytes(manifest.kind, inputs, [output], manifest.to_json())


def single_bytes(network: Transformer, manifest: MultiSkimManifest) -> bytes:
    """Content of the file for one event: the same network and manifest give the same bytes."""
    graph = _Graph(network)
    none = graph.constant(np.array([-1], dtype=np.int32))
    padding = (graph.constant(np.zeros((1, N_FEATURES), np.float32)), none, none)
    rows = [graph.op("Concat", name, row, axis=0) for name, row in zip(("x", "pdg", "mother"), padding, strict=True)]
    x, pdg, mother = (graph.op("Unsqueeze", row, graph.integers(0)) for row in rows)  # (1, n + 1, ...)
    logits = graph.add_network(x, pdg, mother, graph.op("Reshape", "c", graph.integers(1)))  # (1, S)
    graph.op("Reshape", logits, graph.integers(-1), output="output")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", N_FEATURES]),
        helper.make_tensor_value_info("pdg", TensorProto.INT32, ["n"]),
        helper.make_tensor_value_info("mother", TensorProto.INT32, ["n"]),
        helper.make_tensor_value_info("c", TensorProto.INT32, []),
    ]
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [network.config.n_skims])
    return graph.model_bytes(manifest.kind, inputs, [output], manifest.to_json())


def _write(path: Path | str, content: bytes) -> str:
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


class _Graph(Graph):
    """The nodes of a multi-skim network."""

    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    def add_network(self, x: str, pdg: str, mother: str, c: str, output: str | None = None) -> str:
        """(B, P, 8), (B, P), (B, P), (B) -> (B, S)."""
        network, width = self.network, self.config.d_model
        zero = self.constant(np.array(0, dtype=np.int32))
        self.shape = self.op("Shape", pdg)  # B, P
        self.real = self.op("Cast", self.op("GreaterOrEqual", pdg, zero), to=TensorProto.FLOAT)  # (B, P)
        row = self.op("Unsqueeze", self.op("Sub", self.number(1.0), self.real), self.integers(1))
        self.padding = self.op("Mul", row, self.number(PADDING))  # (B, 1, P)
        planes, mothers = self._relations(mother)  # (B, R + 1, P * P), (B, P, P)
        tokens = self.op("Reshape", self.op("Max", pdg, zero), self.integers(-1))  # (N,)
        u = self._inputs(self.op("Flatten", x, axis=2), tokens)  # (N, I)
        of_mother = self.op("MatMul", mothers, self._padded(u, self._n_inputs))  # (B, P, I)
        kind = self.op("Gather", self.constant(array(network.event_type.weight)), c)  # (B, D)
        h = self._gemm(u, self._unshrunk(network.own), array(network.own.bias))
        h = self._gemm(self.op("Flatten", of_mother, axis=2), self._unshrunk(network.from_mother), h)  # (N, D)
        h = self.op("Add", self._padded(h, width), self.op("Unsqueeze", kind, self.integers(1)))
        h = self._linear(self.op("Relu", self.op("Flatten", h, axis=2)), network.mix)  # (N, D)
        for number, layer in enumerate(network.layers):
            if isinstance(layer, Layer):
                h = self._layer(h, layer, self._bias(planes, number))
        joined = self.op("Concat", *self._pooled(h, network.pooling), kind, axis=1)  # (B, (K + 2) * D)
        # A product with one row is another algorithm that rounds differently: one row more, whatever B is.
        row = self.constant(np.zeros((1, (self.config.queries + 2) * width), np.float32))
        joined = self.op("Concat", joined, row, axis=0)  # (B + 1, ...)
        logits = self._linear(self.op("Relu", self._linear(joined, network.head)), network.logits)
        ends = self.integers(0), self.integers(-1), self.integers(0)
        return self.op("Slice", logits, *ends, output=output)

    def _inputs(self, x: str, tokens: str) -> str:
        """(N, 8), (N,) -> (N, I): embedding and `scaled`, logarithms not yet shrunk."""
        embedded = self.op("Gather", self.constant(array(self.network.pdg.weight)), tokens)
        sums = np.zeros((N_FEATURES, 3), np.float32)  # squares -> those of distance, momentum, momentum across
        sums[1:4, 0] = sums[5:8, 1] = sums[5:7, 2] = 1.0
        lengths = self.op("Sqrt", self.op("MatMul", self.op("Mul", x, x), self.constant(sums)))  # (N, 3)
        units = 1.0 / np.array(UNITS)
        chosen = np.zeros((N_FEATURES, 6), np.float32)
        chosen[[0, 1, 2, 3, 4, 7], range(6)] = units[:6]
        scaled = self.op("Mul", lengths, self.constant(units[6:].astype(np.float32)))
        value = self.op("Concat", self.op("MatMul", x, self.constant(chosen)), scaled, axis=1)  # (N, 9)
        size = self.op("Log", self.op("Add", self.op("Abs", value), self.number(1.0)))
        logarithm = self.op("Mul", self.op("Sign", value), size)
        plain, momentum, slowness = self._columns(x, 4, 8), self._columns(x, 5, 8), self._columns(lengths, 1, 2)
        direction = self.op("Div", momentum, self.op("Add", slowness, self.number(AT_REST_GEV)))
        return self.op("Concat", embedded, logarithm, plain, direction, axis=1)

    def _relations(self, mother: str) -> tuple[str, str]:
        """(B, P) -> the planes of `relations` (B, R + 1, P * P), and that of mothers (B, P, P)."""
        last = self.op("Squeeze", self.split(self.shape, [1, 1], axis=0)[1])
        place = self.op("Range", self.scalar(0), last, self.scalar(1))  # (P,)
        place = self.op("Cast", place, to=TensorProto.INT32)
        itself = self._equal(self.op("Unsqueeze", place, self.integers(1)), place)  # (P, P)
        mothers = self._equal(self.op("Unsqueeze", mother, self.integers(2)), place)  # (B, P, P)
        children = self.op("Transpose", mothers, perm=[0, 2, 1])
        far, ancestors = mothers, mothers
        for step in range(self.config.doublings):
            ancestors = self.op("Add", ancestors, self.op("MatMul", far, ancestors))
            far = self.op("MatMul", far, far) if step + 1 < self.config.doublings else far
        shape = self.op("Shape", mothers)
        planes = [
            self.op("Expand", itself, shape),
            mothers,
            children,
            self.op("MatMul", mothers, children),
            ancestors,
            self.op("Transpose", ancestors, perm=[0, 2, 1]),
            self.op("Expand", self.padding, shape),
        ]
        joined = self.op("Concat", *(self.op("Unsqueeze", plane, self.integers(1)) for plane in planes), axis=1)
        return self.op("Reshape", joined, self.integers(0, len(planes), -1)), mothers

    def _bias(self, planes: str, number: int) -> str:
        """(B, R + 1, P * P) -> what relations and padding add to the attention of a layer (B, H, P * P)."""
        heads = self.config.heads
        learned = array(self.network.relation)[number * heads : (number + 1) * heads]  # (H, R)
        weight = np.concatenate([learned, np.ones((heads, 1), np.float32)], axis=1)
        return self.op("MatMul", self.constant(weight), planes)

    def _layer(self, h: str, layer: Layer, bias: str) -> str:
        """(N, D) -> (N, D)."""
        heads, width = self.config.heads, self.config.d_model
        units = width // heads
        weight, shift = self._with_norm(layer.qkv, layer.norm)
        weight[:width] *= units**-0.5
        shift[:width] *= units**-0.5
        normed = self._normed(h)
        parts = []
        for rows in (slice(0, width), slice(width, 2 * width), slice(2 * width, None)):
            part = self._padded(self._gemm(normed, weight[rows], shift[rows]), heads, units)  # (B, P, H, U)
            parts.append(self.op("Transpose", part, perm=[0, 2, 1, 3]))  # (B, H, P, U)
        query, key, value = parts
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))  # (B, H, P, P)
        scores = self.op("Add", scores, self.op("Reshape", bias, self.op("Shape", scores)))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), value)  # (B, H, P, U)
        mixed = self.op("Reshape", self.op("Transpose", mixed, perm=[0, 2, 1, 3]), self.integers(-1, width))
        h = self.op("Add", h, self._linear(mixed, layer.out))
        hidden = self.op("Relu", self._gemm(self._normed(h), *self._with_norm(layer.up, layer.norm2)))
        return self.op("Add", h, self._linear(hidden, layer.down))

    def _pooled(self, h: str, pooling: Pooling) -> tuple[str, str]:
        """(N, D) -> (B, K * D) means and (B, D) sum."""
        width, queries = self.config.d_model, self.config.queries
        norm = self.constant(array(pooling.norm.weight)), self.constant(array(pooling.norm.bias))
        h = self.op("LayerNormalization", h, *norm, axis=-1, epsilon=pooling.norm.eps)
        gate = self._padded(self._linear(h, pooling.gate), queries)  # (B, P, K)
        gate = self.op("Add", self.op("Transpose", gate, perm=[0, 2, 1]), self.padding)
        real = self.op("Unsqueeze", self.real, self.integers(1))  # (B, 1, P)
        weight = self.op("Mul", self.op("Softmax", gate, axis=-1), real)  # (B, K, P)
        means = self.op("MatMul", weight, self._padded(h, width))  # (B, K, D)
        counted = self._padded(self.op("Relu", self._linear(h, pooling.count)), width)  # (B, P, D)
        share = self.op("Mul", real, self.number(1.0 / USUAL_PARTICLES))
        total = self.op("MatMul", share, counted)  # (B, 1, D)
        return self.op("Flatten", means, axis=1), self.op("Flatten", total, axis=1)

    @property
    def _n_inputs(self) -> int:
        return self.config.d_embedding + N_SCALED

    def _padded(self, rows: str, *sizes: int) -> str:
        """(N, ...) -> (B, P, sizes)."""
        return self.op("Reshape", rows, self.op("Concat", self.shape, self.integers(*sizes), axis=0))

    def _columns(self, value: str, first: int, last: int) -> str:
        """(N, ...) -> (N, last - first)."""
        return self.op("Slice", value, self.integers(first), self.integers(last), self.integers(1))

    def _equal(self, left: str, right: str) -> str:
        return self.op("Cast", self.op("Equal", left, right), to=TensorProto.FLOAT)

    def _normed(self, h: str) -> str:
        """(N, D) with mean 0 and variance 1; the norm's weights are in the layer after."""
        ones = self.constant(np.ones(self.config.d_model, np.float32))
        return self.op("LayerNormalization", h, ones, axis=-1, epsilon=NORM_EPSILON)

    def _with_norm(self, linear: nn.Linear, norm: nn.LayerNorm) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight (out, in) and bias (out,) of a dense layer, those of the norm before it folded in."""
        weight, bias = (array(p).astype(np.float64) for p in (linear.weight, linear.bias))
        return weight * array(norm.weight), bias + weight @ array(norm.bias)

    def _unshrunk(self, linear: nn.Linear) -> NDArray[np.float64]:
        """Weight of a first layer that takes logarithms before they are brought to order one."""
        scale = np.ones(self._n_inputs)
        scale[self.config.d_embedding :][: len(SHRINK)] = SHRINK
        return array(linear.weight) * scale

    def _linear(self, h: str, linear: nn.Linear, output: str | None = None) -> str:
        return self._gemm(h, array(linear.weight), array(linear.bias), output)

    def _gemm(self, h: str, weight: NDArray[Any], added: NDArray[Any] | str, output: str | None = None) -> str:
        """(N, in) -> (N, out); what is added is a bias (out,) or a value of the graph (N, out)."""
        name = added if isinstance(added, str) else self.constant(added.astype(np.float32))
        return self.op("Gemm", h, self.constant(weight.T.astype(np.float32)), name, output=output)
