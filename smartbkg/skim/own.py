"""Skims by the words that commands take: a name, a code, a group, `all`, or a user's own skim as `FILE.py:NAME`.

A user's file holds skims, or plain functions that take a batch of reconstructed events and give one bool an event:

    def many_tracks(reco):
        '''At least nine tracks.'''
        return reco.tracks.counts >= 9
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from smartbkg.errors import NotASkim, UnknownName
from smartbkg.skim.library import GROUPS, get_skim, list_skims
from smartbkg.skim.skims import CallableSkim, Skim, all_skims, check_skim, place_of

ALL = "all"


def find_skims(words: Iterable[str]) -> list[Skim]:
    """The skims that are meant, each once, in the order of the words.

    Raises:
        UnknownName, FileNotFoundError, NotASkim, SkimTwice.
    """
    found: list[Skim] = []
    for word in words:
        if word == ALL or word in GROUPS:
            found += list_skims(None if word == ALL else word)
        else:
            found.append(load_skim(word) if is_place(word) else get_skim(word))
    all_skims(found)  # refuses two of one name
    return list({skim.name: skim for skim in found}.values())


def is_place(word: str) -> bool:
    """Whether a word means a skim in a user's file.

    >>> [is_place(word) for word in ("my_skims.py:MINE", "my_skims.py", "feiHadronic")]
    [True, True, False]
    """
    return word.partition(":")[0].endswith(".py")


def load_skim(place: str) -> Skim:
    """The skim or function `FILE.py:NAME`; a function becomes the skim NAME.

    Raises:
        FileNotFoundError: no such file.
        UnknownName: no such name in it.
        NotASkim: what has the name is none, or the file itself raises.
    """
    file, _, name = place.partition(":")
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path} with a skim of your own ({place})")
    module = _imported(path.resolve())
    there = {n: v for n, v in vars(module).items() if _is_own(v, module) and not n.startswith("_")}
    if not name:
        choices = " or ".join(f"{file}:{n}" for n in sorted(there)) or f"{file}:NAME of a skim that you define there"
        raise NotASkim(f"{file} is a file: say which skim of it, {choices}")
    if not hasattr(module, name):
        raise UnknownName(f"skim of {file}", name, there)
    found = getattr(module, name)
    if not isinstance(found, Skim) and callable(found) and not isinstance(found, type):
        about = (found.__doc__ or "A user's own skim.").strip().splitlines()[0]
        return CallableSkim(name, found, description=about)
    check_skim(found)
    skim: Skim = found
    return skim


def _is_own(value: object, module: ModuleType) -> bool:
    """Skims, and functions that the file defines itself."""
    if isinstance(value, type):
        return False
    return isinstance(value, Skim) or (callable(value) and getattr(value, "__module__", None) == module.__name__)


@cache
def _imported(path: Path) -> ModuleType:
    """The file as a module, run once a process."""
    name = f"smartbkg_own_skims_{path.stem}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotASkim(f"{path} cannot be imported as Python")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look for their module there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise NotASkim(f"{path} is no Python: {error}") from error
    except Exception as error:
        raise NotASkim(f"{path} failed in {place_of(error, str(path))}: {type(error).__name__}: {error}") from error
    return module
