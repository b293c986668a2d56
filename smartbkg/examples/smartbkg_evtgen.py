"""Generate skimmed events with SmartBKG: only events that are worth it are simulated.

    python -m smartbkg.examples.smartbkg_evtgen 1000 skimmed.parquet

The network is the payload `GATGAPgen.pth` that holds for the run, here run 1 of experiment 0, in the tags in force
(`CONDITIONS_TAGS`) or else in `SmartBKG_GATGAP`; for a network of your own give
`NNFilterModule(model_file="gatgap/GATGAPgen.onnx")`. Every event that is left carries a weight: fill `weight` into
every histogram.
"""

from __future__ import annotations

import logging
import sys

from smartbkg.framework import AfterConditionPath, Statistics, create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.modules.generator import add_generator
from smartbkg.modules.simulation import add_simulation
from smartbkg.modules.skim import SkimModule


def generate_skimmed_events(n_events: int, output_file: str, seed: int = 1) -> Statistics:
    """Generator, filter, simulation, skim, output."""
    main = create_path()
    # Events that are thrown away end here; put an output on it to look at them.
    empty_path = create_path()

    main.add_module("EventInfoSetter", expList=[0], runList=[1], evtNumList=[n_events])
    add_generator(main, finalstate="mixed")

    # Keep an event with the probability that it passes the skim, and weight it with the inverse.
    nn_filter = NNFilterModule()
    nn_filter.if_value("<1", empty_path, AfterConditionPath.END)
    main.add_module(nn_filter)

    # The expensive steps, for what is kept.
    add_simulation(main)
    skim = main.add_module(SkimModule("feiHadronic"))
    skim.if_false(empty_path)

    main.add_module("SkimOutput", output_file=output_file)
    return process(main, seed=seed)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m smartbkg.examples.smartbkg_evtgen N_EVENTS OUTPUT_FILE")
    logging.basicConfig(level=logging.INFO)  # says which payload is used
    print(generate_skimmed_events(int(sys.argv[1]), sys.argv[2]))
