"""Skims: which reconstructed events an analysis wants to see."""

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.library import get_skim, list_skims
from smartbkg.skim.observables import observables
from smartbkg.skim.skims import CallableSkim, EventSkim, Skim, SkimResult

__all__ = [
    "CallableSkim",
    "DecaySkim",
    "EventSkim",
    "Skim",
    "SkimResult",
    "get_skim",
    "list_skims",
    "observables",
]
