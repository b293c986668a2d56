"""Exported networks: interface, operators, weights, metadata."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from conditions.errors import PayloadUnreadable
from conditions.formats import compare, describe
from conditions.formats.structure import Difference
from support.networks import random_network, write_model
from support.trained import write_trained


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("trained")) / "GATGAPgen.onnx"


def edited(exported: Path, target: Path, edit: Callable[[Any], object]) -> Path:
    model = onnx.load(exported)
    edit(model)
    onnx.save(model, target)
    return target


def rows(left: Path, right: Path) -> dict[tuple[str, str], Difference]:
    found = compare(left, right)
    assert (found.format, found.problems) == ("onnx", ())
    return {(part.title, row.path): row for part in found.sections for row in part.rows}


def test_a_description_tells_interface_operators_weights_and_metadata(exported: Path) -> None:
    facts = describe(exported).facts
    assert facts["opset"] == {"ai.onnx": 18}
    assert facts["producer"].startswith("smartbkg")
    assert facts["inputs"]["x"] == "float32 (particles, 8)"
    assert facts["outputs"] == {"logit": "float32 (events)"}
    assert facts["nodes"]["Gemm"] == 5
    assert "float32 (541, 8)" in facts["weights"].values()
    assert facts["metadata"]["smartbkg"]["kind"] == "gatgap"


def test_an_export_is_recognised_without_a_telling_name(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "0123abcd").write_bytes(exported.read_bytes())
    assert describe(tmp_path / "0123abcd").format == "onnx"


def test_exports_of_two_trainings_differ_in_weights_and_origin_alone(exported: Path, tmp_path: Path) -> None:
    other = write_trained(tmp_path, seed=2) / "GATGAPgen.onnx"
    found = rows(exported, other)
    assert {title for title, _ in found} == {"weights", "metadata"}
    assert all("relative_l2" in row.change for (title, _), row in found.items() if title == "weights")
    assert ("metadata", ".smartbkg.data_digest") in found


def test_each_edit_of_a_model_is_told_in_its_section(exported: Path, tmp_path: Path) -> None:
    def edit(model: Any) -> None:
        model.opset_import[0].version = 19
        model.graph.output[0].name = "score"
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 9
        weight = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [541, 8])
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
        node = next(node for node in model.graph.node if node.op_type == "Concat")
        node.attribute[0].i = 0
        model.graph.node.append(helper.make_node("Sigmoid", ["logit"], ["score"]))
        helper.set_model_props(model, {"smartbkg": '{"kind": "other"}', "note": "x"})

    found = rows(exported, edited(exported, tmp_path / "b.onnx", edit))
    assert found["model", '.opset["ai.onnx"]'].change["difference"] == 1
    assert found["model", ".inputs.x"].right == "float32 (particles, 9)"
    assert found["model", ".outputs.score"].kind == "added"
    assert found["nodes by operator", "Sigmoid"].right == 1
    assert any(title == "nodes" and path.endswith(".attributes.axis") for title, path in found)
    (weight,) = (row for (title, _), row in found.items() if title == "weights")
    assert weight.change["relative_l2"] == pytest.approx(0.5, rel=1e-6)
    assert found["metadata", ".smartbkg.kind"].right == "other"
    assert found["metadata", ".note"].kind == "added"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of torch about itself
def test_what_torch_exports_itself_is_read(tmp_path: Path) -> None:
    torch.manual_seed(1)
    for name in ("a", "b"):
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).eval()
        program = torch.onnx.export(model, (torch.ones(2, 3),), dynamo=True, verbose=False)
        assert program is not None
        program.save(tmp_path / f"{name}.onnx")
    found = rows(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert {path for title, path in found if title == "weights"} == {"0.bias", "0.weight", "2.bias", "2.weight"}


def test_weights_in_constant_nodes_and_of_short_kinds_are_compared(tmp_path: Path) -> None:
    def model(scale: float) -> Any:
        constant = helper.make_tensor("c", TensorProto.FLOAT, [2], [1.0, scale])
        short = helper.make_tensor("h", TensorProto.BFLOAT16, [2], [1.0, scale])
        nodes = [helper.make_node("Constant", [], ["c"], value=constant), helper.make_node("Identity", ["c"], ["y"])]
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
        return helper.make_model(helper.make_graph(nodes, "g", [], [output], [short]))

    for name, scale in (("a", 2.0), ("b", 4.0)):
        onnx.save(model(scale), tmp_path / f"{name}.onnx")
    found = rows(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert {path: row.change["largest"] for (_, path), row in found.items()} == {"c": 2.0, "h": 2.0}


def _branching(value: float) -> Any:
    """A model with numbers in an inner graph only."""
    inner = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [value])
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "branch", [], [inner], [weight])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph([node], "g", [condition], [output]))


def _filling(value: float) -> Any:
    """A model with numbers in an attribute of a node that is no constant."""
    fill = helper.make_tensor("v", TensorProto.FLOAT, [1], [value])
    node = helper.make_node("ConstantOfShape", ["n"], ["y"], value=fill)
    shape = helper.make_tensor_value_info("n", TensorProto.INT64, [1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    return helper.make_model(helper.make_graph([node], "g", [shape], [output]))


def _calling(value: float) -> Any:
    """A model with numbers in a function of its own."""
    body = [helper.make_node("Constant", [], ["y"], value_float=value)]
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    made = helper.make_function("own", "f", [], ["y"], body, opset[:1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    graph = helper.make_graph([helper.make_node("f", [], ["y"], domain="own")], "g", [], [output])
    return helper.make_model(graph, functions=[made], opset_imports=opset)


def _sparse(value: float) -> Any:
    """A model with numbers in a weight of few entries."""
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [value])
    places = helper.make_tensor("p", TensorProto.INT64, [1], [3])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [9])
    graph = helper.make_graph([helper.make_node("Identity", ["s"], ["y"])], "g", [], [output])
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [9]))
    return helper.make_model(graph)


@pytest.mark.parametrize("made", [_branching, _filling, _calling, _sparse])
def test_numbers_in_the_corners_of_a_model_are_not_taken_for_the_same(
    made: Callable[[float], Any], tmp_path: Path
) -> None:
    for name, value in (("a", 1.0), ("b", 2.0)):
        onnx.save(made(value), tmp_path / f"{name}.onnx")
    assert len(rows(tmp_path / "a.onnx", tmp_path / "b.onnx")) >= 1
    assert describe(tmp_path / "a.onnx").format == "onnx"


def test_weights_that_lie_in_another_file_are_not_looked_for(exported: Path, tmp_path: Path) -> None:
    def edit(model: Any) -> None:
        for tensor in model.graph.initializer:
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="/etc/passwd")

    target = tmp_path / "b.onnx"
    model = onnx.load(exported)
    edit(model)
    target.write_bytes(model.SerializeToString())
    changes = [row.change for (title, _), row in rows(exported, target).items() if title == "weights"]
    assert changes
    assert all(change == {"note": "its numbers lie in another file"} for change in changes)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x09", b"\x00" * 100, b"PK\x03\x04"])
def test_what_is_no_model_is_refused(exported: Path, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(content)
    with pytest.raises(PayloadUnreadable, match=r"bad\.onnx cannot be read as onnx"):
        describe(bad)
    assert compare(exported, bad).problems


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_model_cut_short_is_refused(exported: Path, tmp_path: Path, keep: float) -> None:
    bad, whole = tmp_path / "bad.onnx", exported.read_bytes()
    bad.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(PayloadUnreadable):
        describe(bad)


def test_a_weight_that_claims_more_numbers_than_it_has_is_refused(exported: Path, tmp_path: Path) -> None:
    def claim(model: Any) -> None:
        model.graph.initializer[0].dims[:] = [1 << 40]

    one, two = (edited(exported, tmp_path / f"{name}.onnx", claim) for name in ("a", "b"))
    two.write_bytes(edited(two, two, lambda model: setattr(model, "producer_name", "x")).read_bytes())
    found = compare(one, two)
    assert "its weight 'c0' is damaged" in found.problems[0]


def test_the_deployed_size_is_read_too(tmp_path: Path) -> None:
    _, export = write_model(tmp_path, random_network())
    assert describe(export).facts["parameter_count"] > 100_000
