"""`add_smartbkg_filtering`: the multi-skim filter in a steering file, in one line."""

from __future__ import annotations

from typing import Any

from smartbkg.errors import FrameworkError
from smartbkg.framework.condition import AfterConditionPath
from smartbkg.framework.path import Path, create_path
from smartbkg.modules.asked_skims import Skims, named_skims
from smartbkg.modules.simulation import FastSimulation
from smartbkg.modules.smartbackground import DEFAULT_CONFIG, DEFAULT_TYPE, DEFAULT_WEIGHTS, SmartBackground
from smartbkg.smartbackground import DEFAULT_ACTIVATION


def add_smartbkg_filtering(
    skim: Skims,
    path: Path,
    empty_path: Path | None = None,
    debug_mode: bool = False,
    payload_weights: str = DEFAULT_WEIGHTS,
    payload_config: str = DEFAULT_CONFIG,
    event_type: str | None = None,
    activation_params: tuple[float, float] | None = None,
    **settings: Any,
) -> SmartBackground:
    """Add the filter to a path: behind the generator, before the simulation.

    Every event that is kept gets `weight_<SkimName>` for each skim: the inverse of the probability to keep it where
    the event is sampled for that skim, else 0. Fill the weights into every histogram of that skim.

    Args:
        skim: a skim, a combined skim, or names or codes of skims.
        path: with the generator.
        empty_path: where events go that no skim keeps; a new path if None.
        debug_mode: keep all events, and write the probabilities as `SmartBKG_Prediction_<SkimName>`.
        payload_weights: name of the payload with the network.
        payload_config: name of the payload that says what its outputs mean.
        event_type: charged, mixed, uubar, ddbar, ssbar, ccbar or taupair; None for what the events say.
        activation_params: (a, b) for all skims; None for those fitted for each.
        settings: what else `SmartBackground` takes by name: `seed`, `independentDraws`, `weights_file`, ...

    Returns:
        The module.

    Raises:
        UnknownName: a skim or event type that is not there, with what is near.
        FrameworkError: the path simulates already, or two numbers are not what the activation was given.
    """
    late = [module.name for module in path.modules() if isinstance(module, FastSimulation)]
    if late:
        raise FrameworkError(
            f"the path has {late[0]} already: add_smartbkg_filtering decides which events are worth it, add it before"
        )
    named = named_skims(skim)
    module = SmartBackground(
        skimCodes=[code for _, code in named],
        skimNames=[name for name, _ in named],
        eventType=DEFAULT_TYPE if event_type is None else event_type,
        overrideEventType=event_type is not None,
        payloadWeights=payload_weights,
        payloadConfig=payload_config,
        debugMode=debug_mode,
        overrideActivation=activation_params is not None,
        activationOverrideParams=DEFAULT_ACTIVATION if activation_params is None else activation_params,
        **settings,
    )
    path.add_module(module)
    if not debug_mode:
        module.if_value("<1", create_path() if empty_path is None else empty_path, AfterConditionPath.END)
    return module
