"""Which local files make a filter, and opening them; digests tell what belongs together."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from smartbkg.errors import ModelError, ModelMismatch, TrainingError
from smartbkg.evaluation.filters import EventFilter, MultiSkimFilter, OneSkimFilter
from smartbkg.multiskim_scorer import MultiSkimScorer, open_multiskim
from smartbkg.scorer import open_scorer
from smartbkg.smartbackground import BATCHED_FILE, CONFIG_FILE, WEIGHTS_FILE, SmartBackgroundConfig

log = logging.getLogger(__name__)

# Filters for one skim; an export is faster than its checkpoint and needs no torch.
ONE_SKIM_FILES = ("GATGAPgen.onnx", "GATGAPgen.pth", "ConvNet.onnx", "ConvNet.pth")


@dataclass(frozen=True)
class FilterFiles:
    """Local files of one trained filter.

    Args:
        weights: checkpoint or export.
        config: of a multi-skim filter.
        batched: companion of its weights, for batches.
        source: what the user named, for messages and reports; the weights' path when left out.
    """

    weights: Path
    config: Path | None = None
    batched: Path | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.source or str(self.weights)


def find_files(path: Path, config: Path | None = None) -> FilterFiles:
    """The files that belong to a trained file, a configuration, or a folder that a training has left.

    Args:
        path: file or folder.
        config: of the multi-skim weights, when it does not lie beside them.

    Raises:
        FileNotFoundError: says what would have to be there.
        TrainingError: a folder with two filters.
    """
    if path.is_dir():
        return _in_folder(path, config)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if path.name in ONE_SKIM_FILES:
        return FilterFiles(path, source=str(path))
    if path.suffix == ".json":  # the configuration leads to its weights
        return _multiskim(path.parent / WEIGHTS_FILE, path, str(path))
    beside = path.parent / CONFIG_FILE
    config = config or (beside if beside.is_file() else None)
    if path.name == WEIGHTS_FILE and config is not None:
        return _multiskim(path, config, str(path))
    return FilterFiles(path, config, source=str(path))


def open_filter(files: FilterFiles, threads: int = 1, event_type: str | None = None) -> EventFilter:
    """Open a filter; with a configuration it is one for many skims.

    Args:
        files: that belong together.
        threads: of the network.
        event_type: for a multi-skim network, of all events; None for what they say themselves.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing.
        ModelMismatch: files of two trainings, or multi-skim weights without a configuration.
        MissingExtra: a checkpoint needs torch.
    """
    if files.config is not None:
        return _open_multiskim(files, files.config, threads, event_type)
    try:
        scorer = open_scorer(files.weights, threads)
    except ModelError as error:
        if not _is_multiskim(files.weights):
            raise
        raise ModelMismatch(
            f"{files.name} is a multi-skim network, and nothing says what its outputs mean: name its configuration "
            f"with --config, or put it beside as {CONFIG_FILE}"
        ) from error
    digests = {"weights": file_sha256(files.weights), "checkpoint": scorer.manifest.checkpoint_sha256}
    return OneSkimFilter(scorer, files.name, {role: digest for role, digest in digests.items() if digest is not None})


def file_sha256(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _open_multiskim(files: FilterFiles, config_file: Path, threads: int, event_type: str | None) -> MultiSkimFilter:
    """Weights, configuration and perhaps the batched companion, after all have been compared."""
    from smartbkg.modules.multiskim_payloads import check_pair

    config = SmartBackgroundConfig.from_json(config_file.read_bytes(), config_file)
    digests = {"weights": file_sha256(files.weights), "config": file_sha256(config_file)}
    scorer = open_multiskim(files.weights, threads)
    single = None if scorer.manifest is None else scorer.manifest.single_sha256
    if single is not None:  # the batched form itself
        config.check_weights(single, f"the weights that {files.weights} is made of")
    config.check_weights(digests["weights"], files.weights, batched=single is not None)
    if files.batched is not None:
        digests["batched"] = file_sha256(files.batched)
        scorer = _companion(files, digests, config, threads)
    unsaid = check_pair(scorer, config, str(files.weights), str(config_file))
    if unsaid is not None:
        log.warning("%s", unsaid)
    return MultiSkimFilter(scorer, config, files.name, digests, event_type)


def _companion(
    files: FilterFiles, digests: dict[str, str], config: SmartBackgroundConfig, threads: int
) -> MultiSkimScorer:
    """The batched form, which must be made of the weights."""
    scorer = open_multiskim(str(files.batched), threads)
    config.check_weights(digests["batched"], str(files.batched), batched=True)
    made_of = None if scorer.manifest is None else scorer.manifest.single_sha256
    if made_of != digests["weights"]:
        raise ModelMismatch(f"{files.batched} is not made of {files.weights}: remove it, or export both again")
    return scorer


def _is_multiskim(path: Path) -> bool:
    try:
        open_multiskim(path)
    except ModelError:
        return False
    return True


def _in_folder(folder: Path, config: Path | None) -> FilterFiles:
    one_skim = [folder / name for name in ONE_SKIM_FILES if (folder / name).is_file()]
    weights = folder / WEIGHTS_FILE
    if one_skim and weights.is_file():
        raise TrainingError(f"{folder} holds two filters: name {one_skim[0].name} or {weights.name} in it")
    if one_skim:
        return FilterFiles(one_skim[0], source=str(folder))
    if weights.is_file():
        return _multiskim(weights, config or folder / CONFIG_FILE, str(folder))
    raise FileNotFoundError(f"no trained filter in {folder}: a training leaves {ONE_SKIM_FILES[0]} or {WEIGHTS_FILE}")


def _multiskim(weights: Path, config: Path, source: str) -> FilterFiles:
    for path in (weights, config):
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}: weights and configuration of {source} belong together")
    batched = weights.parent / BATCHED_FILE
    return FilterFiles(weights, config, batched if batched.is_file() else None, source)
