"""What one call of `process` knows: seed, tags, and the metadata its files carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smartbkg.errors import FrameworkError


@dataclass(frozen=True)
class Job:
    """Settings of one job, seen by every module as `self.job`.

    Attributes:
        seed: of all random numbers that do not have a seed of their own; None when nobody chose one.
        batch_size: most events a module sees at once.
        global_tags: the stack in force; None leaves it to the environment.
        conditions: where payloads come from; None leaves it to the environment.
        extra_info: what the modules of the job declare, with the values for events that never met them.
        metadata: what output files carry; a source fills in what its file carried, modules add to it.
    """

    seed: int | None = None
    batch_size: int = 1024
    global_tags: tuple[str, ...] | None = None
    conditions: Any = None
    extra_info: Mapping[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise FrameworkError(f"a batch holds at least one event, not {self.batch_size}")
        if isinstance(self.global_tags, str):
            raise FrameworkError(f"global_tags is a list of tags, not the string {self.global_tags!r}")

    def seed_or(self, own: int | None) -> int:
        """The module's own seed, or else the job's.

        Raises:
            FrameworkError: neither is given; a seed that nobody knows cannot be repeated.
        """
        if own is not None:
            return own
        if self.seed is None:
            raise FrameworkError("no seed: give one to process(path, seed=...) or to the module (seed=...)")
        return self.seed

    def add_step(self, step: str, cpu_ms: float, **facts: Any) -> None:
        """Write into the metadata what a module did, and the CPU time an event of it took.

        A module calls this in `terminate`; files take the metadata after that.
        """
        self.metadata["provenance"] = [*self.metadata.get("provenance", []), {"step": step, **facts}]
        self.metadata["times_ms"] = {**self.metadata.get("times_ms", {}), step: cpu_ms}


def as_tags(tags: Iterable[str] | None) -> tuple[str, ...] | None:
    """A stack as a tuple; a bare string is refused by Job, not split into letters."""
    return tags if tags is None or isinstance(tags, str) else tuple(tags)  # type: ignore[return-value]
