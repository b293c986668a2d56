"""Evaluation of filters of one and of many skims, on labelled events of several types."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from smartbkg.bridging import build_bridged
from smartbkg.draws import event_draw
from smartbkg.errors import BadEvent, BadScore, ColumnsMissing, EventTwice, ModelMismatch, TrainingError, UnknownName
from smartbkg.evaluation.files import find_files
from smartbkg.evaluation.job import Evaluation, EvaluationJob, evaluate
from smartbkg.events import EventWriter, event_type_code
from smartbkg.framework import create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.modules.smartbackground import SmartBackground
from smartbkg.multiskim_scorer import open_multiskim
from smartbkg.smartbackground import WEIGHTS_FILE, SmartBackgroundConfig, activation
from smartbkg.training import metrics
from support.evaluated import LabelledSample, write_sample
from support.foreign import SKIMS, write_pair
from support.networks import SMALL_CONFIG, random_network, write_model
from support.trained_multiskim import write_multiskim

KNOWN = [name for name in SKIMS if name != "TauGeneric"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> LabelledSample:
    return write_sample(tmp_path_factory.mktemp("sample"), 600)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_multiskim(tmp_path_factory.mktemp("multiskim"))


def run(path: Path, sample: LabelledSample, *skims: str, **more: Any) -> Evaluation:
    files = find_files(path, more.pop("config", None))
    return evaluate(EvaluationJob(files, (sample.events,), (sample.labels,), skims, **more))


def probabilities(folder: Path, sample: LabelledSample) -> dict[str, Any]:
    """As a reader of the payload's description would compute them."""
    config = SmartBackgroundConfig.from_json((folder / "SmartBackgroundConfig_default.json").read_bytes())
    scorer = open_multiskim(folder / WEIGHTS_FILE)
    logits = scorer.logits(build_bridged(sample.batch), sample.batch.event_type)
    return {s.name: activation(logits[:, s.index], s.a, s.b, config.max_weight) for s in config.skims}


def kept_file(path: Path, sample: LabelledSample, p: dict[str, Any], seed: int = 1) -> Path:
    """What filtering with the module, simulating and skimming leaves."""
    batch = sample.batch
    draw = event_draw(seed, batch.exp, batch.run, batch.event, batch.event_type, stream="SmartBackground")
    weights = {f"weight_{name}": np.where(draw < values, 1 / values, 0.0) for name, values in p.items()}
    table = pq.read_table(sample.labels)
    for name, weight in weights.items():
        table = table.append_column(name, pa.array(weight))
    pq.write_table(table.filter(pa.array(np.any([w > 0 for w in weights.values()], axis=0))), path)
    return path


def test_every_skim_of_network_and_labels_is_judged_by_the_definitions(trained: Path, sample: LabelledSample) -> None:
    figures = run(trained, sample).figures
    json.dumps(figures, allow_nan=False)
    assert list(figures["skims"]) == list(SKIMS)
    for name, p in probabilities(trained, sample).items():
        found = figures["skims"][name]
        if name == "TauGeneric":
            assert found["problem"] == "no event passes among 600"
            continue
        for event_type in ("mixed", "uubar", "taupair"):
            rows = sample.batch.event_type == event_type_code(event_type)
            own, passed = found["event_types"][event_type], sample.passed[name][rows]
            assert own["retention"] == passed.mean()
            assert own["reference"]["speed_up"] == pytest.approx(
                metrics.speed_up(p[rows], passed, passed.mean()), rel=1e-4
            )
            assert own["effective_fraction"] == pytest.approx(metrics.effective_fraction(p[rows], passed), rel=1e-4)


def test_several_types_are_weighed_as_in_nature(trained: Path, sample: LabelledSample) -> None:
    figures = run(trained, sample, "feiSL").figures
    assert figures["event_types"] == {"mixed": 200, "taupair": 200, "uubar": 200}
    share = figures["mixture"]
    found = figures["skims"]["feiSL"]
    for name in ("retention", "kept_fraction"):
        mean = sum(share[t] * values[name] for t, values in found["event_types"].items())
        assert found[name] == pytest.approx(mean)
    assert share["uubar"] > share["taupair"] > share["mixed"]


def test_one_event_a_call_and_batches_give_the_same_figures(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    for name in (WEIGHTS_FILE, "SmartBackgroundConfig_default.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    alone, together = run(tmp_path, sample, "feiSL").figures, run(trained, sample, "feiSL").figures
    assert set(together["filter"]["sha256"]) == {"weights", "config", "batched"}
    assert set(alone["filter"]["sha256"]) == {"weights", "config"}
    assert alone["skims"]["feiSL"]["auc"] == pytest.approx(together["skims"]["feiSL"]["auc"], abs=1e-3)


def test_a_payload_of_another_program_is_judged_too(sample: LabelledSample, tmp_path: Path, caplog: Any) -> None:
    weights, config = write_pair(tmp_path)
    found = run(weights, sample, "feiHadronic").figures["skims"]["feiHadronic"]
    assert 0 <= found["auc"] <= 1
    assert "not their order" in caplog.text
    named = run(config, sample, "feiHadronic").figures["skims"]["feiHadronic"]
    assert named == found


@pytest.mark.parametrize("seed", [1, 5])
def test_the_sampling_drawn_here_is_the_one_of_a_job(
    trained: Path, sample: LabelledSample, seed: int, tmp_path: Path
) -> None:
    comparison = run(trained, sample, "feiHadronic", seed=seed).comparisons["feiHadronic"]
    module = SmartBackground(
        [SKIMS["feiHadronic"]], ["feiHadronic"], weights_file=trained / WEIGHTS_FILE,
        config_file=trained / "SmartBackgroundConfig_default.json",
    )  # fmt: skip
    kept = filtered(sample, module, seed, tmp_path)
    chosen = kept["weight_feiHadronic"].to_numpy() > 0
    passing = dict(zip(sample.batch.event.tolist(), sample.passed["feiHadronic"].tolist(), strict=True))
    weights = kept["weight_feiHadronic"].to_numpy()[chosen]
    of_passing = np.array([passing[event] for event in kept["event"].to_numpy()[chosen].tolist()])
    assert comparison.n_kept == of_passing.sum()
    assert comparison.sum_of_weights == pytest.approx(weights[of_passing].sum(), rel=1e-6)


def test_gatgap_is_sampled_as_in_its_job_too(sample: LabelledSample, tmp_path: Path) -> None:
    model = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    comparison = run(model, sample, "feiSL", seed=3).comparisons["feiSL"]
    kept = filtered(sample, NNFilterModule(model), 3, tmp_path)
    passing = sample.batch.event[sample.passed["feiSL"]]
    weights = kept["weight"].to_numpy()[np.isin(kept["event"].to_numpy(), passing)]
    assert (comparison.n_kept, comparison.sum_of_weights) == (len(weights), pytest.approx(weights.sum()))


def filtered(sample: LabelledSample, module: Any, seed: int, folder: Path) -> pa.Table:
    """What a job keeps."""
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=[sample.events])
    path.add_module(module).if_false(empty_path)
    path.add_module("EventOutput", output_file=folder / f"kept{seed}.parquet")
    process(path, seed=seed)
    return pq.read_table(folder / f"kept{seed}.parquet")


def test_observables_of_other_skims_are_left_out(trained: Path, sample: LabelledSample) -> None:
    comparisons = run(trained, sample).comparisons
    assert [o.name for o in comparisons["feiSL"].observables] == ["n_particles", "energy_gev", "feiSL_kaons"]
    assert [o.name for o in comparisons["feiHadronic"].observables] == ["n_particles", "energy_gev"]


def test_events_that_a_filter_has_chosen_are_refused(trained: Path, sample: LabelledSample, tmp_path: Path) -> None:
    module = SmartBackground(
        [SKIMS["feiHadronic"]], ["feiHadronic"], weights_file=trained / WEIGHTS_FILE,
        config_file=trained / "SmartBackgroundConfig_default.json",
    )  # fmt: skip
    filtered(sample, module, 1, tmp_path)
    chosen = next(path for path in tmp_path.glob("*.parquet") if pq.read_metadata(path).num_rows < len(sample.batch))
    with pytest.raises(BadEvent, match="holds what a filter has chosen"):
        run(trained, replace(sample, events=chosen), "feiHadronic")


def test_kept_files_of_the_same_draws_give_the_same_comparison(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    kept = kept_file(tmp_path / "kept.parquet", sample, probabilities(trained, sample))
    drawn = run(trained, sample, *KNOWN)
    read = run(trained, sample, *KNOWN, kept=(kept,))
    assert read.figures["sampling"] == {"kept": ["kept.parquet"]}
    for name in KNOWN:
        assert read.comparisons[name].n_kept == drawn.comparisons[name].n_kept
        assert read.comparisons[name].p_value == pytest.approx(drawn.comparisons[name].p_value, rel=1e-3, nan_ok=True)
    assert read.comparisons["feiHadronic"].n_bins > 0


def test_kept_events_of_another_filter_are_refused(trained: Path, sample: LabelledSample, tmp_path: Path) -> None:
    other = write_multiskim(tmp_path / "other", seed=2)
    kept = kept_file(tmp_path / "kept.parquet", sample, probabilities(other, sample))
    with pytest.raises(
        ModelMismatch, match=r"other weights than sampling with .* for feiSL gives; event \d+ of run 0,1"
    ):
        run(trained, sample, "feiSL", kept=(kept,))


def test_kept_events_that_are_given_twice_are_refused(trained: Path, sample: LabelledSample, tmp_path: Path) -> None:
    kept = kept_file(tmp_path / "kept.parquet", sample, probabilities(trained, sample))
    with pytest.raises(EventTwice, match=r"\d+ events are kept more than once, the first is event \d+ of run 0,1"):
        run(trained, sample, "feiHadronic", kept=(kept, kept))


def test_kept_files_without_the_weights_of_a_skim_name_it(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    p = {"feiSL": probabilities(trained, sample)["feiSL"]}
    kept = kept_file(tmp_path / "kept.parquet", sample, p)
    with pytest.raises(ColumnsMissing, match="weight_feiHadronic"):
        run(trained, sample, "feiSL", "feiHadronic", kept=(kept,))
    assert run(trained, sample, "feiSL", kept=(kept,)).comparisons["feiSL"].n_kept > 0


def test_figures_do_not_depend_on_the_order_or_number_of_files(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    events, labels = (sample.batch[:250], sample.batch[250:]), pq.read_table(sample.labels)
    for name, part in zip("ab", events, strict=True):
        with EventWriter(tmp_path / name) as writer:
            writer.write(part)
    order = np.random.default_rng(1).permutation(600)
    pq.write_table(labels.take(order[:100]), tmp_path / "l1")
    pq.write_table(labels.take(order[100:]), tmp_path / "l2")
    job = EvaluationJob(find_files(trained), (tmp_path / "b", tmp_path / "a"), (tmp_path / "l2", tmp_path / "l1"))
    found, expected = evaluate(job).figures["skims"], run(trained, sample).figures["skims"]
    for name in KNOWN:
        assert found[name]["auc"] == pytest.approx(expected[name]["auc"])
        assert found[name]["comparison"]["p_value"] == pytest.approx(expected[name]["comparison"]["p_value"])


def test_a_skim_that_nobody_passes_stops_just_an_evaluation_of_nothing_else(
    trained: Path, sample: LabelledSample
) -> None:
    with pytest.raises(
        TrainingError, match="TauGeneric: no event passes among 600: figures of merit need both classes"
    ):
        run(trained, sample, "TauGeneric")


def test_skims_that_are_not_there_are_named(trained: Path, sample: LabelledSample, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="feiHadronic"):
        run(trained, sample, "feiHadronik")
    with pytest.raises(ColumnsMissing, match="XToD0_D0ToHpJm"):
        labels = pq.read_table(sample.labels).drop_columns(["XToD0_D0ToHpJm"])
        pq.write_table(labels, tmp_path / "l")
        run(trained, replace(sample, labels=tmp_path / "l"), "XToD0_D0ToHpJm")
    model = write_model(tmp_path, random_network(SMALL_CONFIG))[1]
    with pytest.raises(
        TrainingError, match=r"is for a skim it does not name, the labels have feiHadronic, .*give --skim"
    ):
        run(model, sample)


def test_events_without_a_type_need_one_to_be_given(trained: Path, sample: LabelledSample, tmp_path: Path) -> None:
    unknown = replace(sample.batch, event_type=np.where(np.arange(600) < 5, -1, 3).astype(np.int8))
    with EventWriter(tmp_path / "events") as writer:
        writer.write(unknown)
    there = replace(sample, events=tmp_path / "events")
    with pytest.raises(
        BadEvent, match=r"5 of 600 events are of no type, .* knows ccbar, charged, .*: give --event-type"
    ):
        run(trained, there, "feiSL")
    figures = run(trained, there, "feiSL", event_type="charged").figures
    assert figures["mixture"] is None
    with pytest.raises(UnknownName, match="charmed"):
        run(trained, there, "feiSL", event_type="charmed")


def test_an_event_without_particles_is_kept_for_every_skim(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    particles = replace(sample.batch.particles, status=np.full(len(sample.batch.particles), 32, np.int32))
    with EventWriter(tmp_path / "events") as writer:
        writer.write(replace(sample.batch, particles=particles))
    found = run(trained, replace(sample, events=tmp_path / "events"), "feiSL").figures["skims"]["feiSL"]
    assert (found["kept_fraction"], found["effective_fraction"], found["auc"]) == (1.0, 1.0, 0.5)
    assert found["comparison"]["largest_pull"] == 0


def test_a_network_that_gives_nan_is_refused_by_name(sample: LabelledSample, tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    with torch.no_grad():
        network.fc_output.bias.fill_(float("nan"))
    model = write_model(tmp_path, network)[1]
    with pytest.raises(BadScore, match=r"GATGAPgen\.onnx gave NaN for 600 of 600 events"):
        run(model, sample, "feiSL")


def test_the_same_event_in_two_files_is_refused(trained: Path, sample: LabelledSample) -> None:
    job = EvaluationJob(find_files(trained), (sample.events, sample.events), (sample.labels,), ("feiSL",))
    with pytest.raises(EventTwice):
        evaluate(job)


def test_labels_without_observables_leave_no_comparison_and_say_so(
    trained: Path, sample: LabelledSample, tmp_path: Path
) -> None:
    columns = ["exp", "run", "event", "feiSL"]
    pq.write_table(pq.read_table(sample.labels, columns=columns), tmp_path / "l")
    done = run(trained, replace(sample, labels=tmp_path / "l"))
    found = done.figures["skims"]["feiSL"]
    assert found["comparison"] is None
    assert "0 observables in common" in found["comparison_problem"]
    assert done.comparisons == {}
