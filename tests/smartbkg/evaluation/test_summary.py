"""What of an evaluation goes with a payload."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from conditions.payload import check_metadata
from smartbkg.errors import NotAModel
from smartbkg.evaluation.files import find_files
from smartbkg.evaluation.job import EvaluationJob, evaluate
from smartbkg.evaluation.summary import EVALUATION_FILE, evaluation_summary, write_evaluation
from support.networks import SMALL_CONFIG, random_network, write_model
from support.training import SKIM, write_toy_sample


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("summary")
    sample = write_toy_sample(folder, n_events=400, kaons=2)
    model = write_model(folder, random_network(SMALL_CONFIG))[1]
    return evaluate(EvaluationJob(find_files(model), (sample.events,), (sample.labels,), (SKIM,))).figures


def test_figures_of_these_files_are_found_without_their_curves(figures: dict[str, Any], tmp_path: Path) -> None:
    write_evaluation(tmp_path, figures)
    both = figures["filter"]["sha256"]
    for wanted in (both["weights"], both["checkpoint"], list(both.values())):
        found = evaluation_summary(tmp_path, wanted)
        assert found is not None
    skim = found["skims"][SKIM]
    assert skim["auc"] == pytest.approx(figures["skims"][SKIM]["auc"], rel=1e-5)
    assert skim["speed_up_reference"] == pytest.approx(figures["skims"][SKIM]["reference"]["speed_up"], rel=1e-5)
    assert {"largest_kl", "largest_paired_pull", "p_value", "retention"} <= set(skim)
    assert len(json.dumps(found)) < 1500
    assert check_metadata({"evaluation": found})["evaluation"] == found


def test_nothing_evaluated_is_nothing_said(tmp_path: Path) -> None:
    assert evaluation_summary(tmp_path, "ab" * 32) is None


def test_figures_of_other_files_are_left_out_and_that_is_said(
    figures: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_evaluation(tmp_path, figures)
    with caplog.at_level(logging.WARNING):
        assert evaluation_summary(tmp_path, [figures["filter"]["sha256"]["weights"], "ab" * 32]) is None
    assert "is of other files and left out: evaluate again with --store-in" in caplog.text


@pytest.mark.parametrize("content", ["no json", "[]", "{}", '{"filter": {"sha256": 3}}', '{"filter": {"sha256": {}}}'])
def test_a_file_that_is_no_evaluation_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / EVALUATION_FILE).write_text(content)
    with pytest.raises(NotAModel, match=r"evaluation\.json"):
        evaluation_summary(tmp_path, [])
