"""Checkpoint files of the multi-skim network: `{"model_state_dict": ..., "manifest": JSON}`.

Files are read with `weights_only=True`, and nothing in them is ever run. What workers run are the exports.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smartbkg.atomic import write_atomically
from smartbkg.errors import ManifestMissing, ModelMismatch, NotAModel
from smartbkg.models.checkpoint import MANIFEST_KEY, MAX_BYTES, WEIGHTS_KEY, load_plain
from smartbkg.models.transformer import Transformer, TransformerConfig
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.pdg import PdgTable


@dataclass(frozen=True)
class MultiSkimCheckpoint:
    """An opened checkpoint: the network, ready to score, and what its file says about it."""

    network: Transformer
    manifest: MultiSkimManifest
    sha256: str


def load_multiskim(path: Path | str) -> MultiSkimCheckpoint:
    """Open a checkpoint.

    Raises:
        FileNotFoundError
        NotAModel: cut short, no checkpoint, with code in it, wrong keys or shapes, or weights that are not finite.
        ManifestMissing: without a manifest nobody knows what its outputs are.
        ModelMismatch: of another kind of network, or it does not fit its manifest or the PDG table.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    if not 0 < path.stat().st_size <= MAX_BYTES:
        raise NotAModel(path, f"it has {path.stat().st_size} bytes; a checkpoint has 1 to {MAX_BYTES}")
    content = path.read_bytes()
    values = load_plain(content, path)
    if not isinstance(values.get(MANIFEST_KEY), str):
        raise ManifestMissing(path)
    manifest = MultiSkimManifest.from_json(values[MANIFEST_KEY], path)
    manifest.check_table(PdgTable.smartbackground(), path)
    config = _config(manifest, path)
    with torch.device("meta"):  # shapes alone: a manifest must not ask for all the memory there is
        state = _checked(values.get(WEIGHTS_KEY), Transformer(config), path)
    network = Transformer(config)
    network.load_state_dict(state)
    sha256 = hashlib.sha256(content).hexdigest()
    return MultiSkimCheckpoint(network.eval(), dataclasses.replace(manifest, checkpoint_sha256=sha256), sha256)


def save_multiskim(path: Path | str, network: Transformer, manifest: MultiSkimManifest) -> str:
    """Write a checkpoint, whole or not at all; returns its sha256. Equal weights and manifests give equal bytes."""
    state = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    buffer = io.BytesIO()  # a file's name would become part of the archive
    torch.save({WEIGHTS_KEY: state, MANIFEST_KEY: manifest.to_json()}, buffer)
    content = buffer.getvalue()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _config(manifest: MultiSkimManifest, source: Path) -> TransformerConfig:
    known = {field.name for field in dataclasses.fields(TransformerConfig)}
    values = manifest.model_config
    sizes = all(isinstance(value, int) and not isinstance(value, bool) for value in values.values())
    if set(values) != known or not sizes:
        raise NotAModel(source, f"a network has the sizes {', '.join(sorted(known))}; its manifest says {values}")
    config = TransformerConfig(**values)
    if config.n_skims != len(manifest.skims) or config.n_tokens != PdgTable.smartbackground().n_tokens:
        raise ModelMismatch(
            f"{source} has {config.n_skims} outputs and {config.n_tokens} tokens; its manifest names "
            f"{len(manifest.skims)} skims, and the PDG table has {PdgTable.smartbackground().n_tokens} codes"
        )
    return config


def _checked(state: Any, network: Transformer, source: Path) -> dict[str, Tensor]:
    """Weights of just the names and shapes of the network, finite."""
    expected = network.state_dict()
    if not isinstance(state, Mapping) or set(state) != set(expected):
        wrong = sorted(map(str, set(state) ^ set(expected))) if isinstance(state, Mapping) else [WEIGHTS_KEY]
        raise NotAModel(source, f"missing or unknown weights: {', '.join(wrong[:6])}")
    for name, tensor in state.items():
        shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else None
        if shape != tuple(expected[name].shape) or not tensor.is_floating_point():
            raise NotAModel(source, f"{name} has the shape {shape}, not {tuple(expected[name].shape)}")
        if not torch.isfinite(tensor).all():
            raise NotAModel(source, f"{name} holds numbers that are not finite")
    return dict(state)
