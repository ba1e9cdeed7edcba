"""Membership by Serf's agent on this host (fleetports.Members)."""

from __future__ import annotations

from nodeorch.adapters.serf.members import ALONE, POLL, SerfMembers

__all__ = ["ALONE", "POLL", "SerfMembers"]
