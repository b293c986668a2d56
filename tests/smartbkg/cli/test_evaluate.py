"""`smartbkg evaluate`: figures of a trained file on labelled events."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from conditions.cli import main as conditions_main
from smartbkg.cli import main
from smartbkg.evaluation.summary import evaluation_summary
from smartbkg.events import read_events
from smartbkg.features import build
from smartbkg.parquet import TableWriter
from smartbkg.scorer import open_scorer
from smartbkg.smartbackground import BATCHED_FILE
from smartbkg.training import metrics
from smartbkg.training.networks import export_bytes
from support.evaluated import write_sample
from support.networks import SMALL_CONFIG, manifest_of, random_network, write_model
from support.trained import write_trained
from support.trained_multiskim import write_multiskim
from support.training import SKIM, ToySample, write_toy_sample


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToySample:
    return write_toy_sample(tmp_path_factory.mktemp("toy"), n_events=200, kaons=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), random_network(SMALL_CONFIG))[1]


def evaluate(model: Path, toy: ToySample, *more: str) -> Result:
    options = ["evaluate", str(model), str(toy.events), "--labels", str(toy.labels), "--skim", SKIM]
    return CliRunner().invoke(main, [*options, *more])


def passed_of(toy: ToySample) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(pq.read_table(toy.labels)[SKIM].to_numpy())


def write_kept(path: Path, toy: ToySample, model: Path) -> Path:
    """What filtering, simulating and skimming leaves: kept events with their weights."""
    p = open_scorer(model).score(build(read_events(toy.events)))
    keep = np.random.default_rng(1).random(len(p)) < p
    table = pq.read_table(toy.labels).filter(pa.array(keep))
    pq.write_table(table.append_column("weight", pa.array(1 / p[keep])), path)
    return path


def test_figures_are_those_of_the_definitions(model: Path, toy: ToySample) -> None:
    result = evaluate(model, toy, "--json")
    assert result.exit_code == 0, result.output
    evaluation = json.loads(result.stdout)
    assert (evaluation["n_events"], evaluation["event_types"], evaluation["mixture"]) == (200, {"mixed": 200}, None)
    figures = evaluation["skims"][SKIM]
    p, passed = open_scorer(model).score(build(read_events(toy.events))), passed_of(toy)
    assert figures["auc"] == pytest.approx(metrics.auc(p, passed), abs=1e-12)
    assert figures["reference"]["threshold_speed_up"] == pytest.approx(
        metrics.best_threshold(p, passed, passed.mean())[1]
    )
    assert figures["reference"]["best_threshold"] == pytest.approx(metrics.best_threshold(p, passed, passed.mean())[0])
    assert figures["retention"] == passed.mean()
    assert figures["reference"]["speed_up"] == pytest.approx(metrics.speed_up(p, passed, passed.mean()))
    assert figures["effective_fraction"] == pytest.approx(metrics.effective_fraction(p, passed))
    assert figures["kept_fraction"] == pytest.approx(p.mean())
    assert sum(figures["calibration"]["n_events"]) == 200
    assert (figures["roc"]["true_rate"][0], figures["roc"]["true_rate"][-1]) == (0.0, 1.0)
    assert "measured" not in figures  # the labels carry no times


def test_a_table_for_people(model: Path, toy: ToySample) -> None:
    result = evaluate(model, toy)
    assert result.exit_code == 0, result.output
    for name in ("AUC", "speed-up", "threshold speed-up", "effective-sample fraction", "retention", "kept fraction"):
        assert name in result.stdout


@pytest.mark.parametrize(
    ("skim", "purpose"), [(SKIM, SKIM), ("anotherSkim", "anotherSkim"), (None, "a skim that it does not name")]
)
def test_it_says_which_network_it_was_and_warns_when_it_was_made_for_another_skim(
    skim: str | None, purpose: str, toy: ToySample, tmp_path: Path
) -> None:
    network, path = random_network(SMALL_CONFIG), tmp_path / "own.onnx"
    path.write_bytes(export_bytes(network, manifest_of(network, skim=skim)))
    said = evaluate(path, toy).stderr
    assert f"{path}: gatgap, trained for {purpose}\n" in said
    assert (f"warning: judged by {SKIM}, which it was not trained for" in said) == (skim == "anotherSkim")


def test_measured_times_are_used_where_the_files_carry_them(model: Path, toy: ToySample, tmp_path: Path) -> None:
    table = pq.read_table(toy.labels)
    with TableWriter(tmp_path / "l", table.schema, {"times_ms": {"simulate": 90.0, "skim": 5.0}}) as writer:
        writer.write_table(table)
    figures = json.loads(evaluate(model, ToySample(toy.events, tmp_path / "l"), "--json").stdout)["skims"][SKIM]
    times = figures["measured"]["times_ms"]
    assert (times["generate"], times["simulate"]) == (0.05, 95.0)
    assert 0 < times["network"] < 50


def test_a_report_has_a_page_and_the_figures(model: Path, toy: ToySample, tmp_path: Path) -> None:
    kept = write_kept(tmp_path / "kept.parquet", toy, model)
    result = evaluate(model, toy, "--kept", str(kept), "--report", str(tmp_path / "report"))
    assert result.exit_code == 0, result.output
    assert "largest pull" in result.stdout
    figures = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert figures["sampling"] == {"kept": ["kept.parquet"]}
    assert [o["name"] for o in figures["skims"][SKIM]["comparison"]["observables"]] == ["n_tracks"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<svg") == 2
    assert f"Filter for {SKIM}" in page


def test_kept_events_without_weights_are_refused(model: Path, toy: ToySample) -> None:
    result = evaluate(model, toy, "--kept", str(toy.labels))
    assert result.exit_code == 1
    assert "lacks weight" in result.stderr


def test_kept_files_with_other_columns_are_compared_by_what_they_share(
    model: Path, toy: ToySample, tmp_path: Path
) -> None:
    table = pq.read_table(write_kept(tmp_path / "kept.parquet", toy, model))
    parts = [table[:40], table[40:].append_column("more", pa.array(np.ones(len(table) - 40)))]
    parts[1] = parts[1].set_column(0, "exp", parts[1]["exp"].cast(pa.int64()))
    for name, part in zip("ab", parts, strict=True):
        pq.write_table(part, tmp_path / name)
    whole = evaluate(model, toy, "--kept", str(tmp_path / "kept.parquet"), "--json")
    cut = evaluate(model, toy, "--kept", str(tmp_path / "a"), "--kept", str(tmp_path / "b"), "--json")
    assert cut.exit_code == 0, cut.output
    found = [json.loads(result.stdout)["skims"][SKIM]["comparison"] for result in (cut, whole)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("weight", "text", "weight is string, not numbers"),
        (SKIM, 1.0, "holds double, not yes or no"),
        (SKIM, None, "have no label for toySkim"),
    ],
)
def test_kept_events_with_columns_of_another_kind_are_refused(
    column: str, values: object, said: str, model: Path, toy: ToySample, tmp_path: Path
) -> None:
    table = pq.read_table(write_kept(tmp_path / "kept.parquet", toy, model))
    kind = pa.bool_() if values is None else None
    wrong = pa.array([values] * len(table), kind)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, wrong), tmp_path / "kept.parquet")
    result = evaluate(model, toy, "--kept", str(tmp_path / "kept.parquet"))
    assert result.exit_code == 1
    assert said in result.stderr


def test_labels_of_more_than_the_events_cannot_be_compared(model: Path, toy: ToySample, tmp_path: Path) -> None:
    kept = write_kept(tmp_path / "kept.parquet", toy, model)
    rows = pq.read_table(toy.labels)
    extra = rows.set_column(rows.schema.get_field_index("run"), "run", pa.array(np.full(len(rows), 77, np.int32)))
    pq.write_table(extra, tmp_path / "more.parquet")
    result = evaluate(model, toy, "--labels", str(tmp_path / "more.parquet"), "--kept", str(kept))
    assert result.exit_code == 1
    assert "73 passing events of the labels are not in the event files" in result.stderr
    assert "event 6 of run 0,77" in result.stderr


def test_events_kept_by_another_model_are_refused(model: Path, toy: ToySample, tmp_path: Path) -> None:
    table = pq.read_table(write_kept(tmp_path / "kept.parquet", toy, model))
    other = np.where(np.arange(len(table)) % 2, table["weight"].to_numpy(), 1.5 * table["weight"].to_numpy())
    place = table.schema.get_field_index("weight")
    pq.write_table(table.set_column(place, "weight", pa.array(other)), tmp_path / "kept.parquet")
    result = evaluate(model, toy, "--kept", str(tmp_path / "kept.parquet"))
    assert result.exit_code == 1
    assert "kept events have other weights than sampling with" in result.stderr
    assert "evaluate the filter that they were kept by" in result.stderr


def test_events_without_labels_are_refused_by_name(model: Path, toy: ToySample, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(toy.labels)[:199], tmp_path / "l")
    result = evaluate(model, ToySample(toy.events, tmp_path / "l"))
    assert result.exit_code == 1
    assert "1 of 200 events have no label, the first is event 200 of run 0,1" in result.stderr


@pytest.mark.parametrize(("content", "code"), [(None, 3), (b"no model", 1)])
def test_a_file_that_is_no_model_is_refused(content: bytes | None, code: int, toy: ToySample, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    result = evaluate(tmp_path / "m.onnx", toy)
    assert result.exit_code == code
    assert "m.onnx" in result.stderr


def test_many_skims_are_a_row_each_and_a_page_and_are_stored_beside_the_training(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, 400)
    trained = write_multiskim(tmp_path / "trained")
    options = ["evaluate", str(trained), str(sample.events), "--labels", str(sample.labels)]
    result = CliRunner().invoke(main, [*options, "--report", str(tmp_path / "report"), "--store-in", str(trained)])
    assert result.exit_code == 0, result.output
    header, *rows = result.stdout.splitlines()
    assert header.split()[:4] == ["skim", "passing", "retention", "AUC"]
    assert [row.split()[0] for row in rows] == ["feiHadronic", "feiSL", "TauGeneric", "XToD0_D0ToHpJm"]
    assert rows[2].split()[1:] == ["0", *["-"] * 12]
    assert "TauGeneric: no event passes among 400" in result.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("<section ") == 4
    assert "natural mixture" in page
    batched = hashlib.sha256((trained / BATCHED_FILE).read_bytes()).hexdigest()
    summary = evaluation_summary(trained, batched)
    assert summary is not None
    assert set(summary["skims"]["feiSL"]["event_types"]) == {"mixed", "uubar", "taupair"}


def test_only_the_skims_that_are_asked_for(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, 400)
    options = ["evaluate", str(write_multiskim(tmp_path / "trained")), str(sample.events)]
    options += ["--labels", str(sample.labels), "--skim", "feiSL", "--json"]
    figures = json.loads(CliRunner().invoke(main, options).stdout)
    assert list(figures["skims"]) == ["feiSL"]


def test_published_figures_stand_side_by_side_in_a_payload_diff(toy: ToySample, tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    for seed in (1, 2):
        trained = write_trained(tmp_path / str(seed), seed)
        result = evaluate(trained, toy, "--store-in", str(trained))
        assert result.exit_code == 0, result.output
        published = CliRunner().invoke(main, ["publish", str(trained), "--store", store, "--tag", f"seed{seed}"])
        assert published.exit_code == 0, published.output
    words = ["payload", "diff", "GATGAPgen.onnx@1", "GATGAPgen.onnx@2", "--store", store, "--format", "json"]
    shown = CliRunner().invoke(conditions_main, words)
    rows = {row["path"]: row for row in json.loads(shown.stdout)["metadata"]["rows"]}
    for side, seed in (("left", 1), ("right", 2)):
        figures = json.loads((tmp_path / str(seed) / "evaluation.json").read_text())["skims"][SKIM]
        assert float(rows[f".evaluation.skims.{SKIM}.auc"][side]) == pytest.approx(figures["auc"], rel=1e-5)
