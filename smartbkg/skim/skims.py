"""What a skim is: a name, perhaps a code, and a rule that says which reconstructed events pass.

Kinds: cuts on whole events only (`EventSkim`), any callable of the user's own (`CallableSkim`), and several skims as
one (`CombinedSkim`); decay chains have a file of their own (`chains.DecaySkim`). Letters: `B` events.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.reco import RecoBatch
from smartbkg.errors import BadEvent, NotASkim, SkimFailed, SkimTwice
from smartbkg.framework import Module
from smartbkg.framework import Path as EventPath
from smartbkg.skim.cuts import Cut, passes
from smartbkg.skim.observables import observables
from smartbkg.skim.shared import SharedBatch
from smartbkg.skim.steering import OnPath

Observables = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SkimResult:
    """Which events pass (B,), and variables of the best candidate (B,) float32 (NaN where there is none)."""

    passed: NDArray[np.bool_]
    variables: Mapping[str, NDArray[np.float32]]


@runtime_checkable
class Skim(Protocol):
    """A named decision on reconstructed events."""

    @property
    def name(self) -> str:
        """The users' name, e.g. feiHadronic."""

    @property
    def code(self) -> int | None:
        """The experiment's number; None for a user's own skim."""

    @property
    def description(self) -> str:
        """One sentence."""

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Decide; `known` are the events' observables if they are computed already."""
        ...


class PathSkim(Skim, Protocol):
    """A skim that steering files call with a path, as all of the library's are."""

    def __call__(self, path: EventPath, output_file: Path | str | None = None) -> Module:
        """Append it to the path; see `OnPath`."""
        ...


@dataclass(frozen=True)
class EventSkim(OnPath):
    """Events that pass cuts on observables: all of `cuts`, and all of at least one of `topologies` if given."""

    name: str
    code: int | None
    description: str
    cuts: tuple[Cut, ...]
    topologies: tuple[tuple[Cut, ...], ...] = ((),)

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Decide by the observables."""
        values = observables(reco) if known is None else known
        fits = [passes(topology, values, len(reco)) for topology in self.topologies]
        return SkimResult(passes(self.cuts, values, len(reco)) & np.logical_or.reduce(fits), {})


@dataclass(frozen=True)
class CallableSkim(OnPath):
    """A user's own skim: a function of a batch, or of a batch and its observables, that gives one bool an event."""

    name: str
    function: Callable[..., NDArray[np.bool_]]
    code: int | None = None
    description: str = "A user's own skim."

    def __post_init__(self) -> None:
        if not self.name:
            raise NotASkim("a skim needs a name: it becomes a column")
        _takes_observables(self.name, self.function)

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Ask the function.

        Raises:
            BadEvent: it does not give one bool an event.
            SkimFailed: it raises.
        """
        arguments: list[Any] = [reco]
        if _takes_observables(self.name, self.function):
            arguments.append(observables(reco) if known is None else known)
        try:
            passed: Any = np.asarray(self.function(*arguments))
        except Exception as error:
            code = getattr(self.function, "__code__", None)
            raise SkimFailed(self.name, place_of(error, code and code.co_filename), error) from error
        if passed.dtype != bool or passed.shape != (len(reco),):
            raise BadEvent(
                f"the skim {self.name!r} gave {passed.dtype} of shape {passed.shape} "
                f"for {len(reco)} events; it must give one bool an event"
            )
        return SkimResult(passed, {})


class CombinedSkim(OnPath):
    """Several skims as one: an event passes where any of them passes.

    Skims of skims are taken apart: `skims` holds what decides, each once.
    """

    code: int | None = None

    def __init__(self, *skims: Skim, name: str = "CombinedSkim") -> None:
        """Raises NotASkim, or SkimTwice for two different skims of one name."""
        for skim in skims:
            check_skim(skim)
        self.name, self.skims = name, single_skims(skims)
        if not self.skims:
            raise NotASkim("a combined skim without skims would pass nothing: give at least one")
        if name in {skim.name for skim in self.skims}:
            raise SkimTwice(name)
        self.description = f"Any of {', '.join(skim.name for skim in self.skims)}."

    def __repr__(self) -> str:
        return f"CombinedSkim({', '.join(skim.name for skim in self.skims)}, name={self.name!r})"

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Ask all of them."""
        shared = SharedBatch.of(reco, known)
        return self.join([skim.apply(reco, shared) for skim in self.skims])

    def join(self, results: Iterable[SkimResult]) -> SkimResult:
        """What follows from the results of `skims`."""
        return SkimResult(np.logical_or.reduce([result.passed for result in results]), {})


def check_skim(given: object) -> None:
    """Refuse what cannot be asked which events pass.

    Raises:
        NotASkim: with what to do.
    """
    if isinstance(given, Skim):
        return
    if isinstance(given, str | int):
        raise NotASkim(f"{given!r} is a name and no skim: give get_skim({given!r})")
    if callable(given) and not isinstance(given, type):
        raise NotASkim(f"{given!r} is a function and no skim: give CallableSkim('a name', the function)")
    lacks = [name for name in ("name", "code", "description", "apply") if not hasattr(given, name)]
    raise NotASkim(f"{given!r} is no skim: it lacks {', '.join(lacks)}")


def single_skims(skims: Iterable[Skim]) -> tuple[Skim, ...]:
    """The skims with combined ones taken apart, each once, in order.

    Raises:
        SkimTwice: two different skims share a name.
    """
    found: dict[str, Skim] = {}
    for skim in skims:
        for single in skim.skims if isinstance(skim, CombinedSkim) else (skim,):
            if found.setdefault(single.name, single) is not single and found[single.name] != single:
                raise SkimTwice(single.name)
    return tuple(found.values())


def all_skims(skims: Iterable[Skim]) -> dict[str, Skim]:
    """The skims by name, first the single ones, also those inside combined ones, then the combined ones.

    Raises:
        SkimTwice: two different skims share a name.
    """
    skims = list(skims)
    found: dict[str, Skim] = {skim.name: skim for skim in single_skims(skims)}
    for skim in skims:
        if isinstance(skim, CombinedSkim) and found.setdefault(skim.name, skim) is not skim:
            raise SkimTwice(skim.name)
    return found


def apply_skims(skims: Iterable[Skim], reco: RecoBatch, known: Observables) -> dict[str, SkimResult]:
    """What each of `all_skims` finds, by name; nothing is computed twice."""
    shared = SharedBatch.of(reco, known)
    results: dict[str, SkimResult] = {}
    for name, skim in all_skims(skims).items():
        if isinstance(skim, CombinedSkim):
            results[name] = skim.join(results[single.name] for single in skim.skims)
        else:
            results[name] = skim.apply(reco, shared)
    return results


def _takes_observables(name: str, function: Callable[..., Any]) -> bool:
    """Whether the function has a place for the observables.

    Raises:
        NotASkim: it cannot be called with a batch, nor with a batch and its observables.
    """
    if not callable(function):
        raise NotASkim(f"the skim {name!r} needs a function of a batch, found {function!r}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some built-in functions do not say what they take
        return False
    for arguments in ((), (None,)):
        try:
            signature.bind(None, *arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise NotASkim(
        f"the function of the skim {name!r} takes {signature}: it must take a batch of reconstructed "
        "events, or the batch and its observables"
    )


def place_of(error: Exception, file: str | None) -> str:
    """The last line of this file that the error came through; of any file, when it is not known or not among them."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = ([frame for frame in frames if frame.filename == file] or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"
