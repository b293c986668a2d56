"""Checkpoints of torch, in its zip format and in the older one.

Nothing in a file is ever run: it is read with `weights_only=True`, which builds tensors and plain values alone, and a
file that wants more is refused. Before that, what a file unpacks to is looked at.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from conditions.errors import PayloadUnreadable
from conditions.formats.plugin import Format
from conditions.formats.structure import Difference, Kind, Section, differences, opened_text, plain, section
from conditions.formats.tensors import PIECE_NUMBERS, distance, shown

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES: Final = (".pth", ".pt", ".ckpt", ".th")
LEGACY_MAGIC: Final = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # a pickle of the number that begins such a file
MAX_LEGACY_BYTES: Final = 2 << 30  # the older format is read into memory as a whole
MAX_PICKLE_BYTES: Final = 64 << 20  # the structure alone; the numbers lie beside it
MAX_ENTRIES: Final = 100_000
MAX_DEPTH: Final = 100
MAX_REPEATS: Final = 16  # tied weights are there twice; thousands of views of one tensor ask for all the time there is
MAX_SHOWN: Final = 1000
_WANTED: Final = re.compile(r"GLOBAL ([\w.]+)")


class TorchFormat(Format):
    """A file that `torch.save` wrote."""

    name = "torch"

    def recognises(self, name: str, head: bytes) -> bool:
        """By its name, or by how both formats begin."""
        is_archive = head.startswith(b"PK\x03\x04") and b"/data.pkl" in head[30:300]
        return is_archive or head.startswith(LEGACY_MAGIC) or name.lower().endswith(SUFFIXES)

    def missing(self) -> str | None:
        """Whether torch is installed."""
        try:
            import torch  # noqa: F401
        except ImportError:
            return (
                "torch is not installed, so checkpoints are taken as bytes: pip install 'smartbkg[train]' to see inside"
            )
        return None

    def describe(self, path: Path) -> dict[str, Any]:
        """Keys, shapes and dtypes of all tensors, and the other entries."""
        entries = read_entries(path)
        tensors = {key: value for key, value in entries.items() if _is_tensor(value)}
        listed = {key: _shown(value) for key, value in list(tensors.items())[:MAX_SHOWN]}
        return {
            "layout": "zip" if zipfile.is_zipfile(path) else "legacy",
            "tensor_count": len(tensors),
            "parameter_count": sum(tensor.numel() for tensor in tensors.values()),
            "not_finite": {key: count for key, value in tensors.items() if (count := _not_finite(value))},
            "tensors": listed,
            "entries": {key: plain(opened_text(value)) for key, value in entries.items() if key not in tensors},
        }

    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        """Tensors that came, went or changed, with how far; and the other entries."""
        one, two = read_entries(left), read_entries(right)
        keys = sorted({*one, *two})
        numbers = [key for key in keys if _is_tensor(one.get(key)) or _is_tensor(two.get(key))]
        plain_one, plain_two = (
            {key: opened_text(value) for key, value in each.items() if key not in numbers} for each in (one, two)
        )
        rows = (_difference(key, one, two) for key in numbers)
        return section("tensors", rows), section("entries", differences(plain_one, plain_two))


def read_entries(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a file by path, `model_state_dict/fc.weight`; never any code.

    Raises:
        PayloadUnreadable: damaged, too large, or with more in it than tensors and plain values.
    """
    import torch

    packed = _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes of numbers and kinds of storage that nobody can act on
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=True if packed else None)
    except Exception as error:  # a damaged pickle can raise anything
        raise PayloadUnreadable("torch", path, _reason(str(error))) from error
    found: dict[str, Any] = {}
    for key, value in _entries(values, path):
        if key in found:  # {"a/b": 1, "a": {"b": 2}}: one of them would hide the other
            raise PayloadUnreadable("torch", path, f"two of its entries have the path {key!r}")
        found[key] = value
    to_read = sum(
        value.numel() * value.element_size()
        for value in found.values()
        if _is_tensor(value) and not _reason_against_reading(value)
    )
    if to_read > MAX_REPEATS * path.stat().st_size:
        raise PayloadUnreadable("torch", path, f"its tensors repeat its numbers: they take {to_read} bytes to read")
    return found


def _check_archive(path: Path) -> bool:
    """Whether it is an archive; refuse one that unpacks to more than it holds: torch itself never packs."""
    size_bytes = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        if size_bytes > MAX_LEGACY_BYTES:
            raise PayloadUnreadable(
                "torch", path, f"it has {size_bytes} bytes, the older format is read up to {MAX_LEGACY_BYTES}"
            ) from None
        return False
    if any(record.filename.endswith("/constants.pkl") for record in records):
        raise PayloadUnreadable("torch", path, "it is a TorchScript program, and code in a file is never run")
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise PayloadUnreadable("torch", path, "its archive is packed, and torch never packs")
    if sum(record.file_size for record in records) > size_bytes:
        raise PayloadUnreadable("torch", path, "its archive claims to hold more bytes than the file has")
    structure = max((record.file_size for record in records if record.filename.endswith("data.pkl")), default=0)
    if structure > MAX_PICKLE_BYTES:
        raise PayloadUnreadable("torch", path, f"its structure takes {structure} bytes without the numbers")
    return True


def _reason(said: str) -> str:
    """Why torch refused a file, without its advice to read it all the same."""
    wanted = _WANTED.search(said)
    if wanted is not None:
        asks = f" (it asks for {wanted[1][:100]})"
        return f"it holds more than tensors and plain values, and code in a file is never run{asks}"
    if "weights_only" in said:  # a kind of pickle that it does not read, or none
        return "it is damaged, or holds more than tensors and plain values, and code in a file is never run"
    first = (said.strip() or "no reason was given").splitlines()[0][:200]
    return f"it is damaged or no checkpoint ({first})"


def _entries(values: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Every tensor and every plain value by its path, in order."""
    waiting: list[tuple[str, Any, int]] = [("", values, 0)]
    for _ in range(MAX_ENTRIES):
        if not waiting:
            return
        key, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise PayloadUnreadable("torch", path, f"it is nested more than {MAX_DEPTH} deep")
        inner: list[tuple[str, Any]] | None = None
        if isinstance(value, Mapping) and value:
            inner = [(str(name), each) for name, each in value.items()]
        elif isinstance(value, list | tuple) and any(not _is_plain(each) for each in value):
            inner = [(str(place), each) for place, each in enumerate(value)]
        if inner is None:
            yield key or ".", value if _is_tensor(value) else _as_plain(value)
        else:
            waiting.extend((f"{key}/{name}" if key else name, each, depth + 1) for name, each in reversed(inner))
    raise PayloadUnreadable("torch", path, f"it holds more than {MAX_ENTRIES} entries")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _as_plain(value: Any) -> Any:
    """An entry that is no tensor, in JSON's words."""
    if _is_plain(value):
        return value
    if isinstance(value, list | tuple):
        return list(value)  # of plain values, the others were walked through
    if isinstance(value, Mapping):
        return {}
    return str(value)[:1000]  # a dtype, a device, a set


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _shown(tensor: Tensor) -> str:
    return shown(str(tensor.dtype).removeprefix("torch."), tensor.shape)


def _difference(key: str, one: dict[str, Any], two: dict[str, Any]) -> Difference:
    """One path that has a tensor on at least one side."""
    left, right = ((_shown(e[key]) if _is_tensor(e[key]) else plain(e[key])) if key in e else None for e in (one, two))
    if key not in one or key not in two:
        return Difference(key, "added" if key not in one else "removed", left, right)
    a, b = one[key], two[key]
    if not (_is_tensor(a) and _is_tensor(b)):
        return Difference(key, "type", left, right, {"type": "tensor → entry" if _is_tensor(a) else "entry → tensor"})
    kind, change = _distance(a, b)
    if a.dtype != b.dtype:
        kind, change = "type", {"type": f"{left} → {right}", **change}
    return Difference(key, kind, left, right, change)


def _distance(a: Tensor, b: Tensor) -> tuple[Kind, dict[str, Any]]:
    """How far two tensors are apart, or why that is not known."""
    if a.shape != b.shape:
        return "changed", {"shape": f"{tuple(a.shape)} → {tuple(b.shape)}"}
    hidden = [reason for tensor in (a, b) if (reason := _reason_against_reading(tensor))]
    if hidden:
        return "changed", {"note": hidden[0]}
    found = distance((_numbers(x), _numbers(y)) for x, y in _pieces(a, b))
    return ("same", {}) if found.is_same else ("changed", found.as_change())


def _reason_against_reading(tensor: Tensor) -> str | None:
    """Why the numbers of a tensor are not read, None when they are."""
    import torch

    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return f"a tensor that is {tensor.layout} on {tensor.device} is not compared by its numbers"
    # A view can repeat one number as often as it likes: a small file must not ask for all the time there is.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "it does not hold the numbers of its shape"
    return None


def _not_finite(tensor: Tensor) -> int:
    """How many of its numbers are NaN or infinite."""
    import torch

    if _reason_against_reading(tensor) or not (tensor.is_floating_point() or tensor.is_complex()):
        return 0
    return sum(int((~torch.isfinite(_wider(one))).sum()) for one, _ in _pieces(tensor, tensor))


def _pieces(left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Two tensors of one shape in pieces of a bounded size, cut along their longest side."""
    if left.numel() <= PIECE_NUMBERS:
        yield left.detach(), right.detach()
        return
    side = max(range(left.ndim), key=lambda n: left.shape[n])
    half = left.shape[side] // 2
    for first, length in ((0, half), (half, left.shape[side] - half)):
        yield from _pieces(left.narrow(side, first, length), right.narrow(side, first, length))


def _wider(tensor: Tensor) -> Tensor:
    """Single precision instead of the short kinds that numpy does not know."""
    import torch

    if tensor.is_floating_point() and tensor.element_size() < torch.float32.itemsize:
        return tensor.to(torch.float32)
    return tensor.resolve_conj().resolve_neg()


def _numbers(tensor: Tensor) -> Any:
    return _wider(tensor).numpy()
