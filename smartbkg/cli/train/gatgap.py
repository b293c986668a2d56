"""`smartbkg train gatgap`: graph attention over the decay tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smartbkg.cli.train.options import network_options
from smartbkg.cli.train.run import run_training

EPILOG = "Example: smartbkg train gatgap mixed.parquet --labels skimmed.parquet --skim feiHadronic -o gatgap"


@click.command(epilog=EPILOG)
@network_options("GATGAPgen.pth")
def gatgap(events: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Train GATGAP on EVENTS to tell which pass a skim.

    Writes GATGAPgen.pth (the checkpoint), GATGAPgen.onnx (the export, bound to it), metrics.json and training.csv.
    After each epoch the training can be killed and continued with --resume: the result is the same.

    With --from or --start-from the first weights are those of a trained network, for the same skim or another one;
    the new files remember which. Where the skims have little in common, --fresh-head helps.
    """
    run_training("gatgap", events, output, **options)
