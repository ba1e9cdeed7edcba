"""Frames of an exec session: several streams in each direction of one request. Pure.

A frame is its kind (one byte), the length of its payload (four bytes, big endian) and the
payload. Imports nothing that costs: the command line uses it too.
"""

from __future__ import annotations

HEADER = 5
LONGEST = 64 * 1024
"""Bytes of a payload."""

CREDIT = 256 * 1024
"""Bytes of input that the client may send before the daemon says TAKEN. So the daemon reads what
comes at once, however slow the command is: a signal, a new size and a hang-up pass the input."""

# from the client
BEGIN = b"b"
"""The first one: JSON, see api/exec.py:Asked."""
INPUT = b"i"
INPUT_ENDS = b"e"
SIZE = b"w"
"""Of its terminal: rows, columns, two bytes each."""
SIGNAL = b"s"
"""Its name in ASCII: "TERM"."""

# from the daemon
STARTED = b"n"
"""JSON: {"instance": name, "running": how many there were to choose from}."""
OUT = b"o"
ERR = b"r"
TAKEN = b"t"
"""So many bytes of input are with the command: a number in ASCII."""
CODE = b"c"
"""The last one: the exit code in ASCII."""
FAILED = b"f"
"""The last one: words in UTF-8, why the session cannot go on."""


class BadFrame(ValueError):
    """What came is no frame."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


def size(rows: int, columns: int) -> bytes:
    return frame(SIZE, rows.to_bytes(2, "big") + columns.to_bytes(2, "big"))


def size_of(payload: bytes) -> tuple[int, int]:
    """(rows, columns); raises BadFrame."""
    if len(payload) != 4:
        raise BadFrame("a size has four bytes")
    return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:], "big")


class Splitter:
    """Frames out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """(kind, payload) of each frame that is whole now; raises BadFrame."""
        self._rest += data
        found = []
        at = 0
        while len(self._rest) - at >= HEADER:
            length = int.from_bytes(self._rest[at + 1 : at + HEADER], "big")
            if length > LONGEST:
                raise BadFrame(f"a frame of {length} bytes; {LONGEST} at most")
            end = at + HEADER + length
            if len(self._rest) < end:
                break
            found.append((bytes(self._rest[at : at + 1]), bytes(self._rest[at + HEADER : end])))
            at = end
        del self._rest[:at]
        return found
