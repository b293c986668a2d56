"""PDG code ⇄ token of the GATGAP network.

The table `pdg_tokens.csv` is data: its order is arbitrary and part of the format of the trained files.
Letters: `N` particles.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import UnknownName


@dataclass(frozen=True)
class PdgTable:
    """PDG codes in the order of their tokens; one spare token after the last stands for every unknown code."""

    name: str
    codes: tuple[int, ...]

    @classmethod
    def named(cls, name: str) -> PdgTable:
        """The table of that name; there is one now, `gatgap`."""
        if name != "gatgap":
            raise UnknownName("PDG token table", name, ["gatgap"])
        return cls.gatgap()

    @classmethod
    def gatgap(cls) -> PdgTable:
        """The 540 codes of the published GATGAP network."""
        return _read_table("gatgap", "pdg_tokens.csv")

    @property
    def unknown_token(self) -> int:
        """The spare embedding row."""
        return len(self.codes)

    @property
    def n_tokens(self) -> int:
        """Rows an embedding needs: all codes and the spare one."""
        return len(self.codes) + 1

    @cached_property
    def digest(self) -> str:
        """sha256 of the codes in order, as text `code,code,...`."""
        return hashlib.sha256(",".join(map(str, self.codes)).encode()).hexdigest()

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes = np.array(self.codes, dtype=np.int64)
        order = np.argsort(codes)
        return codes[order], order.astype(np.int64)

    def tokens(self, pdg: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens of PDG codes.

        Args:
            pdg: (N,) PDG codes.

        Returns:
            (N,) tokens, and (N,) True where the code is in the table; the others have the unknown token.

        >>> PdgTable.gatgap().tokens(np.array([0, 329, 123456789]))[0].tolist()
        [0, 1, 540]
        """
        codes, token = self._sorted
        place = np.minimum(np.searchsorted(codes, pdg), len(codes) - 1)
        known = codes[place] == pdg
        return np.where(known, token[place], self.unknown_token), known


@cache
def _read_table(name: str, file_name: str) -> PdgTable:
    with (files("smartbkg") / file_name).open(encoding="utf-8") as stream:
        rows = [(int(row["token"]), int(row["pdg"])) for row in csv.DictReader(stream)]
    if [token for token, _ in rows] != list(range(len(rows))):
        raise ValueError(f"{file_name}: tokens are not 0 to {len(rows) - 1} in order")
    return PdgTable(name, tuple(pdg for _, pdg in rows))
