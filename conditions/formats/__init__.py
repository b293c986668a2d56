"""What payload files are: describe one, compare two, whatever their format.

Formats are plugins: an entry point of the group `conditions.formats` names a subclass of `Format` (`plugin.py`).
A plugin that cannot be loaded is named in the notes of what it might have read, and the file is taken as bytes.
"""

from __future__ import annotations

from conditions.formats.registry import Comparison, Description, broken_plugins, check, compare, describe, formats

__all__ = ["Comparison", "Description", "broken_plugins", "check", "compare", "describe", "formats"]
