"""Just enough of HTTP/1.1 to judge an answer (RFC 9112): status, and a text in the body."""

from __future__ import annotations

from nodeorch.adapters.probes.outcome import EXCERPT, Outcome, excerpt, printable
from nodeorch.model.workload import Http, Method

HEAD_LIMIT = 32 * 1024
BODY_LIMIT = 64 * 1024


def where(http: Http, address: str) -> str:
    return f"{http.scheme}://{authority(address, http.port)}{http.path}"


def what(http: Http, address: str) -> str:
    return f"{http.method.value} {where(http, address)}"


def authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def request(http: Http, address: str) -> bytes:
    """The whole request, the same for each try."""
    headers = {
        "Host": authority(http.server_name or address, http.port),
        "User-Agent": "nodeorch",
        "Accept": "*/*",
        "Connection": "close",
    }
    if http.method in (Method.POST, Method.PUT):
        headers["Content-Length"] = "0"
    own = {name.lower() for name in http.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own}
    lines = [f"{http.method.value} {http.path} HTTP/1.1"]
    for name, value in (headers | http.headers).items():
        # A line break in a value would be another header.
        lines.append(" ".join(f"{name}: {value}".split()))
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Answer:
    """A talk.Talk. Takes the answer as it arrives; the outcome is there once it is certain.

    Each byte is looked at once, and no more than 32 KiB of head and 64 KiB of body are
    kept: a hostile workload costs little.
    """

    def __init__(self, http: Http, address: str, message: bytes) -> None:
        self._http = http
        self.greeting = message
        self.what = what(http, address)
        self._needle = http.body.encode() if http.body is not None else None
        self._pending = bytearray()
        """Received and not yet understood."""
        self._status = 0
        self._body: bytearray | None = None
        """None: the head has not ended."""
        self._left: int | None = None
        """Bytes of the body, or of its current chunk; None: until the end of the stream."""
        self._chunked = False
        self._searched = 0
        self.whole = False
        """Nothing more is to come that we want."""
        self.outcome: Outcome | None = None

    def feed(self, data: bytes) -> None:
        self._pending += data
        if self._body is None and not self._head():
            return
        assert self._body is not None
        self._take_body()
        self._judge(False)

    def reply(self) -> bytes:
        return b""

    def end(self) -> None:
        """The other side has closed."""
        if self._body is None and not self._status:
            heard = excerpt(self._pending.decode("utf-8", "replace"))
            said = f'answered "{heard}", which is no HTTP' if heard else "closed without an answer"
            self._settle(False, said)
        self.whole = True
        self._judge(True)

    def expire(self, words: str) -> None:
        """Time is up: what is there must do."""
        if self._status and self.outcome is None:
            self._judge(True)
        if self.outcome is None:
            self.outcome = Outcome(False, f"{self.what}: {words}", timed_out=True)

    def _head(self) -> bool:
        """True when the head is complete."""
        if not self._status and not self._status_line():
            return False
        end = self._pending.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self._pending)
        if end < 0:
            if self._searched > HEAD_LIMIT:
                self._settle(False, "its headers are longer than 32 KiB")
                self.whole = True
            return False
        head = bytes(self._pending[:end])
        del self._pending[: end + 4]
        self._searched = 0
        if 100 <= self._status < 200:  # an interim answer: the real one follows
            self._status = 0
            return self._head()
        self._headers(head)
        self._body = bytearray()
        return True

    def _status_line(self) -> bool:
        line, found, _ = self._pending.partition(b"\n")
        if not found and len(self._pending) < 1024:
            return False
        words = line[:1024].split(None, 2)
        status = int(words[1][:4]) if len(words) > 1 and words[1].isdigit() else 0
        if not line.startswith(b"HTTP/") or not 100 <= status <= 999:
            heard = excerpt(line.decode("utf-8", "replace"))
            self._settle(False, f'answered "{heard}", which is no HTTP')
            self.whole = True
            return False
        self._status = status
        if self._needle is None and self._accepted() and status >= 200:
            self._settle(True, f"status {self._status}")
        return True

    def _headers(self, head: bytes) -> None:
        if self._status in (204, 304) or self._http.method is Method.HEAD:
            self._left = 0
            return
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            name = name.strip().lower()
            if name == b"transfer-encoding" and value.strip().lower().endswith(b"chunked"):
                self._chunked, self._left = True, 0
            elif name == b"content-length" and not self._chunked and value.strip().isdigit():
                self._left = int(value.strip()[:18])

    def _take_body(self) -> None:
        assert self._body is not None
        if self._chunked:
            while not self.whole and self._chunk():
                pass
        elif self._left is None:
            self._body += self._pending
            self._pending.clear()
        else:
            self._move()
            self.whole = self._left == 0
        if len(self._body) >= BODY_LIMIT:
            del self._body[BODY_LIMIT:]
            self.whole = True

    def _move(self) -> None:
        assert self._body is not None and self._left is not None
        taken = self._pending[: self._left]
        self._body += taken
        self._left -= len(taken)
        del self._pending[: len(taken)]

    def _chunk(self) -> bool:
        """Take what there is of a chunk; False: more has to arrive."""
        assert self._left is not None
        if self._left == 0:
            if self._pending[:2] == b"\r\n":
                del self._pending[:2]
            line, found, _ = self._pending.partition(b"\r\n")
            if not found:
                self.whole = len(line) > 1024
                return False
            del self._pending[: len(line) + 2]
            try:
                self._left = int(line.split(b";")[0], 16)
            except ValueError:
                self.whole = True  # not chunks: judged by what came before
                return False
            if self._left <= 0:
                self.whole = True
                return False
        self._move()
        return self._left == 0

    def _accepted(self) -> bool:
        if self._http.status:
            return self._status in self._http.status
        return 200 <= self._status < 400

    def _judge(self, final: bool) -> None:
        """Decide, if what is there suffices or nothing more comes."""
        if self.outcome is not None or not self._status:
            return
        body = self._body
        if body is None:  # the head never ended, or its lines do as scripts write them
            body, self._searched = self._pending.partition(b"\n\n")[2], 0
        final = final or self.whole
        if not self._accepted():
            if final or len(body) >= 4 * EXCERPT:
                heard = excerpt(body[: 4 * EXCERPT].decode("utf-8", "replace"))
                quoted = f', body "{heard}"' if heard else ""
                self._settle(False, f"status {self._status}{quoted}")
        elif self._needle is None:
            self._settle(True, f"status {self._status}")
        elif body.find(self._needle, max(0, self._searched - len(self._needle))) >= 0:
            self._settle(True, f"status {self._status}, body matches")
        elif final:
            heard, wanted = excerpt(body.decode("utf-8", "replace")), excerpt(self._http.body or "")
            self._settle(
                False, f'status {self._status}, body "{heard}" does not contain "{wanted}"'
            )
        self._searched = len(body)

    def _settle(self, passed: bool, words: str) -> None:
        if self.outcome is None:
            what = "" if passed else f"{printable(self.what)}: "
            self.outcome = Outcome(passed, what + words)
