"""Checkpoints of torch: what differs is measured, and nothing in a file is ever run."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from conditions.errors import PayloadUnreadable
from conditions.formats import compare, describe
from conditions.formats import torch as torch_format
from conditions.formats.structure import Difference
from support.networks import SMALL_CONFIG, manifest_of, random_network, write_model
from support.trained import write_trained


@pytest.fixture(params=["zip", "legacy"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def saved(path: Path, values: Any, layout: str = "zip") -> Path:
    torch.save(values, path, _use_new_zipfile_serialization=layout == "zip")
    return path


def rows(left: Path, right: Path) -> dict[str, Difference]:
    found = compare(left, right)
    assert (found.format, found.problems) == ("torch", ())
    return {row.path: row for part in found.sections for row in part.rows}


def test_keys_shapes_dtypes_and_distance_of_each_tensor(tmp_path: Path, layout: str) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    left = saved(tmp_path / "a.pth", {"same": weight, "w": weight, "gone": weight, "s": weight, "d": weight}, layout)
    right = saved(
        tmp_path / "b.pth",
        {"same": weight.clone(), "w": weight * 1.1, "new": weight, "s": weight.T.contiguous(), "d": weight.double()},
        layout,
    )
    found = rows(left, right)
    assert {path: row.kind for path, row in found.items()} == {
        "w": "changed", "gone": "removed", "new": "added", "s": "changed", "d": "type",
    }  # fmt: skip
    assert found["w"].change["relative_l2"] == pytest.approx(0.1, rel=1e-6)
    assert found["w"].change["largest"] == pytest.approx(0.5, rel=1e-6)
    assert found["w"].change["unlike"] == 5
    assert found["s"].change == {"shape": "(2, 3) → (3, 2)"}
    assert found["d"].change == {"type": "float32 (2, 3) → float64 (2, 3)"}


def test_the_layout_of_the_file_makes_no_difference(tmp_path: Path) -> None:
    values = {"w": torch.ones(3), "epoch": 3}
    found = compare(saved(tmp_path / "a.pth", values), saved(tmp_path / "b.pth", values, "legacy"))
    assert (found.same_bytes, found.is_same, found.format) == (False, True, "torch")


def test_checkpoints_are_recognised_without_a_telling_name(tmp_path: Path, layout: str) -> None:
    facts = describe(saved(tmp_path / "0123abcd", {"w": torch.ones(3)}, layout))
    assert (facts.format, facts.facts["layout"]) == ("torch", layout)


def test_nested_entries_and_the_text_of_a_manifest_are_compared_by_path(tmp_path: Path, layout: str) -> None:
    def values(rate: float, skim: str) -> dict[str, Any]:
        inner = {"lr": rate, "betas": (0.9, 0.99), "state": [{"m": torch.full((2,), rate)}]}
        return {"model": OrderedDict(w=torch.ones(2)), "optimizer": inner, "manifest": f'{{"skim": "{skim}"}}'}

    left, right = (
        saved(tmp_path / "a.pth", values(0.1, "x"), layout),
        saved(tmp_path / "b.pth", values(0.2, "y"), layout),
    )
    found = rows(left, right)
    assert set(found) == {"optimizer/state/0/m", '["optimizer/lr"]', ".manifest.skim"}
    assert found["optimizer/state/0/m"].change["relative_l2"] == pytest.approx(1)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.uint8, torch.bool, torch.complex64]
)
def test_every_kind_of_number_is_compared(tmp_path: Path, dtype: torch.dtype) -> None:
    left = saved(tmp_path / "a.pth", {"w": torch.tensor([1.0, 0.0, 1.0]).to(dtype)})
    right = saved(tmp_path / "b.pth", {"w": torch.tensor([1.0, 0.0, 0.0]).to(dtype)})
    found = rows(left, right)["w"]
    assert found.change["unlike"] == 1
    assert found.change["relative_l2"] == pytest.approx(0.5**0.5)


def test_integers_beyond_double_precision_still_differ(tmp_path: Path) -> None:
    left = saved(tmp_path / "a.pth", {"n": torch.tensor([2**60])})
    right = saved(tmp_path / "b.pth", {"n": torch.tensor([2**60 + 1])})
    assert rows(left, right)["n"].kind == "changed"


def test_numbers_that_are_not_finite_are_counted_and_left_out_of_the_distance(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    left = saved(tmp_path / "a.pth", {"w": torch.tensor([nan, 1.0, 2.0]), "n": torch.tensor([nan])})
    right = saved(tmp_path / "b.pth", {"w": torch.tensor([nan, 1.0, inf]), "n": torch.tensor([nan])})
    found = rows(left, right)
    assert set(found) == {"w"}
    assert found["w"].change == {"relative_l2": 0.0, "largest": 0.0, "unlike": 1, "not_finite": [1, 2]}
    assert describe(left).facts["not_finite"] == {"w": 1, "n": 1}


def test_a_tensor_of_zeros_has_no_relative_distance(tmp_path: Path) -> None:
    left, right = (saved(tmp_path / f"{n}.pth", {"w": torch.full((4,), float(n))}) for n in (0, 3))
    assert rows(left, right)["w"].change == {"l2": 6.0, "largest": 3.0, "unlike": 4}


def test_large_tensors_are_read_in_pieces_also_views_that_are_not_contiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_format, "PIECE_NUMBERS", 16)
    torch.manual_seed(1)
    one = torch.randn(9, 7, 3)
    two = one + 0.01 * torch.randn(9, 7, 3)
    expected = float((two - one).norm() / one.norm())
    left = saved(tmp_path / "a.pth", {"w": one.permute(2, 0, 1), "empty": torch.ones(0, 5), "n": torch.tensor(1.0)})
    right = saved(tmp_path / "b.pth", {"w": two.permute(2, 0, 1), "empty": torch.ones(0, 5), "n": torch.tensor(2.0)})
    found = rows(left, right)
    assert set(found) == {"w", "n"}
    assert found["w"].change["relative_l2"] == pytest.approx(expected, rel=1e-5)


def test_real_checkpoints_differ_in_their_weights_and_where_their_data_came_from(tmp_path: Path) -> None:
    left, right = (write_trained(tmp_path / str(seed), seed) / "GATGAPgen.pth" for seed in (1, 2))
    found = rows(left, right)
    assert ".manifest.data_digest" in found
    assert found["model_state_dict/pdg_embedding.weight"].change["relative_l2"] == pytest.approx(2**0.5, rel=0.05)
    checkpoint, _ = write_model(tmp_path, random_network(SMALL_CONFIG))
    facts = describe(checkpoint).facts
    assert facts["parameter_count"] == sum(p.numel() for p in random_network(SMALL_CONFIG).state_dict().values())
    assert facts["entries"]["manifest"]["kind"] == manifest_of(random_network(SMALL_CONFIG)).kind


class Trap:
    """What an attacker's pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_refused_and_never_run(tmp_path: Path, kind: str) -> None:
    sprung, bad = tmp_path / "sprung", tmp_path / "bad.pth"
    values = {"w": torch.ones(2), "trap": Trap(sprung)}
    if kind == "pickle":
        bad.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        saved(bad, values, kind)
    with pytest.raises(PayloadUnreadable, match="code in a file is never run") as refused:
        describe(bad)
    assert ("mkdir" in str(refused.value)) == (kind != "pickle")
    assert "weights_only" not in str(refused.value)  # torch's own advice is to switch the guard off
    found = compare(bad, saved(tmp_path / "good.pth", {"w": torch.ones(2)}))
    assert found.format == "raw"
    assert "code in a file is never run" in found.problems[0]
    assert not sprung.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of the kind of file that is refused here
def test_a_module_and_a_program_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "module.pt", torch.nn.Linear(2, 2))
    with pytest.raises(PayloadUnreadable, match=r"it asks for torch\.nn\.modules\.linear\.Linear"):
        describe(tmp_path / "module.pt")
    program = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    program.save(tmp_path / "program.pt")
    with pytest.raises(PayloadUnreadable, match="TorchScript"):
        describe(tmp_path / "program.pt")


@pytest.mark.parametrize("keep", [0, 1, 10, 64, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, layout: str, keep: float) -> None:
    whole = saved(tmp_path / "whole.pth", {"w": torch.randn(100, 10), "n": 1}, layout).read_bytes()
    bad = tmp_path / "bad.pth"
    bad.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(PayloadUnreadable, match=r"bad\.pth cannot be read as torch"):
        describe(bad)


def test_damage_anywhere_is_refused_or_seen_never_something_else(tmp_path: Path, layout: str) -> None:
    generator = torch.Generator().manual_seed(3)
    whole = saved(tmp_path / "whole.pth", {"w": torch.randn(8, 8), "n": "text"}, layout).read_bytes()
    bad, n_refused = tmp_path / "bad.pth", 0
    for place in torch.randint(len(whole), (60,), generator=generator).tolist():
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = describe(bad)
        except PayloadUnreadable:
            n_refused += 1
        else:
            assert found.format == "torch"
    assert n_refused > 0


def test_an_archive_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path) -> None:
    good, bomb = saved(tmp_path / "good.pth", {"w": torch.zeros(1 << 20)}), tmp_path / "bomb.pth"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(PayloadUnreadable, match="packed"):
        describe(bomb)


def test_a_view_that_repeats_one_number_a_billion_times_costs_nothing(tmp_path: Path, layout: str) -> None:
    left, right = (saved(tmp_path / f"{n}.pth", {"w": torch.full((1,), n).expand(1 << 40)}, layout) for n in (1.0, 2.0))
    assert describe(left).facts["tensors"] == {"w": f"float32 ({1 << 40})"}
    assert "does not hold the numbers" in rows(left, right)["w"].change["note"]


def test_entries_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop: list[Any] = [torch.ones(1)]
    loop.append(loop)
    with pytest.raises(PayloadUnreadable, match="nested"):
        describe(saved(tmp_path / "loop.pth", {"x": loop}))
    many: list[Any] = [torch.ones(1)] * 10
    for _ in range(8):  # a few hundred bytes for 10^9 entries
        many = [many] * 10
    with pytest.raises(PayloadUnreadable, match="more than 100000 entries"):
        describe(saved(tmp_path / "many.pth", {"x": many}))


def test_no_entry_hides_behind_another_of_its_path(tmp_path: Path) -> None:
    for name, hidden in (("a", 1.0), ("b", 2.0)):
        torch.save({"a": {"b": torch.tensor(hidden)}, "a/b": torch.tensor(0.0)}, tmp_path / f"{name}.pth")
    found = compare(tmp_path / "a.pth", tmp_path / "b.pth")
    assert not found.is_same
    assert "two of its entries have the path 'a/b'" in found.problems[0]


def test_numbers_that_are_none_say_nothing_of_a_distance(tmp_path: Path) -> None:
    for name, values in (("a", [1.0, float("nan")]), ("b", [float("nan"), 1.0])):
        torch.save({"w": torch.tensor(values)}, tmp_path / f"{name}.pth")
    (tensors, _) = compare(tmp_path / "a.pth", tmp_path / "b.pth").sections
    assert tensors.rows[0].change == {"unlike": 2, "not_finite": [1, 1]}


def test_many_views_of_one_tensor_are_refused_and_tied_weights_are_not(tmp_path: Path) -> None:
    shared = torch.zeros(1000)
    torch.save({str(number): shared for number in range(400)}, tmp_path / "many.pth")
    with pytest.raises(PayloadUnreadable, match="repeat its numbers"):
        describe(tmp_path / "many.pth")
    torch.save({"encoder": shared, "decoder": shared}, tmp_path / "tied.pth")
    assert describe(tmp_path / "tied.pth").facts["parameter_count"] == 2000
