"""`smartbkg defaults`: the trained filters that come along with an installation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartbkg.defaults import FOLDER, MAX_BYTES, SNAPSHOT
from smartbkg.defaults.plan import STAGES, Plan, Training

if TYPE_CHECKING:
    from conditions.payload import Payload
    from smartbkg.modules.shipped import Shipped

_SNAPSHOT = click.option(
    "--snapshot", type=click.Path(path_type=Path, dir_okay=False), help="Another snapshot than the one that came along."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group()
def defaults() -> None:
    """The trained filters that come along with an installation.

    A job uses them where no conditions are configured, or where those that are do not know the default tag. The
    environment variable SMARTBKG_DEFAULTS=off leaves them out.
    """


@defaults.command(epilog="Example: smartbkg defaults show")
@_SNAPSHOT
@_JSON
def show(snapshot: Path | None, *, as_json: bool) -> None:
    """Which payloads there are, of which bytes, how they were made, and what they are worth on unseen events."""
    from smartbkg.defaults.figures import described

    shipped = _read(snapshot)
    if as_json:
        records = [described(each.tag, each.payload) for each in shipped.payloads]
        click.echo(json.dumps({"snapshot": str(shipped.path), "tags": shipped.tags, "payloads": records}, indent=2))
        return
    for name, tag in shipped.tags.items():
        click.echo(f"{name} ({tag['state']}), digest {tag['digest'] or '-'}")
        _echo_tag([each.payload for each in shipped.payloads if each.tag == name])


@defaults.command(epilog="Example: smartbkg defaults verify")
@_SNAPSHOT
@click.option("--evaluated", is_flag=True, help="Refuse payloads that nobody evaluated, too.")
@_JSON
def verify(snapshot: Path | None, *, evaluated: bool, as_json: bool) -> None:
    """Compare all bytes with their digests, and the size of all with what may be shipped."""
    shipped = _read(snapshot)
    size = shipped.verify(MAX_BYTES, evaluated=evaluated)
    if as_json:
        names = [f"{entry.payload}" for entry in shipped.payloads]
        click.echo(json.dumps({"snapshot": str(shipped.path), "size_bytes": size, "verified": names}, indent=2))
        return
    click.echo(f"{len(shipped.payloads)} payloads of {', '.join(shipped.tags)} verified: {size} bytes")


@defaults.command(epilog="Example: smartbkg defaults make -o defaults-work --until generate")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="defaults-work", show_default=True
)
@click.option("--b-pairs", "n_b_pairs", type=click.IntRange(min=1), default=Plan.n_b_pairs, show_default=True)
@click.option("--others", "n_others", type=click.IntRange(min=1), default=Plan.n_others, show_default=True)
@click.option("--new", "n_new", type=click.IntRange(min=1), default=Plan.n_new, show_default=True)
@click.option("--decays", default=Plan.decays, show_default=True, help="Decay table: pythia or belle2.")
@click.option("--seed", type=int, default=Plan.seed, show_default=True, help="The same seed, the same events.")
@click.option("--gatgap", default=" ".join(Training.gatgap), show_default=True, help="Options of its training.")
@click.option("--multiskim", default=" ".join(Training.multiskim), show_default=True, help="Options of its training.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Commands side by side.")
@click.option("--until", type=click.Choice(STAGES), default=STAGES[-1], show_default=True, help="The last stage.")
@click.option("--evaluate-again", "again", is_flag=True, help="Also evaluate what was evaluated already.")
@click.option("--install", is_flag=True, help="Put the result into this copy of the program.")
def make(output: Path, gatgap: str, multiskim: str, **given: Any) -> None:
    """Make the defaults that are shipped: from seeds to published tags and a snapshot of them.

    Generates `--b-pairs` training events of mixed and of charged, `--others` of each other type, and `--new` events
    of every type that no network sees; simulates and skims them; trains both networks; evaluates them on the new
    events; publishes them; takes both tags along. What is done is not repeated, up to the evaluation: a run that was
    interrupted goes on where it stopped, and a training that was made elsewhere is used when its folder (gatgap,
    multiskim) is there. The publication is made anew each time.
    """
    import shlex

    from smartbkg.defaults.make import Making
    from smartbkg.defaults.make import make as run

    making = Making(**{name: given.pop(name) for name in ("until", "again", "workers", "install")})
    training = Training(tuple(shlex.split(gatgap)), tuple(shlex.split(multiskim)))
    run(output, Plan(**given), training, making, lambda text: click.echo(text, err=True))


def _read(snapshot: Path | None) -> Shipped:
    from smartbkg.modules.shipped import read_shipped

    path = FOLDER / SNAPSHOT if snapshot is None else snapshot
    if not path.is_file():
        raise FileNotFoundError(f"no snapshot {path}: tools/defaults makes one")
    return read_shipped(path)


def _echo_tag(payloads: Sequence[Payload]) -> None:
    """The payloads of a tag, which are of one training."""
    from smartbkg.defaults.figures import COLUMNS, skim_rows, story
    from smartbkg.report.tables import as_lines

    for payload in payloads:
        click.echo(f"  {payload} of {payload.created_at:%Y-%m-%d}: {payload.size_bytes} bytes, sha256 {payload.sha256}")
    metadata = payloads[0].metadata if payloads else {}
    for what, said in story(metadata):
        click.echo(f"  {what}: {said}")
    rows = skim_rows(metadata)
    for line in as_lines(list(COLUMNS), rows) if rows else ():
        click.echo(f"    {line}")
