"""Dense layers of an exported network in 8-bit integers, made where the file is opened; needs onnx.

Weights get one scale a column. Inputs get theirs from the values of a call, so a call must hold one event: with
several, the logits of one would depend on the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import MissingExtra, ModelMismatch

# Smaller layers stay as they are: they cost little, and the first ones take raw numbers of very different sizes.
SMALLEST: Final = 64
_DOMAIN: Final = "com.microsoft"  # operators that every ONNX Runtime has beside the standard
_LARGEST: Final = 127


def quantized(path: Path, content: bytes) -> bytes:
    """The model with its dense layers in integers.

    Args:
        path: where it is from, for messages.
        content: a model that ONNX Runtime has opened.

    Raises:
        MissingExtra: onnx is not installed.
        ModelMismatch: there is no dense layer that is large enough.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError as error:
        raise MissingExtra("onnx", "train") from error
    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    constants: list[Any] = []
    for node in graph.node:
        weight = _weight(node, weights)
        if weight is None:
            nodes.append(node)
            continue
        output = node.output[0]
        small, scale = _rounded(numpy_helper.to_array(weight[0]), transposed=weight[1])
        names = [f"{output}_int8", f"{output}_scale"]
        constants += [numpy_helper.from_array(small, names[0]), numpy_helper.from_array(scale, names[1])]
        added = list(node.input[2:])
        product = f"{output}_product" if added else output
        nodes.append(helper.make_node("DynamicQuantizeMatMul", [node.input[0], *names], [product], domain=_DOMAIN))
        nodes += [helper.make_node("Add", [product, name], [output]) for name in added]
    if not constants:
        raise ModelMismatch(f"{path} has no dense layer of {SMALLEST} by {SMALLEST} or more to make integers of")
    _replace(graph, nodes, constants)
    model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    made: bytes = model.SerializeToString(deterministic=True)
    return made


def _replace(graph: Any, nodes: list[Any], constants: list[Any]) -> None:
    """Other nodes and more constants; those that no node uses any more go, and so do types told for inner values."""
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *constants])


def _weight(node: Any, weights: dict[str, Any]) -> tuple[Any, bool] | None:
    """Constant weight of a dense layer that is large enough, and whether it is transposed; else None."""
    if node.op_type not in ("Gemm", "MatMul") or len(node.input) < 2 or node.input[1] not in weights:
        return None
    attributes = {a.name: a.f if a.name in ("alpha", "beta") else a.i for a in node.attribute}
    weight = weights[node.input[1]]
    plain = attributes.get("alpha", 1.0) == attributes.get("beta", 1.0) == 1.0 and not attributes.get("transA", 0)
    if not plain or len(weight.dims) != 2 or min(weight.dims) < SMALLEST or weight.data_type != 1:
        return None
    return weight, bool(attributes.get("transB", 0))


def _rounded(weight: NDArray[np.float32], *, transposed: bool) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(in, out) int8 and the scale of each column (out,)."""
    weight = weight.T if transposed else weight
    scale = np.maximum(np.abs(weight).max(axis=0), np.float32(1e-12)) / np.float32(_LARGEST)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)
