"""`smartbkg train gatgap`: graph attention over the decay tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.progress import event_bar
from smartbkg.cli.train.epochs import epoch_bar
from smartbkg.errors import MissingExtra

EPILOG = "Example: smartbkg train gatgap mixed.parquet --labels skimmed.parquet --skim feiHadronic -o gatgap"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=EPILOG)
@click.argument("events", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, multiple=True, required=True, help="Skimmed file; again for more.")
@click.option("--skim", required=True, help="Column of the labels.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder.")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many; 200 by default.")
@click.option("--loss", help="bce or speedup: cross-entropy, or the inverse speed-up.")
@click.option("--schedule", help="plateau: halve the rate when validation stands still; cosine: fall over all epochs.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="First rate; 0.001 by default.")
@click.option("--batch-size", type=click.IntRange(min=2), help="Events of a step, half of them passing; 128.")
@click.option("--augment/--no-augment", default=None, help="Show events rotated, reflected and charge conjugated.")
@click.option(
    "--retention", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Natural fraction that passes."
)
@click.option("--seed", type=int, help="Same seed and threads, same file; 1 by default.")
@click.option("--threads", type=click.IntRange(min=1), help="Of torch; 1 by default.")
@click.option("--start-from", type=_FILE, help="Checkpoint whose weights come first (fine-tuning).")
@click.option("--resume", is_flag=True, help="Go on with the training in the folder, if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def gatgap(
    events: tuple[Path, ...],
    labels: tuple[Path, ...],
    skim: str,
    output: Path,
    start_from: Path | None,
    *,
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train GATGAP on EVENTS to tell which pass a skim.

    Writes GATGAPgen.pth (the checkpoint), GATGAPgen.onnx (the export, bound to it), metrics.json and training.csv.
    After each epoch the training can be killed and continued with --resume: the result is the same.
    """
    from smartbkg.parquet import count_rows

    with event_bar("read events", sum(map(count_rows, events))) as read:
        job = _job(events, labels, skim, output, resume, start_from, settings)
        from smartbkg.training.gatgap import read_data, train_gatgap

        data = read_data(job, read)
    with epoch_bar(job.config.epochs) as say:
        trained = train_gatgap(job, data, say)
    if as_json:
        click.echo(json.dumps(trained.metrics, indent=2))
        return
    m = trained.metrics
    click.echo(f"AUC {m['auc']:.4f}, speed-up {m['speed_up']:.2f}, effective fraction {m['effective_fraction']:.2f}")
    click.echo(f"(of {m['n_validation']} validation events) in {trained.checkpoint} and {trained.export}")


def _job(
    events: tuple[Path, ...],
    labels: tuple[Path, ...],
    skim: str,
    output: Path,
    resume: bool,
    start_from: Path | None,
    settings: dict[str, Any],
) -> Any:
    try:
        from smartbkg.training.gatgap import TrainingJob
        from smartbkg.training.loop import TrainingConfig
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error

    config = TrainingConfig(**{name: value for name, value in settings.items() if value is not None})
    return TrainingJob(events, labels, skim, output, config, resume, start_from)
