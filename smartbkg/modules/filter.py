"""The filter of selective background simulation: keeps the generated events that are worth simulating.

    nn_filter = path.add_module(NNFilterModule())
    nn_filter.if_false(empty_path)

Every event gets two extra infos: the network's score, and a weight. Kept events of a sampling filter carry the
weight 1/p and weighted distributions stay unbiased; `weight` is what analyses use.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conditions import Run
from smartbkg import __version__
from smartbkg.decision import MAX_WEIGHT, Policy, SamplingPolicy, ThresholdPolicy
from smartbkg.draws import event_draw
from smartbkg.errors import FrameworkError, ModelMismatch
from smartbkg.features import FeatureSpec, build
from smartbkg.framework.module import Module
from smartbkg.framework.store import Store
from smartbkg.modules.payloads import PayloadModels, described_file, open_client, stack_of
from smartbkg.scorer import Scorer, open_scorer

log = logging.getLogger(__name__)

DEFAULT_TAG = "SmartBKG_GATGAP"
DEFAULT_PAYLOAD = "GATGAPgen.pth"
DEFAULT_EXTRA_INFO = "NN_prediction"
STREAM = "NNFilterModule"


class NNFilterModule(Module):
    """Scores generated events and returns whether they are kept.

    Without a threshold an event is kept with the probability `NN_prediction` (at least 1/max_weight) and weighs
    the inverse. The draw depends on seed and event (type, experiment, run, number) only: a job can be repeated, and
    split.

    Args:
        model_file: a trained file to use instead of the database, which is then not touched.
        model_config: what the network must be like; entries that the file contradicts are an error.
        preproc_config: the same for the inputs: a FeatureSpec or some of its entries.
        threshold: keep where score ≥ threshold instead, weight 1: biased. 0.0 keeps everything.
        extra_info_var: extra info of the score. The weight is `weight`, or `weight_<var>` for another name.
        global_tag: asked for the payload when the stack in force has none; None for the stack alone.
        payload: name of the payload; its export `<stem>.onnx` is used when it is there.
        seed: of the draws; the job's when left out.
        max_weight: largest weight of a kept event.
        allow_open: whether tags that can still change may be used.
        threads: of the network. One is best when a job has one core.
    """

    def __init__(
        self,
        model_file: Path | str | None = None,
        model_config: Any = None,
        preproc_config: FeatureSpec | Mapping[str, Any] | None = None,
        threshold: float | None = None,
        extra_info_var: str = DEFAULT_EXTRA_INFO,
        global_tag: str | None = DEFAULT_TAG,
        payload: str = DEFAULT_PAYLOAD,
        *,
        seed: int | None = None,
        max_weight: float = MAX_WEIGHT,
        allow_open: bool = False,
        threads: int = 1,
    ) -> None:
        self.model_file = None if model_file is None else Path(model_file)
        self.expected = {"model_config": _plain(model_config), "preproc_config": _plain(preproc_config)}
        self.threshold = threshold
        self.policy: Policy = SamplingPolicy(max_weight) if threshold is None else ThresholdPolicy(threshold)
        self.extra_info_var = extra_info_var
        usual = extra_info_var == DEFAULT_EXTRA_INFO
        self.weight_var = "weight" if usual else f"weight_{extra_info_var}"
        # Two filters in one path must not share their draws.
        self.stream = STREAM if usual else f"{STREAM}/{extra_info_var}"
        self.global_tag, self.payload = global_tag, payload
        self.seed, self.allow_open, self.threads = seed, allow_open, threads
        self.extra_info = {extra_info_var: np.float64("nan"), self.weight_var: np.float64("nan")}

    def initialize(self) -> None:
        """Open the file, or the database; the payload is resolved for each run."""
        self._scorer: Scorer | None = None
        self._models: PayloadModels | None = None
        self._used: list[dict[str, Any]] = []
        self._unknown_pdgs: dict[int, int] = {}
        self._n_kept, self._sum_of_weights = 0, 0.0
        self._seed = self.job.seed_or(self.seed) if self.threshold is None else None
        if self.model_file is not None:
            self._use(open_scorer(self.model_file, self.threads))
            self._used = [described_file(self.model_file, self._ready)]
            return
        client = self.resource(open_client(self.job, allow_open=self.allow_open))
        stack = stack_of(self.job, client)
        self._models = PayloadModels(client, stack, self.global_tag, payload=self.payload, threads=self.threads)

    def beginRun(self) -> None:
        """Resolve the payload that holds for this run."""
        if self._models is None:
            return
        run = Run(self.exp, self.run)
        choice = self._models.choose(run)
        self._use(choice.scorer)
        used = [self._models.described(resolved) for resolved in choice.resolved]
        if any(entry not in self._used for entry in used):
            log.info("from run %s: %s", run, " and ".join(f"{r.payload} of {r.tag}" for r in choice.resolved))
        self._used += [entry for entry in used if entry not in self._used]

    def event_batch(self, store: Store) -> NDArray[np.bool_]:
        """Features, score, decision, extra info."""
        there = [name for name in (self.extra_info_var, self.weight_var) if name in store.extra]
        if there:
            raise FrameworkError(
                f"extra info {' and '.join(there)} is there already: these events were filtered before. Their weights "
                "would be lost; give another extra_info_var and multiply the two weights"
            )
        features = build(store.mc_particles, self._ready.spec)
        score = self._ready.score(features)  # (B,)
        keep, weight = self.policy.decide(score, self._draw(store))
        store.put(**{self.extra_info_var: score, self.weight_var: weight})
        for code, count in features.unknown_pdgs.items():
            self._unknown_pdgs[code] = self._unknown_pdgs.get(code, 0) + count
        self._n_kept += int(keep.sum())
        self._sum_of_weights += float(weight.sum())
        return keep

    def terminate(self) -> None:
        """Say what was done, in the log and in the files."""
        if self._unknown_pdgs:
            codes = ", ".join(f"{code} ({count})" for code, count in sorted(self._unknown_pdgs.items()))
            log.warning("PDG codes without a token, scored as unknown (number of particles): %s", codes)
        if self.failed:
            return
        done = self.summary()
        what = f"{self._n_kept} of {done['n_events']} events, sum of weights {self._sum_of_weights:.1f}"
        log.info("%s kept %s", self.name, what)
        self.job.add_step("filter", self.statistics.ms_per_event, **done, versions={"smartbkg": __version__})

    def summary(self) -> dict[str, Any]:
        """What the last job did, in plain values; files carry it in their metadata."""
        return {
            "models": self._used,
            "conditions": None if self._models is None else self._models.origin(),
            "seed": self._seed,
            "threshold": self.threshold,
            "policy": asdict(self.policy),
            "n_events": self.statistics.n_events,
            "n_kept": self._n_kept,
            "sum_of_weights": self._sum_of_weights,
            "unknown_pdgs": {str(code): count for code, count in sorted(self._unknown_pdgs.items())},
        }

    @property
    def _ready(self) -> Scorer:
        if self._scorer is None:
            raise FrameworkError(f"{self.name} has no model yet: events came before a run began")
        return self._scorer

    def _draw(self, store: Store) -> NDArray[np.float64]:
        if self._seed is None:
            return np.zeros(len(store))  # a threshold asks for no draw
        return event_draw(self._seed, store.exp, store.run, store.event, store.event_type, stream=self.stream)

    def _use(self, scorer: Scorer) -> None:
        found = {"model_config": scorer.manifest.model_config, "preproc_config": scorer.spec.as_dict()}
        for what, expected in self.expected.items():
            _check_expected(what, expected, found[what], scorer.path)
        self._scorer = scorer


def _plain(config: Any) -> dict[str, Any]:
    """A copy of the settings in plain values, so that nobody's defaults are shared or changed."""
    if config is None:
        return {}
    if isinstance(config, FeatureSpec):
        return config.as_dict()
    if is_dataclass(config) and not isinstance(config, type):
        return asdict(config)
    return dict(config)


def _check_expected(what: str, expected: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> None:
    for name, value in expected.items():
        if name not in found:
            raise ModelMismatch(f"{what} knows no {name!r}; {path} has {', '.join(sorted(found))}")
        if found[name] != (list(value) if isinstance(value, tuple) else value):
            raise ModelMismatch(f"{path} has {name} = {found[name]!r}, {what} asks for {value!r}")
