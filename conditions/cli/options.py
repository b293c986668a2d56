"""What all commands share: the global options, the forms of runs and intervals, and help that ends with an example."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity, Last, Run

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue
    from conditions.store.session import Store


@dataclass
class Settings:
    """The global options of one call; the innermost place where an option was given wins."""

    store: str | None = None
    files: str | None = None
    user: str | None = None
    as_json: bool = False

    def open(self) -> Catalogue:
        """Open what these options name: a store, or a server that is asked over /v1 for an http(s) URL.

        Libraries for databases and for HTTP are imported where they are needed, so that help comes without them.
        """
        url = server_url(self.store)
        if url is None:
            return self.open_store()
        if self.files is not None or self.user is not None:
            what = "--files" if self.files is not None else "--user"
            raise click.UsageError(
                f"{what} means nothing to a server: {url} has its own files, and a token says who asks"
            )
        from conditions.client.remote import RemoteStore

        return RemoteStore(url)

    def open_store(self) -> Store:
        """Open the store these options name, for what can be done only where it is kept."""
        from conditions.store.session import open_store

        return open_store(self.database(), self.files, self.user)

    def database(self) -> str | None:
        """The database these options name, None for that of the environment; a server is none."""
        url = server_url(self.store)
        if url is not None:
            raise click.UsageError(f"not over {url}: this is done where the database is, name it with --store")
        return self.store


def server_url(store: str | None) -> str | None:
    """The URL of a server that the option or `CONDITIONS_URL` names; None when it is a database of our own."""
    where = store if store is not None else os.environ.get("CONDITIONS_URL", "")
    return where if where.startswith(("http://", "https://")) else None


class Verb(click.Command):
    """A command that takes the global options too and whose help ends with a runnable example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options())
        self.example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; a run or interval that begins with a dash is no option that is missing."""
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            given = next((word for word in args if re.match(r"-[0-9]", word)), None)
            if given is None:
                raise
            raise click.UsageError(
                f"{given!r} is no interval or name: a first run is 0,0 or later ('always' is 0,0,-1,-1), "
                "and what has to begin with a dash stands after a free-standing --",
                ctx,
            ) from error

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example as the last block."""
        _write_example(formatter, self.example)


class Noun(click.Group):
    """A group of verbs that takes the global options too and whose help ends with a runnable example."""

    command_class = Verb

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_global_options())
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the example as the last block."""
        _write_example(formatter, self.example)


@dataclass(frozen=True)
class NameFilter:
    """Which names to list."""

    glob: str | None = None
    regex: re.Pattern[str] | None = None

    @property
    def words(self) -> str | None:
        """The regular expression that was given, None when there is none."""
        return None if self.glob is not None or self.regex is None else self.regex.pattern

    def matches(self, name: str) -> bool:
        """Whether the whole name fits; the store filters by `glob` itself where it can."""
        return self.regex is None or self.regex.fullmatch(name) is not None


def as_run(text: str) -> Run:
    """A run from EXP,RUN; anything else is wrong usage."""
    with _usage_errors():
        return Run.parse(text)


def as_interval(text: str) -> IntervalOfValidity:
    """An interval from FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN or `always`; anything else is wrong usage."""
    with _usage_errors():
        return IntervalOfValidity.parse(text)


def as_last(text: str) -> Last:
    """The end of an interval from EXP,RUN, or EXP,-1 for the end of an experiment; anything else is wrong usage."""
    try:
        return IntervalOfValidity.parse(f"0,0,{text}").last
    except BadInputError as error:
        raise click.BadParameter(
            f"{text!r} is no last run: write it as EXP,RUN, or EXP,-1 for the end of an experiment"
        ) from error


def name_filter(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --name GLOB and --regex REGEX to a command, which gets them as one `NameFilter` called `wanted`."""

    @wraps(command)
    def filtered(*args: Any, glob: str | None, regex: str | None, **kwargs: Any) -> Any:
        if glob is not None and regex is not None:
            raise click.UsageError("--name and --regex exclude each other")
        try:
            # A bracket stands for itself, as in the store: payload names may hold some.
            words = regex if glob is None else fnmatch.translate(glob.replace("[", "[[]"))
            pattern = None if words is None else re.compile(words)
        except re.error as error:
            raise click.BadParameter(f"{regex!r}: {error}", param_hint="--regex") from error
        return command(*args, wanted=NameFilter(glob, pattern), **kwargs)

    by_regex = click.option("--regex", metavar="REGEX", help="Only names that this matches as a whole.")
    return click.option("--name", "glob", metavar="GLOB", help="Only names like this, with * and ?.")(
        by_regex(filtered)
    )


limit_option = click.option("--limit", type=click.IntRange(min=1), help="At most so many.")


def _global_options() -> list[click.Option]:
    """--store, --files, --user and --json; what is not given, `open_store` reads from the environment."""

    def option(flag: str, field: str, environment: list[str], text: str, **kwargs: Any) -> click.Option:
        said = f"{text} [env: {', '.join(environment)}]" if environment else text
        return click.Option([flag, f"_{field}"], help=said, expose_value=False, callback=_keep(field), **kwargs)

    return [
        option("--store", "store", ["CONDITIONS_URL"], "Database URL, SQLite file, or URL of a server.", metavar="URL"),
        option("--files", "files", ["CONDITIONS_FILES"], "Payload folder, or s3://BUCKET/PREFIX.", metavar="DIR|URL"),
        option("--user", "user", ["CONDITIONS_USER", "BELLE2_USER"], "Who does it, for the history.", metavar="NAME"),
        option("--json", "as_json", [], "Print JSON.", is_flag=True, default=None),
    ]


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except BadInputError as error:
        raise click.BadParameter(str(error)) from error


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        settings = ctx.ensure_object(Settings)
        if value is not None:
            setattr(settings, field, value)

    return keep


def _write_example(formatter: click.HelpFormatter, example: str) -> None:
    formatter.write_paragraph()
    formatter.write("Example:\n")
    for line in example.splitlines():
        formatter.write(f"  {line}\n")
