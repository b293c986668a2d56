"""Modules for the event loop: thin adapters between the framework and the rooms that do the work.

`path.add_module("EventInput", ...)` finds them by name; a file is imported when its module is asked for.
"""

from importlib import import_module
from typing import Any

from smartbkg.errors import UnknownName
from smartbkg.framework.module import Module

__all__ = ["MODULES", "make_module"]

MODULES = {
    "EventGenerator": "smartbkg.modules.generator",
    "EventInfoSetter": "smartbkg.modules.generator",
    "EventInput": "smartbkg.modules.input",
    "EventOutput": "smartbkg.modules.output",
    "FastSimulation": "smartbkg.modules.simulation",
    "NNFilterModule": "smartbkg.modules.filter",
    "RecoOutput": "smartbkg.modules.output",
    "SkimModule": "smartbkg.modules.skim",
    "SkimOutput": "smartbkg.modules.output",
    "SmartBackground": "smartbkg.modules.smartbackground",
}


def make_module(name: str, **parameters: Any) -> Module:
    """A module by the name of its class.

    Raises:
        UnknownName: with what is near.
    """
    if name not in MODULES:
        raise UnknownName("module", name, MODULES)
    module: Module = getattr(import_module(MODULES[name]), name)(**parameters)
    return module
