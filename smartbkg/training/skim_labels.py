"""Labels of many skims: the yes-or-no columns of skimmed files, eight to a byte. No torch.

Letters: `B` events, `S` skims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.errors import ColumnsMissing, TrainingError
from smartbkg.events import EVENT_TYPES, UNKNOWN_TYPE, read_keys
from smartbkg.matching import EventKeys, event_name, join_keys
from smartbkg.parquet import read_metadata, read_schema, read_tables
from smartbkg.skim.library import SKIMS
from smartbkg.smartbackground import skim_code
from smartbkg.training.data import KEYS, Labels, check_flag, read_flag, read_names


@dataclass(frozen=True)
class SkimColumn:
    """A skim that events are labelled with."""

    name: str
    code: int


def find_columns(
    paths: Sequence[Path | str], asked: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> tuple[SkimColumn, ...]:
    """Skims of the label files in the order of their codes, which is that of the deployed network's outputs.

    Args:
        paths: skimmed files.
        asked: names of skims; without any, all that every file has.
        say: told about skims that are left out since a file lacks them.

    Raises:
        ColumnsMissing: a file lacks a skim that was asked for.
        TrainingError: no skim at all, one asked for twice, or files that give it different codes; or two skims of one
            code, of which a configuration could not tell which is meant.
    """
    if len(set(asked)) != len(asked):
        raise TrainingError(f"a skim was asked for twice among {', '.join(asked)}: name each once")
    codes: dict[str, int | None] = {}
    found = [_skims_of(path, codes) for path in paths]
    if asked:
        for path in paths:
            for name in asked:
                check_flag(path, name)
        names = list(asked)
    else:
        names = [name for name in dict.fromkeys(n for own in found for n in own) if all(name in own for own in found)]
        lacking = sorted({name for own in found for name in own} - set(names))
        if lacking:
            say(f"left out, since not every label file has them: {', '.join(lacking)}")
        if not names:
            raise TrainingError(f"no skim is in all of the {len(paths)} label files: label them with `smartbkg skim`")
    columns = sorted((SkimColumn(n, skim_code(n, codes.get(n))) for n in names), key=lambda column: column.code)
    for one, other in pairwise(columns):
        if one.code == other.code:
            raise TrainingError(
                f"the code {one.code} stands for {one.name} and {other.name}: leave one of them out, or label again "
                f"with codes of their own"
            )
    return tuple(columns)


class PackedLabels:
    """Which skims events pass, found by type and (exp, run, event): campaigns number the events of each type anew.

    Args:
        keys: of all labelled events.
        event_type: (B,) of them; UNKNOWN_TYPE where the labels do not say it, then it is not compared.
        bits: (B, ceil(S / 8)).

    Raises:
        EventTwice: an event with two labels.
    """

    def __init__(self, keys: EventKeys, event_type: NDArray[np.int8], bits: NDArray[np.uint8]) -> None:
        self._width = bits.shape[1]
        self._labels: dict[int, Labels] = {}
        for number in np.unique(event_type).tolist():
            rows = event_type == number
            self._labels[number] = Labels((keys[0][rows], keys[1][rows], keys[2][rows]), bits[rows])

    def of(self, keys: EventKeys, event_type: NDArray[np.int8]) -> NDArray[np.uint8]:
        """(B, ceil(S / 8)) labels of these events.

        Raises:
            TrainingError: an event without a label.
        """
        found = np.empty((len(event_type), self._width), dtype=np.uint8)
        for number in np.unique(event_type).tolist():
            rows = np.flatnonzero(event_type == number)
            labels = self._labels.get(number, self._labels.get(UNKNOWN_TYPE))
            if labels is None:
                raise TrainingError(
                    f"no label for any {EVENT_TYPES[number]} event, the first is {event_name(keys, int(rows[0]))}: "
                    f"label the same event files that are trained on"
                )
            found[rows] = labels.of((keys[0][rows], keys[1][rows], keys[2][rows]))
        return found


def read_packed_labels(paths: Iterable[Path | str], columns: Sequence[SkimColumn]) -> PackedLabels:
    """Labels of all events of skimmed files.

    Raises:
        ColumnsMissing, BadEvent, EventTwice, TrainingError: as `read_labels`.
    """
    keys, types, bits = [], [], []
    for path in paths:
        typed = "event_type" in read_schema(path).names
        wanted = [*KEYS, *(["event_type"] if typed else []), *(column.name for column in columns)]
        for table in read_tables(path, wanted):
            keys.append(read_names(table, path))
            kind = read_keys(table, path)["event_type"] if typed else np.full(len(table), UNKNOWN_TYPE, np.int8)
            types.append(kind)
            flags = np.stack([read_flag(table, column.name, path) for column in columns], axis=1)  # (b, S)
            bits.append(np.packbits(flags, axis=1))
    if not keys:
        raise TrainingError("no labels: the files are empty")
    return PackedLabels(join_keys(keys), np.concatenate(types), np.concatenate(bits))


def unpacked(bits: NDArray[np.uint8], n_skims: int) -> NDArray[np.bool_]:
    """(B, S) labels of packed ones.

    >>> unpacked(np.packbits([[True, False, True]], axis=1), 3).tolist()
    [[True, False, True]]
    """
    return np.unpackbits(bits, axis=1, count=n_skims).view(np.bool_)


def _skims_of(path: Path | str, codes: dict[str, int | None]) -> list[str]:
    """Names of a file's skims; their codes are added to what is known."""
    schema = read_schema(path)
    flags = [field.name for field in schema if pa.types.is_boolean(field.type)]
    said: dict[str, int | None] = {}
    for step in read_metadata(path).get("provenance", []):
        said |= {skim["name"]: skim["code"] for skim in step.get("skims", [])}
    # A file that says which skims it is of may have other yes-or-no columns beside them.
    names = [name for name in flags if name in said] if said else flags
    if not names:
        raise ColumnsMissing(path, ["a yes-or-no column for a skim"], schema.names)
    for name in names:
        code = said.get(name, SKIMS[name].code if name in SKIMS else None)
        if codes.setdefault(name, code) != code:
            raise TrainingError(f"{path} gives the skim {name} the code {code}, another file {codes[name]}")
    return names
