"""Probes over http, tcp, grpc and exec (ports.Prober), and hooks (ports.HookRunner)."""

from __future__ import annotations

from nodeorch.adapters.probes.hook import HookCaller
from nodeorch.adapters.probes.runner import ProbeRunner

__all__ = ["HookCaller", "ProbeRunner"]
