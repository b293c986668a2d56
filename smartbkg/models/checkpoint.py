"""Checkpoint files of event filters: `{"model_state_dict": ..., "manifest": JSON}`.

The manifest says which kind of network it is. Checkpoints made elsewhere have none; their keys alone say that they are
GATGAP, so its spec is implied.
Files are read with `weights_only=True`, and nothing in them is ever run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smartbkg.atomic import write_atomically
from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.features import GATGAP_SPEC
from smartbkg.manifest import Manifest
from smartbkg.models.gat import GatConfig
from smartbkg.models.kinds import CONVNET, SPECS, EventNetwork, NetworkConfig, kind_of, make_network, read_config
from smartbkg.pdg import PdgTable

KIND = "gatgap"  # of checkpoints made elsewhere
WEIGHTS_KEY = "model_state_dict"
MANIFEST_KEY = "manifest"
# The deployed network is 0.5 MB and the class defaults 7 MB; a gigabyte is no checkpoint of ours.
MAX_BYTES = 1 << 30
# What weights are saved as; half and double precision become single.
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# First bytes of torch's new and old file format.
_ARCHIVE_OR_PICKLE = (b"PK", b"\x80")
_ALIAS = re.compile(r"^gat_layers\.\d+\.gap\.gate_nn\.(weight|bias)$")


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: the network, ready to score, and what its file says about it."""

    network: EventNetwork
    manifest: Manifest
    sha256: str


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Open a checkpoint, ours or made elsewhere.

    Raises:
        FileNotFoundError
        NotAModel: cut short, no checkpoint, with code in it, wrong keys or shapes, or weights that are not finite.
        ModelMismatch: it does not fit the PDG table or the features.
    """
    path = Path(path)
    content = _read(path)
    values = load_plain(content, path)
    state = values.get(WEIGHTS_KEY)
    if not isinstance(state, Mapping) or not state:
        found = ", ".join(map(str, values)) or "nothing"
        raise NotAModel(path, f"there is no {WEIGHTS_KEY} in it; found {found}")
    manifest = _manifest(values.get(MANIFEST_KEY), path)
    is_convnet = manifest is not None and manifest.kind == CONVNET
    config = read_config(manifest.model_config, path) if manifest and is_convnet else infer_config(state, path)
    network, sha256 = network_of(state, config, path), hashlib.sha256(content).hexdigest()
    if manifest is None:
        manifest = Manifest(KIND, GATGAP_SPEC, GATGAP_SPEC.token_digest, dataclasses.asdict(config))
    check_fit(manifest, config, path)
    return Checkpoint(network, dataclasses.replace(manifest, checkpoint_sha256=sha256), sha256)


def checkpoint_bytes(network: EventNetwork, manifest: Manifest) -> bytes:
    """The file's content: the same weights and manifest give the same bytes."""
    buffer = io.BytesIO()  # a file's name would become part of the archive
    torch.save({WEIGHTS_KEY: network.state_dict(), MANIFEST_KEY: manifest.to_json()}, buffer)
    return buffer.getvalue()


def save_checkpoint(path: Path | str, network: EventNetwork, manifest: Manifest) -> str:
    """Write a checkpoint, whole or not at all; returns its sha256."""
    content = checkpoint_bytes(network, manifest)
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def load_plain(content: bytes, source: Path | str) -> dict[str, Any]:
    """Tensors and plain values of a torch file, new or old format; never any code.

    Raises:
        NotAModel
    """
    if not content.startswith(_ARCHIVE_OR_PICKLE):
        raise NotAModel(
            source, "it is damaged or no torch checkpoint; of an export, take the checkpoint it was made of"
        )
    _check_unpacked(content, source)
    try:
        values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            reason = f"it holds more than weights, and code in a file is never run ({reason})"
        raise NotAModel(source, f"it is damaged or no torch checkpoint: {reason}") from error
    if not isinstance(values, dict):
        raise NotAModel(source, f"it holds a {type(values).__name__} instead of a dict with {WEIGHTS_KEY}")
    return values


def network_of(state: Mapping[Any, Any], config: NetworkConfig, source: Path | str) -> EventNetwork:
    """The network of these weights.

    Raises:
        NotAModel: they are not those of a network of this size.
    """
    with torch.device("meta"):
        expected = make_network(config).state_dict()
    aliases = {key for key in expected if _ALIAS.match(key)}
    missing = sorted(set(expected) - aliases - set(state))
    unexpected = sorted(map(str, set(state) - set(expected)))
    if missing or unexpected:
        raise NotAModel(source, "; ".join(_said("missing", missing) + _said("unexpected", unexpected)))
    weights = {key: _single_precision(key, tensor, expected[key], source) for key, tensor in state.items()}
    for alias in sorted(aliases):
        gate = alias.replace(".gap.gate_nn.", ".gap_gate.")
        if not torch.equal(weights.setdefault(alias, weights[gate]), weights[gate]):
            raise NotAModel(source, f"{alias} and {gate} must be the same numbers, and are not")
    network = make_network(config)
    network.load_state_dict(weights)
    return network.eval()


def infer_config(state: Mapping[Any, Any], source: Path | str) -> GatConfig:
    """Size of the GATGAP network whose weights these are.

    Raises:
        NotAModel: the weights that tell it are not there.
    """
    embedding = _shape(state, "pdg_embedding.weight", 2, source)
    attention = _shape(state, "gat_layers.0.gat.attn_l", 3, source)
    inputs = _shape(state, "gat_layers.0.gat.fc.weight", 2, source)
    numbers = [int(match[1]) for key in state if (match := re.match(r"gat_layers\.(\d+)\.", str(key)))]
    if inputs[1] <= embedding[1] or attention[0] != 1:
        raise NotAModel(source, f"attention {attention}, projection {inputs} and embedding {embedding} do not fit")
    return GatConfig(
        units=attention[2],
        heads=attention[1],
        layers=len(set(numbers)),
        gap="gat_layers.0.gap_gate.weight" in state,
        n_tokens=embedding[0],
        embedding=embedding[1],
        features=inputs[1] - embedding[1],
    )


def _read(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= MAX_BYTES:
        raise NotAModel(path, f"it has {size_bytes} bytes; a checkpoint has 1 to {MAX_BYTES}")
    return path.read_bytes()


def _manifest(text: object, source: Path) -> Manifest | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise NotAModel(source, f"its manifest is a {type(text).__name__} instead of JSON text")
    manifest = Manifest.from_json(text, source)
    if manifest.kind not in SPECS:
        raise ModelMismatch(f"{source} is a {manifest.kind!r} model; {' or '.join(map(repr, SPECS))} was asked for")
    return manifest


def check_fit(manifest: Manifest, config: NetworkConfig, source: Path | str) -> None:
    """Refuse weights that do not fit their own manifest, or its PDG table and features.

    Raises:
        ModelMismatch
    """
    if manifest.kind != kind_of(config):
        raise ModelMismatch(f"{source} is a {manifest.kind!r} model; {kind_of(config)!r} was asked for")
    if manifest.model_config != dataclasses.asdict(config):
        raise ModelMismatch(f"{source}: the weights are of {config}, its manifest says {manifest.model_config}")
    table = PdgTable.named(manifest.feature_spec.token_table)
    if config.n_tokens != table.n_tokens:
        raise ModelMismatch(
            f"{source} embeds {config.n_tokens} tokens; the PDG table {table.name!r} needs {table.n_tokens}"
        )
    if config.features != len(manifest.feature_spec.features):
        wanted = ", ".join(manifest.feature_spec.features)
        raise ModelMismatch(f"{source} takes {config.features} features a particle; its spec has {wanted}")


def _shape(state: Mapping[Any, Any], key: str, dimensions: int, source: Path | str) -> tuple[int, ...]:
    tensor = state.get(key)
    if not isinstance(tensor, Tensor):
        raise NotAModel(source, f"missing: {key}; it is no GATGAP checkpoint")
    if tensor.ndim != dimensions or 0 in tensor.shape:
        raise NotAModel(source, f"{key} has the shape {tuple(tensor.shape)}, not {dimensions} dimensions")
    return tuple(tensor.shape)


def _single_precision(key: str, tensor: object, expected: Tensor, source: Path | str) -> Tensor:
    """The tensor as the network holds it, when it is what was expected."""
    if not isinstance(tensor, Tensor) or tensor.dtype not in _DTYPES:
        raise NotAModel(source, f"{key} is no tensor of floating point numbers")
    if tensor.shape != expected.shape:
        raise NotAModel(source, f"{key} has the shape {tuple(tensor.shape)}, expected {tuple(expected.shape)}")
    # A view can repeat one number as often as it likes: a small file must not ask for all the memory there is.
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise NotAModel(source, f"{key} does not hold the numbers of its shape")
    single = tensor.float()
    if not torch.isfinite(single).all():
        raise NotAModel(source, f"{key} holds numbers that are not finite")
    return single


def _check_unpacked(content: bytes, source: Path | str) -> None:
    """Refuse an archive that unpacks to more than a checkpoint may have; torch itself never packs."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size_bytes = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # the old format, or damaged: torch will say
    if size_bytes > MAX_BYTES:
        raise NotAModel(source, f"it unpacks to {size_bytes} bytes; a checkpoint has 1 to {MAX_BYTES}")


def _said(what: str, keys: list[str]) -> list[str]:
    return [f"{what}: {', '.join(keys[:6])}{f' and {len(keys) - 6} more' if len(keys) > 6 else ''}"] if keys else []
