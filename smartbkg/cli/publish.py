"""`smartbkg publish`: a trained network into the conditions store."""

from __future__ import annotations

import json
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conditions.iov import IntervalOfValidity
from conditions.tags import TagState

if TYPE_CHECKING:
    from smartbkg.publish import Publication

EPILOG = "Example: smartbkg publish gatgap --tag SmartBKG_GATGAP --state PUBLISHED"


@click.command(epilog=EPILOG)
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tag", help="Tag, made when it is not there.  [default: SmartBKG_GATGAP or SmartBackground]")
@click.option("--store", help="Server, or store; CONDITIONS_URL or your own when left out.")
@click.option("--iov", default="0,0,-1,-1", show_default=True, help="Runs it is valid for: EXP,RUN,EXP,RUN.")
@click.option("--state", type=click.Choice(list(TagState), case_sensitive=False), help="Move the tag to this state.")
@click.option("--meta", "pairs", multiple=True, metavar="KEY=VALUE", help="One more field of the payloads' metadata.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def publish(
    directory: Path,
    tag: str | None,
    store: str | None,
    iov: str,
    state: str | None,
    pairs: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Publish the files of a training in DIRECTORY, whichever network it was.

    Of a GATGAP training that is the checkpoint and its export, of a multi-skim one the weights for one event, those
    for batches, and the configuration; files that do not belong together are refused. All payloads with their metrics,
    their interval of validity and the tag come in one transaction: all of it or nothing. The same files again change
    nothing. `--state PUBLISHED` cannot be taken back; unlike `conditions tag publish` it does not ask for the name
    again, so that scripts can use it. To publish at a server, put its URL into --store or CONDITIONS_URL, and your
    token into CONDITIONS_TOKEN or CONDITIONS_TOKEN_FILE.
    """
    from conditions.cli.options import Settings
    from conditions.cli.payload import metadata_of
    from smartbkg.publish import PublishConfig, publish_trained

    valid = IntervalOfValidity.parse(iov)
    wanted = None if state is None else TagState(state.upper())
    config = PublishConfig(tag, valid, wanted, metadata=metadata_of(None, pairs))
    with Settings(store).open() as opened:
        done = publish_trained(directory, opened, config)
    if as_json:
        payloads = [{"name": p.name, "revision": p.revision, "sha256": p.sha256} for p in done.payloads]
        result = {"tag": done.tag.name, "state": done.tag.state.value, "iov": str(valid), "payloads": payloads}
        click.echo(json.dumps({**result, "added": done.n_added, "hidden_by": done.hidden_by}, indent=2))
        return
    *first, last = map(str, done.payloads)
    what = f"{', '.join(first)} and {last}"
    click.echo(f"{what} {'in' if done.n_added else 'already in'} {done.tag.name} ({done.tag.state}) for {valid}")
    if done.hidden_by is not None:
        click.echo(_advice(done, valid), err=True)
    if state is not None and done.tag.state is TagState.PUBLISHED:
        said = "nothing can change it any more; what is better goes into a clone"
        click.echo(f"{done.tag.name} is PUBLISHED: {said}", err=True)


def _advice(done: Publication, iov: IntervalOfValidity) -> str:
    """What to do where an earlier revision was published and does not win."""
    tag = done.tag.name
    said = f"revision {done.hidden_by} of the tag is higher and wins for run {iov.first}; for this one to win, "
    if done.tag.state is not TagState.OPEN:
        return f"{said}publish it under another --tag, in front of {tag} in the stack"
    begin = commonprefix([payload.name for payload in done.payloads])  # noqa: RUF071 (of names, not of paths)
    newer = f"--name '{begin}*' --revision {done.hidden_by}"
    ending = "" if iov.first.key == 0 else f" (or end it earlier: conditions iov modify {tag} {newer} --last EXP,RUN)"
    return f"{said}take these runs from the newer one: conditions iov delete {tag} {newer} --within {iov} --cut{ending}"
