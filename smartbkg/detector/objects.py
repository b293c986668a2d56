"""Reconstructed objects of many events as flat columns, with where each event's objects begin.

Letters: `B` events, `N` objects of all events together. Units: GeV, cm, rad; laboratory frame. An index of one
object in another (`track`, `cluster_a`, `mc`) counts inside the event; -1 means none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.errors import BadEvent, ColumnsMissing
from smartbkg.events import ragged_column, take_ragged, to_array

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I8 = NDArray[np.int8]

_ARROW = {"F32": pa.float32(), "I32": pa.int32(), "I8": pa.int8()}
_NUMPY = {"F32": np.float32, "I32": np.int32, "I8": np.int8}


@dataclass(frozen=True)
class Collection:
    """Base of the collections: `offsets` (B+1,) and one flat array (N,) a quantity."""

    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(B,) objects of each event."""
        return np.diff(self.offsets)

    @cached_property
    def event_index(self) -> NDArray[np.int64]:
        """(N,) position in the batch of each object's event."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    @classmethod
    def kinds(cls) -> dict[str, str]:
        """Name and short type of each column, in the order of the file."""
        return {f.name: str(f.type) for f in fields(cls) if f.name != "offsets"}

    @classmethod
    def make(cls, offsets: NDArray[np.int64], **columns: NDArray[Any]) -> Self:
        """The collection with every column in its own type."""
        typed = {name: columns[name].astype(_NUMPY[kind], copy=False) for name, kind in cls.kinds().items()}
        return cls(offsets, **typed)

    @classmethod
    def arrow_type(cls) -> pa.DataType:
        """Type of the collection's column in a file."""
        return pa.list_(pa.struct([(name, _ARROW[kind]) for name, kind in cls.kinds().items()]))

    def select_events(self, rows: NDArray[np.int64]) -> Self:
        """The objects of these events, in their order."""
        flat, offsets = take_ragged(self.offsets, rows)
        return type(self)(offsets, *(getattr(self, name)[flat] for name in self.kinds()))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """The objects of all events, in order."""
        counts = np.concatenate([part.counts for part in parts])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(offsets, *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.kinds()))

    def to_arrow(self) -> pa.Array:
        """One list of structs an event."""
        kind = self.arrow_type().value_type
        arrays = [pa.array(getattr(self, name), kind.field(name).type) for name in self.kinds()]
        structs = pa.StructArray.from_arrays(arrays, fields=list(kind))
        return pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), structs)

    @classmethod
    def from_arrow(cls, table: pa.Table, name: str, source: Path | str) -> Self:
        """The collection of the list column `name`.

        Raises:
            ColumnsMissing, BadEvent.
        """
        kind = table.schema.field(name).type
        if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
            raise BadEvent(f"{source}: the column {name} is {kind}, not a list of structs")
        found = [kind.value_type.field(i).name for i in range(kind.value_type.num_fields)]
        missing = set(cls.kinds()) - set(found)
        if missing:
            raise ColumnsMissing(f"{source} ({name})", missing, found)
        offsets, structs = ragged_column(table, name, source)
        columns = {}
        for column, short in cls.kinds().items():
            values = structs.field(column)
            columns[column] = to_array(values, _ARROW[short], f"{name}.{column}", source)
        return cls(offsets, **columns)


@dataclass(frozen=True)
class Tracks(Collection):
    """Charged tracks: momentum at the production point, impact parameters, log-likelihoods a hypothesis."""

    px_gev: F32
    py_gev: F32
    pz_gev: F32
    charge: I8
    d0_cm: F32
    z0_cm: F32
    ll_electron: F32
    ll_muon: F32
    ll_pion: F32
    ll_kaon: F32
    ll_proton: F32
    mc: I32


@dataclass(frozen=True)
class Clusters(Collection):
    """Calorimeter clusters; `track` is the matched track, -1 for a photon candidate."""

    energy_gev: F32
    theta_rad: F32
    phi_rad: F32
    track: I32
    mc: I32


@dataclass(frozen=True)
class KShorts(Collection):
    """Pairs of opposite tracks from one displaced vertex; `mc` is the generated K_S, -1 for a wrong pair."""

    px_gev: F32
    py_gev: F32
    pz_gev: F32
    mass_gev: F32
    flight_cm: F32
    track_a: I32
    track_b: I32
    mc: I32


@dataclass(frozen=True)
class Pi0s(Collection):
    """Photon pairs; `mass_gev` as measured, the momentum with the mass constrained; `mc` as for KShorts."""

    px_gev: F32
    py_gev: F32
    pz_gev: F32
    mass_gev: F32
    cluster_a: I32
    cluster_b: I32
    mc: I32
