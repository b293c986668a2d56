"""`smartbkg train gatgap`: graph attention over the decay tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.progress import event_bar
from smartbkg.cli.train.epochs import epoch_bar
from smartbkg.cli.train.parent import Parent, starting_point
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
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="First rate; 0.001 by default, 0.0003 when fine-tuning.",
)
@click.option("--batch-size", type=click.IntRange(min=2), help="Events of a step, half of them passing; 128.")
@click.option("--augment/--no-augment", default=None, help="Show events rotated, reflected and charge conjugated.")
@click.option(
    "--retention", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Natural fraction that passes."
)
@click.option("--seed", type=int, help="Same seed and threads, same file; 1 by default.")
@click.option("--threads", type=click.IntRange(min=1), help="Of torch; 1 by default.")
@click.option(
    "--from",
    "payload",
    metavar="NAME[@REVISION]",
    help="Fine-tune this payload, as GATGAPgen.pth: the one that the tags give, or a revision of it.",
)
@click.option("--start-from", type=_FILE, help="Fine-tune this checkpoint file.")
@click.option("--fresh-head", is_flag=True, help="Begin anew with the last layer of what is fine-tuned.")
@click.option("--tag", "tags", multiple=True, help="For --from: stack of tags, the first wins; again for more.")
@click.option("--store", help="For --from: server's URL, snapshot file or store; that of the environment if left out.")
@click.option("--run", default="0,0", show_default=True, help="For --from: the run whose payload is meant, EXP,RUN.")
@click.option("--resume", is_flag=True, help="Go on with the training in the folder, if there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def gatgap(
    events: tuple[Path, ...],
    labels: tuple[Path, ...],
    skim: str,
    output: Path,
    *,
    fresh_head: bool,
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train GATGAP on EVENTS to tell which pass a skim.

    Writes GATGAPgen.pth (the checkpoint), GATGAPgen.onnx (the export, bound to it), metrics.json and training.csv.
    After each epoch the training can be killed and continued with --resume: the result is the same.

    With --from or --start-from the first weights are those of a trained network, for the same skim or another one;
    the new files remember which. Where the skims have little in common, --fresh-head helps.
    """
    from smartbkg.parquet import count_rows
    from smartbkg.training.folder import claimed

    parent = starting_point(settings, fresh_head=fresh_head)
    with claimed(output):
        with event_bar("read events", sum(map(count_rows, events))) as read:
            job = _job((events, labels, skim, output), resume, parent, fresh_head, settings)
            from smartbkg.training.gatgap import read_data, train_gatgap

            data = read_data(job, read)
        with epoch_bar(job.config.epochs) as say:
            trained = train_gatgap(job, data, say)
    if as_json:
        click.echo(json.dumps(trained.metrics, indent=2))
        return
    m = trained.metrics
    click.echo(f"AUC {m['auc']:.4f}, speed-up {m['speed_up']:.2f}, effective fraction {m['effective_fraction']:.2f}")
    if "parent" in m:
        click.echo(f"(AUC {m['parent']['auc_before']:.4f} before, as {parent} came)")
    click.echo(f"(of {m['n_validation']} validation events) in {trained.checkpoint} and {trained.export}")


def _job(
    what: tuple[tuple[Path, ...], tuple[Path, ...], str, Path],
    resume: bool,
    parent: Parent | None,
    fresh_head: bool,
    settings: dict[str, Any],
) -> Any:
    try:
        from smartbkg.models.checkpoint import load_checkpoint
        from smartbkg.training.gatgap import TrainingJob
        from smartbkg.training.loop import FINE_TUNING_RATE, TrainingConfig
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error

    given = {name: value for name, value in settings.items() if value is not None}
    if parent is None:
        return TrainingJob(*what, TrainingConfig(**given), resume)
    start = load_checkpoint(parent.path)
    config = TrainingConfig(**{"learning_rate": FINE_TUNING_RATE, "model": start.network.config, **given})
    click.echo(
        f"starts from {parent} (sha256 {start.sha256[:12]}…, for {start.manifest.skim or 'an unknown skim'}), "
        f"its last layer {'made anew' if fresh_head else 'kept'}, first rate {config.learning_rate:g}",
        err=True,
    )
    return TrainingJob(*what, config, resume, parent.path, fresh_head, parent.origin)
