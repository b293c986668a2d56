from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartbkg.errors import FrameworkError, ModelMismatch, ModuleFailed, NotASkim, SkimTwice, UnknownName
from smartbkg.events import read_events
from smartbkg.framework import Path as EventPath
from smartbkg.framework import create_path, process
from smartbkg.modules.asked_skims import named_skims
from smartbkg.modules.simulation import add_simulation
from smartbkg.modules.smartbkg_filtering import add_smartbkg_filtering
from smartbkg.skim import CallableSkim, CombinedSkim, get_skim
from support.batches import numbers, some_events, write_events
from support.foreign import SKIMS, write_pair

FEI, TAU = "feiHadronic", "TauGeneric"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    weights, config = write_pair(tmp_path_factory.mktemp("pair"))
    return {"weights_file": weights, "config_file": config}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_events(tmp_path_factory.mktemp("events") / "events.parquet", some_events(200))


def reading(events: Path) -> EventPath:
    path = create_path()
    path.add_module("EventInput", input_files=events)
    return path


def finish(path: EventPath, output: Path) -> dict[str, np.ndarray[Any, Any]]:
    path.add_module("EventOutput", output_file=output)
    process(path, seed=1)
    return dict(read_events(output).extra)


def test_what_no_skim_keeps_goes_to_the_empty_path(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    path, empty_path = reading(events), create_path()
    add_smartbkg_filtering(get_skim(FEI), path, empty_path, **pair)
    empty_path.add_module("EventOutput", output_file=tmp_path / "rejected.parquet")
    weight = finish(path, tmp_path / "kept.parquet")["weight_feiHadronic"]
    rejected = read_events(tmp_path / "rejected.parquet")
    assert 0 < len(weight) < 200
    assert weight.min() >= 1.0
    assert set(rejected.extra["weight_feiHadronic"]) == {0.0}
    assert len(weight) + len(rejected) == 200


def test_without_an_empty_path_there_is_a_new_one(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    path = reading(events)
    module = add_smartbkg_filtering(get_skim(FEI), path, **pair)
    assert [str(condition) for condition in module.conditions] == ["if <1, then end"]
    assert len(finish(path, tmp_path / "kept.parquet")["weight_feiHadronic"]) < 200


def test_a_combined_skim_gives_a_weight_for_each_of_its_skims(
    events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    path = reading(events)
    add_smartbkg_filtering(CombinedSkim(get_skim(FEI), get_skim(TAU)), path, **pair)
    extra = finish(path, tmp_path / "kept.parquet")
    assert list(extra) == ["weight_feiHadronic", "weight_TauGeneric"]
    assert all(max(weights) > 0 for weights in zip(*extra.values(), strict=True))
    assert min(extra["weight_feiHadronic"]) == 0.0  # kept for the other one


def test_in_debug_mode_all_events_come_through_with_predictions(
    events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    path = reading(events)
    module = add_smartbkg_filtering(get_skim(FEI), path, debug_mode=True, **pair)
    assert module.conditions == ()
    extra = finish(path, tmp_path / "all.parquet")
    assert {name: len(column) for name, column in extra.items()} == {"SmartBKG_Prediction_feiHadronic": 200}


def test_a_type_that_is_given_overrides_that_of_the_events(pair: dict[str, Path], tmp_path: Path) -> None:
    mixed = some_events(50)
    unknown = write_events(
        tmp_path / "u.parquet", type(mixed)(**{**vars(mixed), "event_type": mixed.event_type * 0 - 1})
    )
    found = []
    for file in (write_events(tmp_path / "m.parquet", mixed), unknown):
        path = reading(file)
        add_smartbkg_filtering(get_skim(FEI), path, debug_mode=True, event_type="charged", **pair)
        found.append(finish(path, tmp_path / "out.parquet")["SmartBKG_Prediction_feiHadronic"])
    assert np.array_equal(*found)
    path = reading(unknown)
    add_smartbkg_filtering(get_skim(FEI), path, **pair)
    with pytest.raises(ModuleFailed, match="give event_type to add_smartbkg_filtering"):
        process(path, seed=1)


def test_an_activation_that_is_given_is_used(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    path = reading(events)
    add_smartbkg_filtering(get_skim(FEI), path, debug_mode=True, activation_params=(0.1, -100.0), **pair)
    assert set(finish(path, tmp_path / "all.parquet")["SmartBKG_Prediction_feiHadronic"]) == {1.0}
    with pytest.raises(FrameworkError, match="two parameters"):
        add_smartbkg_filtering(get_skim(FEI), create_path(), activation_params=(0.5,))  # type: ignore[arg-type]


def test_other_settings_of_the_module_can_be_given_by_name(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    kept = []
    for seed in (None, 1, 2):
        path = reading(events)
        module = add_smartbkg_filtering(get_skim(FEI), path, seed=seed, independentDraws=True, **pair)
        assert module.independent
        finish(path, tmp_path / "kept.parquet")
        kept.append(numbers(read_events(tmp_path / "kept.parquet")))
    assert kept[0] == kept[1] != kept[2]


def test_a_path_that_simulates_already_is_refused() -> None:
    path = create_path()
    path.add_module("EventInfoSetter", evtNumList=[10])
    add_simulation(path)
    with pytest.raises(FrameworkError, match=r"has FastSimulation already.*add it before"):
        add_smartbkg_filtering(get_skim(FEI), path)


def own(name: str = "mySkim") -> CallableSkim:
    return CallableSkim(name, lambda reco: np.ones(len(reco), dtype=bool))


@pytest.mark.parametrize(
    ("skim", "expected"),
    [
        (FEI, [FEI]),
        (11180500, [FEI]),
        ([FEI, "18570600"], [FEI, TAU]),
        (get_skim(FEI), [FEI]),
        (lambda: CombinedSkim(get_skim(TAU), CombinedSkim(get_skim(FEI), name="inner")), [TAU, FEI]),
        (lambda: [get_skim(FEI), CombinedSkim(get_skim(TAU), get_skim(FEI))], [FEI, TAU]),
    ],
)
def test_skims_are_given_as_such_or_by_name_or_code(skim: Any, expected: list[str]) -> None:
    given = skim() if isinstance(skim, type(own)) else skim
    assert named_skims(given) == [(name, SKIMS[name]) for name in expected]


def test_a_name_of_no_skim_is_said_with_what_is_near() -> None:
    with pytest.raises(UnknownName, match="unknown skim 'feiHadronik'; near: feiHadronic"):
        add_smartbkg_filtering("feiHadronik", create_path())


def test_two_skims_of_one_name_and_what_is_no_skim_are_refused() -> None:
    with pytest.raises(SkimTwice, match=FEI):
        add_smartbkg_filtering([get_skim(FEI), own(FEI)], create_path())
    for given in (None, [lambda reco: reco], object()):
        with pytest.raises(NotASkim, match="no skim"):
            add_smartbkg_filtering(given, create_path())  # type: ignore[arg-type]


def test_a_skim_of_ones_own_needs_a_network_that_was_trained_for_it(
    events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    path = reading(events)
    add_smartbkg_filtering(own(), path, **pair)
    with pytest.raises(
        ModuleFailed, match=r"'mySkim' is a skim of your own.*train one.*this one knows TauGeneric"
    ) as e:
        process(path, seed=1)
    assert isinstance(e.value.error, ModelMismatch)
    weights, config = write_pair(tmp_path, skims=dict([*list(SKIMS.items())[:3], *named_skims(own())]))
    path = reading(events)
    add_smartbkg_filtering(own(), path, weights_file=weights, config_file=config)
    assert list(finish(path, tmp_path / "kept.parquet")) == ["weight_mySkim"]
