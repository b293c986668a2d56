"""ONNX graphs written node by node.

Written, not traced: the same weights give the same bytes, an export takes milliseconds, and what a tracer would not
see can be folded. Exported networks are held to their torch originals by tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from smartbkg import __version__
from smartbkg.manifest import METADATA_PROPERTY

OPSET = 18  # the first whose scatter operations know sums and maxima
IR_VERSION = 9  # read by ONNX Runtime since 1.16


class Graph:
    """Nodes and constants in the order they are added; a value is the name of its node's output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._names = 0

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node; returns its output."""
        name = output or self.name()
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Cut a value in parts of these sizes."""
        parts = [self.name() for _ in sizes]
        node = helper.make_node("Split", [value, self.integers(*sizes)], parts, name=f"n{len(self.nodes)}", axis=axis)
        self.nodes.append(node)
        return parts

    def name(self) -> str:
        """A name no value has yet."""
        self._names += 1
        return f"v{self._names}"

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """(n,) int64."""
        return self.constant(np.array(values, dtype=np.int64))

    def scalar(self, value: int) -> str:
        """() int64."""
        return self.constant(np.array(value, dtype=np.int64))

    def number(self, value: float) -> str:
        """() float32."""
        return self.constant(np.array(value, dtype=np.float32))

    def model_bytes(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], manifest: str) -> bytes:
        """Content of the exported file, with its manifest inside."""
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, self.constants),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="smartbkg",
            producer_version=__version__,
        )
        helper.set_model_props(model, {METADATA_PROPERTY: manifest})
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def array(tensor: Any) -> NDArray[np.float32]:
    """A parameter as single precision numbers."""
    numbers: NDArray[np.float32] = tensor.detach().cpu().numpy().astype(np.float32)
    return numbers
