"""smartbkg: selective background simulation by importance sampling."""

from smartbkg.errors import SmartBkgError

__all__ = ["SmartBkgError", "__version__"]

__version__ = "0.1.0"
