"""The standard lists: candidates that many skims use, under names of their own.

Standard lists are built from standard lists alone, so they are the same for every skim of a batch. A label behind
the colon says what a list is for: `:slow`, `:hard`, `:displaced`, or the decay, `D0:Kpi`.
"""

from __future__ import annotations

from smartbkg.skim import charm_lists, light_lists
from smartbkg.skim.decays import ListSpec

STANDARD: dict[str, ListSpec] = {spec.name: spec for group in (light_lists, charm_lists) for spec in group.LISTS}
