"""A path: modules in the order in which events meet them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from smartbkg.errors import FrameworkError
from smartbkg.framework.module import Module


def create_path() -> Path:
    """A new, empty path."""
    return Path()


class Path:
    """Modules and other paths, in order; the branches hang on the modules' conditions."""

    def __init__(self) -> None:
        self.elements: list[Module | Path] = []

    def add_module(self, module: Module | str, **parameters: Any) -> Module:
        """Append a module, or make one by the name of its class with these parameters.

        Returns:
            The module, so that conditions can be set on it.

        Raises:
            FrameworkError: the module is in a path already (it holds the state of one place), or parameters
                come with a module that is made already.
        """
        if isinstance(module, str):
            module = import_module("smartbkg.modules").make_module(module, **parameters)
        elif parameters:
            raise FrameworkError(f"{module.name} is made already: give {', '.join(parameters)} when you make it")
        if not isinstance(module, Module):
            raise FrameworkError(f"a path holds modules, not {type(module).__name__} {module!r}")
        if module.path is not None:
            raise FrameworkError(f"{module.name} is in a path already: make a second one")
        for condition in module.conditions:
            condition.path.check_without(self)
        module.path = self
        self.elements.append(module)
        return module

    def add_path(self, path: Path) -> None:
        """Append all of another path, also what is added to it later."""
        path.check_without(self)
        self.elements.append(path)

    def modules(self) -> list[Module]:
        """All modules in the order in which an event can meet them, branches behind their module, each once."""
        found: list[Module] = []
        self._collect(found, set())
        return found

    def extra_info(self) -> dict[str, Any]:
        """What all modules of this path and its branches declare, with the values for other events."""
        return {name: value for module in self.modules() for name, value in module.extra_info.items()}

    def reachable(self) -> list[Path]:
        """This path and all paths that events can go to from it, each once."""
        seen: dict[int, Path] = {}
        todo = [self]
        while todo:
            path = todo.pop(0)
            if id(path) not in seen:
                seen[id(path)] = path
                todo += path._next()
        return list(seen.values())

    def check_without(self, other: Path | None) -> None:
        """Refuse a ring: events would run in it for ever.

        Raises:
            FrameworkError: `other` can be reached from here.
        """
        if other is not None and any(path is other for path in self.reachable()):
            raise FrameworkError("a path cannot lead back to itself")

    def _collect(self, found: list[Module], seen: set[int]) -> None:
        if id(self) in seen:
            return
        seen.add(id(self))
        for element in self.elements:
            if isinstance(element, Path):
                element._collect(found, seen)
                continue
            found.append(element)
            for condition in element.conditions:
                condition.path._collect(found, seen)

    def _next(self) -> Iterator[Path]:
        for element in self.elements:
            if isinstance(element, Path):
                yield element
            else:
                yield from (condition.path for condition in element.conditions)

    def __str__(self) -> str:
        return "\n".join(self._lines("")) or "an empty path"

    def _lines(self, indent: str) -> Iterator[str]:
        for element in self.elements:
            if isinstance(element, Path):
                yield f"{indent}path"
                yield from element._lines(indent + "  ")
                continue
            yield indent + element.name
            for condition in element.conditions:
                yield f"{indent}  {condition}:"
                yield from condition.path._lines(indent + "    ")
