"""HTTP over a unix socket, synchronous, with the standard library: starting up must be cheap."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

TIMEOUT = 30.0
"""Seconds for an answer to begin."""


class ClientError(Exception):
    """Words for a person: "cannot …: why; what to do"."""


class DaemonUnreachable(ClientError):
    """Nobody answers at the socket, or the connection broke."""


class NoPermission(ClientError):
    """The socket's mode, or the daemon, says no."""


class ApiError(ClientError):
    """The daemon's answer is an error. The fields are those of model.view.ErrorView."""

    def __init__(self, status: int, error: str, code: str, problems: list[str]) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.problems = problems


class Client:
    """Keeps one connection. Every method raises DaemonUnreachable, NoPermission, ApiError."""

    def __init__(self, socket_path: str, timeout: float = TIMEOUT) -> None:
        self._path = socket_path
        self._timeout = timeout
        self._connection: _Connection | None = None

    def get(self, path: str, query: Query = None, timeout: float | None = None) -> Any:
        return self._call("GET", path, query, None, timeout)

    def post(
        self, path: str, body: Any = None, query: Query = None, timeout: float | None = None
    ) -> Any:
        return self._call("POST", path, query, {} if body is None else body, timeout)

    def delete(self, path: str, query: Query = None) -> Any:
        return self._call("DELETE", path, query, None, None)

    def stream(self, path: str, query: Query = None) -> Iterator[dict[str, Any]]:
        """The lines of a stream as they come; ends when the daemon ends it."""
        response = self._send("GET", path, query, None, None)
        self.raise_for(response)
        connection, self._connection = self._connection, None  # it carries nothing else now
        assert connection is not None
        try:
            if connection.sock is not None:
                connection.sock.settimeout(None)
            while line := response.readline():
                yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self.unreachable(error) from error
        finally:
            connection.close()

    def upload(
        self, path: str, query: Query, fill: Callable[[Callable[[bytes], None]], None]
    ) -> Any:
        """POST what ``fill`` sends, piece by piece. Errors of its own pass through."""
        connection = self.begin(path, query)

        def send(data: bytes) -> None:
            try:
                connection.send(b"%x\r\n%b\r\n" % (len(data), data))
            except OSError as error:  # it has answered already, and hung up
                raise _Enough from error

        try:
            with contextlib.suppress(_Enough):
                fill(send)
                send(b"")
            response = self._answer(connection)
            return self.decode(response)
        finally:
            connection.close()

    @contextlib.contextmanager
    def download(self, path: str, query: Query) -> Iterator[http.client.HTTPResponse]:
        """The answer to a POST, to be read bit by bit."""
        connection = self.begin(path, query)
        try:
            connection.send(b"0\r\n\r\n")
            yield self._answer(connection)
        finally:
            connection.close()

    def _answer(self, connection: _Connection) -> http.client.HTTPResponse:
        try:
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from error
        self.raise_for(response)
        return response

    def begin(self, path: str, query: Query = None) -> _Connection:
        """A connection of its own that waits for the chunks of a POST's body."""
        connection = _Connection(self._path)
        connection.timeout = self._timeout
        try:
            connection.putrequest("POST", _target(path, query))
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
        except OSError as error:
            connection.close()
            raise self.unreachable(error) from error
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, method: str, path: str, query: Query, body: Any, timeout: float | None) -> Any:
        response = self._send(method, path, query, body, timeout)
        self.raise_for(response)
        return self.decode(response)

    def _send(
        self, method: str, path: str, query: Query, body: Any, timeout: float | None
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = _Connection(self._path)
        connection = self._connection
        connection.timeout = timeout or self._timeout
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        target = _target(path, query)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        trace = os.environ.get("TRACEPARENT", "")
        if trace.isascii() and trace.isprintable() and trace:
            headers["traceparent"] = trace
        try:
            connection.request(method, target, data, headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self.unreachable(error) from error

    def raise_for(self, response: http.client.HTTPResponse) -> None:
        """Raises what an answer of status 400 and above means."""
        if response.status < 400:
            return
        view = self.decode(response)
        error = str(view.get("error", f"the daemon answered {response.status}"))
        if response.status == 403:
            raise NoPermission(error)
        code = str(view.get("code", ""))
        raise ApiError(response.status, error, code, list(view.get("problems", ())))

    def decode(self, response: http.client.HTTPResponse) -> Any:
        """Its JSON."""
        try:
            return json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> ClientError:
        """What a broken connection, or none, is to be told as."""
        where = f"cannot reach nodeorchd at {self._path}"
        if isinstance(error, PermissionError):
            return NoPermission(
                f"{where}: permission denied; be root or a member of the socket's group"
            )
        if isinstance(error, TimeoutError):
            return DaemonUnreachable(f"{where}: no answer in time; see its log")
        why = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        return DaemonUnreachable(f"{where}: {why}; is it running? systemctl status nodeorchd")


Query = Mapping[str, str | int | float | bool | None] | None


class _Enough(Exception):
    """Nobody reads the body any more."""


class _Connection(http.client.HTTPConnection):
    """One connection to the daemon's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _target(path: str, query: Query) -> str:
    given = {k: _text(v) for k, v in (query or {}).items() if v is not None}
    return quote(path) + (f"?{urlencode(given)}" if given else "")


def _text(value: str | int | float | bool) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
