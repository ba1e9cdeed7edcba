"""Cuts a stream into MessagePack objects: Serf puts no lengths before them.

Sizes by https://github.com/msgpack/msgpack/blob/master/spec.md; nothing is decoded here.
"""

from __future__ import annotations

LIMIT = 4 << 20
"""Bytes of one object; 100 hosts take 35 thousand."""


def _forms() -> list[tuple[int, int, int, int, int]]:
    """First byte → bytes of the length that follows, bytes and objects that follow whatever it
    is, bytes and objects for each that it counts. Width -1: no such form."""
    forms = [(0, 0, 0, 0, 0)] * 256
    for size in range(16):
        forms[0x80 + size] = (0, 0, 2 * size, 0, 0)
        forms[0x90 + size] = (0, 0, size, 0, 0)
    for size in range(32):
        forms[0xA0 + size] = (0, size, 0, 0, 0)
    forms[0xC1] = (-1, 0, 0, 0, 0)
    for nth, width in enumerate((1, 2, 4)):
        forms[0xC4 + nth] = forms[0xD9 + nth] = (width, 0, 0, 1, 0)
        forms[0xC7 + nth] = (width, 1, 0, 1, 0)
    for first, size in ((0xCA, 4), (0xCB, 8)):
        forms[first] = (0, size, 0, 0, 0)
    for nth, size in enumerate((1, 2, 4, 8)):
        forms[0xCC + nth] = forms[0xD0 + nth] = (0, size, 0, 0, 0)
    for nth, size in enumerate((1, 2, 4, 8, 16)):
        forms[0xD4 + nth] = (0, 1 + size, 0, 0, 0)
    for nth, width in enumerate((2, 4)):
        forms[0xDC + nth] = (width, 0, 0, 0, 1)
        forms[0xDE + nth] = (width, 0, 0, 0, 2)
    return forms


_FORMS = _forms()


class Frames:
    """What came so far, and how much of the first object in it was walked over."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._open = 1
        """Objects that begin at ``_at`` or later and belong to the first one."""

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def cut(self) -> bytes | None:
        """The first object; None: it is not all there yet. Raises ValueError for what is none,
        or is too large."""
        buffer, at, still, end = self._buffer, self._at, self._open, len(self._buffer)
        while still and at < end:
            width, fixed, objects, each, objects_each = _FORMS[buffer[at]]
            if width < 0:
                raise ValueError("it is no MessagePack")
            body = at + 1 + width
            if body > end:
                break
            count = int.from_bytes(buffer[at + 1 : body], "big") if width else 0
            past = body + fixed + count * each
            still_after = still - 1 + objects + count * objects_each
            # Each object that is to follow has a byte at least.
            if past + still_after > LIMIT:
                raise ValueError(f"it is larger than {LIMIT >> 20} MiB")
            if past > end:
                break
            at, still = past, still_after
        self._at, self._open = at, still
        if still:
            return None
        whole = bytes(buffer[:at])
        del buffer[:at]
        self._at, self._open = 0, 1
        return whole
