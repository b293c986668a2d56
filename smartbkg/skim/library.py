"""All skims by name; one file a working group."""

from __future__ import annotations

from collections.abc import Iterable

from smartbkg.errors import UnknownName
from smartbkg.skim import (
    b_to_charm,
    bottomonium,
    charm,
    charmless,
    dark,
    ewp,
    fei,
    long_lived,
    low_multiplicity,
    quarkonium,
    systematics,
    tau,
    tdcpv,
)
from smartbkg.skim.skims import PathSkim, Skim

# A new group is a file with `SKIMS` and a line here.
_GROUPS: dict[str, Iterable[PathSkim]] = {
    "fei": fei.SKIMS,
    "ewp": ewp.SKIMS,
    "tdcpv": tdcpv.SKIMS,
    "b_to_charm": b_to_charm.SKIMS,
    "charmless": charmless.SKIMS,
    "charm": charm.SKIMS,
    "quarkonium": (*quarkonium.SKIMS, *bottomonium.SKIMS),
    "long_lived": long_lived.SKIMS,
    "dark": dark.SKIMS,
    "tau": tau.SKIMS,
    "low_multiplicity": low_multiplicity.SKIMS,
    "systematics": systematics.SKIMS,
}
GROUPS = {group: {skim.name: skim for skim in skims} for group, skims in _GROUPS.items()}
SKIMS = {name: skim for skims in GROUPS.values() for name, skim in skims.items()}
CODES = {skim.code: skim for skim in SKIMS.values() if skim.code is not None}


def get_skim(name_or_code: str | int) -> PathSkim:
    """The skim of that name, or of that code of the experiment (a number, or its digits).

    Raises:
        UnknownName: with what is near.
    """
    if isinstance(name_or_code, str) and not name_or_code.isdecimal():
        if name_or_code not in SKIMS:
            raise UnknownName("skim", name_or_code, SKIMS)
        return SKIMS[name_or_code]
    code = int(name_or_code)
    if code not in CODES:
        raise UnknownName("skim code", str(code), map(str, CODES))
    return CODES[code]


def list_skims(group: str | None = None) -> list[Skim]:
    """All skims, or those of one group, sorted by name.

    Raises:
        UnknownName: no such group.
    """
    if group is not None and group not in GROUPS:
        raise UnknownName("group of skims", group, GROUPS)
    found = SKIMS if group is None else GROUPS[group]
    return [found[name] for name in sorted(found)]


def group_of(name: str) -> str | None:
    """The group that a skim of the library belongs to; None for a skim from elsewhere."""
    return next((group for group, skims in GROUPS.items() if name in skims), None)
