"""`smartbkg train`: networks from events and labels; one file a network, loaded when it is named."""

from __future__ import annotations

from importlib import import_module

import click

NETWORKS = {
    "convnet": "smartbkg.cli.train.convnet:convnet",
    "gatgap": "smartbkg.cli.train.gatgap:gatgap",
    "multiskim": "smartbkg.cli.train.multiskim:multiskim",
}


class NetworkGroup(click.Group):
    """A group that imports the file of a network only when the network is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all networks, sorted."""
        return sorted({*NETWORKS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None for an unknown name."""
        target = NETWORKS.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, attribute = target.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=NetworkGroup)
def train() -> None:
    """Train a filter network."""
