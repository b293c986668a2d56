"""Look at what the filter for many skims says: its predictions and the skims' flags of all events, in one file.

    python -m smartbkg.examples.smartbkg_debug_mode 1000 predictions.parquet feiHadronic TauGeneric

Nothing is filtered and nothing is weighted in debug mode. The file has a row an event: `SmartBKG_Prediction_<SkimName>`
is the probability with which the filter would keep the event for that skim, the column `<SkimName>` says whether it
passes, and `CombinedSkim` whether it passes any.
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


def write_predictions(
    skim: PathSkim, n_events: int, output_file: str, finalstate: str = "charged", seed: int = 1
) -> Statistics:
    """Generator, filter in debug mode, simulation, skim, all events."""
    path = create_path()
    path.add_module("EventInfoSetter", expList=[0], runList=[1], evtNumList=[n_events])

    # Add event generator
    add_generator(path, finalstate=finalstate)

    # Add SmartBkg filtering in debug mode: it writes its predictions and keeps all events
    add_smartbkg_filtering(skim=skim, path=path, debug_mode=True)

    # Add simulation and reconstruction
    add_simulation(path)

    # Apply the skim, and write all events with predictions and flags
    skim(path)
    path.add_module("SkimOutput", output_file=output_file)

    return process(path, seed=seed)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python -m smartbkg.examples.smartbkg_debug_mode N_EVENTS OUTPUT_FILE SKIM ...")
    logging.basicConfig(level=logging.INFO)  # says which payloads are used
    skims = [get_skim(name) for name in sys.argv[3:]]
    print(
        write_predictions(
            skim=skims[0] if len(skims) == 1 else CombinedSkim(*skims),
            n_events=int(sys.argv[1]),
            output_file=sys.argv[2],
        )
    )
