"""How commands name a trained filter: a file, a folder, or a payload of the conditions.

NAME is the latest revision of a payload, NAME@REVISION that one; with --tag or --run it is what jobs of these runs
get. What belongs to it comes along: the export of a checkpoint, the configuration and batched weights of a network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smartbkg.errors import ModelMismatch, TrainingError

if TYPE_CHECKING:
    from conditions import Client, Payload, Run
    from conditions.catalogue import Catalogue
    from smartbkg.evaluation.files import FilterFiles

Command = TypeVar("Command", bound=Callable[..., Any])
_REVISION = re.compile(r"(?P<name>.+)@(?P<revision>[1-9][0-9]{0,17})")
# Each network's weights, and the payload that belongs to them.
_WEIGHTS, _CONFIG, _BATCHED = "SmartBackgroundWeights", "SmartBackgroundConfig", "_batched"
_CHECKPOINT, _EXPORT = ".pth", ".onnx"
_DEFAULT_TAGS = {"GATGAP": "SmartBKG_GATGAP", "SmartBackground": "SmartBackground"}


@dataclass(frozen=True)
class Source:
    """Where payloads come from.

    Args:
        tags: stack of tags; empty for that of the environment.
        run: whose payload; None for the runs of the events.
        store: server, snapshot or store.
        allow_open: whether tags that can still change may be used.
        config: file, or payload name, of a multi-skim network's configuration; None for the one that belongs to it.
    """

    tags: tuple[str, ...] = ()
    run: str | None = None
    store: str | None = None
    allow_open: bool = False
    config: str | None = None


def source_options(command: Command) -> Command:
    """The options of a `Source`."""
    for option in reversed(
        (
            click.option("--config", help="Configuration of multi-skim weights, when it is not beside them."),
            click.option("--tag", "tags", multiple=True, help="Payload by tag: the stack, the first wins."),
            click.option("--run", metavar="EXP,RUN", help="Payload by tag: of this run; of the events' when left out."),
            click.option("--store", help="Where payloads are; CONDITIONS_URL or your own when left out."),
            click.option("--allow-open", is_flag=True, help="Also use tags that can still change."),
        )
    ):
        command = option(command)
    return command


@contextmanager
def filter_files(word: str, source: Source, events: Sequence[Path]) -> Iterator[FilterFiles]:
    """The local files of a filter; a payload's are there while the block runs.

    Raises:
        FileNotFoundError: no such file.
        PayloadNotFound, NoPayloadForRun: no such payload.
        ModelMismatch: the events' runs get different payloads, or no configuration belongs to the weights.
    """
    from smartbkg.evaluation.files import find_files

    path = Path(word)
    if path.exists() or "/" in word:
        yield find_files(path, None if source.config is None else Path(source.config))
    elif source.tags or source.run is not None:
        with _client(source) as client:
            yield _of_runs(client, word, source, events)
    else:
        from conditions.cli.options import Settings

        with Settings(source.store).open() as store:
            yield _of_revision(store, word, source)


def _client(source: Source) -> Client:
    import conditions
    from smartbkg.modules.shipped import bundled_defaults

    return conditions.open(source.store, source.tags or None, allow_open=source.allow_open, bundled=bundled_defaults())


def _of_revision(store: Catalogue, word: str, source: Source) -> FilterFiles:
    """By name, and perhaps revision."""
    named = _REVISION.fullmatch(word)
    name, revision = (word, None) if named is None else (named["name"], int(named["revision"]))
    main = store.get_payload(name, revision)

    def there(wanted: str) -> list[Payload]:
        return list(reversed(store.list_payloads(pattern=wanted)))

    return _Family(main, there, store.payload_path, source.config, f"{main.name}@{main.revision}").files()


def _of_runs(client: Client, word: str, source: Source, events: Sequence[Path]) -> FilterFiles:
    """By tag, as a job gets it; all runs must get the same."""
    from smartbkg.modules.payloads import PayloadStack

    runs = [_run(source.run)] if source.run is not None else _runs_of(events)
    default = next((tag for start, tag in _DEFAULT_TAGS.items() if word.startswith(start)), None)
    stack = PayloadStack(client, client.stack, default)
    found = {
        str(run): {
            name: resolved.payload for name, resolved in stack.resolve(run, [word], _companions(word))[0].items()
        }
        for run in runs
    }
    if not found:
        raise TrainingError("the event files hold no event, and so no run: name one with --run EXP,RUN")
    first, *others = found.values()
    if any(other != first for other in others):
        raise ModelMismatch(f"the runs {', '.join(found)} get different payloads {word}: choose one with --run EXP,RUN")

    def there(wanted: str) -> list[Payload]:
        return [first[wanted]] if wanted in first else []

    said = f"{first[word].name}@{first[word].revision} of run {next(iter(found))}"
    return _Family(first[word], there, client.path, source.config, said).files()


@dataclass(frozen=True)
class _Family:
    """A payload and those that belong to it.

    Args:
        main: that was asked for.
        there: all payloads of a name that may belong to it, the best first.
        path: the verified file of one.
        config: what the user said about the configuration.
        source: how it is called in reports.
    """

    main: Payload
    there: Callable[[str], list[Payload]]
    path: Callable[[Payload], Path]
    config: str | None
    source: str

    def files(self) -> FilterFiles:
        """All local files."""
        from smartbkg.evaluation.files import FilterFiles

        name = self.main.name
        if not name.startswith((_WEIGHTS, _CONFIG)) and self.config is None:
            return FilterFiles(self.path(self._export() or self.main), source=self.source)
        if name.startswith(_CONFIG):
            config = self.path(self.main)
            weights = self._with_digest(name.replace(_CONFIG, _WEIGHTS, 1), _entries(config).get("weights_sha256"))
            path = self.path(weights)
        else:
            path = self.path(self.main)
            config = self._config(self._digest(self.main))
        digest = _entries(config).get("batched_sha256")
        batched = self._find(f"{name.replace(_CONFIG, _WEIGHTS, 1)}{_BATCHED}", digest) if digest else None
        return FilterFiles(path, config, None if batched is None else self.path(batched), self.source)

    def _export(self) -> Payload | None:
        """The export of a checkpoint, which needs no torch."""
        if not self.main.name.endswith(_CHECKPOINT):
            return None
        made = (p for p in self.there(str(Path(self.main.name).with_suffix(_EXPORT))))
        return next((p for p in made if p.metadata.get("checkpoint_sha256") == self._digest(self.main)), None)

    def _config(self, weights_sha256: str) -> Path:
        """The configuration that names these weights, or the one that the user names."""
        if self.config is not None and ("/" in self.config or Path(self.config).exists()):
            return Path(self.config)
        name = self.config or self.main.name.replace(_WEIGHTS, _CONFIG, 1)
        silent = None
        for payload in self.there(name):
            belongs_to = _entries(self.path(payload)).get("weights_sha256")
            if belongs_to == weights_sha256:
                return self.path(payload)
            silent = silent or (payload if belongs_to is None else None)
        if silent is not None:
            return self.path(silent)  # made elsewhere: it does not say; the number of outputs is checked
        raise ModelMismatch(f"no payload {name} belongs to {self.main}: name its file with --config")

    def _with_digest(self, name: str, sha256: str | None) -> Payload:
        found = self._find(name, sha256)
        if found is None:
            raise ModelMismatch(f"no payload {name} has the digest that {self.main} belongs to")
        return found

    def _find(self, name: str, sha256: str | None) -> Payload | None:
        return next((p for p in self.there(name) if sha256 in (None, self._digest(p))), None)

    def _digest(self, payload: Payload) -> str:
        """Computed where the provider knows the md5 alone."""
        from smartbkg.evaluation.files import file_sha256

        return payload.sha256 or file_sha256(self.path(payload))


def _entries(config: Path) -> Mapping[str, Any]:
    """The digests in a configuration."""
    from smartbkg.smartbackground import SmartBackgroundConfig

    read = SmartBackgroundConfig.from_json(config.read_bytes(), config)
    return {"weights_sha256": read.weights_sha256, "batched_sha256": read.batched_sha256}


def _companions(name: str) -> list[str]:
    if name.startswith(_CONFIG):
        weights = name.replace(_CONFIG, _WEIGHTS, 1)
        return [weights, f"{weights}{_BATCHED}"]
    if name.startswith(_WEIGHTS):
        return [name.replace(_WEIGHTS, _CONFIG, 1), f"{name}{_BATCHED}"]
    return [str(Path(name).with_suffix(_EXPORT))] if name.endswith(_CHECKPOINT) else []


def _run(text: str) -> Run:
    from conditions import Run

    return Run.parse(text)


def _runs_of(events: Sequence[Path]) -> list[Run]:
    """All runs of event files."""
    import pyarrow as pa

    from conditions import Run
    from smartbkg.parquet import read_tables

    found: set[tuple[int, int]] = set()
    for path in events:
        for table in read_tables(path, ["exp", "run"], batch_size=1 << 20):
            pairs = (
                table.group_by(["exp", "run"]).aggregate([]).cast(pa.schema([("exp", pa.int64()), ("run", pa.int64())]))
            )
            found |= set(zip(pairs["exp"].to_pylist(), pairs["run"].to_pylist(), strict=True))
    return [Run(exp, run) for exp, run in sorted(found)]
