"""One request whose body and answer flow at the same time, for a loop over select()."""

from __future__ import annotations

import contextlib
import http.client
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodeorch.client.unix import Client, Query

PIECE = 64 * 1024
LONGEST_LINE = 1024


class Chunks:
    """The data of a chunked body (RFC 9112, 7.1) out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self.ended = False
        self._rest = bytearray()
        self._left = 0
        """Of the chunk that is being read, with the line end after it."""

    def feed(self, data: bytes) -> bytes:
        """Raises ValueError for what is no chunk."""
        self._rest += data
        out = bytearray()
        while self._rest and not self.ended:
            if self._left == 0 and not self._begin():
                break
            out += self._rest[: max(0, self._left - 2)]
            taken = min(self._left, len(self._rest))
            del self._rest[:taken]
            self._left -= taken
        return bytes(out)

    def _begin(self) -> bool:
        """The line with the next chunk's size; False while it is not whole."""
        line, end, _ = self._rest.partition(b"\r\n")
        if not end:
            if len(line) > LONGEST_LINE:
                raise ValueError("a chunk without a size")
            return False
        del self._rest[: len(line) + 2]
        size = int(line.partition(b";")[0], 16)
        if size < 0:
            raise ValueError("a chunk of a size below zero")
        self.ended = size == 0  # what may follow is of no use: the connection is not used again
        self._left = size + 2 if size else 0
        return True


class Duplex:
    """Never blocks once it is open. Every method may raise what Client's do."""

    def __init__(self, client: Client, path: str, query: Query, first: bytes) -> None:
        """Send the first piece of the body, and have the answer's header."""
        self._client = client
        self._connection = client.begin(path, query)
        self._chunks = Chunks()
        self._out = bytearray()
        try:
            self._connection.send(chunk(first))
            response = self._connection.getresponse()
            client.raise_for(response)
            sock = self._connection.sock
            assert sock is not None
            self._sock: socket.socket = sock
            sock.setblocking(False)
            self._early = response.fp.peek()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise client.unreachable(error) from error
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def pending(self) -> bool:
        """Something waits to be flushed."""
        return bool(self._out)

    def send(self, data: bytes) -> None:
        self._out += chunk(data)
        self.flush()

    def flush(self) -> None:
        try:
            with contextlib.suppress(BlockingIOError):
                while self._out:
                    del self._out[: self._sock.send(self._out)]
        except OSError:
            self._out.clear()  # the answer may say why: it is read on

    def receive(self) -> bytes | None:
        """What has come; empty: nothing yet. None: the answer has ended as it should."""
        if self._chunks.ended:
            return None
        try:
            data, self._early = self._early, b""
            data = data or self._sock.recv(PIECE)
            if not data:
                raise ConnectionResetError("the daemon broke the connection")
            return self._chunks.feed(data)
        except BlockingIOError:
            return b""
        except (OSError, ValueError) as error:
            raise self._client.unreachable(error) from error

    def close(self) -> None:
        self._connection.close()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
