"""The command `smartbkg`: one file a verb group, loaded when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from conditions.cli import exit_code
from conditions.cli.output import in_shell
from conditions.errors import ConditionsError
from smartbkg import __version__
from smartbkg.errors import SmartBkgError, UnknownName

COMMANDS = {
    "compare": "smartbkg.cli.compare:compare",
    "defaults": "smartbkg.cli.defaults:defaults",
    "evaluate": "smartbkg.cli.evaluate:evaluate",
    "events": "smartbkg.cli.events:events",
    "filter": "smartbkg.cli.filter:filter_events",
    "generate": "smartbkg.cli.generate:generate",
    "publish": "smartbkg.cli.publish:publish",
    "quickstart": "smartbkg.cli.quickstart:quickstart",
    "retention": "smartbkg.cli.retention:retention",
    "simulate": "smartbkg.cli.simulate:simulate",
    "skim": "smartbkg.cli.skim:skim",
    "train": "smartbkg.cli.train:train",
}

REFUSED, NOT_FOUND = 1, 3


class LazyGroup(click.Group):
    """A group that imports the file of a command only when the command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None for an unknown name."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return super().get_command(ctx, cmd_name)
        module, attribute = target.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; our own errors become one line on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our stdout has seen enough: click ends us quietly
        except (SmartBkgError, ConditionsError, OSError) as error:
            click.echo(f"error: {in_shell(error)}", err=True)
            if isinstance(error, ConditionsError):
                sys.exit(exit_code(error))
            sys.exit(NOT_FOUND if isinstance(error, UnknownName | FileNotFoundError) else REFUSED)


@click.group(cls=LazyGroup, epilog="Example: smartbkg generate mixed -n 1000 --seed 1 -o mixed.parquet")
@click.version_option(__version__, prog_name="smartbkg")
def main() -> None:
    """Generate, filter, simulate and skim events; train, publish and evaluate filters."""
