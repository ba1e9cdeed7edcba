"""Probes of instances over http, tcp and exec (ports.Prober)."""

from __future__ import annotations

from nodeorch.adapters.probes.runner import ProbeRunner

__all__ = ["ProbeRunner"]
