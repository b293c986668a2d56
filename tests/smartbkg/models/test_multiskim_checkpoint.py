"""Checkpoints of the multi-skim network: what is written is read, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smartbkg.errors import ManifestMissing, ModelMismatch, NotAModel
from smartbkg.models.multiskim_checkpoint import load_multiskim, save_multiskim
from smartbkg.multiskim_manifest import MultiSkimManifest
from support.networks import random_network, write_model
from support.transformers import manifest_for, padded, random_transformer


def written(folder: Path) -> Path:
    network = random_transformer()
    save_multiskim(folder / "multiskim.pt", network, manifest_for(network, metrics={"auc": 0.9}))
    return folder / "multiskim.pt"


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The same file after a change of its values."""
    values = torch.load(path, weights_only=True)
    change(values)
    torch.save(values, path)
    return path


def test_a_checkpoint_survives_its_file(tmp_path: Path) -> None:
    network = random_transformer()
    manifest = manifest_for(network, metrics={"auc": 0.9})
    sha256 = save_multiskim(tmp_path / "a.pt", network, manifest)
    opened = load_multiskim(tmp_path / "a.pt")
    assert opened.sha256 == sha256 == hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    assert opened.manifest == dataclasses.replace(manifest, checkpoint_sha256=sha256)
    assert torch.equal(opened.network(*padded(4)), network(*padded(4)))
    assert not opened.network.training


def test_equal_networks_have_equal_bytes(tmp_path: Path) -> None:
    digests = {save_multiskim(tmp_path / name, (n := random_transformer()), manifest_for(n)) for name in ("a", "b")}
    assert len(digests) == 1


def weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda values: change(values["model_state_dict"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (weights(lambda state: state.pop("relation")), "missing or unknown weights: relation"),
        (weights(lambda state: state.update(more=torch.zeros(1))), "missing or unknown weights: more"),
        (
            weights(lambda state: state.update(relation=torch.zeros(2, 2))),
            r"relation has the shape \(2, 2\), not \(8, 6\)",
        ),
        (weights(lambda state: state["relation"].fill_(float("nan"))), "relation holds numbers that are not finite"),
        (weights(lambda state: state.update(relation=torch.zeros(8, 6).long())), "relation has the shape"),
        (lambda values: values.pop("model_state_dict"), "missing or unknown weights: model_state_dict"),
        (lambda values: values.update(manifest="{"), "its manifest is no JSON"),
    ],
)
def test_wrong_values_are_refused_and_told(change: Callable[[Any], object], said: str, tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=said):
        load_multiskim(rewritten(written(tmp_path), change))


def manifest_of(path: Path, **entries: Any) -> Path:
    """The same file with other entries of its manifest."""

    def change(values: dict[str, Any]) -> None:
        found = MultiSkimManifest.from_json(values["manifest"], path)
        values["manifest"] = dataclasses.replace(found, **entries).to_json()

    return rewritten(path, change)


def test_a_manifest_of_another_size_is_refused(tmp_path: Path) -> None:
    config = random_transformer().config
    larger = dataclasses.asdict(dataclasses.replace(config, d_model=32))
    with pytest.raises(NotAModel, match="has the shape"):
        load_multiskim(manifest_of(written(tmp_path), model_config=larger))
    with pytest.raises(NotAModel, match=r"a network has the sizes .*; its manifest says \{'d_model': 2\}"):
        load_multiskim(manifest_of(written(tmp_path), model_config={"d_model": 2}))
    with pytest.raises(ModelMismatch, match="3 outputs and 562 tokens; its manifest names 1 skims"):
        load_multiskim(manifest_of(written(tmp_path), skims=((1, "a"),)))


def test_a_manifest_that_asks_for_all_the_memory_there_is_is_refused(tmp_path: Path) -> None:
    huge = dataclasses.asdict(dataclasses.replace(random_transformer().config, d_hidden=1 << 40))
    with pytest.raises(NotAModel, match="has the shape"):
        load_multiskim(manifest_of(written(tmp_path), model_config=huge))


def test_another_pdg_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="another PDG table"):
        load_multiskim(manifest_of(written(tmp_path), token_digest="0" * 64))


def test_a_checkpoint_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing, match=r"multiskim\.pt carries no manifest"):
        load_multiskim(rewritten(written(tmp_path), lambda values: values.pop("manifest")))


def test_a_checkpoint_of_the_other_filter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="is a 'gatgap' model; a 'multiskim' one was asked for"):
        load_multiskim(write_model(tmp_path, random_network())[0])


@pytest.mark.parametrize("keep", [0, 3, 1000])
def test_a_truncated_checkpoint_is_refused(keep: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(NotAModel, match=r"multiskim\.pt"):
        load_multiskim(path)


def test_a_missing_checkpoint_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load_multiskim(tmp_path / "none.pt")
