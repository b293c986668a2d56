"""The multi-skim filter: one network, a probability to keep and a weight for each skim.

    module = SmartBackground(skimCodes=[11180500], skimNames=["feiHadronic"])
    path.add_module(module).if_value("<1", empty_path, AfterConditionPath.END)

or `add_smartbkg_filtering(skim, path)`, which writes these lines. Letters: `B` events, `S` skims of this module.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from conditions import Run
from smartbkg import __version__
from smartbkg.bridging import build_bridged
from smartbkg.decision import MultiSkimPolicy
from smartbkg.draws import event_draw
from smartbkg.errors import BadEvent, FrameworkError
from smartbkg.events import EVENT_TYPES, event_type_code
from smartbkg.features import Features
from smartbkg.framework.module import Module
from smartbkg.framework.store import Store
from smartbkg.modules.asked_skims import check_known, plain_skims
from smartbkg.modules.multiskim_payloads import MultiSkimChoice, MultiSkimPayloads, Speed, open_files
from smartbkg.modules.payloads import open_client, stack_of
from smartbkg.pdg import PdgTable
from smartbkg.smartbackground import DEFAULT_ACTIVATION, activation, activation_parameters

log = logging.getLogger(__name__)

DEFAULT_TAG: Final = "SmartBackground"
DEFAULT_WEIGHTS: Final = "SmartBackgroundWeights_default"
DEFAULT_CONFIG: Final = "SmartBackgroundConfig_default"
DEFAULT_TYPE: Final = "charged"  # of the first programs; it is used only where a type is to override
WEIGHT, PREDICTION = "weight_", "SmartBKG_Prediction_"
STREAM = "SmartBackground"


class SmartBackground(Module):
    """Samples generated events for several skims; returns 1 where at least one of them keeps the event, else 0.

    For each skim an event is kept with probability p and gets `weight_<SkimName>` = 1/p, else 0. The module filters
    nothing by itself: a condition on its return value does. Draws depend on seed and event (type, experiment,
    run, number) only, so a job can be repeated, and split; all skims of an event share one draw, which keeps fewer
    events than one for each.

    Args:
        skimCodes: numbers of the skims.
        skimNames: their names, in the same order.
        eventType: type of the events, where overrideEventType is set.
        overrideEventType: do not use the type that the events have.
        payloadWeights: name of the payload with the network, ONNX; `<name>_batched` is used when it is there.
        payloadConfig: name of the payload that says what the network's outputs mean.
        debugMode: keep every event, and write p as `SmartBKG_Prediction_<SkimName>` instead of weights.
        overrideActivation: use activationOverrideParams in place of each skim's fitted (a, b).
        activationOverrideParams: (a, b).
        independentDraws: a draw for each skim, as the first programs had it.
        seed: of the draws; the job's when left out.
        global_tag: asked for the payloads when the tags in force have none; None for the tags in force alone.
        weights_file, config_file: local files to use instead of payloads; no database is touched then.
        allow_open: whether tags that can still change may be used.
        threads: of the network. One is best when a job has one core.
        precision: of the network: fp32, or int8, which says how much it changes.
    """

    def __init__(
        self,
        skimCodes: Sequence[int],
        skimNames: Sequence[str],
        eventType: str = DEFAULT_TYPE,
        overrideEventType: bool = False,
        payloadWeights: str = DEFAULT_WEIGHTS,
        payloadConfig: str = DEFAULT_CONFIG,
        debugMode: bool = False,
        overrideActivation: bool = False,
        activationOverrideParams: Sequence[float] = DEFAULT_ACTIVATION,
        *,
        independentDraws: bool = False,
        seed: int | None = None,
        global_tag: str | None = DEFAULT_TAG,
        weights_file: Path | str | None = None,
        config_file: Path | str | None = None,
        allow_open: bool = False,
        threads: int = 1,
        precision: str = "fp32",
    ) -> None:
        self.codes, self.names = plain_skims(skimCodes, skimNames)
        event_type_code(str(eventType))
        self.event_type = eventType if overrideEventType else None
        parameters = activation_parameters(activationOverrideParams)
        self.activation = parameters if overrideActivation else None
        if not overrideActivation and parameters != DEFAULT_ACTIVATION:
            log.warning("activationOverrideParams %s are not used: overrideActivation is not set", parameters)
        self.payloads = (payloadWeights, payloadConfig)
        self.debug, self.independent = bool(debugMode), independentDraws
        self.seed, self.global_tag, self.allow_open = seed, global_tag, allow_open
        self.files, self.speed = _both(weights_file, config_file), Speed(threads, precision)
        self.columns = [(PREDICTION if self.debug else WEIGHT) + name for name in self.names]
        self.extra_info = dict.fromkeys(self.columns, np.float64("nan"))

    def initialize(self) -> None:
        """Open the files, or the database; the payloads are resolved for each run."""
        self._models: MultiSkimPayloads | None = None
        self._choice: MultiSkimChoice | None = None
        self._used: list[dict[str, Any]] = []
        self._activations: list[dict[str, Any]] = []
        self._unknown_pdgs: dict[int, int] = {}
        self._n_kept, self._n_empty, self._said_earlier = 0, 0, False
        self._n_sampled = np.zeros(len(self.names), np.int64)
        self._sum_of_weights = np.zeros(len(self.names))
        self._seed = None if self.debug else self.job.seed_or(self.seed)
        if self.files is not None:
            self._use(open_files(*self.files, self.speed))
            return
        client = self.resource(open_client(self.job, allow_open=self.allow_open))
        (weights, config), stack = self.payloads, stack_of(self.job, client)
        self._models = MultiSkimPayloads(
            client, stack, self.global_tag, weights=weights, config=config, speed=self.speed
        )

    def beginRun(self) -> None:
        """Resolve the payloads that hold for this run."""
        if self._models is None:
            return
        choice = self._models.choose(Run(self.exp, self.run))
        if any(entry not in self._used for entry in choice.models):
            log.info("from run %d:%d: %s", self.exp, self.run, choice.names)
        self._use(choice)

    def event_batch(self, store: Store) -> NDArray[np.bool_]:
        """Features, probabilities, decision, extra info."""
        self._check_earlier(store)
        event_type = self._numbers_of_types(store)  # (B,)
        features = build_bridged(store.mc_particles, self._table)
        probability = self._probability(features, event_type)  # (B, S)
        for code, count in features.unknown_pdgs.items():
            self._unknown_pdgs[code] = self._unknown_pdgs.get(code, 0) + count
        self._n_empty += int((features.counts == 0).sum())
        if self._seed is None:
            store.put(**dict(zip(self.columns, probability.T, strict=True)))
            self._n_kept += len(store)
            return np.ones(len(store), dtype=bool)
        keep, weight = self._policy.decide(probability, self._draw(store, self._seed))  # (B,), (B, S)
        store.put(**dict(zip(self.columns, weight.T, strict=True)))
        self._n_kept += int(keep.sum())
        self._n_sampled += (weight > 0).sum(axis=0)
        self._sum_of_weights += weight.sum(axis=0)
        return keep

    def terminate(self) -> None:
        """Say what was done, in the log and in the files."""
        if self._unknown_pdgs:
            codes = ", ".join(f"{code} ({count})" for code, count in sorted(self._unknown_pdgs.items()))
            log.warning("PDG codes without a token, taken as unknown (number of particles): %s", codes)
        if self._n_empty:
            log.warning("%d events without any particle that the network sees: kept with weight 1", self._n_empty)
        if self.failed:
            return
        done = self.summary()
        log.info("%s kept %d of %d events", self.name, self._n_kept, done["n_events"])
        if not self.debug:
            for skim in done["skims"]:
                log.info("  %s: %d, sum of weights %.1f", skim["name"], skim["n_sampled"], skim["sum_of_weights"])
        self.job.add_step("filter", self.statistics.ms_per_event, **done, versions={"smartbkg": __version__})

    def summary(self) -> dict[str, Any]:
        """What the last job did, in plain values; files carry it in their metadata."""
        sums = zip(self.codes, self.names, self._n_sampled.tolist(), self._sum_of_weights.tolist(), strict=True)
        skims = [
            {"code": code, "name": name, **({} if self.debug else {"n_sampled": n, "sum_of_weights": weights})}
            for code, name, n, weights in sums
        ]
        return {
            "models": self._used,
            "conditions": None if self._models is None else self._models.origin(),
            "activations": self._activations,
            "precision": self.speed.precision,
            "event_type": self.event_type,
            "debug": self.debug,
            "seed": self._seed,
            "draws": None if self.debug else "independent" if self.independent else "shared",
            "n_events": self.statistics.n_events,
            "n_kept": self._n_kept,
            "n_without_particles": self._n_empty,
            "skims": skims,
            "unknown_pdgs": {str(code): count for code, count in sorted(self._unknown_pdgs.items())},
        }

    def _use(self, choice: MultiSkimChoice) -> None:
        """Take what the network and its configuration say about our skims."""
        if choice == self._choice:
            return
        config = choice.config
        check_known(self.codes, self.names, {skim.name: skim.code for skim in config.skims})
        entries = config.select(self.codes, self.names)
        a, b = zip(*((skim.a, skim.b) if self.activation is None else self.activation for skim in entries), strict=True)
        self._choice = choice
        self._table = PdgTable.of_codes(config.pdg_codes)
        self._policy = MultiSkimPolicy(config.max_weight)
        self._outputs = np.array([skim.index for skim in entries])  # (S,)
        self._a, self._b = np.array(a), np.array(b)  # (S,) each
        # A type that the network does not know, and the code -1 of an unknown one at the end, are -1.
        self._types = np.array([*(config.event_types.get(name, -1) for name in EVENT_TYPES), -1])
        self._own = {WEIGHT + skim.name for skim in config.skims} | set(self.columns)
        said = {"max_weight": config.max_weight, "a": list(a), "b": list(b)}
        self._activations += [] if said in self._activations else [said]
        self._used += [entry for entry in choice.models if entry not in self._used]

    @property
    def _ready(self) -> MultiSkimChoice:
        if self._choice is None:
            raise FrameworkError(f"{self.name} has no model yet: events came before a run began")
        return self._choice

    def _probability(self, features: Features, event_type: NDArray[np.int64]) -> NDArray[np.float64]:
        """(B, S) to keep each event for each skim; 1 for an event of which the network sees nothing."""
        logits = self._ready.scorer.logits(features, event_type)[:, self._outputs]  # (B, S)
        probability = activation(logits, self._a, self._b, self._ready.config.max_weight)
        probability[features.counts == 0] = 1.0
        return probability

    def _numbers_of_types(self, store: Store) -> NDArray[np.int64]:
        """(B,) the number of each event's type, as the network knows it."""
        config = self._ready.config
        if self.event_type is not None:
            return np.full(len(store), config.event_type(self.event_type))
        numbers: NDArray[np.int64] = self._types[store.event_type]
        wrong = np.flatnonzero(numbers < 0)
        if len(wrong):
            first = int(wrong[0])
            if store.event_type[first] >= 0:
                config.event_type(EVENT_TYPES[store.event_type[first]])  # names it, and what the network knows
            raise BadEvent(
                f"{len(wrong)} of {len(store)} events do not say their type, the first is event {store.event[first]} "
                f"of run {store.exp[first]},{store.run[first]}: give event_type to add_smartbkg_filtering, "
                f"eventType and overrideEventType to SmartBackground, or --event-type; one of {', '.join(EVENT_TYPES)}"
            )
        return numbers

    def _draw(self, store: Store, seed: int) -> NDArray[np.float64]:
        """(B, 1) a draw for each event, or (B, S) one for each event and skim's code.

        Behind another filter of this kind the draws are others: with its draws all that it kept would be kept again.
        """
        streams = [f"{STREAM}/{code}" for code in self.codes] if self.independent else [STREAM]
        after = [f"after {name}" for name in self._earlier(store)]
        event = (store.exp, store.run, store.event, store.event_type)
        return np.stack([event_draw(seed, *event, stream="/".join([each, *after])) for each in streams], axis=1)

    @staticmethod
    def _earlier(store: Store) -> list[str]:
        """Names of the weights that other filters have left."""
        return sorted(name for name in store.extra if name == "weight" or name.startswith(WEIGHT))

    def _check_earlier(self, store: Store) -> None:
        """Weights of this filter would be lost, and what it threw away is missing for other skims; others multiply."""
        there = sorted(name for name in store.extra if name in (self.columns if self.debug else self._own))
        if there:
            raise FrameworkError(
                f"extra info {', '.join(there)} is there already: these events went through SmartBackground before. "
                "Begin with the generated events, and give all skims to one filter (a CombinedSkim, or several codes)"
            )
        earlier = self._earlier(store)
        if earlier and not self.debug and not self._said_earlier:
            log.warning("events carry %s of an earlier filter: multiply by it", ", ".join(earlier))
            self._said_earlier = True


def _both(weights: Path | str | None, config: Path | str | None) -> tuple[Path, Path] | None:
    if weights is None and config is None:
        return None
    if weights is None or config is None:
        raise FrameworkError("weights_file and config_file belong together: give both, or none to use payloads")
    return Path(weights), Path(config)
