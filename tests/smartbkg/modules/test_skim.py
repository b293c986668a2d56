from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from smartbkg.detector import DetectorConfig, RecoBatch, read_reco, simulate
from smartbkg.errors import FrameworkError, ModuleFailed, NotASkim, UnknownName
from smartbkg.events import read_events, read_metadata
from smartbkg.framework import Module, create_path, process
from smartbkg.modules.simulation import add_simulation
from smartbkg.modules.skim import SkimModule
from smartbkg.parquet import count_rows, read_schema, read_tables
from smartbkg.skim import CallableSkim, CombinedSkim, get_skim
from smartbkg.skim.job import skim_table
from support.batches import numbers, some_events, write_events
from support.events import decay_trees

N_EVENTS = 150


def odd_tracks(reco: RecoBatch) -> np.ndarray:
    return np.asarray(reco.tracks.counts % 2 == 1)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    batch = decay_trees(N_EVENTS).with_extra(weight=np.arange(N_EVENTS) / 2)
    stable = batch.particles
    stable.status[:] |= 2
    return write_events(tmp_path_factory.mktemp("events") / "in.parquet", batch)


@pytest.mark.parametrize("size", [7, 1024])
def test_modules_give_what_the_rooms_give(events: Path, tmp_path: Path, size: int) -> None:
    path = create_path()
    path.add_module("EventInput", input_files=events)
    add_simulation(path, seed=4)
    path.add_module(SkimModule("feiHadronic"))
    path.add_module(SkimModule("TauGeneric"))
    path.add_module("RecoOutput", output_file=tmp_path / "reco.parquet")
    path.add_module("SkimOutput", output_file=tmp_path / "skim.parquet")
    process(path, batch_size=size)
    expected = simulate(read_events(events), DetectorConfig(), 4)
    reco = read_reco(tmp_path / "reco.parquet")
    assert reco.tracks.counts.sum() > N_EVENTS
    columns = expected.to_table().column_names
    assert reco.to_table().select(columns) == expected.to_table()
    wanted = skim_table([get_skim("feiHadronic"), get_skim("TauGeneric")], expected)
    found = pa.concat_tables(read_tables(tmp_path / "skim.parquet")).select(wanted.column_names)
    for name in wanted.column_names:
        assert found[name].to_pylist() == pytest.approx(wanted[name].to_pylist(), nan_ok=True), name
    metadata = read_metadata(tmp_path / "skim.parquet")
    assert metadata["kind"] == "skimmed"
    assert [step["step"] for step in metadata["provenance"]] == ["simulate", "skim", "skim"]


def test_a_skim_sends_events_where_they_belong(events: Path, tmp_path: Path) -> None:
    path, fails = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    add_simulation(path)
    path.add_module(SkimModule(CallableSkim("odd", odd_tracks))).if_false(fails)
    path.add_module("EventOutput", output_file=tmp_path / "passes.parquet")
    fails.add_module("EventOutput", output_file=tmp_path / "fails.parquet")
    process(path, seed=4, batch_size=13)
    passes, rest = read_events(tmp_path / "passes.parquet"), read_events(tmp_path / "fails.parquet")
    odd = odd_tracks(simulate(read_events(events), DetectorConfig(), 4))
    assert numbers(passes) == [n for n, is_odd in zip(numbers(read_events(events)), odd, strict=True) if is_odd]
    assert len(passes) + len(rest) == N_EVENTS
    assert passes.extra["passes_odd"].all()
    assert not rest.extra["passes_odd"].any()
    assert read_metadata(tmp_path / "passes.parquet")["provenance"][-1]["skims"][0]["retention"] == odd.mean()


def test_a_combined_skim_writes_every_part_and_passes_where_any_does(events: Path, tmp_path: Path) -> None:
    path, fails = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    add_simulation(path)
    skim = CombinedSkim(get_skim("feiHadronic"), CallableSkim("odd", odd_tracks), name="both")
    skim(path, output_file=tmp_path / "skim.parquet").if_false(fails)
    path.add_module("EventOutput", output_file=tmp_path / "passes.parquet")
    fails.add_module("EventOutput", output_file=tmp_path / "fails.parquet")
    process(path, seed=4, batch_size=13)
    table = pa.concat_tables(read_tables(tmp_path / "skim.parquet"))
    reco = simulate(read_events(events), DetectorConfig(), 4)
    passed = odd_tracks(reco) | get_skim("feiHadronic").apply(reco).passed
    assert table["event"].to_pylist() == reco.event[passed].tolist()
    assert table["odd"].to_pylist() == odd_tracks(reco)[passed].tolist()
    assert set(table["both"].to_pylist()) == {True}
    passes, rest = read_events(tmp_path / "passes.parquet"), read_events(tmp_path / "fails.parquet")
    assert len(passes) == passed.sum()
    assert passes.extra["passes_both"].all()
    assert not (rest.extra["passes_both"] | rest.extra["passes_odd"] | rest.extra["passes_feiHadronic"]).any()
    found = {
        skim["name"]: skim["retention"] for skim in read_metadata(tmp_path / "skim.parquet")["provenance"][-1]["skims"]
    }
    assert found["both"] == passed.mean()
    assert found["odd"] == odd_tracks(reco).mean()


def test_a_skim_is_found_by_its_code() -> None:
    assert SkimModule(11180500).skim is get_skim("feiHadronic")


def test_what_is_no_skim_is_refused() -> None:
    with pytest.raises(NotASkim, match="give CallableSkim"):
        SkimModule(odd_tracks)  # type: ignore[arg-type]


def test_files_without_events_have_all_columns(tmp_path: Path) -> None:
    path, fails = create_path(), create_path()
    path.add_module("EventInput", input_files=write_events(tmp_path / "in.parquet", some_events(1)[:0]))
    add_simulation(path)
    path.add_module(SkimModule("feiHadronic")).if_false(fails)
    path.add_module("SkimOutput", output_file=tmp_path / "skim.parquet")
    fails.add_module("RecoOutput", output_file=tmp_path / "reco.parquet")
    process(path, seed=4)
    assert count_rows(tmp_path / "skim.parquet") == 0
    assert {"feiHadronic", "exp", "run", "event"} < set(read_schema(tmp_path / "skim.parquet").names)
    assert len(read_reco(tmp_path / "reco.parquet")) == 0


def test_a_skim_without_simulation_says_what_is_missing(events: Path) -> None:
    path = create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(SkimModule("feiHadronic"))
    with pytest.raises(ModuleFailed, match="no 'Reco' in the store, which holds MCParticles"):
        process(path)


def test_an_unknown_skim_says_what_is_near() -> None:
    with pytest.raises(UnknownName, match="near: feiHadronic"):
        SkimModule("feiHadronik")


@pytest.mark.parametrize("place", ["branch", "behind"])
@pytest.mark.parametrize("batch_size", [1, 1024])
def test_rows_of_different_skims_do_not_share_a_file(place: str, batch_size: int, tmp_path: Path) -> None:
    class IsOdd(Module):
        def event(self) -> int:
            return int(self.store.event[0] % 2)

    path, branch, shared = create_path(), create_path(), create_path()
    path.add_module("EventInput", input_files=write_events(tmp_path / "e.parquet", some_events(6)))
    path.add_module("FastSimulation")
    path.add_module(SkimModule("TauGeneric"))
    path.add_module(IsOdd()).if_false(branch)
    (branch if place == "branch" else path).add_module(SkimModule("BtoXll"))
    shared.add_module("SkimOutput", output_file=tmp_path / "out.parquet")
    path.add_path(shared)
    branch.add_path(shared)
    with pytest.raises(ModuleFailed, match=r"columns BtoXll, .* for some events only") as caught:
        process(path, seed=1, batch_size=batch_size)
    assert isinstance(caught.value.error, FrameworkError)
    assert not (tmp_path / "out.parquet").exists()
