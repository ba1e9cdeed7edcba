"""fleetports.Members without Serf: hosts that know of each other at once.

tests/adapters/test_serf_contract.py holds it to what the real one does.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from nodeorch.fleetports import MembersError
from nodeorch.model.facts import MembersSeen
from nodeorch.model.fleet import Member, MemberStatus
from nodeorch.ports import Inbox

UNASKED = "cannot ask Serf: it is not there; see systemctl status nodeorch-serf"


class FakeGossip:
    """What all hosts agree on."""

    def __init__(self, key: str = "first") -> None:
        self.members: dict[str, Member] = {}
        self.keys = [key]
        """The first encrypts."""
        self._ears: dict[str, FakeMembers] = {}
        self._told: dict[str, tuple[Member, ...] | str] = {}

    def host(self, name: str, address: str, put: Inbox) -> FakeMembers:
        """The adapter of a host, whose agent starts with it."""
        self._ears[name] = FakeMembers(self, name, put)
        self.members[name] = Member(name, address, MemberStatus.ALIVE)
        self.tell()
        return self._ears[name]

    def set(self, name: str, status: MemberStatus) -> None:
        """FAILED and LEFT: its agent is not there."""
        tags = self._ears[name].tags if status is MemberStatus.ALIVE else self.members[name].tags
        self.members[name] = replace(self.members[name], status=status, tags=dict(tags))
        self.tell()

    def alive(self, name: str) -> bool:
        return self.members[name].status is MemberStatus.ALIVE

    def tell(self) -> None:
        """Each host what is new for it."""
        members = tuple(self.members[name] for name in sorted(self.members))
        for name, ear in self._ears.items():
            news: tuple[Member, ...] | str = members if self.alive(name) else UNASKED
            if self._told.get(name) != news and not ear.closed:
                self._told[name] = news
                told = MembersSeen(trouble=news) if isinstance(news, str) else MembersSeen(news)
                ear.put(told)


class FakeMembers:
    def __init__(self, gossip: FakeGossip, name: str, put: Inbox) -> None:
        self._gossip = gossip
        self._name = name
        self.put = put
        self.tags: dict[str, str] = {}
        self.closed = False

    def sync(self, tags: Mapping[str, str]) -> None:
        self.tags = dict(tags)
        if self._gossip.alive(self._name):
            self._gossip.set(self._name, MemberStatus.ALIVE)

    async def leave(self) -> None:
        self._ask()
        self._gossip.set(self._name, MemberStatus.LEFT)

    async def keys(self, verb: str, key: str = "") -> Mapping[str, int]:
        self._ask()
        ring = self._gossip.keys
        if verb == "list":
            hosts = sum(map(self._gossip.alive, self._gossip.members))
            return dict.fromkeys(ring, hosts)
        if verb == "install":
            ring += [] if key in ring else [key]
        elif verb == "use" and key not in ring:
            raise MembersError("cannot use the encryption key: no host has it; install it first")
        elif verb == "use":
            ring.sort(key=lambda known: known != key)
        elif key == ring[0]:
            raise MembersError("cannot remove the encryption key: it is in use; use another first")
        elif key in ring:
            ring.remove(key)
        return {}

    async def close(self) -> None:
        self.closed = True

    def _ask(self) -> None:
        if not self._gossip.alive(self._name):
            raise MembersError(UNASKED)
