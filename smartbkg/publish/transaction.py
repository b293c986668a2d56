"""Trained files into a tag: payloads, interval of validity and state, all of it or nothing.

What the tag holds is read first; the changes are sent with the content revision that was read, and all is done again
when somebody else was faster.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from conditions import IntervalOfValidity, Payload, Tag, TagState
from conditions.batch import Batch, NewIov, NewPayload
from conditions.catalogue import Catalogue
from conditions.errors import ChangeRefused, PayloadNotFound, TagChanged
from conditions.resolve import IovEntry
from smartbkg.errors import ModelMismatch
from smartbkg.publish.config import BY_DEFAULT, Publication, PublishConfig
from smartbkg.publish.trained import TrainedFiles

ATTEMPTS: Final = 20  # when others change the tag at the same moment; each time one of them has succeeded


def publish(files: TrainedFiles, catalogue: Catalogue, config: PublishConfig = BY_DEFAULT) -> Publication:
    """Publish the files of a training. Doing it again with the same files changes nothing.

    Args:
        files: checked to belong together.
        catalogue: where to: a store, or a server.
        config: tag, interval, state.

    Raises:
        ModelMismatch: one of the files alone would be used.
        ChangeRefused: the tag's state forbids it; says what to do instead.
        TagChanged: others change the tag all the time.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(TagChanged):
            return _publish(files, catalogue, config)
    return _publish(files, catalogue, config)


def _publish(files: TrainedFiles, catalogue: Catalogue, config: PublishConfig) -> Publication:
    """Read, decide, submit; TagChanged when the tag is not what was read any more."""
    name = files.default_tag if config.tag is None else config.tag
    tag = catalogue.find_tag(name)
    entries = [] if tag is None else catalogue.list_iovs(name, names=list(files.paths))
    is_there = sum(_is_same(entry, files, config.iov) for entry in entries) >= len(files.paths)
    if tag is not None and not is_there:
        _check_state(tag)
    winners = _winners(entries, config.iov)
    metadata = _metadata(files, config, winners)
    _hidden_by(files, _expected(files, catalogue), winners, name)
    batch = Batch(
        tag=name,
        payloads=tuple(NewPayload(each, path, metadata, files.md5_of[each]) for each, path in files.paths.items()),
        iovs=() if is_there else tuple(NewIov(each, config.iov) for each in files.paths),
        create=True,
        description=files.description if config.description is None else config.description,
        state=config.state,
        expected_revision=0 if tag is None else tag.content_revision,
    )
    done = catalogue.submit(batch)
    hidden_by = _hidden_by(files, done.payloads, winners, name)
    return Publication(tuple(done.payloads), done.tag or catalogue.get_tag(name), done.n_added, hidden_by)


def _expected(files: TrainedFiles, catalogue: Catalogue) -> tuple[Payload, ...]:
    """The payloads as they are there, or as they will be: a new one gets the revision after the latest."""
    there = {(p.name, p.sha256): p for p in catalogue.find_payloads(files.md5_of.items())}

    def expected(name: str) -> Payload:
        found = there.get((name, files.sha256_of[name]))
        if found is not None:
            return found
        try:
            revision = catalogue.get_payload(name).revision + 1
        except PayloadNotFound:
            revision = 1
        made_of = {files.bond: files.sha256_of[files.main]}
        now, path = datetime.now(UTC), files.paths[name]
        return Payload(name, revision, files.sha256_of[name], files.md5_of[name], path.stat().st_size, made_of, now, "")

    return tuple(map(expected, files.paths))


def _metadata(files: TrainedFiles, config: PublishConfig, winners: list[IovEntry]) -> dict[str, Any]:
    """What is kept with all payloads."""
    before = [entry.payload.revision for entry in winners if entry.payload.name == files.main]
    # The revision it takes the place of in its tag.
    return {**config.metadata, **files.metadata, "parent_revision": max(before, default=None)}


def _is_same(entry: IovEntry, files: TrainedFiles, iov: IntervalOfValidity) -> bool:
    return entry.iov == iov and files.sha256_of.get(entry.payload.name) == entry.payload.sha256


def _winners(entries: list[IovEntry], iov: IntervalOfValidity) -> list[IovEntry]:
    """Rows that cover the first run."""
    return [entry for entry in entries if entry.iov.contains(iov.first)]


def _hidden_by(files: TrainedFiles, payloads: tuple[Payload, ...], winners: list[IovEntry], tag: str) -> int | None:
    """Revision of the first payload that wins over this one; refuses winners that do not belong together."""
    there = [entry.payload for entry in winners]
    best = [max((p for p in (ours, *there) if p.name == ours.name), key=lambda p: p.revision) for ours in payloads]
    main = next(payload for payload in best if payload.name == files.main)
    for other in best:
        if other is not main and other.metadata.get(files.bond, main.sha256) != main.sha256:
            raise ModelMismatch(
                f"{main} and {other} would win in {tag}, and they are not of one training: publish under another --tag"
            )
    ours = next(payload for payload in payloads if payload.name == files.main)
    return None if main == ours else main.revision


def _check_state(tag: Tag) -> None:
    """Refuse a tag that can take nothing, with the ways out."""
    if tag.state in (TagState.OPEN, TagState.RUNNING):
        return  # what a RUNNING tag takes depends on its rows: the store decides
    advice = "nothing may be added to it; publish under another --tag, or clone it and put the clone in your stack"
    if tag.state in (TagState.TESTING, TagState.VALIDATED):
        advice = f"set it back to OPEN first: conditions tag state {tag.name} OPEN"
    elif tag.state is TagState.PUBLISHED:
        advice += "; a tag that is to grow run by run should be RUNNING instead of PUBLISHED"
    raise ChangeRefused(tag.name, tag.state.value, "publish to", advice)
