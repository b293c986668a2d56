"""The convolutional baseline as ONNX, with the inputs of every event filter: packed batches are padded inside.

Letters: `B` events, `N` particles, `P` particles padded, `F` features, `I` inputs, `C` channels.
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from smartbkg.manifest import Manifest
from smartbkg.models.convnet import LOWEST, SLOPE, ConvNet, ResidualBlock
from smartbkg.scorer import OUTPUT
from smartbkg.training.export import packed_model_bytes
from smartbkg.training.graph import Graph, array


def convnet_bytes(network: ConvNet, manifest: Manifest) -> bytes:
    """Content of the exported file: the same network and manifest give the same bytes."""
    graph = _Graph()
    graph.add_network(network)
    return packed_model_bytes(graph, network.config.features, manifest)


class _Graph(Graph):
    """The nodes of the baseline."""

    def add_network(self, network: ConvNet) -> None:
        self._add_places(network.config.max_particles)
        h = self._leaky(self._linear(self._inputs(network), network.stem))  # (N, C)
        h = self._padded(h, network.config.channels)  # (B, C, P)
        for block in network.blocks:
            if isinstance(block, ResidualBlock):
                inner = self._masked(self._leaky(self._convolution(h, block.first)))
                h = self._masked(self._leaky(self.op("Add", h, self._convolution(inner, block.second))))
        state = self._leaky(self._linear(self._pooled(h), network.fc))  # (B, U)
        self.op("Squeeze", self._linear(state, network.fc_output), self.integers(1), output=OUTPUT)  # (B,)

    def _add_places(self, max_particles: int) -> None:
        """Where each particle goes: its event, its place in it, and how long the longest event is."""
        events = self._range(self.op("Squeeze", "n_events"))  # (B,)
        members = self.op("Equal", self.op("Unsqueeze", events, self.integers(1)), "event")  # (B, N)
        counts = self.op("Cast", members, to=TensorProto.INT64)
        counts = self.op("ReduceSum", counts, self.integers(1), keepdims=0)  # (B,)
        first = self.op("CumSum", counts, self.scalar(0), exclusive=1)  # (B,)
        own = self._range(self.op("Squeeze", self.op("Shape", "event")))  # (N,)
        place = self.op("Sub", own, self.op("Gather", first, "event"))
        longest = self.op("Max", self.op("ReduceMax", counts, self.integers(0), keepdims=1), self.integers(1))
        self.longest = self.op("Min", longest, self.integers(max_particles))  # (1,) P
        place = self.op("Unsqueeze", self.op("Min", place, self.longest), self.integers(1))
        self.places = self.op("Concat", self.op("Unsqueeze", "event", self.integers(1)), place, axis=1)  # (N, 2)
        inside = self.op(
            "Less", self._range(self.op("Squeeze", self.longest)), self.op("Unsqueeze", counts, self.integers(1))
        )  # (B, P)
        self.mask = self.op("Unsqueeze", self.op("Cast", inside, to=TensorProto.FLOAT), self.integers(1))  # (B, 1, P)

    def _inputs(self, network: ConvNet) -> str:
        """(N, I)."""
        embedding = self.constant(array(network.pdg_embedding.weight))
        has_mother = self.op("GreaterOrEqual", "mother", self.scalar(0))
        known = self.op("Gather", "token", self.op("Max", "mother", self.scalar(0)))
        mothers = self.op("Where", has_mother, known, self.scalar(network.config.n_tokens))
        numbers, charge = self.split("x", [network.config.features - 1, 1], axis=1)
        scaled = self.op("Sub", numbers, self.constant(array(network.low)))
        scaled = self.op("Div", scaled, self.constant(array(network.span)))
        scaled = self.op("Clip", scaled, self.number(0.0), self.number(1.0))
        negative, positive = self._flag("Less", charge, -0.5), self._flag("Greater", charge, 0.5)
        neutral = self.op("Sub", self.op("Sub", self.number(1.0), negative), positive)
        codes = [self.op("Gather", embedding, code) for code in ("token", mothers)]
        return self.op("Concat", *codes, scaled, negative, neutral, positive, axis=1)

    def _padded(self, h: str, channels: int) -> str:
        """(N, C) -> (B, C, P); what is cut away goes to a place of its own, which is left out."""
        one_more = self.op("Add", self.longest, self.integers(1))
        shape = self.op("Concat", "n_events", one_more, self.integers(channels), axis=0)
        empty = self.op("Expand", self.number(0.0), shape)  # (B, P + 1, C)
        filled = self.op("ScatterND", empty, self.places, h)
        kept = self.op("Slice", filled, self.integers(0), self.longest, self.integers(1))  # (B, P, C)
        return self.op("Transpose", kept, perm=[0, 2, 1])

    def _pooled(self, h: str) -> str:
        """Mean and largest of each event, (B, C, P) -> (B, 2 * C)."""
        count = self.op("ReduceSum", self.mask, self.integers(2), keepdims=0)  # (B, 1)
        mean = self.op("ReduceSum", h, self.integers(2), keepdims=0)
        mean = self.op("Div", mean, self.op("Max", count, self.number(1.0)))
        inside = self.op("Greater", self.mask, self.number(0.0))
        largest = self.op("ReduceMax", self.op("Where", inside, h, self.number(LOWEST)), self.integers(2), keepdims=0)
        largest = self.op("Mul", largest, self.op("Min", count, self.number(1.0)))
        return self.op("Concat", mean, largest, axis=1)

    def _flag(self, comparison: str, value: str, limit: float) -> str:
        return self.op("Cast", self.op(comparison, value, self.number(limit)), to=TensorProto.FLOAT)

    def _range(self, end: str) -> str:
        return self.op("Range", self.scalar(0), end, self.scalar(1))

    def _leaky(self, h: str) -> str:
        return self.op("LeakyRelu", h, alpha=SLOPE)

    def _masked(self, h: str) -> str:
        return self.op("Mul", h, self.mask)

    def _linear(self, h: str, layer: Any) -> str:
        return self.op("Gemm", h, self.constant(array(layer.weight)), self.constant(array(layer.bias)), transB=1)

    def _convolution(self, h: str, layer: Any) -> str:
        margin = layer.kernel_size[0] // 2
        weight, bias = (self.constant(array(p)) for p in (layer.weight, layer.bias))
        return self.op("Conv", h, weight, bias, pads=[margin, margin])
