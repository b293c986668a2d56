"""Errors of smartbkg, one tree.

    SmartBkgError
    ├── EventDataError            what a file or a batch of events holds
    │   ├── NotAnEventFile        it cannot be read as Parquet at all
    │   ├── ColumnsMissing        it lacks columns that were asked for
    │   ├── BadEvent              one event breaks the rules of the format
    │   ├── EventTwice            an event that is given more than once
    │   └── NothingToCompare      a sample without passing events
    ├── BadSeed                   a seed that does not fit 64 bits
    ├── WorkerLost                a worker process ended before its work was done
    ├── MissingExtra              a library of an optional extra is not installed
    ├── UnknownName               an event type, skim, model ... that is not there
    ├── GenerationError           the generator refused or lost an event
    ├── ModelError                what a trained file holds
    │   ├── NotAModel             it is no trained file of ours, or is damaged
    │   ├── ManifestMissing       no feature spec, no token table: no load
    │   ├── ModelMismatch         it does not fit what it is used with
    │   └── BadScore              a score that is no probability
    ├── TrainingError             a training that cannot start or go on
    ├── SkimError                 what is given as a skim
    │   ├── NotASkim              it is no skim, and no function that can be one
    │   ├── SkimTwice             two skims of one name
    │   └── SkimFailed            a user's own function raised
    ├── FrameworkError            a path or module used against its rules
    │   └── ModuleFailed          a module raised in the event loop
    ├── DefaultsDamaged           filters that came along, and are not what they should be
    └── QuickstartError           a quickstart, or another recipe, that cannot start or go on
        ├── StepFailed            one of its commands ended with an error
        └── OtherPlan             its folder holds other things

A message says what was asked, what was found, and what is near.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


class SmartBkgError(Exception):
    """Base of all errors of this package."""

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[object, ...]]:
        # Exceptions are pickled as a call of their class with the message alone, which most of ours do not take: out
        # of a worker process such an error would come only as a broken pool.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[SmartBkgError], args: tuple[object, ...], state: dict[str, object]) -> SmartBkgError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class EventDataError(SmartBkgError):
    """Base: what a file or a batch of events holds."""


class NotAnEventFile(EventDataError):
    """The file cannot be read as Parquet, or is cut short."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot read {path} as an event file: {reason}")


class ColumnsMissing(EventDataError):
    """Columns that were asked for are not in the file."""

    def __init__(self, path: Path | str, missing: Iterable[str], found: Iterable[str]) -> None:
        self.path, self.missing, self.found = path, sorted(missing), list(found)
        super().__init__(f"{path} lacks {', '.join(self.missing)}; it has {', '.join(self.found) or 'no columns'}")


class BadEvent(EventDataError):
    """One event breaks a rule of the format."""


class EventTwice(EventDataError):
    """An event that is given more than once."""


class NothingToCompare(EventDataError):
    """One of the two samples holds no passing events."""


class BadSeed(SmartBkgError):
    """A seed that does not fit 64 bits."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        super().__init__(f"the seed must fit 64 bits, found {seed}")


class WorkerLost(SmartBkgError):
    """A worker process ended before its work was done."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"a worker process ended before {what} was done (memory? a kill?)")


class MissingExtra(SmartBkgError):
    """A library of an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        self.library, self.extra = library, extra
        super().__init__(f"this needs {library}, which is not installed: pip install 'smartbkg[{extra}]'")


class UnknownName(SmartBkgError):
    """A name that is not among the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        super().__init__(f"unknown {kind} {name!r}{hint}; known: {', '.join(self.known)}")


class GenerationError(SmartBkgError):
    """The generator refused its settings or lost an event."""


class ModelError(SmartBkgError):
    """Base: what a trained file holds."""


class NotAModel(ModelError):
    """The file is no trained file of ours, or is damaged."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot use {path} as a trained model: {reason}")


class ManifestMissing(ModelError):
    """A trained file without its manifest: features and tokens cannot be known."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        super().__init__(f"{path} carries no manifest (feature spec, token table, configuration): export it again")


class ModelMismatch(ModelError):
    """A trained file that does not fit what it is used with."""


class BadScore(ModelError):
    """A score that is no probability (NaN, or outside 0 to 1)."""


class TrainingError(SmartBkgError):
    """A training that cannot start or go on."""


class SkimError(SmartBkgError):
    """Base: what is given as a skim."""


class NotASkim(SkimError):
    """It is no skim, and no function that can be one."""


class SkimTwice(SkimError):
    """Two skims of one name would share one column."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"two different skims are named {name!r}: give one of them another name")


class SkimFailed(SkimError):
    """A user's own function raised; the error it raised is the cause."""

    def __init__(self, name: str, where: str, error: Exception) -> None:
        self.name, self.where, self.error = name, where, error
        super().__init__(f"the skim {name!r} failed in {where}: {type(error).__name__}: {error}")


class FrameworkError(SmartBkgError):
    """A path or module used against its rules."""


class ModuleFailed(FrameworkError):
    """A module raised in the event loop; the error it raised is the cause."""

    def __init__(self, module: str, step: str, where: str, error: Exception) -> None:
        self.module, self.step, self.where, self.error = module, step, where, error
        super().__init__(f"module {module} failed in {step} at {where}: {error}")


class DefaultsDamaged(SmartBkgError):
    """The filters that came along are not what they should be."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the defaults in {path} are not what is shipped: {reason}")


class QuickstartError(SmartBkgError):
    """Base: a quickstart, or another recipe of commands, that cannot start or go on."""


class StepFailed(QuickstartError):
    """A command of the recipe ended with an error."""

    def __init__(self, command: str, code: int) -> None:
        self.command, self.code = command, code
        super().__init__(f"this command ended with code {code}: {command}")


class OtherPlan(QuickstartError):
    """The folder holds what was made with other settings, or other things."""

    def __init__(
        self, directory: Path, found: Mapping[str, object], asked: Mapping[str, object], what: str = "quickstart"
    ) -> None:
        self.directory = directory
        if not found:
            super().__init__(f"{directory} holds other things and no {what}: give another folder with -o")
            return
        differences = [f"{k}: {found.get(k)} there, {asked[k]} asked" for k in asked if found.get(k) != asked[k]]
        super().__init__(
            f"{directory} holds a {what} with other settings ({'; '.join(differences)}): "
            "give another folder with -o, or remove this one"
        )
