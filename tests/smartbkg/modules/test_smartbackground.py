from __future__ import annotations

import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions import IntervalOfValidity, NoPayloadForRun
from conditions.store import Store, open_store
from smartbkg.bridging import build_bridged
from smartbkg.decision import MultiSkimPolicy
from smartbkg.draws import event_draw, uniform
from smartbkg.errors import BadEvent, FrameworkError, ModelMismatch, ModuleFailed, UnknownName
from smartbkg.events import EVENT_TYPES, EventBatch, read_events, read_metadata
from smartbkg.framework import Statistics, create_path, process
from smartbkg.modules.smartbackground import SmartBackground
from support.batches import numbers, some_events, write_events
from support.foreign import SKIMS, expected_logits, sha256, write_config, write_pair, write_weights
from support.generated import generated

CODES, NAMES = list(SKIMS.values()), list(SKIMS)
N_EVENTS = 400
FEI = {"skimCodes": [11180500], "skimNames": ["feiHadronic"]}
ALWAYS = IntervalOfValidity.always()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An embedded store that is the default one of this test."""
    for name in ("CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG", "CONDITIONS_FILES"):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"
    monkeypatch.setenv("CONDITIONS_URL", url)
    with open_store(url) as opened:
        yield opened


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights and configuration of an existing program, as files."""
    weights, config = write_pair(tmp_path_factory.mktemp("pair"))
    return {"weights_file": weights, "config_file": config}


@pytest.fixture(scope="module")
def batch() -> EventBatch:
    """Real events of several types, in two runs."""
    types = [generated(kind, N_EVENTS // 4) for kind in ("mixed", "charged", "uubar", "taupair")]
    joined = EventBatch.concat(types)
    event = np.arange(len(joined)) % (N_EVENTS // 2) + 1
    run = np.repeat([1, 2], N_EVENTS // 2).astype(np.int32)
    return replace(joined, run=run, event=event.astype(np.int64))


@pytest.fixture(scope="module")
def events(batch: EventBatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_events(tmp_path_factory.mktemp("events") / "events.parquet", batch)


def everything(**more: Any) -> SmartBackground:
    return SmartBackground(CODES, NAMES, **more)


def run_filter(events: Path | list[Path], directory: Path, module: SmartBackground, **job: Any) -> Statistics:
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(module).if_value("<1", empty_path)
    path.add_module("EventOutput", output_file=directory / "kept.parquet")
    empty_path.add_module("EventOutput", output_file=directory / "rejected.parquet")
    return process(path, **{"seed": 1, **job})


def both(directory: Path) -> tuple[EventBatch, EventBatch]:
    return read_events(directory / "kept.parquet"), read_events(directory / "rejected.parquet")


def step_of(directory: Path) -> dict[str, Any]:
    step: dict[str, Any] = read_metadata(directory / "kept.parquet")["provenance"][-1]
    return step


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def probabilities(batch: EventBatch, seed: int = 1, *, c: int | None = None) -> np.ndarray[Any, Any]:
    """(B, S) by the formulas of the specification, one event after the other."""
    features, rows = build_bridged(batch), []
    for i in range(len(batch)):
        part = features.between(i, i + 1)
        logits = expected_logits(
            part.x, part.token.tolist(), part.mother.tolist(), int(batch.event_type[i]) if c is None else c, seed
        )
        rows.append(
            [min(max(math.exp((0.5 + 0.1 * k) * (logit - 0.2 * k)), 0.01), 1.0) for k, logit in enumerate(logits)]
        )
    return np.array(rows)


def test_each_skim_gets_the_inverse_of_its_probability_or_zero(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    run_filter(events, tmp_path, everything(**pair))
    kept, rejected = both(tmp_path)
    assert sorted(numbers(kept) + numbers(rejected)) == sorted(numbers(batch))
    assert min(len(kept), len(rejected)) > 20
    assert list(kept.extra) == [f"weight_{name}" for name in NAMES]
    p = probabilities(kept)
    draw = event_draw(1, kept.exp, kept.run, kept.event, kept.event_type, stream="SmartBackground")
    for k, name in enumerate(NAMES):
        sampled = draw < p[:, k]
        np.testing.assert_allclose(kept.extra[f"weight_{name}"], np.where(sampled, 1 / p[:, k], 0.0), rtol=2e-5)
        assert set(rejected.extra[f"weight_{name}"]) == {0.0}
    assert all(any(kept.extra[f"weight_{name}"][i] > 0 for name in NAMES) for i in range(len(kept)))


def test_in_debug_mode_nothing_is_filtered_or_weighted_and_no_seed_is_needed(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    done = run_filter(events, tmp_path, everything(debugMode=True, **pair), seed=None)
    kept, rejected = both(tmp_path)
    assert (done.n_finished, len(rejected)) == (N_EVENTS, 0)
    assert list(kept.extra) == [f"SmartBKG_Prediction_{name}" for name in NAMES]
    p = probabilities(batch)
    for k, name in enumerate(NAMES):
        np.testing.assert_allclose(kept.extra[f"SmartBKG_Prediction_{name}"], p[:, k], rtol=2e-5)
    assert p.min() == 0.01  # the sample reaches both ends of the activation
    assert p.max() == 1.0


def test_skims_are_told_by_code_and_written_under_the_names_given(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    module = SmartBackground([CODES[2], CODES[0]], ["mine", NAMES[0]], debugMode=True, **pair)
    run_filter(events, tmp_path, module)
    kept, p = both(tmp_path)[0], probabilities(batch)
    np.testing.assert_allclose(kept.extra["SmartBKG_Prediction_mine"], p[:, 2], rtol=2e-5)
    np.testing.assert_allclose(kept.extra["SmartBKG_Prediction_feiHadronic"], p[:, 0], rtol=2e-5)


def test_an_activation_given_by_hand_replaces_those_of_all_skims(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    debug = {"debugMode": True, "overrideActivation": True}
    run_filter(events, tmp_path, everything(**debug, **pair))
    default = both(tmp_path)[0].extra
    run_filter(events, tmp_path, everything(**debug, activationOverrideParams=[1.0, 2.0], **pair))
    other = both(tmp_path)[0].extra
    features = build_bridged(batch).between(0, 1)
    logits = expected_logits(features.x, features.token.tolist(), features.mother.tolist(), EVENT_TYPES.index("mixed"))
    for k, name in enumerate(NAMES):
        value = default[f"SmartBKG_Prediction_{name}"][0], other[f"SmartBKG_Prediction_{name}"][0]
        assert value[0] == pytest.approx(min(max(math.exp(0.5 * logits[k]), 0.01), 1.0), rel=2e-5)
        assert value[1] == pytest.approx(min(max(math.exp(logits[k] - 2.0), 0.01), 1.0), rel=2e-5)


def test_parameters_without_the_switch_are_not_used_and_that_is_said(
    pair: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert SmartBackground(**FEI, activationOverrideParams=[1.0, 2.0], **pair).activation is None
    assert warnings_in(caplog) == ["activationOverrideParams (1.0, 2.0) are not used: overrideActivation is not set"]


def test_the_type_given_goes_before_that_of_the_events_only_when_it_is_to_override(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    found = []
    for settings_ in ({"eventType": "ssbar"}, {"eventType": "ssbar", "overrideEventType": True}):
        run_filter(events, tmp_path, everything(debugMode=True, **settings_, **pair))
        found.append(both(tmp_path)[0].extra["SmartBKG_Prediction_feiHadronic"])
    np.testing.assert_allclose(found[0], probabilities(batch)[:, 0], rtol=2e-5)
    np.testing.assert_allclose(found[1], probabilities(batch, c=4)[:, 0], rtol=2e-5)
    assert not np.allclose(found[0], found[1])


def test_events_of_unknown_type_need_one(batch: EventBatch, pair: dict[str, Path], tmp_path: Path) -> None:
    types = batch.event_type.copy()
    types[7:] = -1
    path = write_events(tmp_path / "e.parquet", replace(batch, event_type=types))
    with pytest.raises(ModuleFailed, match=r"193 of 200 events do not say their type.*event 8 of run 0,1") as caught:
        run_filter(path, tmp_path, everything(**pair))
    assert isinstance(caught.value.error, BadEvent)
    assert "eventType and overrideEventType to SmartBackground" in str(caught.value)
    assert not (tmp_path / "kept.parquet").exists()
    run_filter(path, tmp_path, everything(eventType="uubar", overrideEventType=True, **pair))
    assert len(both(tmp_path)[0]) > 20


def test_types_are_told_to_the_network_by_the_numbers_of_its_configuration(
    events: Path, batch: EventBatch, tmp_path: Path
) -> None:
    backwards = {name: 6 - number for number, name in enumerate(EVENT_TYPES)}
    weights, config = write_pair(tmp_path / "pair", event_types=backwards)
    run_filter(events, tmp_path, everything(debugMode=True, weights_file=weights, config_file=config))
    found = both(tmp_path)[0].extra["SmartBKG_Prediction_feiHadronic"]
    renumbered = replace(batch, event_type=(6 - batch.event_type).astype(np.int8))
    np.testing.assert_allclose(found, probabilities(renumbered)[:, 0], rtol=2e-5)


def test_a_type_that_the_network_does_not_know_is_named(events: Path, tmp_path: Path) -> None:
    weights, config = write_pair(tmp_path / "pair", event_types={"charged": 0, "mixed": 1})
    with pytest.raises(ModuleFailed, match=r"unknown event type 'uubar'.*known: charged, mixed") as caught:
        run_filter(events, tmp_path, everything(weights_file=weights, config_file=config))
    assert isinstance(caught.value.error, UnknownName)


@pytest.mark.parametrize(
    ("settings_", "kind", "said"),
    [
        ({"eventType": "charmed"}, UnknownName, "unknown event type 'charmed'.*near: charged"),
        ({"skimNames": []}, FrameworkError, r"1 skim codes \(11180500\) for 0 skim names"),
        ({"eventType": None}, UnknownName, "unknown event type 'None'.*known: ccbar, charged"),
        ({"skimNames": None}, FrameworkError, "skimNames is a list of names, not None"),
        ({"skimNames": [3]}, FrameworkError, "skim names are texts, such as feiHadronic; found 3"),
        ({"skimCodes": 11180500}, FrameworkError, "skimCodes is a list of integers.*found 11180500"),
        ({"activationOverrideParams": None}, FrameworkError, r"two parameters \(a, b\).*found \[None\]"),
        ({"precision": "bf16"}, UnknownName, "unknown precision 'bf16'.*fp32, int8"),
        ({"threads": 0}, FrameworkError, "at least one thread, not 0"),
        ({"skimCodes": [], "skimNames": []}, FrameworkError, "no skim was named"),
        ({"skimCodes": [1, 1], "skimNames": ["a", "b"]}, FrameworkError, "skim code 1 is given more than once"),
        ({"skimCodes": [1, 2], "skimNames": ["a", "a"]}, FrameworkError, "skim name a is given more than once"),
        ({"skimCodes": ["feiHadronic"]}, FrameworkError, "skimCodes is a list of integers, such as 11180500"),
        ({"skimNames": "f"}, FrameworkError, "skimNames is a list of names, not 'f'"),
        ({"activationOverrideParams": [0.5]}, FrameworkError, r"two parameters \(a, b\).*found \[0.5\]"),
        ({"activationOverrideParams": [0.5, 0.0, 1.0]}, FrameworkError, r"two parameters \(a, b\)"),
        ({"activationOverrideParams": [0.5, math.nan]}, FrameworkError, "both finite numbers"),
        ({"weights_file": "w.onnx"}, FrameworkError, "weights_file and config_file belong together"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(
    settings_: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        SmartBackground(**{**FEI, **settings_})


@pytest.mark.parametrize(
    ("codes", "names", "kind", "said"),
    [
        ([11180501], ["fei"], UnknownName, "unknown skim code of fei '11180501'; near: 11180500"),
        (CODES[:2], NAMES[1::-1], FrameworkError, "feiSL is the name of the skim 11180600.*different orders"),
        ([99753887], ["mySkim"], ModelMismatch, "'mySkim' is a skim of your own, without a code.*not trained for it"),
    ],
)
def test_skims_that_the_network_does_not_know_are_named(
    events: Path,
    pair: dict[str, Path],
    tmp_path: Path,
    codes: list[int],
    names: list[str],
    kind: type[Exception],
    said: str,
) -> None:
    with pytest.raises(ModuleFailed, match=said) as caught:
        run_filter(events, tmp_path, SmartBackground(codes, names, **pair))
    assert isinstance(caught.value.error, kind)


def test_a_configuration_of_another_network_is_refused(events: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w.onnx", n_skims=3)
    config = write_config(tmp_path / "four.json")
    with pytest.raises(ModuleFailed, match="3 outputs and its configuration names 4 skims") as caught:
        run_filter(events, tmp_path, everything(weights_file=weights, config_file=config))
    assert isinstance(caught.value.error, ModelMismatch)
    weights = write_weights(tmp_path / "w.onnx", seed=2)
    config = write_config(tmp_path / "other.json", weights_sha256="0" * 64)
    with pytest.raises(ModuleFailed, match="weights and configuration of two trainings"):
        run_filter(events, tmp_path, everything(weights_file=weights, config_file=config))


def test_a_pair_that_cannot_be_checked_works_and_that_is_said_once(
    events: Path, pair: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_filter(events, tmp_path, everything(**pair), batch_size=50)
    (said,) = warnings_in(caplog)
    assert "says that they belong together: just the number of outputs was compared, 4" in said
    caplog.clear()
    config = write_config(tmp_path / "bound.json", weights_sha256=sha256(pair["weights_file"]))
    run_filter(events, tmp_path, everything(weights_file=pair["weights_file"], config_file=config))
    assert warnings_in(caplog) == []


def test_the_result_does_not_depend_on_batches_or_on_how_a_job_is_split(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    cut = [
        write_events(tmp_path / "a.parquet", batch[:130]),
        write_events(tmp_path / "b.parquet", batch[130:]),
    ]
    for independent in (False, True):
        results = []
        for size, files in ((1, [events]), (7, [events]), (1024, [events]), (1024, cut)):
            run_filter(files, tmp_path, everything(independentDraws=independent, **pair), batch_size=size)
            results.append(both(tmp_path))
        halves = []
        for file in cut:
            run_filter(file, tmp_path, everything(independentDraws=independent, **pair))
            halves.append(both(tmp_path))
        results.append((EventBatch.concat([k for k, _ in halves]), EventBatch.concat([r for _, r in halves])))
        kept, rejected = results[0]
        for other_kept, other_rejected in results[1:]:
            assert numbers(other_kept) == numbers(kept)
            assert numbers(other_rejected) == numbers(rejected)
            assert all(np.array_equal(other_kept.extra[name], kept.extra[name]) for name in kept.extra)


def test_a_skim_is_sampled_alike_alone_and_among_others(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    for independent in (False, True):
        found = []
        for module in (
            everything(independentDraws=independent, **pair),
            SmartBackground(**FEI, independentDraws=independent, **pair),
        ):
            run_filter(events, tmp_path, module)
            joined = EventBatch.concat(both(tmp_path))
            order = np.lexsort((joined.event, joined.run))
            found.append(joined.extra["weight_feiHadronic"][order])
        assert np.array_equal(*found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans())
def test_the_weights_of_every_skim_are_unbiased(seed: int, n_skims: int, independent: bool) -> None:
    n_events = 4000
    logits = np.random.default_rng(seed).normal(-1.0, 2.0, (n_events, n_skims))
    p = np.clip(np.exp(0.5 * logits), 0.01, 1.0)
    event = np.arange(n_events)[:, np.newaxis]
    index = 1 + np.arange(n_skims) if independent else 0
    keep, weight = MultiSkimPolicy(100.0).decide(p, uniform(seed, 0, 0, event, stream="test", index=index))
    pulls = (weight.sum(axis=0) - n_events) / np.sqrt((1 / p - 1).sum(axis=0))
    assert np.abs(pulls).max() < 5
    assert np.array_equal(keep, (weight > 0).any(axis=1))


def test_one_draw_for_all_skims_keeps_fewer_events_and_is_as_unbiased(
    events: Path, batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    p = probabilities(batch)
    n_kept: dict[bool, list[int]] = {False: [], True: []}
    sums: dict[bool, list[list[float]]] = {False: [], True: []}
    for independent in (False, True):
        for seed in range(10):
            run_filter(events, tmp_path, everything(independentDraws=independent, **pair), seed=seed)
            kept = both(tmp_path)[0]
            n_kept[independent].append(len(kept))
            sums[independent].append([float(kept.extra[f"weight_{name}"].sum()) for name in NAMES])
        pulls = (np.array(sums[independent]) - N_EVENTS) / np.sqrt((1 / p - 1).sum(axis=0))
        assert np.abs(pulls).max() < 4.5
        assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(10)
    shared, independent_ = p.max(axis=1), 1 - (1 - p).prod(axis=1)
    for found, expected in ((n_kept[False], shared), (n_kept[True], independent_)):
        error = np.sqrt((expected * (1 - expected)).sum() / 10)
        assert abs(np.mean(found) - expected.sum()) < 4 * error
    assert np.mean(n_kept[False]) < np.mean(n_kept[True])


def test_sampling_without_any_seed_is_refused(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModuleFailed, match="no seed") as caught:
        run_filter(events, tmp_path, everything(**pair), seed=None)
    assert not hasattr(caught.value, "__notes__")  # nor does what follows fail, too


def test_the_seed_of_the_module_goes_before_that_of_the_job(
    events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    kept = []
    for own, job in ((5, 1), (5, 2), (None, 5), (None, 6)):
        run_filter(events, tmp_path, everything(seed=own, **pair), seed=job)
        kept.append(numbers(both(tmp_path)[0]))
    assert kept[0] == kept[1] == kept[2] != kept[3]


def test_an_event_without_particles_is_kept_with_weight_one_and_said_once(
    pair: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = some_events(6)
    nothing = replace(
        some, event=some.event + 100, offsets=np.zeros(7, np.int64), particles=some.particles.take(slice(0, 0))
    )
    far = some_events(3, first_event=200)
    far.particles.z_cm[:] = 10.0  # particles, but none that the network sees
    path = write_events(tmp_path / "e.parquet", some, nothing, far)
    run_filter(path, tmp_path, everything(**pair), batch_size=2)
    kept = both(tmp_path)[0]
    empty = kept.event >= 100
    assert empty.sum() == 9
    assert all((kept.extra[f"weight_{name}"][empty] == 1.0).all() for name in NAMES)
    assert [line for line in warnings_in(caplog) if "without any particle" in line] == [
        "9 events without any particle that the network sees: kept with weight 1"
    ]
    assert step_of(tmp_path)["n_without_particles"] == 9
    run_filter(path, tmp_path, everything(debugMode=True, **pair))
    kept = both(tmp_path)[0]
    assert (kept.extra["SmartBKG_Prediction_feiHadronic"][kept.event >= 100] == 1.0).all()


def test_unknown_particles_are_counted_and_said_once(
    pair: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batch = some_events(40)
    batch.particles.pdg[:] = 211
    batch.particles.pdg[:10] = 9912345
    path = write_events(tmp_path / "odd.parquet", batch)
    run_filter(path, tmp_path, everything(**pair), batch_size=3)
    assert [line for line in warnings_in(caplog) if "PDG" in line] == [
        "PDG codes without a token, taken as unknown (number of particles): 9912345 (10)"
    ]
    assert step_of(tmp_path)["unknown_pdgs"] == {"9912345": 10}


def test_numbers_that_are_not_finite_stop_the_job(pair: dict[str, Path], tmp_path: Path) -> None:
    batch = some_events(4)
    batch.particles.px_gev[3] = np.nan
    with pytest.raises(ModuleFailed, match="event 2 of run 0,1: particle 0 has a number that is not finite"):
        run_filter(write_events(tmp_path / "e.parquet", batch), tmp_path, everything(**pair))


def test_events_that_were_filtered_before_are_refused(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    run_filter(events, tmp_path, SmartBackground(**FEI, **pair))
    (tmp_path / "kept.parquet").rename(tmp_path / "once.parquet")
    for module in (SmartBackground(**FEI, **pair), SmartBackground([CODES[2]], [NAMES[2]], **pair)):
        with pytest.raises(ModuleFailed, match=r"weight_feiHadronic is there already.*went through") as caught:
            run_filter(tmp_path / "once.parquet", tmp_path, module)
        assert isinstance(caught.value.error, FrameworkError)
    run_filter(tmp_path / "once.parquet", tmp_path, SmartBackground(**FEI, debugMode=True, **pair))
    assert set(both(tmp_path)[0].extra) == {"weight_feiHadronic", "SmartBKG_Prediction_feiHadronic"}


@pytest.mark.parametrize("independent", [False, True])
def test_events_of_two_types_with_the_same_numbers_have_draws_of_their_own(
    batch: EventBatch, pair: dict[str, Path], tmp_path: Path, independent: bool
) -> None:
    kept = []
    for code in (1, 3):  # the same events twice, said to be charged and mixed
        typed = replace(batch, event_type=np.full(len(batch), code, np.int8))
        path = write_events(tmp_path / "typed.parquet", typed)
        alike = {"eventType": "charged", "overrideEventType": True, "independentDraws": independent}
        run_filter(path, tmp_path, everything(**alike, **pair))
        done = EventBatch.concat(both(tmp_path))
        order = np.lexsort((done.event, done.run))
        kept.append([done.extra[f"weight_{name}"][order] > 0 for name in NAMES])
    p = probabilities(batch, c=1)[np.lexsort((batch.event, batch.run))]
    for k in range(len(NAMES)):
        together, variance = kept[0][k] & kept[1][k], p[:, k] ** 2 * (1 - p[:, k] ** 2)
        assert abs(together.sum() - (p[:, k] ** 2).sum()) < 4 * np.sqrt(variance.sum())


def test_a_second_filter_with_the_same_seed_draws_anew(
    batch: EventBatch, pair: dict[str, Path], tmp_path: Path
) -> None:
    many = EventBatch.concat([replace(batch, exp=batch.exp + exp) for exp in range(5)])
    run_filter(write_events(tmp_path / "many.parquet", many), tmp_path, SmartBackground([CODES[0]], ["mine"], **pair))
    (tmp_path / "kept.parquet").rename(tmp_path / "once.parquet")
    once = read_events(tmp_path / "once.parquet")
    # Another network, which does not know the first one's names.
    run_filter(tmp_path / "once.parquet", tmp_path, SmartBackground([CODES[0]], ["yours"], **pair))
    twice = both(tmp_path)[0].extra
    p = 1 / once.extra["weight_mine"]
    assert p.min() < 0.5
    assert abs(len(twice["weight_yours"]) - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_weights_of_another_filter_are_kept_and_said_once(
    batch: EventBatch, pair: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_events(tmp_path / "e.parquet", batch.with_extra(weight=np.full(len(batch), 2.0)))
    run_filter(path, tmp_path, SmartBackground(**FEI, **pair), batch_size=50)
    assert set(both(tmp_path)[0].extra) == {"weight", "weight_feiHadronic"}
    assert [line for line in warnings_in(caplog) if "earlier" in line] == [
        "events carry weight of an earlier filter: multiply by it"
    ]


def test_predictions_of_a_debug_job_do_not_stand_in_the_way_of_a_filter(
    events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    run_filter(events, tmp_path, everything(debugMode=True, **pair))
    (tmp_path / "kept.parquet").rename(tmp_path / "looked_at.parquet")
    run_filter(tmp_path / "looked_at.parquet", tmp_path, everything(**pair))
    kept = both(tmp_path)[0].extra
    sampled = kept["weight_feiSL"] > 0
    assert np.array_equal(kept["weight_feiSL"][sampled], 1 / kept["SmartBKG_Prediction_feiSL"][sampled])


def test_a_file_without_events_gives_files_with_weights(pair: dict[str, Path], tmp_path: Path) -> None:
    path = write_events(tmp_path / "none.parquet", some_events(1)[:0])
    run_filter(path, tmp_path, everything(**pair))
    for batch in both(tmp_path):
        assert (len(batch), list(batch.extra)) == (0, [f"weight_{name}" for name in NAMES])


def upload(store: Store, tag: str, folder: Path, iov: IntervalOfValidity = ALWAYS) -> None:
    """Weights and configuration as existing programs have them, in an open tag."""
    if store.find_tag(tag) is None:
        store.create_tag(tag)
    for name, file in (("Weights", "Weights_default.onnx"), ("Config", "Config_default.json")):
        payload = store.upload(f"SmartBackground{name}_default", folder / f"SmartBackground{file}")
        store.add_iov(tag, payload.name, payload.revision, iov)


def test_payloads_of_the_default_tag_are_used_by_default_one_event_after_the_other(
    store: Store, events: Path, pair: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upload(store, "SmartBackground", pair["weights_file"].parent)
    run_filter(events, tmp_path, everything(allow_open=True))
    by_payload = both(tmp_path)
    step = step_of(tmp_path)
    assert [(m["name"], m["revision"], m["tag"]) for m in step["models"]] == [
        ("SmartBackgroundWeights_default", 1, "SmartBackground"),
        ("SmartBackgroundConfig_default", 1, "SmartBackground"),
    ]
    assert [m["sha256"] for m in step["models"]] == [sha256(path) for path in pair.values()]
    said = warnings_in(caplog)
    (one_by_one,), (unbound,) = ([line for line in said if word in line] for word in ("batched", "belong together"))
    assert one_by_one == (
        "no payload 'SmartBackgroundWeights_default_batched' for 0:1 in SmartBackground: "
        "SmartBackgroundWeights_default r1 is used, one event after the other"
    )
    assert unbound == (
        "neither SmartBackgroundWeights_default r1 of SmartBackground nor SmartBackgroundConfig_default r1 of "
        "SmartBackground says that they belong together: just the number of outputs was compared, 4, not their order"
    )
    run_filter(events, tmp_path, everything(**pair))
    assert all(
        np.array_equal(a.extra[n], b.extra[n]) for a, b in zip(by_payload, both(tmp_path), strict=True) for n in a.extra
    )


def test_the_job_says_in_its_files_what_it_did(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    run_filter(events, tmp_path, everything(**pair), seed=9)
    step, kept = step_of(tmp_path), both(tmp_path)[0]
    assert step["step"] == "filter"
    assert (step["seed"], step["draws"], step["debug"]) == (9, "shared", False)
    assert (step["n_events"], step["n_kept"]) == (N_EVENTS, len(kept))
    assert step["activations"] == [
        {"max_weight": 100.0, "a": [0.5, 0.6, 0.7, 0.8], "b": pytest.approx([0.0, 0.2, 0.4, 0.6])}
    ]
    for skim, (name, code) in zip(step["skims"], SKIMS.items(), strict=True):
        weight = kept.extra[f"weight_{name}"]
        assert (skim["name"], skim["code"], skim["n_sampled"]) == (name, code, (weight > 0).sum())
        assert skim["sum_of_weights"] == pytest.approx(weight.sum())
    assert read_metadata(tmp_path / "kept.parquet")["times_ms"]["filter"] > 0


def test_each_run_of_a_file_gets_its_own_payloads(
    store: Store, events: Path, batch: EventBatch, tmp_path: Path
) -> None:
    for seed, iov in ((1, "0,0,0,1"), (2, "0,2,-1,-1")):
        write_pair(tmp_path / str(seed), seed=seed)
        upload(store, "mine", tmp_path / str(seed), IntervalOfValidity.parse(iov))
    run_filter(events, tmp_path, everything(debugMode=True, allow_open=True), global_tags=["mine"])
    found = both(tmp_path)[0].extra["SmartBKG_Prediction_feiSL"]
    first, second = batch.select(batch.run == 1), batch.select(batch.run == 2)
    np.testing.assert_allclose(found[: len(first)], probabilities(first, 1)[:, 1], rtol=2e-5)
    np.testing.assert_allclose(found[len(first) :], probabilities(second, 2)[:, 1], rtol=2e-5)
    assert [m["revision"] for m in step_of(tmp_path)["models"]] == [1, 1, 2, 1]  # weights, configuration


def test_weights_in_front_of_another_ones_configuration_are_refused(
    store: Store, events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    write_config(tmp_path / "SmartBackgroundConfig_default.json", weights_sha256=sha256(pair["weights_file"]))
    (tmp_path / "SmartBackgroundWeights_default.onnx").write_bytes(pair["weights_file"].read_bytes())
    upload(store, "SmartBackground", tmp_path)
    other = write_weights(tmp_path / "other.onnx", seed=5)
    store.create_tag("mine")
    store.upload("SmartBackgroundWeights_default", other)
    store.add_iov("mine", "SmartBackgroundWeights_default", 2, ALWAYS)
    with pytest.raises(
        ModuleFailed, match="Weights_default r2 of mine, used with SmartBackgroundConfig_default"
    ) as caught:
        run_filter(events, tmp_path, everything(allow_open=True), global_tags=["mine"])
    assert isinstance(caught.value.error, ModelMismatch)


def test_a_missing_configuration_is_named_with_what_is_near(
    store: Store, events: Path, pair: dict[str, Path], tmp_path: Path
) -> None:
    upload(store, "SmartBackground", pair["weights_file"].parent)
    module = everything(payloadConfig="SmartBackgroundConfig", allow_open=True)
    with pytest.raises(
        ModuleFailed, match=r"no payload 'SmartBackgroundConfig' .*'SmartBackgroundConfig_default'"
    ) as e:
        run_filter(events, tmp_path, module)
    assert isinstance(e.value.error, NoPayloadForRun)


def test_a_worker_filters_without_torch(events: Path, pair: dict[str, Path], tmp_path: Path) -> None:
    steering = f"""
import sys
from smartbkg.framework import create_path, process
path = create_path()
path.add_module("EventInput", input_files={str(events)!r})
files = {{"weights_file": {str(pair["weights_file"])!r}, "config_file": {str(pair["config_file"])!r}}}
path.add_module("SmartBackground", skimCodes=[11180500], skimNames=["feiHadronic"], **files).if_false(create_path())
path.add_module("EventOutput", output_file={str(tmp_path / "kept.parquet")!r})
process(path, seed=1)
print(sorted({{"torch", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", steering], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert len(read_events(tmp_path / "kept.parquet")) > 20
