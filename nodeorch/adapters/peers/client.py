"""Requests to other daemons, and links that this one begins."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from nodeorch.adapters.peers.link import FAREWELL, LIMIT, Link
from nodeorch.fleetports import PeerError

DIAL = 4.0
"""Seconds until a link that does not come about is given up; then it is begun anew."""
PATIENCE = 30.0
"""Seconds of a request, its answer read."""
IDLE = 5.0
"""Seconds that a connection is kept for a next request: they come in bursts."""
AT_ONCE = 4
"""Connections to one host; the link is one of them."""
ANSWER = 16 << 20
"""Bytes of an answer."""
_WORDS = 300
_UNFIT = (aiohttp.ClientConnectorCertificateError, aiohttp.WSServerHandshakeError)


class Unwelcome(PeerError):
    """Certificates or names do not fit."""


Address = Callable[[str], tuple[str, int] | None]


class _Addresses(AbstractResolver):
    """Hosts are asked for by name, for that is what their certificates say."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._address(host)
        if found is None:
            raise OSError(f"there is no address of {host}")
        kind = socket.AF_INET6 if ":" in found[0] else socket.AF_INET
        flags = socket.AI_NUMERICHOST
        return [
            ResolveResult(
                hostname=host, host=found[0], port=port, family=kind, proto=0, flags=flags
            )
        ]

    async def close(self) -> None:
        pass


class Caller:
    """Use it inside the running loop only. ``address`` tells where a host's API listens."""

    def __init__(self, context: ssl.SSLContext, address: Address) -> None:
        self._address = address
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context,
                resolver=_Addresses(address),
                use_dns_cache=False,
                limit=0,
                limit_per_host=AT_ONCE,
                keepalive_timeout=IDLE,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=PATIENCE, sock_connect=DIAL),
        )

    async def ask(
        self, host: str, method: str, path: str, body: bytes = b"", limit: int = ANSWER
    ) -> bytes:
        """The answer's body, at most ``limit`` bytes of it. Raises PeerError."""
        try:
            async with self._session.request(
                method, self._url(host, path), data=body or None, allow_redirects=False
            ) as response:
                content = await _read(response, limit if response.status == 200 else _WORDS)
                if response.status == 200:
                    return content
                words = content.decode("utf-8", "replace").strip() or f"status {response.status}"
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise PeerError(f"cannot ask {host}: {_words(error)}") from error
        raise PeerError(f"{host} said no: {words}")

    async def dial(self, host: str) -> Link:
        """Raises PeerError."""
        try:
            async with asyncio.timeout(DIAL):
                ws = await self._session.ws_connect(
                    self._url(host, "/v1/link"),
                    max_msg_size=LIMIT,
                    timeout=aiohttp.ClientWSTimeout(ws_close=FAREWELL),
                )
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            kind = Unwelcome if isinstance(error, _UNFIT) else PeerError
            raise kind(f"cannot link with {host}: {_words(error)}") from error
        connection = ws._response.connection  # the public get_extra_info() cannot abort it
        return Link(host, ws, connection.transport if connection is not None else None)

    async def close(self) -> None:
        await self._session.close()

    def _url(self, host: str, path: str) -> str:
        found = self._address(host)
        if found is None:
            raise PeerError(
                f"cannot ask {host}: it is not known where it is; see `nodeorch members`"
            )
        return f"https://{host}:{found[1]}{path}"


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit and response.status == 200:
            response.close()
            raise ValueError(f"its answer is larger than {limit} bytes")
        parts.append(part)
        if size > limit:
            break
    return b"".join(parts)[:limit]


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"it refuses the link (status {error.status})"
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error)[:_WORDS] or type(error).__name__
