from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conditions import Client, IntervalOfValidity, NoPayloadForRun, RefusedError
from conditions.errors import TagNotFound, TagNotUsable
from conditions.store import Store, open_store
from smartbkg.draws import event_draw
from smartbkg.errors import BadScore, FrameworkError, ModelMismatch, ModuleFailed
from smartbkg.events import EventBatch, read_events, read_metadata
from smartbkg.features import GATGAP_SPEC
from smartbkg.framework import Module, Statistics, create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.scorer import Scorer
from support.batches import numbers, some_events, write_events
from support.trained import publish_trained, write_trained

N_EVENTS = 600
IOV = IntervalOfValidity.always()


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
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_trained(tmp_path_factory.mktemp("network"), seed=5)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in one file."""
    half = N_EVENTS // 2
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    return write_events(path, some_events(half, run=1), some_events(half, run=2, event_type="uubar"))


def run_filter(
    events: Path | list[Path], directory: Path, module: NNFilterModule | None = None, **job: Any
) -> Statistics:
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(module or NNFilterModule()).if_false(empty_path)
    path.add_module("EventOutput", output_file=directory / "kept.parquet")
    empty_path.add_module("EventOutput", output_file=directory / "rejected.parquet")
    return process(path, **{"seed": 1, **job})


def both(directory: Path) -> tuple[EventBatch, EventBatch]:
    return read_events(directory / "kept.parquet"), read_events(directory / "rejected.parquet")


def test_every_event_is_kept_or_rejected_exactly_once(events: Path, network: Path, tmp_path: Path) -> None:
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
    kept, rejected = both(tmp_path)
    assert sorted(numbers(kept) + numbers(rejected)) == numbers(read_events(events))
    assert min(len(kept), len(rejected)) > 50
    score = kept.extra["NN_prediction"]
    assert np.array_equal(kept.extra["weight"], 1 / score)
    draw = event_draw(1, kept.exp, kept.run, kept.event, kept.event_type, stream="NNFilterModule")
    assert (score > draw).all()
    assert set(rejected.extra["weight"]) == {0.0}
    assert np.isfinite(rejected.extra["NN_prediction"]).all()


def test_the_weights_add_up_to_the_number_of_events(events: Path, network: Path, tmp_path: Path) -> None:
    sums, variances = [], []
    for seed in range(12):
        run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"), seed=seed)
        kept, rejected = both(tmp_path)
        p = np.concatenate([kept.extra["NN_prediction"], rejected.extra["NN_prediction"]])
        sums.append(kept.extra["weight"].sum())
        variances.append((1 / p - 1).sum())
    assert len(set(sums)) == 12
    pulls = (np.array(sums) - N_EVENTS) / np.sqrt(variances)
    assert np.abs(pulls).max() < 4
    assert abs(pulls.mean()) < 4 / np.sqrt(12)


def test_the_result_does_not_depend_on_batches_or_on_how_a_job_is_split(
    events: Path, network: Path, tmp_path: Path
) -> None:
    whole = read_events(events)
    cut = write_events(tmp_path / "a.parquet", whole[:250]), write_events(tmp_path / "b.parquet", whole[250:])
    results = []
    for size, files in ((1, events), (7, events), (1024, events), (1024, list(cut))):
        run_filter(files, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"), batch_size=size)
        results.append(both(tmp_path))
    halves = []
    for file in cut:
        run_filter(file, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
        halves.append(both(tmp_path))
    results.append((EventBatch.concat([k for k, _ in halves]), EventBatch.concat([r for _, r in halves])))
    kept, rejected = results[0]
    for other_kept, other_rejected in results[1:]:
        assert numbers(other_kept) == numbers(kept)
        assert numbers(other_rejected) == numbers(rejected)
        # Matrix products of another size add in another order: 1e-6 is a few units of float32.
        np.testing.assert_allclose(other_kept.extra["weight"], kept.extra["weight"], rtol=1e-6)


def test_single_events_and_batches_agree_in_one_path(events: Path, network: Path, tmp_path: Path) -> None:
    class OneByOne(Module):
        def event(self) -> None:
            self.store.put(n_particles=int(self.store.mc_particles.counts[0]))

    path = create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(OneByOne())
    path.add_module(NNFilterModule(network / "GATGAPgen.onnx")).if_false(create_path())
    path.add_module("EventOutput", output_file=tmp_path / "kept.parquet")
    process(path, 100, seed=1)
    kept = read_events(tmp_path / "kept.parquet")
    assert kept.extra["n_particles"].tolist() == kept.counts.tolist()


def test_a_threshold_of_zero_keeps_everything_and_needs_no_seed(events: Path, network: Path, tmp_path: Path) -> None:
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx", threshold=0.0), seed=None)
    kept, rejected = both(tmp_path)
    assert (len(kept), len(rejected)) == (N_EVENTS, 0)
    assert set(kept.extra["weight"]) == {1.0}
    assert set(rejected.extra) == {"NN_prediction", "weight"}  # columns also without events


def test_a_threshold_keeps_the_scores_that_reach_it(events: Path, network: Path, tmp_path: Path) -> None:
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx", threshold=0.5))
    kept, rejected = both(tmp_path)
    assert kept.extra["NN_prediction"].min() >= 0.5 > rejected.extra["NN_prediction"].max()


def test_sampling_without_any_seed_is_refused(events: Path, network: Path, tmp_path: Path) -> None:
    with pytest.raises(ModuleFailed, match="no seed"):
        run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"), seed=None)


def test_the_seed_of_the_module_goes_before_that_of_the_job(events: Path, network: Path, tmp_path: Path) -> None:
    kept = []
    for own, job in ((5, 1), (5, 2), (None, 5), (None, 6)):
        run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx", seed=own), seed=job)
        kept.append(numbers(both(tmp_path)[0]))
    assert kept[0] == kept[1] == kept[2] != kept[3]


def test_the_checkpoint_and_its_export_score_alike(events: Path, network: Path, tmp_path: Path) -> None:
    scores = []
    for name in ("GATGAPgen.pth", "GATGAPgen.onnx"):
        run_filter(events, tmp_path, NNFilterModule(network / name, threshold=0.0))
        scores.append(both(tmp_path)[0].extra["NN_prediction"])
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-5)


def test_a_model_file_touches_no_database(
    events: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_URL", "postgresql+psycopg://nobody@localhost:1/nowhere")
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"), global_tags=["no_such_tag"])
    assert len(both(tmp_path)[0]) > 50


def test_the_default_tag_is_resolved_by_default(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = publish_trained(store, tmp_path / "network")
    caplog.set_level(logging.INFO)
    run_filter(events, tmp_path)
    step = read_metadata(tmp_path / "kept.parquet")["provenance"][-1]
    assert step["step"] == "filter"
    assert [(m["name"], m["revision"], m["tag"]) for m in step["models"]] == [
        ("GATGAPgen.pth", 1, "SmartBKG_GATGAP"),
        ("GATGAPgen.onnx", 1, "SmartBKG_GATGAP"),
    ]
    assert [m["sha256"] for m in step["models"]] == [p.sha256 for p in published.payloads]
    assert (step["n_events"], step["n_kept"]) == (N_EVENTS, len(both(tmp_path)[0]))
    assert step["sum_of_weights"] == pytest.approx(both(tmp_path)[0].extra["weight"].sum())
    assert read_metadata(tmp_path / "kept.parquet")["times_ms"]["filter"] > 0
    assert f"of {N_EVENTS} events" in caplog.text


def test_a_change_of_run_resolves_another_revision(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "first", seed=1, iov="0,0,0,1", state=None)
    publish_trained(store, tmp_path / "second", seed=2, iov="0,2,-1,-1")
    run_filter(events, tmp_path, NNFilterModule(threshold=0.0))
    scores = both(tmp_path)[0].extra["NN_prediction"]
    for name, runs in (("first", slice(0, 300)), ("second", slice(300, 600))):
        run_filter(events, tmp_path, NNFilterModule(tmp_path / name / "GATGAPgen.onnx", threshold=0.0))
        alone = both(tmp_path)[0].extra["NN_prediction"]
        assert np.array_equal(scores[runs], alone[runs])
        assert not np.array_equal(scores, alone)


def test_one_session_serves_all_runs_and_jobs_of_a_process(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smartbkg.modules import payloads

    publish_trained(store, tmp_path / "network", seed=77)  # a network that no other test has opened
    opened: list[Path] = []
    original = payloads.open_scorer
    monkeypatch.setattr(payloads, "open_scorer", lambda path, *how: opened.append(path) or original(path, *how))
    back_and_forth = [some_events(5, run=run, first_event=first) for first, run in enumerate((1, 2, 1, 2), 1)]
    events = write_events(tmp_path / "e.parquet", *back_and_forth)
    for _ in range(2):
        run_filter(events, tmp_path)
        assert len(opened) == 1


def test_the_stack_in_force_goes_before_the_default_tag(
    store: Store, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_trained(store, tmp_path / "default", seed=1)
    publish_trained(store, tmp_path / "mine", seed=2, tag="mine")

    def tag_used(**job: Any) -> str:
        run_filter(events, tmp_path, **job)
        tag: str = read_metadata(tmp_path / "kept.parquet")["provenance"][-1]["models"][0]["tag"]
        return tag

    assert tag_used() == "SmartBKG_GATGAP"
    assert tag_used(global_tags=["mine"]) == "mine"
    monkeypatch.setenv("BELLE2_CONDB_GLOBALTAG", "mine")
    assert tag_used() == "mine"
    assert tag_used(global_tags=[]) == "SmartBKG_GATGAP"
    with Client(store, ["mine"]) as client:
        monkeypatch.delenv("BELLE2_CONDB_GLOBALTAG")
        assert tag_used(conditions=client) == "mine"


def test_a_stack_that_has_the_payload_needs_no_default_tag(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_trained(store, tmp_path / "mine", tag="mine")
    run_filter(events, tmp_path, global_tags=["mine"])
    assert not [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_an_unknown_tag_is_named(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network")
    with pytest.raises(ModuleFailed, match=r"run 0:1: no tag 'SmartBKG_GATGPA' in .*SmartBKG_GATGAP") as caught:
        run_filter(events, tmp_path, global_tags=["SmartBKG_GATGPA"])
    assert isinstance(caught.value.error, TagNotFound)
    assert not (tmp_path / "kept.parquet").exists()


def test_no_tag_at_all_is_an_error_naming_the_default_one(store: Store, events: Path, tmp_path: Path) -> None:
    with pytest.raises(ModuleFailed, match="no tag 'SmartBKG_GATGAP'"):
        run_filter(events, tmp_path)


def test_a_run_outside_every_interval_names_payload_run_and_stack(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network", iov="0,0,0,1")
    with pytest.raises(ModuleFailed, match=r"no payload 'GATGAPgen\.pth' for 0:2 in SmartBKG_GATGAP") as caught:
        run_filter(events, tmp_path)
    assert isinstance(caught.value.error, NoPayloadForRun)
    assert not (tmp_path / "kept.parquet").exists()


def test_a_missing_payload_says_what_is_near(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network")
    with pytest.raises(ModuleFailed, match=r"no payload 'GATGAPgen2\.pth' .* mean 'GATGAPgen\.pth'"):
        run_filter(events, tmp_path, NNFilterModule(payload="GATGAPgen2.pth"))


def test_an_open_tag_is_used_only_when_asked_for(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network", state=None)
    with pytest.raises(ModuleFailed, match="is OPEN") as caught:
        run_filter(events, tmp_path)
    assert isinstance(caught.value.error, TagNotUsable)
    run_filter(events, tmp_path, NNFilterModule(allow_open=True))
    assert len(both(tmp_path)[0]) > 50


def test_a_checkpoint_without_export_is_read_with_torch_and_said_once(
    store: Store, events: Path, network: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    payload = store.upload("GATGAPgen.pth", network / "GATGAPgen.pth")
    store.create_tag("old")
    store.add_iov("old", payload.name, 1, IOV)
    run_filter(events, tmp_path, NNFilterModule(global_tag="old", allow_open=True, threshold=0.0))
    said = [r.getMessage() for r in caplog.records if "torch" in r.getMessage()]
    assert said == ["no payload 'GATGAPgen.onnx' for 0:1 in old: GATGAPgen.pth r1 is read with torch"]
    scores = both(tmp_path)[0].extra["NN_prediction"]
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx", threshold=0.0))
    np.testing.assert_allclose(scores, both(tmp_path)[0].extra["NN_prediction"], atol=2e-5)


def test_what_is_said_of_a_payload_is_not_said_again_in_another_experiment(
    store: Store, network: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.upload("GATGAPgen.pth", network / "GATGAPgen.pth")
    store.create_tag("old")
    store.add_iov("old", "GATGAPgen.pth", 1, IOV)
    events = write_events(tmp_path / "e.parquet", *(some_events(2, exp=exp) for exp in (3, 4)))
    run_filter(events, tmp_path, NNFilterModule(global_tag="old", allow_open=True))
    assert [r.getMessage() for r in caplog.records if "torch" in r.getMessage()] == [
        "no payload 'GATGAPgen.onnx' for 3:1 in old: GATGAPgen.pth r1 is read with torch"
    ]


def test_a_pair_that_does_not_belong_together_is_refused(
    store: Store, events: Path, network: Path, tmp_path: Path
) -> None:
    other = write_trained(tmp_path / "other", seed=7)
    store.create_tag("mixed_up")
    for name, folder in (("GATGAPgen.pth", network), ("GATGAPgen.onnx", other)):
        store.upload(name, folder / name)
        store.add_iov("mixed_up", name, 1, IOV)
    with pytest.raises(ModuleFailed, match=r"GATGAPgen\.onnx r1 in mixed_up was made of a checkpoint") as caught:
        run_filter(events, tmp_path, NNFilterModule(global_tag="mixed_up", allow_open=True))
    assert isinstance(caught.value.error, ModelMismatch)


def test_a_checkpoint_in_front_of_another_ones_export_is_used_itself(
    store: Store, events: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_trained(store, tmp_path / "default")
    mine = write_trained(tmp_path / "mine", seed=7)
    store.upload("GATGAPgen.pth", mine / "GATGAPgen.pth")
    store.create_tag("mine")
    store.add_iov("mine", "GATGAPgen.pth", 2, IOV)
    run_filter(events, tmp_path, NNFilterModule(allow_open=True, threshold=0.0), global_tags=["mine"])
    assert "GATGAPgen.onnx r1 of SmartBKG_GATGAP is no export of GATGAPgen.pth r2 of mine" in caplog.text
    scores = both(tmp_path)[0].extra["NN_prediction"]
    run_filter(events, tmp_path, NNFilterModule(mine / "GATGAPgen.onnx", threshold=0.0))
    np.testing.assert_allclose(scores, both(tmp_path)[0].extra["NN_prediction"], atol=2e-5)


def test_a_damaged_payload_stops_the_job(store: Store, events: Path, tmp_path: Path) -> None:
    published = publish_trained(store, tmp_path / "network")
    file = store.payload_path(published.payloads[1])
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModuleFailed, match=r"'GATGAPgen\.onnx' revision 1 is corrupt"):
        run_filter(events, tmp_path)
    assert not (tmp_path / "kept.parquet").exists()


def test_a_score_that_is_nan_stops_the_job(events: Path, network: Path, tmp_path: Path) -> None:
    class Broken(NNFilterModule):
        def initialize(self) -> None:
            super().initialize()
            self._scorer = NanScorer(network, self._ready.manifest)

    class NanScorer(Scorer):
        def _logits(self, inputs: dict[str, Any]) -> Any:
            return np.full(int(inputs["n_events"][0]), np.nan, dtype=np.float32)

    with pytest.raises(ModuleFailed, match="gave NaN for 300 of 300 events") as caught:
        run_filter(events, tmp_path, Broken(network / "GATGAPgen.onnx"))
    assert isinstance(caught.value.error, BadScore)
    assert not (tmp_path / "kept.parquet").exists()


def test_unknown_particles_are_counted_and_said_once(
    network: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batch = some_events(40)
    batch.particles.pdg[:10] = 9912345
    batch.particles.pdg[-3:] = -77
    path = write_events(tmp_path / "odd.parquet", batch)
    run_filter(path, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"), batch_size=3)
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == ["PDG codes without a token, scored as unknown (number of particles): -77 (3), 9912345 (10)"]
    step = read_metadata(tmp_path / "kept.parquet")["provenance"][-1]
    assert step["unknown_pdgs"] == {"-77": 3, "9912345": 10}


def test_events_without_particles_are_scored_like_others(network: Path, tmp_path: Path) -> None:
    batch = some_events(6)
    nothing = EventBatch(
        batch.exp,
        batch.run,
        batch.event + 100,
        batch.event_type,
        np.zeros(7, np.int64),
        batch.particles.take(slice(0, 0)),
    )
    path = write_events(tmp_path / "e.parquet", batch, nothing)
    run_filter(path, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
    kept, rejected = both(tmp_path)
    assert len(kept) + len(rejected) == 12


def test_a_file_without_events_gives_files_with_scores_and_weights(network: Path, tmp_path: Path) -> None:
    path = write_events(tmp_path / "none.parquet", some_events(1)[:0])
    run_filter(path, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
    for batch in both(tmp_path):
        assert len(batch) == 0
        assert set(batch.extra) == {"NN_prediction", "weight"}


def test_events_that_were_filtered_before_are_refused(events: Path, network: Path, tmp_path: Path) -> None:
    run_filter(events, tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
    (tmp_path / "kept.parquet").rename(tmp_path / "once.parquet")
    with pytest.raises(ModuleFailed, match="filtered before") as caught:
        run_filter(tmp_path / "once.parquet", tmp_path, NNFilterModule(network / "GATGAPgen.onnx"))
    assert isinstance(caught.value.error, FrameworkError)
    run_filter(tmp_path / "once.parquet", tmp_path, NNFilterModule(network / "GATGAPgen.onnx", extra_info_var="second"))
    kept, rejected = both(tmp_path)
    assert {"NN_prediction", "weight", "second", "weight_second"} == set(kept.extra)
    # The second draw is another one: the first filter kept all of these.
    assert len(rejected) > 20


def test_settings_that_the_file_contradicts_are_an_error(network: Path, events: Path, tmp_path: Path) -> None:
    file = network / "GATGAPgen.onnx"
    run_filter(events, tmp_path, NNFilterModule(file, {"units": 4, "gap": True}, GATGAP_SPEC))
    for module, said in (
        (NNFilterModule(file, {"units": 32}), "has units = 4, model_config asks for 32"),
        (NNFilterModule(file, preproc_config={"max_vertex_cm": 5}), "has max_vertex_cm = 10.0"),
        (NNFilterModule(file, {"size": 32}), "model_config knows no 'size'"),
    ):
        with pytest.raises(ModuleFailed, match=said) as caught:
            run_filter(events, tmp_path, module)
        assert isinstance(caught.value.error, ModelMismatch)


def test_the_callers_settings_are_not_changed(network: Path, events: Path, tmp_path: Path) -> None:
    model_config, tags = {"units": 4}, ["mine"]
    module = NNFilterModule(network / "GATGAPgen.onnx", model_config)
    model_config["units"] = 99  # and what the caller does later changes nothing here
    run_filter(events, tmp_path, module, global_tags=tags)
    assert (model_config, tags) == ({"units": 99}, ["mine"])
    assert NNFilterModule().expected == {"model_config": {}, "preproc_config": {}}


def test_a_published_network_in_a_tag_made_invalid_is_never_used(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network")
    store.set_state("SmartBKG_GATGAP", "INVALID")
    with pytest.raises(ModuleFailed, match="INVALID") as caught:
        run_filter(events, tmp_path, NNFilterModule(allow_open=True))
    assert isinstance(caught.value.error, RefusedError)


def test_a_worker_filters_without_torch(store: Store, events: Path, tmp_path: Path) -> None:
    publish_trained(store, tmp_path / "network")
    steering = f"""
import sys
from smartbkg.framework import create_path, process
path = create_path()
path.add_module("EventInput", input_files={str(events)!r})
path.add_module("NNFilterModule").if_false(create_path())
path.add_module("EventOutput", output_file={str(tmp_path / "kept.parquet")!r})
process(path, seed=1)
print(sorted({{"torch", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", steering], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert len(read_events(tmp_path / "kept.parquet")) > 50
