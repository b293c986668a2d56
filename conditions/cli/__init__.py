"""The command `conditions`: noun then verb; the file of a noun loads when the noun is named.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not found. stdout is data, stderr is talk.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from conditions.cli.options import Noun
from conditions.cli.output import in_shell
from conditions.errors import BadInputError, ConditionsError, NotFoundError

NOUNS = {
    "cache": "conditions.cli.cache:cache",
    "audit": "conditions.cli.history:audit",
    "db": "conditions.cli.db:db",
    "download": "conditions.cli.snapshot:download",
    "iov": "conditions.cli.iov:iov",
    "payload": "conditions.cli.payload:payload",
    "resolve": "conditions.cli.resolve:resolve",
    "snapshot": "conditions.cli.snapshot:snapshot",
    "serve": "conditions.cli.serve:serve",
    "tag": "conditions.cli.tag:tag",
    "token": "conditions.cli.token:token",
    "upload": "conditions.cli.upload:upload",
}
REFUSED, WRONG_USAGE, NOT_FOUND = 1, 2, 3


class Main(Noun):
    """The outermost group: imports a noun on demand and turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all nouns, without importing any."""
        return sorted(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the file of one noun; None when there is no such noun."""
        if cmd_name not in NOUNS:
            return None
        module, attribute = NOUNS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named; what we refuse is said in one line on stderr."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our stdout has seen enough: click ends us quietly
        except (ConditionsError, OSError) as error:
            click.echo(f"error: {in_shell(error)}", err=True)
            sys.exit(exit_code(error))


@click.group(cls=Main, example="conditions tag list")
@click.version_option(package_name="smartbkg", prog_name="conditions")
def main() -> None:
    """Publish trained files as payloads in tags, and find the one that is valid for a run.

    The store is a SQLite file in your data directory, made on first use, unless --store names another database.
    """


def exit_code(error: Exception) -> int:
    """The exit code that says what kind of failure this was."""
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    return WRONG_USAGE if isinstance(error, BadInputError) else REFUSED
