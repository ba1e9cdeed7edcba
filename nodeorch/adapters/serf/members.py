"""fleetports.Members: asks Serf's agent for its members each second, and tells what has changed.

The agent's stream of events is late and leaves some out, so it is not used. What waits for other
hosts (tags, keys, leaving) has a connection of its own: the agent answers one request after the
other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import msgspec

from nodeorch.adapters.serf.talk import (
    SEE,
    Entry,
    KeysAnswer,
    Listed,
    Refused,
    Stats,
    Talk,
    connected,
)
from nodeorch.fleetports import MembersError
from nodeorch.model.facts import MembersSeen
from nodeorch.model.fleet import Member, MemberStatus
from nodeorch.ports import Inbox

log = logging.getLogger(__name__)

POLL, ALONE = 1.0, 0.25
"""Seconds between two looks at the members; the second where there is no other witness."""
RETRY = 0.5
"""Seconds until the agent is tried again."""
PATIENCE = 2.0
"""Seconds without an answer that are no trouble: an agent restarts within one."""
TAGS_TIMEOUT = 7.0
"""Seconds. The agent waits up to 5 s for a broadcast to be sent off."""
QUERY_TIMEOUT = 15.0
"""Seconds. The agent gives a fleet of less than 1000 hosts 9.6 s to answer about keys."""
TAG_BYTES = 512
"""Serf's limit for all tags of a host, encoded."""

COMMANDS = {
    "list": "list-keys",
    "install": "install-key",
    "use": "use-key",
    "remove": "remove-key",
}

_ENTRY = msgspec.msgpack.Decoder(Entry)


class SerfMembers:
    """Lives in the event loop in which it is made, and begins to ask at once.

    ``auth`` is the file with the key of the agent's RPC, read anew for each connection. Tags that
    do not fit into Serf's limit are left out, the last first.
    """

    def __init__(self, address: str, auth: Path, put: Inbox, every: float = POLL) -> None:
        self._address = address
        self._every = every
        self._auth = auth
        self._put = put
        self._said: dict[str, str] | None = None
        self._wanted: dict[str, str] | None = None
        """What of it fits."""
        self._wake = asyncio.Event()
        self._told: tuple[Member, ...] | None = None
        self._trouble = ""
        self._answered = time.monotonic()
        self._setting: asyncio.Task[None] | None = None
        self._tags_trouble = ""
        self._following = asyncio.create_task(self._follow(), name="serf")

    def sync(self, tags: Mapping[str, str]) -> None:
        if tags != self._said:
            self._said = dict(tags)
            self._wanted = _fitting(tags)
            self._wake.set()

    async def leave(self) -> None:
        async with connected(self._address, self._key()) as talk:
            await talk.ask("leave", timeout=QUERY_TIMEOUT)

    async def keys(self, verb: str, key: str = "") -> Mapping[str, int]:
        request = {"Key": key} if verb != "list" else None
        async with connected(self._address, self._key()) as talk:
            try:
                answer = await talk.ask(COMMANDS[verb], request, KeysAnswer, timeout=QUERY_TIMEOUT)
            except Refused as refused:
                words = "; ".join([refused.why, *_messages(refused.body)])
                raise MembersError(
                    f"cannot {verb} the encryption key{'' if request else 's'}: {words};"
                    " try again when all hosts are up"
                ) from refused
        return answer.keys or {}

    async def close(self) -> None:
        tasks = [task for task in (self._following, self._setting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                async with connected(self._address, self._key()) as talk:
                    await self._poll(talk)
            except MembersError as error:
                self._failed(str(error))
            except Exception as error:
                log.exception("asking Serf")
                self._failed(f"cannot ask Serf: internal error: {type(error).__name__}: {error}")
            await asyncio.sleep(RETRY)

    async def _poll(self, talk: Talk) -> None:
        me = (await talk.ask("stats", answer=Stats)).agent.get("name", "")
        while True:
            self._wake.clear()
            listed = await talk.ask("members", answer=Listed)
            self._answered = time.monotonic()
            members = {m.name: m for raw in listed.members or () if (m := _member(raw))}
            self._seen(tuple(members[name] for name in sorted(members)))
            if me in members:
                self._correct(members[me].tags)
            try:
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _seen(self, members: tuple[Member, ...]) -> None:
        if members != self._told or self._trouble:
            self._told, self._trouble = members, ""
            self._put(MembersSeen(members))

    def _failed(self, words: str) -> None:
        if words != self._trouble and time.monotonic() - self._answered >= PATIENCE:
            self._trouble = words
            self._put(MembersSeen(trouble=words))

    def _correct(self, own: Mapping[str, str]) -> None:
        """Tell the agent our tags, if it does not have them: it forgets them with a restart."""
        setting = self._setting is not None and not self._setting.done()
        if self._wanted is not None and own != self._wanted and not setting:
            gone = [name for name in own if name not in self._wanted]
            self._setting = asyncio.create_task(self._set(self._wanted, gone), name="serf tags")

    async def _set(self, tags: dict[str, str], gone: list[str]) -> None:
        """What fails is tried again after the next look."""
        words = ""
        try:
            async with connected(self._address, self._key()) as talk:
                request = {"Tags": tags, "DeleteTags": gone}
                await talk.ask("tags", request, timeout=TAGS_TIMEOUT)
            if tags is not self._wanted:
                self._wake.set()
        except MembersError as error:
            words = f"tags not told: {error}"
        if words and words != self._tags_trouble:
            log.warning("%s", words)
        self._tags_trouble = words

    def _key(self) -> str:
        try:
            return self._auth.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise MembersError(
                f"cannot ask Serf: the key of its RPC cannot be read: {error}; {SEE}"
            ) from error


def _member(raw: msgspec.Raw) -> Member | None:
    """None for what no agent of ours says of itself."""
    try:
        entry = _ENTRY.decode(raw)
        status = MemberStatus(entry.status)
        address = ip_address(entry.addr)
    except (msgspec.MsgspecError, ValueError) as error:
        log.debug("a member of Serf's is left out: %s", error)
        return None
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return Member(entry.name, str(address), status, entry.tags or {})


def _messages(body: bytes) -> list[str]:
    try:
        answer = msgspec.msgpack.decode(body, type=KeysAnswer)
    except (msgspec.MsgspecError, ValueError):
        return []
    return [f"{host}: {why}" for host, why in sorted((answer.messages or {}).items())]


def _fitting(tags: Mapping[str, str]) -> dict[str, str]:
    """As many as fit, from the first on: MessagePack by its older rules, behind one byte."""
    room = TAG_BYTES - (2 if len(tags) < 16 else 4)
    fitting = {}
    for name, value in tags.items():
        room -= sum(size + (1 if size < 32 else 3) for size in map(_bytes, (name, value)))
        if room < 0:
            log.warning("tag %s and those after it are too long for Serf: left out", name)
            break
        fitting[name] = value
    return fitting


def _bytes(text: str) -> int:
    return len(text.encode())
