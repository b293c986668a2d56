"""`smartbkg train multiskim`: one transformer for many skims and all event types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartbkg.cli.progress import event_bar
from smartbkg.cli.train.epochs import epoch_line
from smartbkg.errors import MissingExtra

if TYPE_CHECKING:
    from smartbkg.training.multiskim import MultiSkimJob, TrainedMultiSkim

EPILOG = "Example: smartbkg train multiskim mixed.parquet uubar.parquet --labels skimmed.parquet -o multiskim"
_FILE = click.Path(path_type=Path, dir_okay=False)
_JOB_OPTIONS = ("keep_failing", "processes", "max_minutes", "resume", "start_from")


@click.command(epilog=EPILOG)
@click.argument("events", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, multiple=True, required=True, help="Skimmed file; again for more.")
@click.option("--skims", help="Names with commas between; all that the label files have, if left out.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder.")
@click.option(
    "--keep-failing",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Fraction kept of the events that pass no skim, with weights to match; 1 by default.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="All are trained, the best is kept; 20 by default.")
@click.option("--epoch-events", type=click.IntRange(min=1), help="Events shown in an epoch; 200000 by default.")
@click.option("--max-minutes", type=click.FloatRange(min=0, min_open=True), help="As many epochs as fit in this time.")
@click.option("--batch-size", type=click.IntRange(min=8), help="Events of a step; 512.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="Largest rate; 0.002 by default.")
@click.option("--validation-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="0.15.")
@click.option("--augment/--no-augment", default=None, help="Show events rotated, reflected and charge conjugated.")
@click.option("--precision", help="fp32, or bf16 for the products inside the network.")
@click.option("--device", help="cpu, or cuda where there is one.")
@click.option("--processes", type=click.IntRange(min=1), default=1, help="That work together; the result is the same.")
@click.option("--threads", type=click.IntRange(min=1), help="Of torch in each process; 1 by default.")
@click.option("--seed", type=int, help="Same seed and threads, same files; 1 by default.")
@click.option("--start-from", type=_FILE, help="multiskim.pt whose weights come first; for other skims, too.")
@click.option("--resume", is_flag=True, help="Go on with the training in the folder, if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def multiskim(
    events: tuple[Path, ...],
    labels: tuple[Path, ...],
    skims: str | None,
    output: Path,
    *,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train one network on EVENTS to tell which of many skims they pass.

    EVENTS may be of all types. Writes SmartBackgroundWeights_default.onnx (one event a call), its batched companion,
    SmartBackgroundConfig_default.json (bound to both), multiskim.pt (the checkpoint), metrics.json and training.csv.
    After each epoch the training can be killed and continued with --resume: the result is the same.
    """
    from smartbkg.parquet import count_rows
    from smartbkg.training.folder import claimed

    names = tuple(name.strip() for name in (skims or "").split(",") if name.strip())
    job = _job((events, labels, output, names), settings)
    from smartbkg.training.multiskim import read_data, train_multiskim

    with claimed(output):
        with event_bar("read events", sum(map(count_rows, events))) as read:
            data = read_data(job, read, _talk)
        trained = train_multiskim(job, data, lambda epoch, total: _talk(epoch_line(epoch, total)), _talk)
    if as_json:
        click.echo(json.dumps(trained.metrics, indent=2))
        return
    _show(trained)


def _job(
    files: tuple[tuple[Path, ...], tuple[Path, ...], Path, tuple[str, ...]], settings: dict[str, Any]
) -> MultiSkimJob:
    try:
        from smartbkg.training.multiskim import MultiSkimJob
        from smartbkg.training.multiskim_config import MultiSkimConfig
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error

    own = {name: settings.pop(name) for name in _JOB_OPTIONS}
    config = MultiSkimConfig(**{name: value for name, value in settings.items() if value is not None})
    return MultiSkimJob(*files, config, **own)


def _show(trained: TrainedMultiSkim) -> None:
    head = ("skim", "passing", "retention", "AUC", "speed-up", "effective", "a", "b")
    click.echo("{:<32}{:>9}{:>11}{:>8}{:>10}{:>11}{:>8}{:>9}".format(*head))
    for name, m in trained.metrics["skims"].items():
        passing = m["n_training_passing"] + m["n_validation_passing"]
        click.echo(
            f"{name:<32}{passing:>9}{m['retention']:>11.3%}{m['auc']:>8.4f}{m['speed_up']:>10.2f}"
            f"{m['effective_fraction']:>11.2f}{m['a']:>8.3f}{m['b']:>9.3f}"
        )
    m = trained.metrics
    click.echo(f"mean AUC {m['auc']:.4f}, mean speed-up {m['speed_up']:.2f}, of {m['n_validation']} validation events")
    click.echo(f"in {trained.files.weights}, {trained.files.batched.name} and {trained.files.config.name}")


def _talk(text: str) -> None:
    click.echo(text, err=True)
