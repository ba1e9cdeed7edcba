"""A few calls of Podman's API, blocking and with a timeout."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from typing import Any
from urllib.parse import urlencode

TIMEOUT = 5.0
"""Seconds that an answer may take; on a busy host one to "info" takes one or two."""
PING_TIMEOUT = 2.0
VERSION = "v4.0.0"
"""Of the API: the oldest that Podman 4.3 and all later ones speak."""


class Refused(Exception):
    """Podman answers, and its answer is an error; in its words."""


class Libpod(http.client.HTTPConnection):
    """Raises OSError, http.client.HTTPException, ValueError; Refused."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        super().__init__("d", timeout=timeout)
        self.path = path
        self.peer = 0
        """The pid that listens; 1: systemd, for a service that it starts."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
        size = struct.calcsize("3i")
        cred = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        self.peer = struct.unpack("3i", cred)[0]

    def ping(self) -> str:
        """The version of its API; empty when it is no Podman."""
        self.timeout, usual = PING_TIMEOUT, self.timeout
        self.request("GET", "/_ping")
        answer = self.getresponse()
        answer.read()
        self.timeout = usual
        self.sock.settimeout(usual)
        return answer.getheader("Libpod-Api-Version") or ""

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        target = f"/{VERSION}/libpod/{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        self.request(method, target, data, {"Content-Type": "application/json"})
        answer = self.getresponse()
        read = answer.read()
        said = json.loads(read) if read.strip() else None
        if answer.status >= 400:
            words = said.get("message") if isinstance(said, dict) else None
            raise Refused(" ".join(str(words or f"status {answer.status}").split()))
        return said
