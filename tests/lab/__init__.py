"""A real Podman of its own for the tests, and waiting without sleeping for luck."""

from __future__ import annotations

from tests.lab.lab import Lab
from tests.lab.wait import async_wait_for, wait_for

__all__ = ["Lab", "async_wait_for", "wait_for"]
