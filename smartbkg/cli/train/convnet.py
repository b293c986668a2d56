"""`smartbkg train convnet`: the compact convolutional baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smartbkg.cli.train.options import network_options
from smartbkg.cli.train.run import run_training

EPILOG = "Example: smartbkg train convnet mixed.parquet --labels skimmed.parquet --skim feiHadronic -o convnet"


@click.command(epilog=EPILOG)
@network_options("ConvNet.pth")
def convnet(events: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Train the convolutional baseline on EVENTS to tell which pass a skim.

    It sees the first 100 particles of an event in a row: min-max scaled numbers, charge, PDG code and that of the
    mother. Writes ConvNet.pth (the checkpoint), ConvNet.onnx (the export, for `smartbkg filter --model-file` and
    `smartbkg evaluate`), metrics.json and training.csv. Compare it with what GATGAP does on the same events.
    """
    run_training("convnet", events, output, **options)
