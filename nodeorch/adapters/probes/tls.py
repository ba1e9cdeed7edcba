"""TLS around a conversation. The handshake runs in memory; the socket stays the caller's.

Without a file of CAs the certificate is not looked at, as in Kubernetes: the address is the
container's own, and a probe asks whether it answers. With one it must come from there and be
for the server's name.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

from nodeorch.adapters.probes.outcome import Outcome, excerpt, printable
from nodeorch.adapters.probes.talk import Read, Talk

CA_LIMIT = 1 << 20
"""Bytes of a file of CAs; Debian's bundle of all has a quarter of it."""
LIMIT = 256 * 1024
"""Bytes of one conversation. OpenSSL takes at most 100 KiB of certificates."""
_HANDSHAKE, _ALERT = 0x16, 0x15
"""Content types (RFC 8446, 5.1) that a server can begin with."""


def context(ca: str | None, protocol: str, read: Read) -> ssl.SSLContext:
    """Kept until the file of CAs is another one. Raises OSError, ValueError with words."""
    if ca is None:
        return _context(None, (), protocol, read)
    version: tuple[int, ...] = ()
    try:
        seen = os.stat(ca)
        version = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)
    except OSError:
        pass  # the reading will say what is wrong
    return _context(ca, version, protocol, read)


@lru_cache(maxsize=64)
def _context(ca: str | None, version: tuple[int, ...], protocol: str, read: Read) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.set_alpn_protocols([protocol])
    if ca is None:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        return made
    text = read(ca, CA_LIMIT).decode("ascii", "replace")
    try:
        made.load_verify_locations(cadata=text)
    except ssl.SSLError:
        words = f"cannot use {ca}: it has no certificates in PEM form; give a file of CAs"
        raise ValueError(words) from None
    return made


class Tls:
    """A talk.Talk that says another one through TLS."""

    def __init__(self, inner: Talk, context: ssl.SSLContext, server_name: str | None) -> None:
        self._inner = inner
        self._failed: Outcome | None = None
        self._shaken = False
        self._seen = 0
        self._from, self._to = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from, self._to, server_hostname=server_name)
        self.what = inner.what
        self._turn()
        self.greeting = self._to.read()

    @property
    def outcome(self) -> Outcome | None:
        return self._failed or self._inner.outcome

    @property
    def whole(self) -> bool:
        return self._failed is not None or self._inner.whole

    def feed(self, data: bytes) -> None:
        if not self._seen and data[0] not in (_HANDSHAKE, _ALERT):
            heard = excerpt(data.decode("utf-8", "replace"))
            return self._fail(f'answered "{heard}", which is no TLS')
        self._seen += len(data)
        if self._seen > LIMIT:
            return self._fail("sends more than 256 KiB")
        self._from.write(data)
        self._turn()

    def reply(self) -> bytes:
        return self._to.read()

    def end(self) -> None:
        if self._shaken:
            self._inner.end()
        else:
            self._fail("closed during the TLS handshake")

    def expire(self, words: str) -> None:
        if self._shaken:
            self._inner.expire(words)
        elif self._failed is None:
            words = f"{printable(self.what)}: TLS handshake: {words}"
            self._failed = Outcome(False, words, timed_out=True)

    def _turn(self) -> None:
        """Go as far as the bytes that are there allow."""
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                self._tls.write(self._inner.greeting)
            while not self._inner.whole:
                data = self._tls.read(16384)
                if not data:
                    return self._inner.end()
                self._inner.feed(data)
                if reply := self._inner.reply():
                    self._tls.write(reply)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message.rstrip(".") or "it does not verify"
            self._fail(f"its certificate is not accepted: {_lower(why)}")
        except ssl.SSLZeroReturnError:
            self._inner.end()
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            self._fail(f"TLS: {excerpt(reason)}")

    def _fail(self, words: str) -> None:
        if self.outcome is None:
            self._failed = Outcome(False, f"{printable(self.what)}: {words}")


def _lower(words: str) -> str:
    return excerpt(words[:1].lower() + words[1:])
