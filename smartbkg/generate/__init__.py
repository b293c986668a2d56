"""Real generated events: Pythia 8 at the beams of Belle II, and HepMC3 files from elsewhere."""

from smartbkg.generate.config import GenerateConfig
from smartbkg.generate.hepmc import read_hepmc
from smartbkg.generate.job import generate, generate_file

__all__ = ["GenerateConfig", "generate", "generate_file", "read_hepmc"]
