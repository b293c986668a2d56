"""The reading side: one interface for wherever the conditions are kept."""

from conditions.client.client import Client
from conditions.client.transport import Source

__all__ = ["Client", "Source"]
