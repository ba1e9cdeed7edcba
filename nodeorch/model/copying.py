"""How much one copy into an instance or out of it may be, for the daemon and its client."""

from __future__ import annotations

LARGEST = 16 << 30
"""Bytes of the tar. A sparse file inside a container costs it nothing and would fill our disk."""
