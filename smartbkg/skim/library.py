"""All skims by name; one file a working group."""

from __future__ import annotations

from smartbkg.errors import UnknownName
from smartbkg.skim import b_to_charm, charm, charmless, ewp, fei, long_lived, quarkonium, tau, tdcpv
from smartbkg.skim.skims import Skim

GROUPS = (fei, ewp, tdcpv, b_to_charm, charmless, charm, quarkonium, long_lived, tau)
SKIMS: dict[str, Skim] = {skim.name: skim for group in GROUPS for skim in group.SKIMS}


def get_skim(name: str) -> Skim:
    """The skim of that name.

    Raises:
        UnknownName: with what is near.
    """
    if name not in SKIMS:
        raise UnknownName("skim", name, SKIMS)
    return SKIMS[name]


def list_skims() -> list[Skim]:
    """All skims, sorted by name."""
    return [SKIMS[name] for name in sorted(SKIMS)]
