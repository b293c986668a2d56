"""`conditions serve`: the server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from conditions.cli.options import Settings, Verb

Command = TypeVar("Command", bound=Callable[..., Any])
PREFIX = "CONDITIONS_SERVER_"


def _option(flag: str, text: str, **kwargs: Any) -> Callable[[Command], Command]:
    """An option that may stand in the environment, too, under the name of its setting."""
    name = kwargs.pop("name", flag.lstrip("-").split("/")[0].replace("-", "_"))
    return click.option(flag, name, envvar=f"{PREFIX}{name.upper()}", help=text, show_envvar=True, **kwargs)


@click.command(cls=Verb, example="conditions serve --port 8000 --workers 2 --token-key secret")
@_option("--host", "Address to listen on.", metavar="ADDRESS", default="127.0.0.1", show_default=True)
@_option("--port", "Port to listen on, 0 for any free one.", type=click.IntRange(0, 65535), default=8000)
@_option("--workers", "Processes that answer.", type=click.IntRange(1, 512), default=2, show_default=True)
@_option("--threads", "Calls to the database at once, per worker.", type=click.IntRange(1, 128), default=8)
@_option("--public-url", "What clients reach the server under, behind a proxy.", metavar="URL")
@_option("--trust-proxy", "Believe X-Forwarded-Proto and X-Forwarded-Host.", is_flag=True)
@_option("--token-key", "File with the secret or public key of tokens; without one, nothing can be changed.")
@_option("--token-issuer", "The iss that tokens must have.", metavar="NAME")
@_option("--token-audience", "The aud that tokens must have.", metavar="NAME")
@_option("--max-body", "Largest upload, in bytes or with K, M, G.", name="max_body_bytes", default="2G")
@_option("--body-idle", "Seconds that an upload may pause.", type=float, default=30.0, name="body_idle_s")
@_option("--spool", "Folder for uploads that are being received.", metavar="DIR")
@_option("--indexes", "Where the folder of compiled tags is made.", metavar="DIR")
@_option("--index-memory", "Most bytes of compiled tags in a worker.", name="index_bytes", default="1G")
@_option("--answer-memory", "Most bytes of ready answers in a worker.", name="answer_bytes", default="64M")
@_option("--redirect/--stream", "Send clients to the bucket for bytes, or pass them on.", default=True)
@_option("--access-log/--no-access-log", "Write a line for every request.", default=True)
@_option(
    "--shutdown", "Seconds that requests have when the server is stopped.", type=float, default=10.0, name="shutdown_s"
)
@click.pass_obj
def serve(settings: Settings, /, **options: Any) -> None:
    """Answer clients over HTTP: Belle II's, HSF-style readers, and our own.

    The schema of the database must be up to date ('conditions db upgrade'). The address is printed on stderr once
    every worker answers. SIGTERM and Ctrl-C end the server after the requests it is at.
    """
    from conditions.server.settings import ServerSettings, parse_size
    from conditions.server.workers import serve as run

    for size in ("max_body_bytes", "index_bytes", "answer_bytes"):
        options[size] = parse_size(options[size])
    files = None if settings.files is None else str(settings.files)
    secret = ServerSettings.from_environment().token_secret  # never on a command line, which others can read
    chosen = ServerSettings(store=settings.store, files=files, token_secret=secret, **options)
    sys.exit(run(chosen, lambda text: click.echo(text, err=True)))
