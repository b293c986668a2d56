"""What the environment says about a job: its tags, and where conditions and payload files come from.

`CONDITIONS_*` comes first; the names that Belle II's jobs set already are honoured after it. A list has spaces
between its entries, and the first entry is asked first.

    CONDITIONS_TAGS      BELLE2_CONDB_GLOBALTAG    the stack of tags
    CONDITIONS_METADATA  BELLE2_CONDB_METADATA     providers: servers' URLs, snapshot files, stores
    CONDITIONS_URL       BELLE2_CONDB_SERVERLIST   providers, where the line above names none
    CONDITIONS_PAYLOADS  BELLE2_CONDB_PAYLOADS     where payload files are looked for first: folders, base URLs
    CONDITIONS_TESTING                             files of testing payloads, which win over all tags
    CONDITIONS_CACHE                               the folder of fetched payloads
    CONDITIONS_USER      BELLE2_USER               on whose behalf
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from conditions.client.stack import STACK_VARIABLES


@dataclass(frozen=True)
class Environment:
    """The settings of a process; what nobody has set is empty.

    `makes_store` says that the one provider may make itself, as the store of `CONDITIONS_URL` does.
    """

    tags: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    payloads: tuple[str, ...] = ()
    testing: tuple[str, ...] = ()
    user: str | None = None
    makes_store: bool = False


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """The settings in force; None reads the environment of this process."""
    given = os.environ if environ is None else environ

    def words(*variables: str) -> tuple[str, ...]:
        return next((tuple(found) for name in variables if (found := given.get(name, "").split())), ())

    # One store in a path with spaces is one place, not several.
    url = given.get("CONDITIONS_URL", "").strip()
    ours = words("CONDITIONS_METADATA")
    return Environment(
        tags=words(*STACK_VARIABLES),
        providers=ours or ((url,) if url else ()) or words("BELLE2_CONDB_METADATA", "BELLE2_CONDB_SERVERLIST"),
        payloads=words("CONDITIONS_PAYLOADS", "BELLE2_CONDB_PAYLOADS"),
        testing=words("CONDITIONS_TESTING"),
        user=given.get("CONDITIONS_USER") or given.get("BELLE2_USER") or None,
        makes_store=bool(url) and not ours,
    )
