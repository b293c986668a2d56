"""Checkpoint files: ours, those made elsewhere, and those nobody should open."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.features import GATGAP_SPEC
from smartbkg.models import checkpoint
from smartbkg.models.checkpoint import checkpoint_bytes, load_checkpoint, save_checkpoint
from smartbkg.models.gat import GATGAP_CONFIG, Gat, GatConfig
from support.networks import SMALL_CONFIG, manifest_of, random_network

State = dict[str, Any]


def write(path: Path, state: object, *, legacy: bool = False, **more: object) -> Path:
    torch.save({"model_state_dict": state, **more}, path, _use_new_zipfile_serialization=not legacy)
    return path


def same_weights(one: Gat, other: Gat) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "config", [GATGAP_CONFIG, GatConfig(), SMALL_CONFIG, dataclasses.replace(SMALL_CONFIG, gap=False, layers=3)]
)
def test_a_checkpoint_comes_back_with_its_size_read_from_the_shapes(config: GatConfig, tmp_path: Path) -> None:
    network = random_network(config)
    manifest = manifest_of(network, skim="feiHadronic", metrics={"auc": 0.9})
    sha256 = save_checkpoint(tmp_path / "a.pth", network, manifest)
    opened = load_checkpoint(tmp_path / "a.pth")
    assert opened.network.config == config
    assert same_weights(opened.network, network)
    assert opened.sha256 == sha256
    assert opened.manifest == dataclasses.replace(manifest, checkpoint_sha256=sha256)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("with_alias", [False, True])
def test_a_checkpoint_made_elsewhere_loads_in_both_file_formats(legacy: bool, with_alias: bool, tmp_path: Path) -> None:
    network = random_network()
    state = {k: v for k, v in network.state_dict().items() if with_alias or ".gap.gate_nn." not in k}
    assert len(state) == (63 if with_alias else 51)
    opened = load_checkpoint(write(tmp_path / "a.pth", state, legacy=legacy))
    assert same_weights(opened.network, network)
    assert opened.manifest.feature_spec == GATGAP_SPEC
    assert opened.manifest.skim is None


def test_other_entries_beside_the_weights_do_not_matter(tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    path = write(tmp_path / "a.pth", network.state_dict(), epoch=7, optimizer_state_dict={"lr": 1e-3})
    assert same_weights(load_checkpoint(path).network, network)


def test_our_checkpoint_loads_strictly_in_a_program_that_knows_only_the_weights(tmp_path: Path) -> None:
    network = random_network()
    save_checkpoint(tmp_path / "a.pth", network, manifest_of(network))
    state = torch.load(tmp_path / "a.pth", weights_only=True)["model_state_dict"]
    assert len(state) == 63
    fresh = Gat(GATGAP_CONFIG)
    fresh.load_state_dict(state, strict=True)
    assert same_weights(fresh, network)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    first = checkpoint_bytes(network, manifest_of(network))
    (tmp_path / "first.pth").write_bytes(first)
    again = load_checkpoint(tmp_path / "first.pth").network
    assert checkpoint_bytes(again, manifest_of(again)) == first


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("keep", [0, 1, 10, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_by_name(keep: float, legacy: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "cut.pth", random_network(SMALL_CONFIG).state_dict(), legacy=legacy)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(NotAModel, match=r"cut\.pth"):
        load_checkpoint(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        load_checkpoint(tmp_path / "none.pth")


@pytest.mark.parametrize("content", [b"PK\x03\x04 not really", b"\x80\x02 neither", b"text\n", bytes(range(190, 254))])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(NotAModel, match="damaged or no torch checkpoint"):
        load_checkpoint(tmp_path / "a.pth")


class Touch:
    """A pickle that makes a file when it is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


def plain_pickle(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("save", [torch.save, plain_pickle], ids=["torch file", "pickle"])
@pytest.mark.parametrize("inside", ["alone", "beside weights"])
def test_code_in_a_file_is_refused_and_not_run(save: Callable[[Any, Path], None], inside: str, tmp_path: Path) -> None:
    trap = Touch(tmp_path / "ran")
    state = random_network(SMALL_CONFIG).state_dict()
    save(trap if inside == "alone" else {"model_state_dict": state, "extra": trap}, tmp_path / "a.pth")
    with pytest.raises(NotAModel, match=r"a\.pth"):
        load_checkpoint(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()
    if save is torch.save:
        torch.load(tmp_path / "a.pth", weights_only=False)  # the trap does work
        assert (tmp_path / "ran").exists()


def test_refused_code_is_said_to_be_code(tmp_path: Path) -> None:
    torch.save({"model_state_dict": Touch(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(NotAModel, match="code in a file is never run"):
        load_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [[1, 2], {"weights": {}}, {"model_state_dict": {}}, {"model_state_dict": [1]}])
def test_a_torch_file_without_weights_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(NotAModel, match="model_state_dict"):
        load_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_single(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {name: tensor.to(dtype) for name, tensor in random_network(SMALL_CONFIG).state_dict().items()}
    loaded = load_checkpoint(write(tmp_path / "a.pth", state)).network.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in state.items())


def test_a_small_file_that_unpacks_to_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 100_000)
    path = write(tmp_path / "a.pth", random_network(SMALL_CONFIG).state_dict(), more=torch.zeros(1_000_000))
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 100_000
    with pytest.raises(NotAModel, match=r"a\.pth.* unpacks to 40\d{5} bytes"):
        load_checkpoint(path)


def test_a_small_file_cannot_ask_for_a_huge_network(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Gat(GatConfig(units=10**5, layers=1)).state_dict().items()}
    path = write(tmp_path / "a.pth", {name: torch.zeros(1).expand(shape) for name, shape in shapes.items()})
    assert path.stat().st_size < 10_000
    with pytest.raises(NotAModel, match="does not hold the numbers of its shape"):
        load_checkpoint(path)


def drop(state: State) -> None:
    del state["gat_layers.1.fc.bias"]


def add(state: State) -> None:
    state["gat_layers.1.fc.extra"] = torch.zeros(3)


def reshape(state: State) -> None:
    state["gat_layers.1.fc.bias"] = torch.zeros(9)


def spoil(state: State) -> None:
    state["gat_layers.1.gat.fc.weight"][2, 1] = float("nan")


def blow_up(state: State) -> None:
    state["fc_output.bias"][0] = float("inf")


def too_large(state: State) -> None:
    state["fc_output.bias"] = torch.tensor([1e300], dtype=torch.float64)


def eight_bits(state: State) -> None:
    state["fc_output.bias"] = state["fc_output.bias"].to(torch.float8_e4m3fn)


def sparse(state: State) -> None:
    state["fc_output.weight"] = state["fc_output.weight"].to_sparse()


def nowhere(state: State) -> None:
    state["fc_output.weight"] = state["fc_output.weight"].to("meta")


def split_alias(state: State) -> None:
    state["gat_layers.0.gap.gate_nn.weight"] = state["gat_layers.0.gap_gate.weight"] + 1


def half_gap(state: State) -> None:
    for name in [name for name in state if name.startswith("gat_layers.0.gap")]:
        del state[name]


def whole_numbers(state: State) -> None:
    state["fc_output.bias"] = torch.zeros(1, dtype=torch.int64)


def no_tensor(state: State) -> None:
    state["fc_output.bias"] = 1.0


def skip_a_layer(state: State) -> None:
    for name in [name for name in state if name.startswith("gat_layers.1.")]:
        state[name.replace("layers.1", "layers.5")] = state.pop(name)


def no_embedding(state: State) -> None:
    del state["pdg_embedding.weight"]


def flat_attention(state: State) -> None:
    state["gat_layers.0.gat.attn_l"] = torch.zeros(8)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (drop, r"missing: gat_layers\.1\.fc\.bias"),
        (add, r"unexpected: gat_layers\.1\.fc\.extra"),
        (reshape, r"gat_layers\.1\.fc\.bias has the shape \(9,\), expected \(4,\)"),
        (spoil, r"gat_layers\.1\.gat\.fc\.weight holds numbers that are not finite"),
        (blow_up, r"fc_output\.bias holds numbers that are not finite"),
        (too_large, r"fc_output\.bias holds numbers that are not finite"),
        (eight_bits, r"fc_output\.bias is no tensor of floating point numbers"),
        (sparse, r"fc_output\.weight does not hold the numbers of its shape"),
        (nowhere, r"fc_output\.weight does not hold the numbers of its shape"),
        (split_alias, r"gap\.gate_nn\.weight and gat_layers\.0\.gap_gate\.weight must be the same"),
        (half_gap, r"unexpected: gat_layers\.1\.gap"),
        (whole_numbers, r"fc_output\.bias is no tensor of floating point numbers"),
        (no_tensor, r"fc_output\.bias is no tensor"),
        (skip_a_layer, r"missing: gat_layers\.1"),
        (no_embedding, r"missing: pdg_embedding\.weight"),
        (flat_attention, r"attn_l has the shape \(8,\)"),
    ],
)
def test_wrong_weights_are_refused_by_key(harm: Callable[[State], None], said: str, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in random_network(SMALL_CONFIG).state_dict().items()}
    harm(state)
    with pytest.raises(NotAModel, match=said):
        load_checkpoint(write(tmp_path / "a.pth", state))


def test_an_embedding_of_another_table_is_refused(tmp_path: Path) -> None:
    network = random_network(dataclasses.replace(SMALL_CONFIG, n_tokens=100))
    with pytest.raises(ModelMismatch, match="embeds 100 tokens; the PDG table 'gatgap' needs 541"):
        load_checkpoint(write(tmp_path / "a.pth", network.state_dict()))


def test_another_number_of_features_is_refused(tmp_path: Path) -> None:
    network = random_network(dataclasses.replace(SMALL_CONFIG, features=7))
    with pytest.raises(ModelMismatch, match="takes 7 features"):
        load_checkpoint(write(tmp_path / "a.pth", network.state_dict()))


def test_weights_that_are_not_those_of_their_manifest_are_refused(tmp_path: Path) -> None:
    manifest = manifest_of(random_network(dataclasses.replace(SMALL_CONFIG, layers=5)))
    state = random_network(SMALL_CONFIG).state_dict()
    with pytest.raises(ModelMismatch, match="its manifest says"):
        load_checkpoint(write(tmp_path / "a.pth", state, manifest=manifest.to_json()))


@pytest.mark.parametrize("manifest", [7, "{", json.dumps({"format": 1})])
def test_a_broken_manifest_is_refused(manifest: object, tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="its manifest"):
        load_checkpoint(write(tmp_path / "a.pth", random_network(SMALL_CONFIG).state_dict(), manifest=manifest))
