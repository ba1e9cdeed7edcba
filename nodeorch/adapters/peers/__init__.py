"""The other daemons of the fleet, over mutual TLS: see fleetports.Peers.

Import it only where there is a fleet, and after adapters.podman, which imports aiohttp without what
it loads in vain (docs/decisions/0016).
"""

from nodeorch.adapters.peers.peers import Identity, TlsPeers

__all__ = ["Identity", "TlsPeers"]
