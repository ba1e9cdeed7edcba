"""What people ask of the fleet: to take a workload's home, to remove a host, to change keys; and
what other hosts ask: to be let in, and for a new certificate."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from nodeorch.cluster.command import PATIENCE, signing
from nodeorch.cluster.messages import JoinContext, RenewContext, Signer
from nodeorch.decide.fleet.graves import last_home, mirrored, take_refusal
from nodeorch.decide.fleet.mirrors import removal_refusal
from nodeorch.fleetports import Members, Mirror, PeerError
from nodeorch.model.facts import Fact, HostRemoved
from nodeorch.model.workload import Workload
from nodeorch.model.world import World
from nodeorch.ports import Clock, CommandRefused, StoreError
from nodeorch.spec.settings import Settings
from nodeorch.spec.write import Unwritable, to_toml

TOLD = 1.0
"""Seconds in which the others fetch the view that says that we leave, before we do."""
ALONE = "this host is in no fleet; see `nodeorch members`"


class Reload(Protocol):
    async def __call__(
        self, *, applied: tuple[str, ...], taken: tuple[str, ...], by: str
    ) -> None: ...


class FleetDesk:
    def __init__(
        self,
        settings: Settings,
        world: Callable[[], World],
        submit: Callable[[Fact], Awaitable[None]],
        clock: Clock,
        members: Members | None,
        mirror: Mirror | None,
    ) -> None:
        self._settings = settings
        self._world = world
        self._submit = submit
        self._clock = clock
        self._members = members
        self._mirror = mirror

    async def take(self, name: str, by: str, force: bool, reload: Reload) -> str:
        """This host becomes the home: a file of it is written, as if it had been declared here.

        Raises CommandRefused, StoreError.
        """
        world = self._world()
        words = take_refusal(world, name, forced=force)
        if words is not None:
            raise CommandRefused(words)
        homes = mirrored(world, name)
        home = last_home(homes)
        workload = homes[home].workload
        contents = await asyncio.to_thread(self._contents, workload)
        try:
            text = to_toml(workload, contents, f"Its home was {home} until this host took it.")
        except Unwritable as error:
            raise CommandRefused(f"cannot take {name}: {error}") from error
        path = Path(self._settings.paths.workloads) / f"{name}.toml"
        former = await asyncio.to_thread(_replaced, path, text)
        await reload(applied=(name,), taken=(name,), by=by)
        rejected = self._world().rejected.get(name)
        if rejected is not None:
            await asyncio.to_thread(_replaced, path, former)
            raise CommandRefused(f"cannot take {name}: {rejected}")
        return f"{name} has its home here now; its file is {path}"

    def _contents(self, workload: Workload) -> dict[str, str]:
        found = {}
        for file in workload.files:
            try:
                assert self._mirror is not None
                found[file.digest] = self._mirror.read(workload.name, file.digest).decode()
            except (OSError, UnicodeDecodeError):
                continue  # it keeps its source, if it has one
        return found

    async def leave(self, host: str, by: str) -> str:
        """Raises CommandRefused, MembersError, StoreError."""
        fact = HostRemoved(host=host, by=by, wall=self._clock.wall())
        words = removal_refusal(self._world(), fact)
        if words is not None:
            raise CommandRefused(words)
        await self._submit(fact)
        if host != self._world().fleet.me:
            return f"{host} is of the fleet no more"
        await asyncio.sleep(TOLD)
        assert self._members is not None
        await self._members.leave()
        return "this host is of the fleet no more; restart nodeorchd without its settings"

    async def keys(self, verb: str, key: str) -> Mapping[str, int]:
        """Raises CommandRefused, MembersError."""
        if self._members is None:
            raise CommandRefused(f"cannot change keys: {ALONE}")
        return await self._members.keys(verb, key)

    async def join(self, body: bytes, address: str) -> bytes:
        """Another host asks to be let in, with a token. Raises PeerError."""
        cluster, fleet = self._settings.cluster, self._world().fleet
        hosts = {h.name: (h.address, h.port) for h in fleet.hosts.values() if h.address}
        context = JoinContext(
            files=cluster.files,
            cluster=cluster.name or "",
            signer=Signer(fleet.me, fleet.address, cluster.port),
            hosts=hosts,
            taken=sorted(hosts),
            labels={label: list(values) for label, values in cluster.labels.items()},
        )
        return await _signed("sign", msgspec.json.encode(context), body)

    async def renew(self, host: str, body: bytes) -> bytes:
        """Raises PeerError."""
        context = RenewContext(files=self._settings.cluster.files, host=host)
        return await _signed("renew", msgspec.json.encode(context), body)


async def _signed(verb: str, context: bytes, body: bytes) -> bytes:
    """In a process of its own that ends at once: what it needs would make the daemon large."""
    command, environment = signing(verb)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            answer, _ = await process.communicate(context + b"\n" + body)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise PeerError("cannot sign: it took too long; try again") from error
    if process.returncode != 0 or not answer:
        raise PeerError("cannot sign: see the log of nodeorchd on that host")
    return answer


def _replaced(path: Path, text: str | None) -> str | None:
    """Put a text there, or nothing; what was there before. Raises StoreError."""
    try:
        before = path.read_text() if path.exists() else None
        if text is None:
            path.unlink(missing_ok=True)
            return before
        fresh = path.with_name(f".{path.name}.new")
        fresh.touch(mode=0o600)  # it may hold what an env file held
        fresh.write_text(text)
        os.replace(fresh, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; free space there") from error
    return before
