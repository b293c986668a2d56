"""Trained files → payloads, interval of validity, tag: all of it or nothing, in one transaction of a store or server.

What the tag holds is read first; the changes are sent with the content revision that was read, and all is done again
when somebody else was faster.

Two payloads are published for two kinds of readers: the checkpoint `GATGAPgen.pth`, which existing programs open,
and its export `GATGAPgen.onnx` for workers without torch. The export must say that it was made of this checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from conditions import IntervalOfValidity, Payload, Tag, TagState
from conditions.batch import Batch, NewIov, NewPayload
from conditions.catalogue import Catalogue
from conditions.errors import ChangeRefused, PayloadNotFound, TagChanged
from conditions.resolve import IovEntry
from smartbkg import __version__
from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.manifest import Manifest
from smartbkg.scorer import OnnxScorer

CHECKPOINT, EXPORT, METRICS = "GATGAPgen.pth", "GATGAPgen.onnx", "metrics.json"
DEFAULT_TAG = "SmartBKG_GATGAP"
ATTEMPTS: Final = 20  # when others change the tag at the same moment; each time one of them has succeeded


@dataclass(frozen=True)
class PublishConfig:
    """Where a trained network goes.

    Attributes:
        tag: made when it is not there.
        iov: the runs it is valid for.
        state: where the tag is moved afterwards; None leaves it.
        description: of the tag, if it is made.
        metadata: more to keep with the payloads, beside metrics and provenance.
    """

    tag: str = DEFAULT_TAG
    iov: IntervalOfValidity = field(default_factory=IntervalOfValidity.always)
    state: TagState | None = None
    description: str = "GATGAP filter of selective background simulation"
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Publication:
    """What is in the store now.

    Attributes:
        payloads: checkpoint and export.
        tag: with its state.
        n_added: rows of the tag that were not there before; 0 when the same was published already.
        hidden_by: the revision of the checkpoint that wins for the first run instead; None when these win.
    """

    payloads: tuple[Payload, Payload]
    tag: Tag
    n_added: int
    hidden_by: int | None


@dataclass(frozen=True)
class TrainedFiles:
    """The files of one training, checked to belong together."""

    checkpoint: Path
    export: Path
    manifest: Manifest
    metrics: dict[str, Any]

    @cached_property
    def sha256_of(self) -> dict[str, str]:
        """sha256 of each file by the payload's name."""
        return {name: _digest(path, "sha256") for name, path in self.paths.items()}

    @cached_property
    def md5_of(self) -> dict[str, str]:
        """md5 of each file by the payload's name."""
        return {name: _digest(path, "md5") for name, path in self.paths.items()}

    @property
    def paths(self) -> dict[str, Path]:
        """Each file by the payload's name, the checkpoint first."""
        return {CHECKPOINT: self.checkpoint, EXPORT: self.export}


def publish_gatgap(directory: Path | str, catalogue: Catalogue, config: PublishConfig = PublishConfig()) -> Publication:
    """Publish what `smartbkg train gatgap` wrote. Doing it again with the same files changes nothing.

    Args:
        directory: with GATGAPgen.pth, GATGAPgen.onnx and metrics.json.
        catalogue: where to: a store, or a server.
        config: tag, interval, state.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing: a file is missing or damaged.
        ModelMismatch: the files are not of one training, or one of them alone would be used.
        ChangeRefused: the tag's state forbids it; says what to do instead.
        TagChanged: others change the tag all the time.
    """
    files = read_trained(Path(directory))
    for _ in range(ATTEMPTS - 1):
        with suppress(TagChanged):
            return _publish(files, catalogue, config)
    return _publish(files, catalogue, config)


def _publish(files: TrainedFiles, catalogue: Catalogue, config: PublishConfig) -> Publication:
    """Read, decide, submit; TagChanged when the tag is not what was read any more."""
    tag = catalogue.find_tag(config.tag)
    entries = [] if tag is None else catalogue.list_iovs(config.tag, names=[CHECKPOINT, EXPORT])
    is_there = sum(_is_same(entry, files, config.iov) for entry in entries) >= 2
    if tag is not None and not is_there:
        _check_state(tag)
    metadata = _metadata(files, config, entries)
    _hidden_by(_expected(files, catalogue), _winners(entries, config.iov), config.tag)
    batch = Batch(
        tag=config.tag,
        payloads=tuple(NewPayload(name, path, metadata, files.md5_of[name]) for name, path in files.paths.items()),
        iovs=() if is_there else tuple(NewIov(name, config.iov) for name in files.paths),
        create=True,
        description=config.description,
        state=config.state,
        expected_revision=0 if tag is None else tag.content_revision,
    )
    done = catalogue.submit(batch)
    checkpoint, export = done.payloads
    hidden_by = _hidden_by((checkpoint, export), _winners(entries, config.iov), config.tag)
    return Publication((checkpoint, export), done.tag or catalogue.get_tag(config.tag), done.n_added, hidden_by)


def read_trained(directory: Path) -> TrainedFiles:
    """The files of a training, which must be finished and belong together.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing, ModelMismatch.
    """
    checkpoint, export, metrics_file = (directory / name for name in (CHECKPOINT, EXPORT, METRICS))
    for path in (checkpoint, export, metrics_file):
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}: a finished training leaves {CHECKPOINT}, {EXPORT} and {METRICS}")
    manifest = OnnxScorer(export).manifest
    digest = _digest(checkpoint, "sha256")
    if manifest.checkpoint_sha256 != digest:
        made_of = (manifest.checkpoint_sha256 or "unknown")[:12]
        raise ModelMismatch(
            f"{export} was made of a checkpoint with sha256 {made_of}…, {checkpoint} has {digest[:12]}…"
        )
    try:
        metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotAModel(metrics_file, f"it is no JSON: {error}") from error
    if not isinstance(metrics, dict):
        raise NotAModel(metrics_file, "it is no JSON object")
    if metrics.get("data_digest", manifest.data_digest) != manifest.data_digest:
        raise ModelMismatch(f"{metrics_file} is of a training on other data than {export}")
    return TrainedFiles(checkpoint, export, manifest, metrics)


def _expected(files: TrainedFiles, catalogue: Catalogue) -> tuple[Payload, Payload]:
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
        made_of = {"checkpoint_sha256": files.manifest.checkpoint_sha256}
        now, path = datetime.now(UTC), files.paths[name]
        return Payload(name, revision, files.sha256_of[name], files.md5_of[name], path.stat().st_size, made_of, now, "")

    return expected(CHECKPOINT), expected(EXPORT)


def _metadata(files: TrainedFiles, config: PublishConfig, entries: list[IovEntry]) -> dict[str, Any]:
    """What is kept with both payloads."""
    before = [e.payload.revision for e in _winners(entries, config.iov) if e.payload.name == CHECKPOINT]
    figures = files.manifest.metrics
    return {
        **config.metadata,
        "kind": files.manifest.kind,
        "skim": files.manifest.skim,
        "metrics": figures,
        "data_digest": files.manifest.data_digest,
        "feature_spec_digest": files.manifest.feature_spec.digest,
        "token_digest": files.manifest.token_digest,
        "checkpoint_sha256": files.manifest.checkpoint_sha256,
        # The revision it takes the place of in its tag.
        "parent_revision": max(before, default=None),
        "provenance": {
            "training": {k: v for k, v in files.metrics.items() if k not in figures},
            "smartbkg": __version__,
        },
    }


def _is_same(entry: IovEntry, files: TrainedFiles, iov: IntervalOfValidity) -> bool:
    return entry.iov == iov and files.sha256_of.get(entry.payload.name) == entry.payload.sha256


def _winners(entries: list[IovEntry], iov: IntervalOfValidity) -> list[IovEntry]:
    """Rows that cover the first run."""
    return [entry for entry in entries if entry.iov.contains(iov.first)]


def _hidden_by(payloads: tuple[Payload, Payload], winners: list[IovEntry], tag: str) -> int | None:
    """Revision of the checkpoint that wins over this one; refuses a pair of winners that do not belong together."""
    there = [entry.payload for entry in winners]
    checkpoint, export = (
        max((p for p in (ours, *there) if p.name == ours.name), key=lambda p: p.revision) for ours in payloads
    )
    if export.metadata.get("checkpoint_sha256", checkpoint.sha256) != checkpoint.sha256:
        raise ModelMismatch(
            f"{checkpoint} and {export} would win in {tag}, and they are not of one training: "
            "publish under another --tag"
        )
    return None if checkpoint == payloads[0] else checkpoint.revision


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


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
