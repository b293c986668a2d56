"""Trained files → payloads, interval of validity, tag: all of it or nothing, in one transaction of the store.

Two payloads are published for two kinds of readers: the checkpoint `GATGAPgen.pth`, which existing programs open,
and its export `GATGAPgen.onnx` for workers without torch. The export must say that it was made of this checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from conditions import IntervalOfValidity, Payload, Tag, TagState
from conditions.errors import ChangeRefused, TagExists
from conditions.resolve import IovEntry
from conditions.store import Store
from smartbkg import __version__
from smartbkg.errors import ModelMismatch, NotAModel
from smartbkg.manifest import Manifest
from smartbkg.scorer import OnnxScorer

CHECKPOINT, EXPORT, METRICS = "GATGAPgen.pth", "GATGAPgen.onnx", "metrics.json"
DEFAULT_TAG = "SmartBKG_GATGAP"
# How an OPEN tag comes to be published; every step is an entry of its history.
LADDER: Final = (TagState.OPEN, TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED)


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
        """Digest of each file by the payload's name."""
        return {CHECKPOINT: _sha256(self.checkpoint), EXPORT: _sha256(self.export)}


def publish_gatgap(directory: Path | str, store: Store, config: PublishConfig = PublishConfig()) -> Publication:
    """Publish what `smartbkg train gatgap` wrote. Doing it again with the same files changes nothing.

    Args:
        directory: with GATGAPgen.pth, GATGAPgen.onnx and metrics.json.
        store: where to.
        config: tag, interval, state.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing: a file is missing or damaged.
        ModelMismatch: the files are not of one training, or one of them alone would be used.
        ChangeRefused: the tag's state forbids it; says what to do instead.
    """
    files = read_trained(Path(directory))
    with store.transaction():
        tag = _find_or_create_tag(store, config)
        entries = store.list_iovs(tag.name, names=[CHECKPOINT, EXPORT])
        there = [entry for entry in entries if _is_same(entry, files.sha256_of, config.iov)]
        if len(there) < 2:
            _check_state(tag)
        metadata = _metadata(files, config, entries)
        payloads = (
            store.upload(CHECKPOINT, files.checkpoint, metadata=metadata),
            store.upload(EXPORT, files.export, metadata=metadata),
        )
        hidden_by = _hidden_by(payloads, _winners(entries, config.iov), tag)
        n_added = store.add_iovs(tag.name, [(p, config.iov) for p in payloads]) if len(there) < 2 else 0
        _move(store, tag, config.state)
        return Publication(payloads, store.get_tag(tag.name), n_added, hidden_by)


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
    digest = _sha256(checkpoint)
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


def _find_or_create_tag(store: Store, config: PublishConfig) -> Tag:
    found = store.find_tag(config.tag)
    if found is not None:
        return found
    try:
        return store.create_tag(config.tag, description=config.description)
    except TagExists:
        return store.get_tag(config.tag)  # another publication has made it in the meantime


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


def _is_same(entry: IovEntry, sha256_of: Mapping[str, str], iov: IntervalOfValidity) -> bool:
    return entry.iov == iov and sha256_of.get(entry.payload.name) == entry.payload.sha256


def _winners(entries: list[IovEntry], iov: IntervalOfValidity) -> list[IovEntry]:
    """Rows that cover the first run."""
    return [entry for entry in entries if entry.iov.contains(iov.first)]


def _hidden_by(payloads: tuple[Payload, Payload], winners: list[IovEntry], tag: Tag) -> int | None:
    """Revision of the checkpoint that wins over this one; refuses a pair of winners that do not belong together."""
    there = [entry.payload for entry in winners]
    checkpoint, export = (
        max((p for p in (ours, *there) if p.name == ours.name), key=lambda p: p.revision) for ours in payloads
    )
    if export.metadata.get("checkpoint_sha256", checkpoint.sha256) != checkpoint.sha256:
        raise ModelMismatch(
            f"{checkpoint} and {export} would win in {tag.name}, and they are not of one training: "
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


def _move(store: Store, tag: Tag, wanted: TagState | None) -> None:
    """Lead the tag up to a state; where no ladder leads, the store says so."""
    if wanted is None or wanted is tag.state:
        return
    steps: tuple[TagState, ...] = (wanted,)
    if tag.state in LADDER and wanted in LADDER and LADDER.index(tag.state) < LADDER.index(wanted):
        steps = LADDER[LADDER.index(tag.state) + 1 : LADDER.index(wanted) + 1]
    for state in steps:
        store.set_state(tag.name, state)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
