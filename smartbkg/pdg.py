"""PDG code ⇄ token of the networks.

The tables `pdg_tokens.csv` and `smartbackground_tokens.csv` are data: their order is arbitrary and part of the format
of the trained files. Letters: `N` particles.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import ModelMismatch, UnknownName


@dataclass(frozen=True)
class PdgTable:
    """PDG codes in the order of their tokens.

    Args:
        name: what feature specs call it.
        codes: row = token.
        spare_row: a token after the last stands for every unknown code; else token 0 does, which the code 0 has too.
    """

    name: str
    codes: tuple[int, ...]
    spare_row: bool = True

    @classmethod
    def named(cls, name: str) -> PdgTable:
        """The installed table of that name.

        Raises:
            UnknownName
        """
        tables = {"gatgap": cls.gatgap, "smartbackground": cls.smartbackground}
        if name not in tables:
            raise UnknownName("PDG token table", name, tables)
        return tables[name]()

    @classmethod
    def gatgap(cls) -> PdgTable:
        """The 540 codes of the published GATGAP network."""
        return _installed("gatgap", "pdg_tokens.csv", spare_row=True)

    @classmethod
    def smartbackground(cls) -> PdgTable:
        """The 562 codes of the deployed multi-skim network; unknown codes share token 0."""
        return _installed("smartbackground", "smartbackground_tokens.csv", spare_row=False)

    @classmethod
    def of_codes(cls, codes: Iterable[int], name: str = "smartbackground") -> PdgTable:
        """A multi-skim table from the codes of a configuration payload; unknown codes share token 0.

        Raises:
            ModelMismatch: no codes, or a code that stands there twice.
        """
        codes = tuple(codes)
        if not codes or len(set(codes)) != len(codes):
            twice = sorted({code for code in codes if codes.count(code) > 1})
            said = f"found {', '.join(map(str, twice))} twice" if twice else "found none"
            raise ModelMismatch(f"a PDG table needs codes, each once; {said}")
        return cls(name, codes, spare_row=False)

    @property
    def unknown_token(self) -> int:
        """The token of codes that are not in the table."""
        return len(self.codes) if self.spare_row else 0

    @property
    def n_tokens(self) -> int:
        """Rows an embedding needs."""
        return len(self.codes) + self.spare_row

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
def _installed(name: str, file_name: str, *, spare_row: bool) -> PdgTable:
    with (files("smartbkg") / file_name).open(encoding="utf-8") as stream:
        rows = [(int(row["token"]), int(row["pdg"])) for row in csv.DictReader(stream)]
    if [token for token, _ in rows] != list(range(len(rows))):
        raise ValueError(f"{file_name}: tokens are not 0 to {len(rows) - 1} in order")
    return PdgTable(name, tuple(pdg for _, pdg in rows), spare_row)
