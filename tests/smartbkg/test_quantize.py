"""Dense layers made integers, of whatever form an exporter gave them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from smartbkg.errors import MissingExtra
from smartbkg.quantize import quantized
from smartbkg.sessions import open_session

RNG = np.random.default_rng(3)
WEIGHT = RNG.normal(size=(64, 80)).astype(np.float32)
BIAS = RNG.normal(size=80).astype(np.float32)
X = RNG.normal(size=(7, 64)).astype(np.float32)


def model(kind: str, inputs: list[str], **attributes: Any) -> bytes:
    """A graph of one dense layer."""
    weight = np.ascontiguousarray(WEIGHT.T) if attributes.get("transB") else WEIGHT
    constants = {"w": weight, "b": BIAS}
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, ["y"], **attributes)],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 80])],
        [numpy_helper.from_array(constants[name], name) for name in inputs if name in constants],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def run(content: bytes) -> NDArray[np.float32]:
    output: NDArray[np.float32] = open_session(Path("a.onnx"), content).run(None, {"x": X})[0]
    return output


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [
        ("MatMul", ["x", "w"], {}),
        ("Gemm", ["x", "w"], {}),
        ("Gemm", ["x", "w", "b"], {}),
        ("Gemm", ["x", "w", "b"], {"transB": 1}),
    ],
)
def test_a_dense_layer_of_any_form_keeps_its_meaning(kind: str, inputs: list[str], attributes: dict[str, Any]) -> None:
    content = model(kind, inputs, **attributes)
    small = quantized(Path("a.onnx"), content)
    assert len(small) < 0.5 * len(content)
    change = run(small) - run(content)
    assert 0 < change.std() < 0.02 * run(content).std()


def test_the_same_model_gives_the_same_bytes() -> None:
    content = model("MatMul", ["x", "w"])
    assert quantized(Path("a"), content) == quantized(Path("a"), content)


def test_a_scaled_layer_stays_as_it_is() -> None:
    content = model("Gemm", ["x", "w", "b"], alpha=0.5)
    both = onnx.load_from_string(content)
    both.graph.node.append(helper.make_node("MatMul", ["x", "w"], ["z"]))
    both.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 80]))
    made = onnx.load_from_string(quantized(Path("a"), both.SerializeToString()))
    assert [node.op_type for node in made.graph.node] == ["Gemm", "DynamicQuantizeMatMul"]


def test_integers_need_onnx_and_say_where_it_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"this needs onnx, .* pip install 'smartbkg\[train\]'"):
        quantized(Path("a"), b"")
