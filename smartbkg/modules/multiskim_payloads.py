"""Which weights and configuration of the multi-skim filter hold for a run, and whether they belong together.

`SmartBackgroundWeights_default` is the network for one event a call, as existing programs use it, and
`SmartBackgroundConfig_default` says what its outputs mean. A companion `SmartBackgroundWeights_default_batched` is the
same network for many events a call; it names the digest of the single one and is used where that is the one in force.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from conditions import Resolved, Run
from smartbkg.errors import FrameworkError, ModelMismatch, UnknownName
from smartbkg.modules.payloads import PayloadStack, Sessions, file_sha256
from smartbkg.multiskim_scorer import PRECISIONS, MultiSkimScorer, open_multiskim
from smartbkg.pdg import PdgTable
from smartbkg.smartbackground import SmartBackgroundConfig

log = logging.getLogger(__name__)

COMPANION: Final = "_batched"

_SCORERS: Final[Sessions[MultiSkimScorer]] = Sessions()
_CONFIGS: Final[Sessions[SmartBackgroundConfig]] = Sessions()


@dataclass(frozen=True)
class Speed:
    """How a network is opened.

    Raises:
        UnknownName: no such precision.
        FrameworkError: no thread at all.
    """

    threads: int = 1
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
        if self.threads < 1:
            raise FrameworkError(f"a network runs on at least one thread, not {self.threads}")

    def open(self, digest: str, path: Path) -> MultiSkimScorer:
        """The scorer of a file, one for all jobs of this process that want it at the same speed."""
        return _SCORERS.get(f"{digest} {self}", path, lambda path: open_multiskim(path, self.threads, self.precision))


@dataclass(frozen=True)
class MultiSkimChoice:
    """A network that is ready, and what its outputs mean.

    Attributes:
        scorer: of all skims that the configuration names.
        config: belongs to the scorer.
        models: the payloads or files they come from, in plain values, for metadata.
        names: the same for people.
    """

    scorer: MultiSkimScorer
    config: SmartBackgroundConfig
    models: tuple[dict[str, Any], ...]
    names: str


@dataclass
class MultiSkimPayloads(PayloadStack):
    """Resolves weights and configuration together, and opens each file once.

    Args:
        weights: name of the payload with the weights of one event a call.
        config: name of the payload with the configuration.
        speed: how the network is opened.
    """

    weights: str = ""
    config: str = ""
    speed: Speed = Speed()

    def choose(self, run: Run) -> MultiSkimChoice:
        """What holds for a run.

        Raises:
            NoPayloadForRun: with what is near.
            NotAModel: a file is damaged.
            ModelMismatch: weights and configuration are of two trainings.
        """
        companion = self.weights + COMPANION
        found, stack = self.resolve(run, [self.weights, self.config], [companion])
        weights, config, batched = found[self.weights], found[self.config], found.get(companion)
        read = self.opened(config, partial(_read_once, _named(config)))
        digest = self.sha256_of(weights)
        read.check_weights(digest, f"{_named(weights)}, used with {_named(config)},")
        if batched is None:
            lacks = f"no payload {companion!r} for {run} in {', '.join(stack)}"
        else:
            scorer = self.opened(batched, self.speed.open)
            if _fits(scorer, self.sha256_of(batched), digest, read):
                return self._checked(scorer, read, (weights, config, batched))
            lacks = f"{_named(batched)} is not made of {_named(weights)}"
        self.say_once(digest, f"{lacks}: {weights.payload} is used, one event after the other")
        return self._checked(self.opened(weights, self.speed.open), read, (weights, config))

    def _checked(
        self, scorer: MultiSkimScorer, config: SmartBackgroundConfig, used: tuple[Resolved, ...]
    ) -> MultiSkimChoice:
        unsaid = check_pair(scorer, config, *map(_named, used[:2]))
        if unsaid is not None:
            self.say_once(f"{self.sha256_of(used[0])} alone", unsaid)
        return MultiSkimChoice(scorer, config, tuple(map(self.described, used)), _listed(used))


def open_files(weights_file: Path, config_file: Path, speed: Speed = Speed()) -> MultiSkimChoice:
    """Weights and configuration of local files; a companion beside the weights is used where it is made of them.

    Raises:
        FileNotFoundError, NotAModel, ModelMismatch.
    """
    config = _read_config(config_file, config_file)
    digest, files = file_sha256(weights_file), [weights_file, config_file]
    scorer = speed.open(digest, weights_file)
    single = _single_of(scorer)
    if single is not None:  # the batched form itself
        config.check_weights(single, f"the weights that {weights_file} is made of, used with {config_file},")
        config.check_weights(digest, f"{weights_file}, used with {config_file},", batched=True)
    else:
        config.check_weights(digest, f"{weights_file}, used with {config_file},")
        batched = weights_file.with_name(f"{weights_file.stem}{COMPANION}{weights_file.suffix}")
        if batched.is_file():
            own = file_sha256(batched)
            companion = speed.open(own, batched)
            if _fits(companion, own, digest, config):
                scorer, files = companion, [*files, batched]
    unsaid = check_pair(scorer, config, str(weights_file), str(config_file))
    if unsaid is not None:
        log.warning("%s", unsaid)
    models = tuple({"file": str(path), "sha256": file_sha256(path)} for path in files)
    return MultiSkimChoice(scorer, config, models, " and ".join(map(str, files)))


def check_pair(scorer: MultiSkimScorer, config: SmartBackgroundConfig, weights: str, source: str) -> str | None:
    """Compare what a network and a configuration say of each other.

    Args:
        scorer: the network.
        config: the configuration.
        weights, source: where they are from, for messages.

    Returns:
        What could not be compared; None when all could.

    Raises:
        ModelMismatch: they are of two trainings.
    """
    config.check_outputs(scorer.n_skims, f"{weights}, used with {source},")
    manifest = scorer.manifest
    if manifest is None:
        if config.weights_sha256 is not None:
            return None
        return (
            f"neither {weights} nor {source} says that they belong together: just the number of outputs was compared, "
            f"{scorer.n_skims}, not their order"
        )
    types = sorted(config.event_types, key=lambda name: config.event_types[name])
    compared = (
        ("skims", [code for code, _ in manifest.skims], [skim.code for skim in config.skims]),
        ("event types", list(manifest.event_types), types),
        ("PDG codes", manifest.token_digest, PdgTable.of_codes(config.pdg_codes).digest),
    )
    for what, ours, theirs in compared:
        if ours != theirs:
            raise ModelMismatch(
                f"{weights} was trained with other {what} than {source} names: they are of two trainings"
            )
    return None


def _read_once(source: str, digest: str, path: Path) -> SmartBackgroundConfig:
    return _CONFIGS.get(digest, path, lambda path: _read_config(path, source))


def _read_config(path: Path, source: Path | str) -> SmartBackgroundConfig:
    return SmartBackgroundConfig.from_json(path.read_bytes(), source)


def _single_of(scorer: MultiSkimScorer) -> str | None:
    """Digest of the weights that this is the batched form of; None for anything else."""
    return None if scorer.manifest is None else scorer.manifest.single_sha256


def _fits(scorer: MultiSkimScorer, own: str, single: str, config: SmartBackgroundConfig) -> bool:
    """Whether a batched network with the digest `own` is made of the weights `single`, as the configuration says."""
    return _single_of(scorer) == single and config.batched_sha256 in (None, own)


def _named(resolved: Resolved) -> str:
    return f"{resolved.payload} of {resolved.tag}"


def _listed(used: tuple[Resolved, ...]) -> str:
    """All of them, tag by tag."""
    names = {each.tag: ", ".join(str(other.payload) for other in used if other.tag == each.tag) for each in used}
    return "; ".join(f"{payloads} of {tag}" for tag, payloads in names.items())
