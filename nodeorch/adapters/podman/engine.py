"""ports.Engine on Podman 4.3 and later."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from nodeorch.adapters.podman import host, images, limits, replies, streams, verify
from nodeorch.adapters.podman.client import Client, Reply
from nodeorch.adapters.podman.counted import counted
from nodeorch.adapters.podman.create import Host, ImageConfig, specification
from nodeorch.meters import CallMeter
from nodeorch.model.workload import Pull, Resources, Workload
from nodeorch.model.world import Container, State
from nodeorch.ports import Attach, EngineError, LogLine, PathStat, Terminal

log = logging.getLogger(__name__)

QUICK = 10.0
"""Timeout, in seconds, of calls that look or signal."""
SLOW = 60.0
"""Of those that make, start, change or remove something."""
NOTICE = 2.0
"""How long Podman may take to see that a process which the kernel knows dead is dead."""
FIRST_PAUSE, LAST_PAUSE = 0.002, 0.05
GARBAGE = 2 << 20
MADE_FOR = "nodeorch.made-for"
"""Label of networks and volumes that were made for a workload: its name."""


def _lives(pid: int, container_id: str) -> bool:
    """Is this pid a living process of that container? Pids are used again: the cgroup tells."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
        with open(f"/proc/{pid}/cgroup", encoding="ascii", errors="replace") as text:
            return state not in (b"Z", b"X") and container_id in text.read()
    except OSError:
        return False


def _is_of(pid: int, container_id: str) -> bool:
    """Is this pid the conmon of that container?"""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return container_id.encode() in file.read()
    except OSError:
        return False


class PodmanEngine:
    """Every call has a timeout and raises only EngineError."""

    def __init__(self, socket: str) -> None:
        self.calls = CallMeter()
        self._client = Client(socket)
        self._host: Host | None = None

    async def close(self) -> None:
        await self._client.close()

    @counted
    async def ping(self) -> str:
        """Needs no thread: it tells the truth even when every thread waits for Podman."""
        return await self._client.ping()

    # -- looking ------------------------------------------------------------------

    @counted
    async def list(self) -> tuple[Container, ...]:
        filters = msgspec.json.encode({"label": [streams.LABEL]}).decode()
        params = {"all": "true", "filters": filters}
        reply = await self._client.call("GET", "containers/json", params=params, timeout=QUICK)
        return replies.listing(reply.body)

    @counted
    async def inspect(self, container_id: str) -> Container:
        seen = await self._inspect(container_id)
        container = replies.container(seen)
        if container.state not in (State.RUNNING, State.PAUSED, State.STOPPING):
            return container
        return replace(container, monitored=_is_of(seen.state.conmon_pid, container_id))

    async def _inspect(self, container_id: str) -> replies.Inspect:
        path = f"containers/{container_id}/json"
        reply = await self._client.call("GET", path, timeout=QUICK, urgent=True)
        return msgspec.json.decode(reply.body, type=replies.Inspect)

    @counted
    async def ensure_image(
        self, image: str, policy: Pull, progress: Callable[[str], None] | None = None
    ) -> tuple[str, str]:
        return await images.ensure(self._client, image, policy, progress)

    # -- making -------------------------------------------------------------------

    @counted
    async def create(
        self,
        name: str,
        workload: Workload,
        image_id: str,
        labels: Mapping[str, str],
        resources: Resources,
    ) -> str:
        """What Podman silently left out is refused, and the container removed."""
        image = ImageConfig()
        if workload.main.args and not workload.main.command:
            config = (await images.inspect(self._client, image_id)).config
            image = ImageConfig(tuple(config.entrypoint or ()), tuple(config.cmd or ()))
        here = await self._about_host()
        spec = specification(name, workload, image_id, labels, resources, host=here, image=image)
        for network in spec.get("networks", ()):
            await self._ensure("networks", "name", network, workload.name)
        for volume in spec["volumes"]:
            await self._ensure("volumes", "Name", volume["Name"], workload.name)
        reply = await self._client.call("POST", "containers/create", body=spec, timeout=SLOW)
        created = msgspec.json.decode(reply.body, type=replies.Created)
        for warning in created.warnings or ():
            log.warning("%s: Podman warns: %s", name, warning)
        if wrong := verify.dropped(spec, await self._inspect(created.id)):
            await self.remove(created.id)
            raise EngineError(
                "refused",
                f"cannot create {name}: Podman {self._client.version} ignored "
                f"{'; '.join(wrong)}; relax it in the spec, or update Podman",
            )
        return created.id

    async def _about_host(self) -> Host:
        if self._host is None:
            reply = await self._client.call("GET", "info", timeout=QUICK)
            info = msgspec.json.decode(reply.body, type=replies.Info)
            self._host = host.look(self._client.socket, info.host.cgroup_version)
        return self._host

    async def _ensure(self, kind: str, key: str, name: str, workload: str) -> None:
        """Make a network or a volume unless it is there; two may try at once."""
        exists = f"{kind}/{quote(name, safe='')}/exists"
        try:
            await self._client.call("GET", exists, timeout=QUICK)
            return
        except EngineError as error:
            if error.kind != "not_found":
                raise
        body: dict[str, object] = {key: name, "labels": {MADE_FOR: workload}}
        if kind == "networks":
            body |= {"driver": "bridge", "dns_enabled": True}
        try:
            await self._client.call("POST", f"{kind}/create", body=body, timeout=SLOW)
        except EngineError as error:
            if error.kind != "refused" or "exists" not in error.words:
                raise

    # -- acting -------------------------------------------------------------------

    @counted
    async def start(self, container_id: str, *, urgent: bool = False) -> Container:
        """Start and inspect.

        For some milliseconds after a first process died Podman says 304, "it runs":
        then ask again at once until it is running with a living process.
        """
        end, pause = time.monotonic() + NOTICE, FIRST_PAUSE
        path = f"containers/{container_id}/start"
        while True:
            reply = await self._begin(path, urgent)
            container = await self.inspect(container_id)
            if reply.status != 304 or _lives(container.pid, container_id):
                return container
            if time.monotonic() > end:
                raise EngineError(
                    "refused",
                    f"cannot start it: Podman still believes that it runs as process "
                    f"{container.pid}, which is dead",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _begin(self, path: str, urgent: bool) -> Reply:
        """POST start, around a leak of Podman 4 and 5.

        When a start fails, its service keeps the sockets that hold the published ports
        until it next collects garbage, minutes later: nobody can have these ports. A
        large body makes it collect at once.
        """
        try:
            return await self._client.call("POST", path, timeout=SLOW, urgent=urgent)
        except EngineError as error:
            if "address already in use" not in error.words:
                raise
        with contextlib.suppress(EngineError):  # it is refused: it names no image
            body = {"comment": " " * GARBAGE}
            await self._client.call("POST", "containers/create", body=body, timeout=QUICK)
        await asyncio.sleep(LAST_PAUSE)
        return await self._client.call("POST", path, timeout=SLOW, urgent=urgent)

    @counted
    async def kill(self, container_id: str, signal: str) -> None:
        """A container that does not run is fine."""
        path, params = f"containers/{container_id}/kill", {"signal": signal}
        try:
            await self._client.call("POST", path, params=params, timeout=QUICK, urgent=True)
        except EngineError as error:
            if "can only kill running containers" not in error.words:
                raise

    @counted
    async def remove(self, container_id: str) -> None:
        # "v" is Docker's word: on Podman's own path only "volumes" counts.
        params = {"force": "true", "timeout": "0", "volumes": "true"}
        path = f"containers/{container_id}"
        try:
            reply = await self._client.call("DELETE", path, params=params, timeout=SLOW)
        except EngineError as error:
            if error.kind == "not_found":
                return
            if "could not be stopped" not in error.words:
                raise
            # It ended without its conmon: Podman 4 calls it "stopping" now, and removes it.
            reply = await self._client.call("DELETE", path, params=params, timeout=SLOW)
        for removed in msgspec.json.decode(reply.body or b"[]", type=list[replies.Removed]):
            if removed.err:
                raise EngineError("refused", f"cannot remove {container_id}: {removed.err}")

    @counted
    async def update(self, container_id: str, resources: Resources) -> None:
        """Live. Podman 4 forgets it at the next start, and its inspection never shows it."""
        here = await self._about_host()
        body = limits.live(resources, v2=here.cgroup_v2, swap_known=here.swap_known)
        path = f"containers/{container_id}/update"
        await self._client.call("POST", path, body=body, timeout=QUICK)

    @counted
    async def unpause(self, container_id: str) -> None:
        await self._client.call("POST", f"containers/{container_id}/unpause", timeout=QUICK)

    @counted
    async def rename(self, container_id: str, name: str) -> None:
        path, params = f"containers/{container_id}/rename", {"name": name}
        await self._client.call("POST", path, params=params, timeout=QUICK)

    # -- streams ------------------------------------------------------------------

    def events(self) -> AsyncIterator[str]:
        """First an empty id: Podman listens for us, list now."""
        return streams.events(self._client)

    def logs(
        self, container_id: str, instance: str, *, follow: bool, tail: int | None, since: str | None
    ) -> AsyncIterator[LogLine]:
        """``since``: RFC 3339."""
        return streams.logs(
            self._client, container_id, instance, follow=follow, tail=tail, since=since or ""
        )

    @counted
    async def exec(
        self, container_id: str, command: Sequence[str], timeout: float
    ) -> tuple[int, str]:
        """A command that is late is killed, and its code is 124; missing 127, not runnable 126."""
        return await streams.run(self._client, container_id, command, timeout)

    @counted
    async def terminal(self, container_id: str, attach: Attach) -> Terminal:
        from nodeorch.adapters.podman import interactive  # of no use to most daemons

        return await interactive.attach(self._client, container_id, attach)

    @counted
    async def stat(self, container_id: str, path: str) -> PathStat | None:
        from nodeorch.adapters.podman import archive

        return await archive.stat(self._client, container_id, path)

    async def read_archive(self, container_id: str, path: str) -> AsyncIterator[bytes]:
        from nodeorch.adapters.podman import archive

        async for piece in archive.read(self._client, container_id, path):
            yield piece

    @counted
    async def write_archive(self, container_id: str, path: str, data: AsyncIterator[bytes]) -> None:
        from nodeorch.adapters.podman import archive

        await archive.write(self._client, container_id, path, data)
