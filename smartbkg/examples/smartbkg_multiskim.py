"""Produce skimmed events directly: the filter for many skims, in front of the simulation.

    python -m smartbkg.examples.smartbkg_multiskim 1000 skimmed.parquet                           # feiHadronic
    python -m smartbkg.examples.smartbkg_multiskim 1000 skimmed.parquet feiHadronic TauGeneric    # a combined skim

The network is that of the payloads `SmartBackgroundWeights_default` and `SmartBackgroundConfig_default` for the run,
in the tags in force (`CONDITIONS_TAGS`) or else in `SmartBackground`. Every event that is left carries a weight for
each skim: fill `weight_<SkimName>` into every histogram of that skim. It is 0 for a skim that did not sample the event.
"""

from __future__ import annotations

import logging
import sys

from smartbkg.framework import Statistics, create_path, process
from smartbkg.modules.generator import add_generator
from smartbkg.modules.simulation import add_simulation
from smartbkg.modules.smartbkg_filtering import add_smartbkg_filtering
from smartbkg.skim import CombinedSkim, get_skim
from smartbkg.skim.skims import PathSkim


def produce_skimmed_events(
    skim: PathSkim, n_events: int, output_file: str, finalstate: str = "charged", seed: int = 1
) -> Statistics:
    """Generator, filter, simulation, skim."""
    path = create_path()
    path.add_module("EventInfoSetter", expList=[0], runList=[1], evtNumList=[n_events])

    # Add event generator; the filter learns the event type from its events
    add_generator(path, finalstate=finalstate)

    # Add SmartBkg filtering by providing the skim
    add_smartbkg_filtering(skim=skim, path=path)

    # Add simulation and reconstruction
    add_simulation(path)

    # Apply the skim, and write the events that pass
    skim(path, output_file)

    return process(path, seed=seed)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m smartbkg.examples.smartbkg_multiskim N_EVENTS OUTPUT_FILE [SKIM ...]")
    logging.basicConfig(level=logging.INFO)  # says which payloads are used, and the sums of weights
    skims = [get_skim(name) for name in sys.argv[3:] or ["feiHadronic"]]
    print(
        produce_skimmed_events(
            skim=skims[0] if len(skims) == 1 else CombinedSkim(*skims),
            n_events=int(sys.argv[1]),
            output_file=sys.argv[2],
        )
    )
