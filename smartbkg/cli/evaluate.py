"""`smartbkg evaluate`: what a trained filter is worth on labelled events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartbkg.cli.progress import event_bar

if TYPE_CHECKING:
    from smartbkg.report.page import Figure
    from smartbkg.training.evaluation import Evaluation

EPILOG = (
    "Example: smartbkg evaluate gatgap/GATGAPgen.onnx mixed.parquet --labels skimmed.parquet --skim feiHadronic --json"
)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=EPILOG)
@click.argument("model_file", type=_FILE)
@click.argument("events", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, multiple=True, required=True, help="Skimmed file; again for more.")
@click.option("--skim", required=True, help="Column of the labels.")
@click.option(
    "--kept", type=_FILE, multiple=True, help="Skimmed file of what a filter kept, to compare with the truth."
)
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.html and figures.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
def evaluate(model_file: Path, report: Path | None, *, as_json: bool, **inputs: Any) -> None:
    """Figures of merit of MODEL_FILE on EVENTS: AUC, ROC, retention, speed-ups, effective fraction, calibration.

    Give events that the model was not trained on. Speed-ups are quoted with the published times and, where the files
    carry them, with the times measured here.
    """
    from smartbkg.parquet import count_rows
    from smartbkg.training.evaluation import EvaluationJob
    from smartbkg.training.evaluation import evaluate as run

    with event_bar("evaluate", sum(map(count_rows, inputs["events"]))) as progress:
        evaluation = run(EvaluationJob(model_file, **inputs), progress)
    if report is not None:
        _write_report(evaluation, report)
    if as_json:
        click.echo(json.dumps(evaluation.figures, indent=2))
    else:
        for figure in _table(evaluation):
            click.echo(f"{figure.name:<28}{figure.value}")


def _table(evaluation: Evaluation) -> list[Figure]:
    from smartbkg.report.page import Figure

    f = evaluation.figures
    rows = [
        Figure("events", str(f["n_events"]), "that were evaluated; give ones that the network never saw"),
        Figure("retention", f"{f['retention']:.2%}", f"of them pass {f['skim']}"),
        Figure("AUC", f"{f['auc']:.4f}", "area under the ROC curve"),
        Figure("kept fraction", f"{f['kept_fraction']:.2%}", "of all events, by importance sampling"),
        Figure("speed-up", f"{f['reference']['speed_up']:.2f}", "unbiased sampling, with the published times"),
        Figure(
            "threshold speed-up",
            f"{f['reference']['threshold_speed_up']:.2f}",
            "best threshold, biased; the same times",
        ),
        Figure(
            "effective-sample fraction", f"{f['effective_fraction']:.2%}", "of the passing events' power that is left"
        ),
    ]
    if "measured" in f:
        times = ", ".join(f"{name} {value:.3f}" for name, value in f["measured"]["times_ms"].items())
        rows.append(Figure("speed-up, times of here", f"{f['measured']['speed_up']:.2f}", f"ms an event: {times}"))
    if evaluation.comparison is not None:
        comparison = evaluation.comparison
        rows += [
            Figure("largest pull", f"{comparison.largest_pull:+.2f}", "weighted against unfiltered, variance Σw²"),
            Figure("largest paired pull", f"{comparison.largest_paired_pull:+.2f}", "of the sampling alone"),
            Figure("largest KL divergence", f"{comparison.largest_kl:.5f}", "of all observables"),
        ]
    return rows


def _write_report(evaluation: Evaluation, folder: Path) -> None:
    from smartbkg.atomic import write_atomically
    from smartbkg.report.page import Report, write_page

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "evaluation.json", (json.dumps(evaluation.figures, indent=2) + "\n").encode())
    f = evaluation.figures
    page = Report(
        title=f"Filter for {f['skim']}",
        subtitle=f"{f['n_events']} events, {f['n_passing']} of them pass",
        figures=_table(evaluation),
        score=evaluation.probability,
        passed=evaluation.passed,
        roc=(evaluation.roc.false_rate, evaluation.roc.true_rate),
        auc=f["auc"],
        comparison=evaluation.comparison,
        provenance={"model": f["model"], "checkpoint sha256": f["checkpoint_sha256"]},
    )
    write_page(page, folder / "report.html")
