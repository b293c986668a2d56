from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import conditions
from conditions import Bundled, IntervalOfValidity, Run
from conditions.client.client import ClientConfig
from conditions.store import Store, open_store
from smartbkg.errors import ModelMismatch, ModuleFailed, UnknownName
from smartbkg.events import EventBatch, read_events, read_metadata
from smartbkg.framework import create_path, process
from smartbkg.models.transformer import TransformerConfig
from smartbkg.modules import multiskim_payloads
from smartbkg.modules.multiskim_payloads import MultiSkimPayloads, open_files
from smartbkg.modules.smartbackground import SmartBackground
from support.batches import some_events, write_events
from support.foreign import SKIMS, write_config, write_pair
from support.shipped import installed
from support.trained_multiskim import publish_random, write_multiskim

WEIGHTS, CONFIG, BATCHED = (
    "SmartBackgroundWeights_default",
    "SmartBackgroundConfig_default",
    "SmartBackgroundWeights_default_batched",
)
TAG, RUN, ALWAYS = "SmartBackground", Run(0, 1), IntervalOfValidity.always()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store' / 'conditions.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_events(tmp_path_factory.mktemp("events") / "events.parquet", some_events(150))


@pytest.fixture(autouse=True)
def no_tags_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG", "CONDITIONS_FILES"):
        monkeypatch.delenv(name, raising=False)


def payloads(client: conditions.Client, **more: Any) -> MultiSkimPayloads:
    return MultiSkimPayloads(client, client.stack, TAG, weights=WEIGHTS, config=CONFIG, **more)


def client_of(store: Store, *stack: str) -> conditions.Client:
    return conditions.Client(store, stack, allow_open=True)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def predictions(events: Path, directory: Path, **settings: Any) -> tuple[EventBatch, dict[str, Any]]:
    path = create_path()
    path.add_module("EventInput", input_files=events)
    where = settings.pop("conditions", None)
    path.add_module(SmartBackground(list(SKIMS.values()), list(SKIMS), debugMode=True, **settings))
    path.add_module("EventOutput", output_file=directory / "out.parquet")
    process(path, conditions=where)
    found = directory / "out.parquet"
    return read_events(found), read_metadata(found)["provenance"][-1]


def test_what_a_training_published_is_used_in_batches_without_a_word(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = publish_random(store, tmp_path / "trained")
    batch, step = predictions(events, tmp_path, conditions=client_of(store))
    assert said(caplog) == []
    assert [(model["name"], model["sha256"]) for model in step["models"]] == [
        (payload.name, payload.sha256) for payload in published.payloads
    ]
    assert {model["tag_state"] for model in step["models"]} == {"PUBLISHED"}
    # One event after the other through the other file gives the same up to rounding.
    (tmp_path / "trained" / f"{BATCHED}.onnx").unlink()
    files = {"weights_file": tmp_path / "trained" / f"{WEIGHTS}.onnx"}
    files["config_file"] = tmp_path / "trained" / f"{CONFIG}.json"
    single, step = predictions(events, tmp_path, **files)
    assert [Path(model["file"]).name for model in step["models"]] == [f"{WEIGHTS}.onnx", f"{CONFIG}.json"]
    for name, column in single.extra.items():
        np.testing.assert_allclose(column, batch.extra[name], rtol=1e-5)
        assert len(np.unique(column)) > 20


def test_threads_change_nothing_and_integers_say_what_they_change(
    events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_multiskim(tmp_path / "trained", seed=93, model=TransformerConfig())  # large enough for integers
    files = {"weights_file": folder / f"{WEIGHTS}.onnx", "config_file": folder / f"{CONFIG}.json"}
    plain, step = predictions(events, tmp_path, **files)
    assert step["precision"] == "fp32"
    two, _ = predictions(events, tmp_path, threads=2, **files)
    assert all(np.array_equal(two.extra[name], column) for name, column in plain.extra.items())
    caplog.set_level(logging.INFO)
    integers, step = predictions(events, tmp_path, precision="int8", **files)
    assert step["precision"] == "int8"
    assert [r.getMessage() for r in caplog.records if "in integers: logits of 100 events changed" in r.getMessage()]
    largest = max(np.abs(integers.extra[name] - column).max() for name, column in plain.extra.items())
    assert 0 < largest < 0.1
    with pytest.raises(UnknownName, match="unknown precision 'fp64'"):
        predictions(events, tmp_path, precision="fp64", **files)


def test_a_run_is_resolved_in_one_go(store: Store, tmp_path: Path) -> None:
    publish_random(store, tmp_path / "trained")
    config = ClientConfig(record=True)
    with conditions.Client(store, [TAG], config=config) as client:
        payloads(client).choose(RUN)
        (answer,) = client.record.lookups.values()
    assert {resolved.payload.name for resolved in answer} == {WEIGHTS, CONFIG, BATCHED}


def test_batches_of_other_weights_are_left_aside_and_that_is_said_once(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_random(store, tmp_path / "default")
    mine = write_multiskim(tmp_path / "mine", seed=7)
    store.create_tag("mine")
    for name, file in ((WEIGHTS, mine / f"{WEIGHTS}.onnx"), (CONFIG, mine / f"{CONFIG}.json")):
        store.upload(name, file)
        store.add_iov("mine", name, 2, ALWAYS)
    with client_of(store, "mine") as client:
        chosen = payloads(client)
        for number in (1, 2):
            assert chosen.choose(Run(0, number)).names == f"{WEIGHTS} r2, {CONFIG} r2 of mine"
    (line,) = said(caplog)
    assert line == (
        f"{BATCHED} r1 of SmartBackground is not made of {WEIGHTS} r2 of mine: "
        f"{WEIGHTS} r2 is used, one event after the other"
    )


def test_batches_that_the_configuration_does_not_name_are_left_aside(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_multiskim(tmp_path / "trained")
    values = json.loads((folder / f"{CONFIG}.json").read_text())
    (folder / f"{CONFIG}.json").write_text(json.dumps({**values, "batched_sha256": "0" * 64}))
    found = open_files(folder / f"{WEIGHTS}.onnx", folder / f"{CONFIG}.json")
    assert len(found.models) == 2


def test_files_beside_each_other_are_used_in_batches(tmp_path: Path) -> None:
    folder = write_multiskim(tmp_path / "trained")
    for first in (WEIGHTS, BATCHED):
        found = open_files(folder / f"{first}.onnx", folder / f"{CONFIG}.json")
        assert found.scorer.manifest is not None
        assert found.scorer.manifest.single_sha256 == found.config.weights_sha256


@pytest.mark.parametrize("first", [WEIGHTS, BATCHED])
def test_files_of_two_trainings_are_refused(tmp_path: Path, first: str) -> None:
    one, other = write_multiskim(tmp_path / "one"), write_multiskim(tmp_path / "other", seed=2)
    with pytest.raises(ModelMismatch, match="two trainings"):
        open_files(one / f"{first}.onnx", other / f"{CONFIG}.json")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"skims": dict(reversed(SKIMS.items()))}, "skims"),
        (
            {"event_types": {"uubar": 0, "charged": 1, "ddbar": 2, "mixed": 3, "ssbar": 4, "taupair": 5, "ccbar": 6}},
            "event types",
        ),
        ({"pdg_codes": [0, 211, -211]}, "PDG codes"),
    ],
)
def test_a_configuration_without_digest_is_compared_with_what_the_weights_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], what: str
) -> None:
    weights = write_multiskim(tmp_path / "trained") / f"{WEIGHTS}.onnx"
    open_files(weights, write_config(tmp_path / "same.json"))
    assert said(caplog) == []
    with pytest.raises(ModelMismatch, match=f"was trained with other {what} than"):
        open_files(weights, write_config(tmp_path / "other.json", **change))


def test_a_companion_that_nobody_can_be_asked_for_is_left_out_and_that_is_said(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = installed(monkeypatch, tmp_path / "program")
    weights, config = write_pair(tmp_path / "pair")
    store.create_tag("mine")
    for name, path in ((WEIGHTS, weights), (CONFIG, config)):
        store.add_iov("mine", name, store.upload(name, path).revision, ALWAYS)
    places = ["http://127.0.0.1:1", tmp_path / "store" / "conditions.db"]
    with conditions.open(places, ["mine"], allow_open=True, bundled=Bundled(snapshot, (TAG,))) as client:
        _, step = predictions(events, tmp_path, conditions=client)
        assert [model["tag"] for model in step["models"]] == ["mine", "mine"]
        assert [line for line in said(caplog) if "left out" in line and "127.0.0.1:1" in line]
        with pytest.raises(ModuleFailed, match=r"127\.0\.0\.1:1"):
            predictions(events, tmp_path, conditions=client, payloadWeights="another", payloadConfig="other")


def test_a_tag_in_front_with_weights_alone_is_refused(store: Store, tmp_path: Path) -> None:
    publish_random(store, tmp_path / "default")
    mine = write_multiskim(tmp_path / "mine", seed=7)
    store.create_tag("mine")
    store.upload(WEIGHTS, mine / f"{WEIGHTS}.onnx")
    store.add_iov("mine", WEIGHTS, 2, ALWAYS)
    with (
        client_of(store, "mine") as client,
        pytest.raises(ModelMismatch, match=rf"{WEIGHTS} r2 of mine, used with {CONFIG} r1"),
    ):
        payloads(client).choose(RUN)


def test_one_session_serves_all_runs_and_jobs_of_a_process(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_random(store, tmp_path / "trained", seed=91)  # a network that no other test has opened
    opened: list[Path] = []
    original = multiskim_payloads.open_multiskim
    monkeypatch.setattr(
        multiskim_payloads, "open_multiskim", lambda path, *how: opened.append(path) or original(path, *how)
    )
    for _ in range(2):
        with client_of(store) as client:
            chosen = payloads(client)
            scorers = {id(chosen.choose(Run(0, run)).scorer) for run in (1, 2, 1)}
        assert len(scorers) == len(opened) == 1


def test_a_damaged_companion_stops_the_job(store: Store, tmp_path: Path) -> None:
    published = publish_random(store, tmp_path / "trained", seed=92)
    file = store.payload_path(published.payloads[2])
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-10])
    with (
        client_of(store) as client,
        pytest.raises(conditions.ConditionsError, match=f"'{BATCHED}' revision 1 is corrupt"),
    ):
        payloads(client).choose(RUN)


def test_payloads_of_other_names_have_a_companion_of_their_own(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_multiskim(tmp_path / "trained")
    store.create_tag("mine")
    for name, file in (("W", f"{WEIGHTS}.onnx"), ("C", f"{CONFIG}.json"), ("W_batched", f"{BATCHED}.onnx")):
        store.upload(name, folder / file)
        store.add_iov("mine", name, 1, ALWAYS)
    with client_of(store, "mine") as client:
        _, step = predictions(
            events, tmp_path, payloadWeights="W", payloadConfig="C", conditions=client, allow_open=True
        )
    assert [model["name"] for model in step["models"]] == ["W", "C", "W_batched"]
    assert said(caplog) == []


def test_a_record_replays_the_same_weights(store: Store, events: Path, tmp_path: Path) -> None:
    publish_random(store, tmp_path / "first", state=None)
    record = tmp_path / "job.json"
    found = []
    for more in ({"record": record}, {"replay": record}):
        with conditions.open(store.url, allow_open=True, **more) as client:
            found.append(predictions(events, tmp_path, conditions=client, allow_open=True)[0].extra)
        publish_random(store, tmp_path / "second", seed=2, state=None)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
