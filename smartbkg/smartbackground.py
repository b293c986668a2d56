"""The configuration payload of the multi-skim filter, and how its logits become probabilities to keep.

The JSON has the fields of the configuration that is deployed (`max_weight`, `event_types`, `skims`, `pdg_codes`), so
one made elsewhere can be read; ours add the digests of the weights they belong to, and where all of it comes from.
Letters: `B` events, `S` skims.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartbkg.errors import BadEvent, BadScore, FrameworkError, ModelMismatch, NotAModel, UnknownName
from smartbkg.events import EVENT_TYPES

WEIGHTS_FILE, BATCHED_FILE, CONFIG_FILE = (
    "SmartBackgroundWeights_default.onnx",
    "SmartBackgroundWeights_default_batched.onnx",
    "SmartBackgroundConfig_default.json",
)
MAX_WEIGHT = 100.0  # of the deployed filter: one event never outweighs more than a hundred others
# What is used when an activation is overridden without saying by what.
DEFAULT_ACTIVATION = (0.5, 0.0)
_REQUIRED = ("max_weight", "event_types", "skims", "pdg_codes")
_OURS = ("weights_sha256", "batched_sha256", "provenance")


@dataclass(frozen=True)
class SkimEntry:
    """One output of the network.

    Args:
        index: its place among the logits.
        code: number of the skim.
        name: name of the skim; weights are stored as `weight_<name>`.
        a, b: of its activation.
    """

    index: int
    code: int
    name: str
    a: float
    b: float


@dataclass(frozen=True)
class SmartBackgroundConfig:
    """What a filter must know beside the weights.

    Args:
        max_weight: no kept event gets more.
        event_types: name -> the number `c` that the network is told.
        skims: one entry for each logit, in their order.
        pdg_codes: PDG code of each token; token 0 stands for the codes that are not listed, too.
        weights_sha256: digest of the single-event weights this belongs to; None when nobody said.
        batched_sha256: digest of their batched companion.
        provenance: plain values: training, data, versions, figures.
    """

    max_weight: float
    event_types: Mapping[str, int]
    skims: tuple[SkimEntry, ...]
    pdg_codes: tuple[int, ...]
    weights_sha256: str | None = None
    batched_sha256: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | bytes, source: Path | str = "the configuration") -> Self:
        """The configuration in a payload.

        Args:
            text: JSON.
            source: where it is from, for messages.

        Raises:
            NotAModel: no JSON object, or not with the entries of a configuration.
        """
        try:
            values = json.loads(text, object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            raise NotAModel(source, f"it is no JSON: {error}") from error
        if not isinstance(values, dict):
            raise NotAModel(source, f"its JSON is a {type(values).__name__}, not an object")
        missing = [name for name in _REQUIRED if name not in values]
        unknown = sorted(set(values) - {*_REQUIRED, *_OURS})
        if missing or unknown:
            raise NotAModel(
                source,
                f"a configuration has {', '.join(_REQUIRED)} and perhaps {', '.join(_OURS)}; "
                f"missing: {', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}",
            )
        return cls(
            max_weight=_max_weight(values["max_weight"], source),
            event_types=_event_types(values["event_types"], source),
            skims=_skims(values["skims"], source),
            pdg_codes=_pdg_codes(values["pdg_codes"], source),
            weights_sha256=_text(values, "weights_sha256", source),
            batched_sha256=_text(values, "batched_sha256", source),
            provenance=_object(values.get("provenance", {}), "provenance", source),
        )

    def to_json(self) -> str:
        """One line of JSON in a fixed order: equal configurations give equal text."""
        values = {
            "max_weight": self.max_weight,
            "event_types": {name: self.event_types[name] for name in sorted(self.event_types)},
            "skims": [dataclasses.asdict(skim) for skim in self.skims],
            "pdg_codes": list(self.pdg_codes),
        }
        ours = {name: getattr(self, name) for name in _OURS[:2] if getattr(self, name) is not None}
        provenance = {"provenance": json.loads(json.dumps(dict(self.provenance), sort_keys=True))}
        return json.dumps({**values, **ours, **(provenance if self.provenance else {})}, separators=(",", ":")) + "\n"

    @cached_property
    def _by_code(self) -> dict[int, SkimEntry]:
        return {skim.code: skim for skim in self.skims}

    def skim(self, code: int) -> SkimEntry:
        """The entry of a skim's code.

        Raises:
            UnknownName: with the codes that are known.
        """
        entry = self._by_code.get(code)
        if entry is None:
            raise UnknownName("skim code", str(code), map(str, self._by_code))
        return entry

    def select(self, codes: Sequence[int], names: Sequence[str]) -> tuple[SkimEntry, ...]:
        """The entries of these skims, in this order, under the names given.

        Raises:
            FrameworkError: no skim at all, codes and names of unequal length, or one of them twice.
            UnknownName: a code that the network does not know.
        """
        check_skims(codes, names)
        return tuple(dataclasses.replace(self.skim(c), name=n) for c, n in zip(codes, names, strict=True))

    def event_type(self, name: str | None) -> int:
        """The number `c` of an event type.

        Raises:
            UnknownName: a type that the network does not know.
            BadEvent: no type at all.
        """
        known = sorted(self.event_types)
        if not name:
            raise BadEvent(
                f"the events do not say their type and none was given; the network needs one of {', '.join(known)}"
            )
        if name not in self.event_types:
            raise UnknownName("event type", name, known)
        return self.event_types[name]

    def check_outputs(self, n_outputs: int, source: Path | str) -> None:
        """Refuse weights that give another number of logits.

        Raises:
            ModelMismatch
        """
        if n_outputs != len(self.skims):
            raise ModelMismatch(
                f"{source} gives {n_outputs} outputs and its configuration names {len(self.skims)} skims: "
                f"weights and configuration of two trainings"
            )

    def check_weights(self, sha256: str, source: Path | str, *, batched: bool = False) -> None:
        """Refuse weights other than those this configuration was made for; one made elsewhere does not say.

        Raises:
            ModelMismatch
        """
        own = self.batched_sha256 if batched else self.weights_sha256
        if own is not None and own != sha256:
            raise ModelMismatch(
                f"{source} has the digest {sha256[:12]}… and its configuration belongs to {own[:12]}…: "
                f"weights and configuration of two trainings; publish both files of one"
            )


def activation(logit: ArrayLike, a: ArrayLike, b: ArrayLike, max_weight: float = MAX_WEIGHT) -> NDArray[np.float64]:
    """Probability to keep, p = clip(exp(a (logit - b)), 1 / max_weight, 1).

    Args:
        logit: (B,) or (B, S).
        a, b: numbers, or (S,) one for each skim.
        max_weight: at least 1.

    Raises:
        BadScore: a logit that is not a number.

    >>> activation([3.0, 1.0, -1e6], 0.5, 1.0, 100.0).tolist()
    [1.0, 1.0, 0.01]
    """
    exponent = np.asarray(a, np.float64) * (np.asarray(logit, np.float64) - np.asarray(b, np.float64))
    if np.isnan(exponent).any():
        raise BadScore(f"{np.isnan(exponent).sum()} of {exponent.size} logits are NaN")
    return np.asarray(np.clip(np.exp(np.minimum(exponent, 0.0)), 1.0 / max_weight, 1.0))


def check_skims(codes: Sequence[int], names: Sequence[str]) -> None:
    """Refuse skims that cannot be told apart.

    Raises:
        FrameworkError: no skim at all, codes and names of unequal length, or one of them twice.
    """
    if not codes:
        raise FrameworkError("no skim was named: give the codes and names of at least one")
    if len(codes) != len(names):
        raise FrameworkError(
            f"{len(codes)} skim codes ({', '.join(map(str, codes))}) for {len(names)} skim names "
            f"({', '.join(names)}): each skim needs both"
        )
    for what, values in (("code", list(map(str, codes))), ("name", list(names))):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise FrameworkError(f"skim {what} {', '.join(twice)} is given more than once")


def activation_parameters(values: Sequence[float]) -> tuple[float, float]:
    """(a, b) that a user gave in place of the fitted ones.

    Raises:
        FrameworkError: not two finite numbers.
    """
    given = list(values) if isinstance(values, Iterable) else [values]
    if len(given) != 2 or not all(map(_is_number, given)):
        raise FrameworkError(f"an activation has two parameters (a, b), both finite numbers; found {given}")
    return float(given[0]), float(given[1])


def skim_code(name: str, code: int | None) -> int:
    """The number by which a configuration knows a skim; 99000000 to 99999999, by the name, where it has none.

    >>> skim_code("feiHadronic", 11180500), skim_code("mySkim", None)
    (11180500, 99753887)
    """
    return 99_000_000 + zlib.crc32(name.encode()) % 1_000_000 if code is None else code


def all_event_types() -> dict[str, int]:
    """Name -> number of the seven event types, as deployed."""
    return {name: number for number, name in enumerate(EVENT_TYPES)}


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of an entry that is there twice one reader would take the first, another one the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} is there twice")
    return found


def _is_number(value: Any) -> bool:
    """A finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an integer of a thousand digits
        return False


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_pdg_code(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _max_weight(value: Any, source: Path | str) -> float:
    if not _is_number(value) or value < 1.0:
        raise NotAModel(source, f"max_weight is {value!r}, not a finite number of at least 1")
    return float(value)


def _event_types(value: Any, source: Path | str) -> dict[str, int]:
    numbers = list(_object(value, "event_types", source).values())
    if not numbers or not all(map(_is_integer, numbers)) or sorted(numbers) != list(range(len(numbers))):
        raise NotAModel(source, f"event_types is {value!r}, not names with the numbers 0, 1, ...")
    return dict(value)


def _skims(value: Any, source: Path | str) -> tuple[SkimEntry, ...]:
    if not isinstance(value, list) or not value:
        raise NotAModel(source, "skims is no list of at least one skim")
    names = [f.name for f in dataclasses.fields(SkimEntry)]
    skims = []
    for place, entry in enumerate(value):
        if not isinstance(entry, dict) or set(entry) != set(names):
            raise NotAModel(source, f"skim {place} has not just the entries {', '.join(names)}: {entry!r}")
        numbers = all(_is_number(entry[name]) for name in ("a", "b")) and _is_integer(entry["code"])
        if not numbers or not isinstance(entry["name"], str) or not entry["name"] or entry["index"] != place:
            raise NotAModel(source, f"skim {place} has a wrong index, code, name, a or b: {entry!r}")
        skims.append(SkimEntry(place, entry["code"], entry["name"], float(entry["a"]), float(entry["b"])))
    for what, seen in (("code", [str(skim.code) for skim in skims]), ("name", [skim.name for skim in skims])):
        if len(set(seen)) != len(seen):
            raise NotAModel(source, f"the {what} {max(seen, key=seen.count)} stands for two skims")
    return tuple(skims)


def _pdg_codes(value: Any, source: Path | str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(map(_is_pdg_code, value)) or len(set(value)) != len(value):
        raise NotAModel(source, "pdg_codes is no list of different PDG codes")
    return tuple(value)


def _text(values: Mapping[str, Any], name: str, source: Path | str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise NotAModel(source, f"{name} is {value!r}, not a text")
    return value


def _object(value: Any, name: str, source: Path | str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotAModel(source, f"{name} is a {type(value).__name__}, not an object")
    return value
