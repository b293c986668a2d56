"""One training of a network for one skim: options to a job, talk on stderr, figures on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartbkg.cli.progress import event_bar
from smartbkg.cli.train.epochs import epoch_bar
from smartbkg.cli.train.parent import Parent, starting_point
from smartbkg.errors import MissingExtra, ModelMismatch

if TYPE_CHECKING:
    from smartbkg.training.job import TrainingJob


def run_training(
    kind: str,
    events: tuple[Path, ...],
    output: Path,
    *,
    labels: tuple[Path, ...],
    skim: str,
    fresh_head: bool,
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a network of this kind with the options of `network_options`."""
    from smartbkg.parquet import count_rows
    from smartbkg.training.folder import claimed

    parent = starting_point(settings, fresh_head=fresh_head)
    with claimed(output):
        with event_bar("read events", sum(map(count_rows, events))) as read:
            job = _job((events, labels, skim, output), kind, parent, settings, resume=resume, fresh_head=fresh_head)
            from smartbkg.training.job import read_data, train_network

            data = read_data(job, read)
        with epoch_bar(job.config.epochs) as say:
            trained = train_network(job, data, say)
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
    kind: str,
    parent: Parent | None,
    settings: dict[str, Any],
    *,
    resume: bool,
    fresh_head: bool,
) -> TrainingJob:
    try:
        from smartbkg.models.checkpoint import load_checkpoint
        from smartbkg.models.kinds import DEFAULTS
        from smartbkg.training.job import TrainingJob
        from smartbkg.training.loop import FINE_TUNING_RATE, TrainingConfig
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error

    given = {name: value for name, value in settings.items() if value is not None}
    if parent is None:
        return TrainingJob(*what, TrainingConfig(DEFAULTS[kind], **given), resume)
    start = load_checkpoint(parent.path)
    found = start.manifest.kind
    if found != kind:
        raise ModelMismatch(f"{parent} is a {found!r} network: `smartbkg train {found}` fine-tunes it, not {kind}")
    config = TrainingConfig(**{"learning_rate": FINE_TUNING_RATE, "model": start.network.config, **given})
    click.echo(
        f"starts from {parent} (sha256 {start.sha256[:12]}…, for {start.manifest.skim or 'an unknown skim'}), "
        f"its last layer {'made anew' if fresh_head else 'kept'}, first rate {config.learning_rate:g}",
        err=True,
    )
    return TrainingJob(*what, config, resume, parent.path, fresh_head, parent.origin)
