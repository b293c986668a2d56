"""`smartbkg filter`: the events that are worth simulating."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import conditions
from conditions.errors import ConditionsError
from smartbkg.cli.talk import log_to_stderr

if TYPE_CHECKING:
    from smartbkg.modules.filter import NNFilterModule
    from smartbkg.modules.smartbackground import SmartBackground

EPILOG = "Example: smartbkg filter mixed.parquet --seed 1 -o kept.parquet"


@dataclass(frozen=True)
class _Choices:
    """Which filter, and how: options that belong to one of the two."""

    skims: str | None
    debug: bool
    independent_draws: bool
    event_type: str | None
    activation: tuple[float, float] | None
    weights_file: Path | None
    config_file: Path | None
    precision: str | None
    threshold: float | None
    model_file: Path | None

    def refuse_others(self) -> None:
        """Options that would be without effect are wrong usage."""
        if self.skims is None:
            others, why = (
                ["debug", "independent_draws", "event_type", "activation", "weights_file", "config_file", "precision"],
                "needs",
            )
        else:
            others, why = ["threshold", "model_file"], "does not go with"
        for name in others:
            if getattr(self, name) not in (None, False):
                raise click.UsageError(f"--{name.replace('_', '-')} {why} --skims")


@click.command("filter", epilog=EPILOG)
@click.argument("events", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Kept events.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write the other events here.")
@click.option("--seed", type=int, help="Of the draws; needed without --threshold or --debug.")
@click.option("--skims", help="The multi-skim filter, for NAME,NAME,... as `smartbkg skim` takes them.")
@click.option("--debug", is_flag=True, help="With --skims: keep all events, and write the probabilities.")
@click.option("--independent-draws", is_flag=True, help="With --skims: a draw for each skim; keeps more events.")
@click.option("--event-type", help="With --skims: type of all events, in place of what they say themselves.")
@click.option(
    "--activation",
    nargs=2,
    type=float,
    metavar="A B",
    help="With --skims: a and b for all, in place of the fitted ones.",
)
@click.option("--weights-file", type=click.Path(path_type=Path), help="With --skims: this file, not the database.")
@click.option("--config-file", type=click.Path(path_type=Path), help="The configuration of --weights-file.")
@click.option("--precision", help="With --skims: fp32, or int8, which says how much it changes.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Keep where score >= threshold. Biased; 0 keeps all.")
@click.option("--model-file", type=click.Path(path_type=Path), help="Use this trained file, not the database.")
@click.option("--tag", "tags", multiple=True, help="Stack of tags, the first wins; again for more.")
@click.option(
    "--store",
    help="Server's URL, snapshot file or store, or several with spaces between them: the next one goes on when one "
    "fails. Left out: CONDITIONS_METADATA, CONDITIONS_URL or your own store.",
)
@click.option("--allow-open", is_flag=True, help="Also use tags that can still change.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Write which payloads were used here.")
@click.option(
    "--replay", type=click.Path(path_type=Path, dir_okay=False), help="Use the payloads of this record, and no other."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=1024, show_default=True, help="Events at once.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def filter_events(  # every option is a parameter of click's
    events: tuple[Path, ...],
    output: Path,
    rejected: Path | None,
    seed: int | None,
    tags: tuple[str, ...],
    store: str | None,
    batch_size: int,
    threads: int,
    record: Path | None,
    replay: Path | None,
    *,
    allow_open: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Keep generated EVENTS by importance sampling with the network that the tags give for each run.

    Every event gets `NN_prediction` and `weight`, or with --skims one `weight_<SkimName>` for each skim; weighted
    distributions of what is kept are unbiased. The payload comes from the tags in --tag, else those of the environment,
    and at last from SmartBKG_GATGAP, or SmartBackground with --skims.
    """
    from smartbkg.framework import create_path, process

    chosen = _Choices(**choices)
    module = _module(chosen, seed, threads, allow_open=allow_open)
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(module).if_false(empty_path)
    path.add_module("EventOutput", output_file=output)
    if rejected is not None:
        empty_path.add_module("EventOutput", output_file=rejected)
    with log_to_stderr(), ExitStack() as held, _bare_errors():
        where: Any = store
        if record is not None or replay is not None:
            where = held.enter_context(_recorded(store, tags, record, replay, allow_open=allow_open))
        done = process(path, seed=seed, batch_size=batch_size, global_tags=tags or None, conditions=where)
    if as_json:
        click.echo(json.dumps({**module.summary(), "statistics": done.to_json()}, indent=2))
        return
    click.echo(f"{done.n_finished} of {done.n_events} events in {output}")
    if chosen.skims is not None and not chosen.debug:
        for skim in module.summary()["skims"]:
            click.echo(f"{skim['name']}: {skim['n_sampled']} events, sum of weights {skim['sum_of_weights']:.1f}")


def _module(chosen: _Choices, seed: int | None, threads: int, *, allow_open: bool) -> NNFilterModule | SmartBackground:
    chosen.refuse_others()
    if seed is None and chosen.threshold is None and not chosen.debug:
        raise click.UsageError("give --seed (or --threshold, or --debug): the same seed keeps the same events")
    if chosen.threshold is not None and math.isnan(chosen.threshold):
        raise click.UsageError("--threshold is between 0 and 1, not nan")
    if chosen.skims is None:
        from smartbkg.modules.filter import NNFilterModule

        return NNFilterModule(chosen.model_file, threshold=chosen.threshold, allow_open=allow_open, threads=threads)
    from smartbkg.modules.asked_skims import named_skims
    from smartbkg.modules.smartbackground import DEFAULT_TYPE, SmartBackground
    from smartbkg.skim.own import find_skims
    from smartbkg.smartbackground import DEFAULT_ACTIVATION

    skims = named_skims(find_skims(filter(None, map(str.strip, chosen.skims.split(",")))))
    return SmartBackground(
        skimCodes=[code for _, code in skims],
        skimNames=[name for name, _ in skims],
        eventType=DEFAULT_TYPE if chosen.event_type is None else chosen.event_type,
        overrideEventType=chosen.event_type is not None,
        debugMode=chosen.debug,
        overrideActivation=chosen.activation is not None,
        activationOverrideParams=chosen.activation or DEFAULT_ACTIVATION,
        independentDraws=chosen.independent_draws,
        weights_file=chosen.weights_file,
        config_file=chosen.config_file,
        allow_open=allow_open,
        threads=threads,
        precision=chosen.precision or "fp32",
    )


def _recorded(
    store: str | None, tags: tuple[str, ...], record: Path | None, replay: Path | None, *, allow_open: bool
) -> conditions.Client:
    from smartbkg.modules.shipped import bundled_defaults

    return conditions.open(
        store, tags or None, allow_open=allow_open, record=record or False, replay=replay, bundled=bundled_defaults()
    )


@contextmanager
def _bare_errors() -> Iterator[None]:
    """What went wrong decides the exit code; the message names the file, run or payload."""
    from smartbkg.errors import ModuleFailed, SmartBkgError

    try:
        yield
    except ModuleFailed as failed:
        known = isinstance(failed.error, SmartBkgError | ConditionsError | OSError)
        raise (failed.error if known else failed) from None
