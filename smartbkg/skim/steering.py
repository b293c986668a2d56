"""Skims in steering files: `skim(path)` appends one to the path of an event loop."""

from __future__ import annotations

from pathlib import Path as FilePath

from smartbkg.framework import AfterConditionPath, Module, Path, create_path


class OnPath:
    """Base of the skims: what makes them callable with a path."""

    def __call__(self, path: Path, output_file: FilePath | str | None = None) -> Module:
        """Append the skim to a path, behind simulation and reconstruction.

        Args:
            path: of the event loop. Events that fail go on, too; `if_false` on what is returned sends them elsewhere.
            output_file: where the events that pass are written, one row each.

        Returns:
            The module.
        """
        module = path.add_module("SkimModule", skim=self)
        if output_file is not None:
            passing = create_path()
            passing.add_module("SkimOutput", output_file=output_file)
            module.if_true(passing, AfterConditionPath.CONTINUE)
        return module
