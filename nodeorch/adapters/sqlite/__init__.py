"""What must outlive the daemon, in one SQLite file (ports.Store)."""

from __future__ import annotations

from nodeorch.adapters.sqlite.schema import SchemaTooNew
from nodeorch.adapters.sqlite.store import SqliteStore

__all__ = ["SchemaTooNew", "SqliteStore"]
