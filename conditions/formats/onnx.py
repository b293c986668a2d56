"""ONNX models: inputs, outputs, operators, weights, and what their producer wrote beside them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from conditions.errors import PayloadUnreadable
from conditions.formats.plugin import Format
from conditions.formats.structure import Difference, Section, differences, opened_text, plain, section
from conditions.formats.tensors import distance, flat_pieces, shown

MAX_BYTES: Final = 2 << 30  # what the protocol can hold
MAX_SHOWN: Final = 1000
IR_VERSION_FIELD: Final = 0x08  # the first byte of a file: field 1 of a model
_PLAUSIBLE_VERSIONS: Final = range(3, 32)
_NEXT_FIELDS: Final = frozenset((0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x72))


class OnnxFormat(Format):
    """An exported network."""

    name = "onnx"

    def recognises(self, name: str, head: bytes) -> bool:
        """By its name, or by the fields that it begins with."""
        begins = len(head) > 3 and head[0] == IR_VERSION_FIELD and head[1] in _PLAUSIBLE_VERSIONS
        return name.lower().endswith(".onnx") or (begins and head[2] in _NEXT_FIELDS and b"\x0a" in head)

    def missing(self) -> str | None:
        """Whether onnx is installed."""
        try:
            import onnx  # noqa: F401
        except ImportError:
            return (
                "onnx is not installed, so exported networks are taken as bytes: "
                "pip install 'smartbkg[train]' to see inside"
            )
        return None

    def describe(self, path: Path) -> dict[str, Any]:
        """Everything but the numbers."""
        model = read_model(path)
        weights = {name: _shown(tensor) for name, tensor in _weights(model)}
        return {
            **_facts(model),
            "nodes": dict(sorted(_count(model.graph).items())),
            "weight_count": len(weights),
            "parameter_count": sum(math.prod(tensor.dims) for _, tensor in _weights(model)),
            "weights": dict(list(weights.items())[:MAX_SHOWN]),
            "metadata": {name: plain(value) for name, value in _metadata(model).items()},
        }

    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        """Interface, operators, weights and metadata."""
        one, two = read_model(left), read_model(right)
        return (
            section("model", differences(_facts(one), _facts(two))),
            section("nodes by operator", _operators(_count(one.graph), _count(two.graph))),
            section("nodes", differences(_nodes(one.graph), _nodes(two.graph), "node")),
            section("weights", _compare_weights(dict(_weights(one)), dict(_weights(two)), left)),
            section("metadata", differences(_metadata(one), _metadata(two))),
        )


def read_model(path: Path) -> Any:
    """The model in a file; weights that lie in other files are not looked for.

    Raises:
        PayloadUnreadable: damaged, or no model.
    """
    import onnx

    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise PayloadUnreadable("onnx", path, f"it has {size_bytes} bytes, a model has up to {MAX_BYTES}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # the protocol's own kind, which comes without types
        raise PayloadUnreadable("onnx", path, f"it is damaged or no model ({error})") from error
    if not model.ir_version or not model.HasField("graph"):
        raise PayloadUnreadable("onnx", path, "there is no graph in it")
    return model


def _facts(model: Any) -> dict[str, Any]:
    """What stands outside the graph's nodes."""
    return {
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "domain": model.domain,
        "model_version": model.model_version,
        "graph": model.graph.name,
        "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        "inputs": {value.name: _type(value.type) for value in _inputs(model.graph)},
        "outputs": {value.name: _type(value.type) for value in model.graph.output},
        "functions": {f"{each.domain}:{each.name}": _digest(each) for each in model.functions},
        "sparse_weights": {each.values.name: _digest(each) for each in model.graph.sparse_initializer},
    }


def _inputs(graph: Any) -> Iterator[Any]:
    """What a caller must give: older models list their weights among the inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    return (value for value in graph.input if value.name not in weights)


def _type(kind: Any) -> str:
    """A type in words: `float32 (batch, 3)`."""
    if kind.WhichOneof("value") != "tensor_type":
        return str(kind.WhichOneof("value") or "unknown").removesuffix("_type")
    tensor = kind.tensor_type
    if not tensor.HasField("shape"):
        return f"{_dtype(tensor.elem_type)} (any shape)"
    sizes = [str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
    return f"{_dtype(tensor.elem_type)} ({', '.join(sizes)})"


def _dtype(number: int) -> str:
    import onnx

    known: dict[int, str] = {value: name for name, value in onnx.TensorProto.DataType.items()}
    word = known.get(number, f"type {number}").lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


def _shown(tensor: Any) -> str:
    return shown(_dtype(tensor.data_type), tensor.dims)


def _metadata(model: Any) -> dict[str, Any]:
    return {entry.key: opened_text(entry.value) for entry in model.metadata_props}


def _count(graph: Any) -> Counter[str]:
    """How many nodes of each operator, those of inner graphs too."""
    counts: Counter[str] = Counter()
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            counts[f"{node.domain}:{node.op_type}" if node.domain else node.op_type] += 1
            for attribute in node.attribute:
                waiting.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)
    return counts


def _operators(one: Counter[str], two: Counter[str]) -> Iterator[Difference]:
    for name in sorted({*one, *two}):
        a, b = one[name], two[name]
        yield Difference(name, "same" if a == b else "changed", a, b, {} if a == b else {"difference": b - a})


def _nodes(graph: Any) -> dict[str, dict[str, Any]]:
    """Every node of the outer graph by what it makes."""
    found: dict[str, dict[str, Any]] = {}
    for place, node in enumerate(graph.node):
        key = next(iter(node.output), "") or f"{node.op_type} {place}"
        is_weight = node.op_type == "Constant"
        found[key] = {
            "operator": f"{node.domain}:{node.op_type}" if node.domain else node.op_type,
            "inputs": ", ".join(node.input),
            "outputs": ", ".join(node.output),
            "attributes": {each.name: _attribute(each, is_weight=is_weight) for each in node.attribute},
        }
    return found


def _attribute(attribute: Any, *, is_weight: bool) -> Any:
    """An attribute's value, or what there is instead of one: large ones by a digest."""
    from onnx import AttributeProto, helper

    if attribute.type == AttributeProto.TENSOR:
        # The numbers of a constant are compared among the weights.
        return _shown(attribute.t) if is_weight else f"{_shown(attribute.t)}, {_digest(attribute.t)}"
    if attribute.type == AttributeProto.GRAPH:
        return {**dict(sorted(_count(attribute.g).items())), "content": _digest(attribute.g)}
    if attribute.type not in (AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.FLOATS,
                              AttributeProto.INTS, AttributeProto.STRINGS):  # fmt: skip
        return _digest(attribute)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, list | tuple):
        return [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _digest(part: Any) -> str:
    """A part of a model that is not looked into, so that a change of it shows."""
    return f"sha256 {hashlib.sha256(part.SerializeToString(deterministic=True)).hexdigest()[:16]}"


def _weights(model: Any) -> Iterator[tuple[str, Any]]:
    """Every tensor of numbers by name: initialisers, and constants among the nodes."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield node.output[0], attribute.t


def _compare_weights(one: dict[str, Any], two: dict[str, Any], path: Path) -> Iterator[Difference]:
    for name in sorted({*one, *two}):
        a, b = one.get(name), two.get(name)
        left, right = (None if tensor is None else _shown(tensor) for tensor in (a, b))
        if a is None or b is None:
            yield Difference(name, "added" if a is None else "removed", left, right)
        elif list(a.dims) != list(b.dims):
            yield Difference(name, "changed", left, right, {"shape": f"{tuple(a.dims)} → {tuple(b.dims)}"})
        elif _is_elsewhere(a) or _is_elsewhere(b):
            yield Difference(name, "changed", left, right, {"note": "its numbers lie in another file"})
        else:
            yield _compare_numbers(name, a, b, path)


def _compare_numbers(name: str, a: Any, b: Any, path: Path) -> Difference:
    left, right = _shown(a), _shown(b)
    one, two = _numbers(a, path), _numbers(b, path)
    if one.dtype.kind in "OSU" or two.dtype.kind in "OSU":  # texts
        return Difference(name, "same" if one.tolist() == two.tolist() else "changed", left, right)
    found = distance(flat_pieces(one, two))
    if found.is_same and left == right:
        return Difference(name, "same", left, right)
    if left != right:
        return Difference(name, "type", left, right, {"type": f"{left} → {right}", **found.as_change()})
    return Difference(name, "changed", left, right, found.as_change())


def _is_elsewhere(tensor: Any) -> bool:
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _numbers(tensor: Any, path: Path) -> Any:
    """The tensor as numpy knows it; the short kinds as single precision."""
    import numpy as np
    from onnx import numpy_helper

    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # a size that does not fit its numbers can raise anything
        raise PayloadUnreadable("onnx", path, f"its weight {tensor.name!r} is damaged ({error})") from error
    if array.dtype.kind == "V" or (array.dtype.kind == "f" and array.dtype.itemsize < 4):
        return array.astype(np.float32)
    return array
