"""The skims that a filter is asked for: by name, by code, or as such; and whether a network knows them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence

from smartbkg.errors import FrameworkError, ModelMismatch, UnknownName
from smartbkg.skim import Skim, get_skim
from smartbkg.skim.skims import check_skim, single_skims
from smartbkg.smartbackground import check_skims, skim_code

Skims = Skim | str | int | Iterable[Skim | str | int]


def named_skims(skim: Skims) -> list[tuple[str, int]]:
    """Name and code of each skim, combined ones taken apart, each once.

    A skim of one's own without a code has one made of its name, the same that a training gives it.

    Raises:
        UnknownName: a name or code of no skim.
        NotASkim: something else, with what to do.
        SkimTwice: two different skims share a name.
    """
    several = skim if isinstance(skim, Iterable) and not isinstance(skim, str) else [skim]
    given = [get_skim(each) if isinstance(each, str | int) else each for each in several]
    for each in given:
        check_skim(each)
    return [(single.name, skim_code(single.name, single.code)) for single in single_skims(given)]


def plain_skims(codes: Sequence[int], names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Codes and names in lists of their own.

    Raises:
        FrameworkError: they are no codes and names, or not of each other.
    """
    try:
        plain = [operator.index(code) for code in codes]
    except TypeError:
        raise FrameworkError(f"skimCodes is a list of integers, such as 11180500; found {codes!r}") from None
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise FrameworkError(f"skimNames is a list of names, not {names!r}")
    odd = [name for name in names if not isinstance(name, str)]
    if odd:
        raise FrameworkError(f"skim names are texts, such as feiHadronic; found {odd[0]!r}")
    check_skims(plain, list(names))
    return plain, list(names)


def check_known(codes: Sequence[int], names: Sequence[str], known: Mapping[str, int]) -> None:
    """Refuse skims that the network cannot know, or that would be taken for each other.

    Raises:
        UnknownName: a code that the network does not have.
        ModelMismatch: the same for a skim of one's own, which has no code but the one made of its name.
        FrameworkError: a name that the network has for another code; weights would be mixed up.
    """
    for code, name in zip(codes, names, strict=True):
        if known.get(name, code) != code:
            raise FrameworkError(
                f"{name} is the name of the skim {known[name]}, and was given to {code}: "
                "skimCodes and skimNames are in different orders"
            )
        if code in known.values():
            continue
        if code == skim_code(name, None):
            raise ModelMismatch(
                f"{name!r} is a skim of your own, without a code, and the network in force was not trained for it: "
                f"train one with `smartbkg train multiskim`; this one knows {', '.join(sorted(known))}"
            )
        raise UnknownName(f"skim code of {name}", str(code), map(str, known.values()))
