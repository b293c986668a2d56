"""The event loop: modules on a path, seeing batches of events or one event at a time.

The words are those users know from basf2: `path.add_module(...)`, `module.if_false(other)`, `process(path)`.
"""

from smartbkg.framework.condition import AfterConditionPath
from smartbkg.framework.job import Job
from smartbkg.framework.loop import process
from smartbkg.framework.module import Module, Source
from smartbkg.framework.output import Output
from smartbkg.framework.path import Path, create_path
from smartbkg.framework.statistics import ModuleStatistics, Statistics
from smartbkg.framework.store import Store

__all__ = [
    "AfterConditionPath",
    "Job",
    "Module",
    "ModuleStatistics",
    "Output",
    "Path",
    "Source",
    "Statistics",
    "Store",
    "create_path",
    "process",
]
