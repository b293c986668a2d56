"""Skims: which reconstructed events an analysis wants to see."""

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.library import get_skim, group_of, list_skims
from smartbkg.skim.observables import observables
from smartbkg.skim.skims import CallableSkim, CombinedSkim, EventSkim, Skim, SkimResult

__all__ = [
    "CallableSkim",
    "CombinedSkim",
    "DecaySkim",
    "EventSkim",
    "Skim",
    "SkimResult",
    "get_skim",
    "group_of",
    "list_skims",
    "observables",
]
