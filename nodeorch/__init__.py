"""nodeorch: a node-local container orchestrator for Podman."""

__version__ = "0.1.0"
