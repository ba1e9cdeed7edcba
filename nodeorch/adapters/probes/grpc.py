"""One try of a grpc probe: grpc.health.v1.Health/Check, unary, over HTTP/2.

The protocol: https://github.com/grpc/grpc/blob/master/doc/health-checking.md and
doc/PROTOCOL-HTTP2.md there. h2 speaks the framing; the two messages have a field each.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from nodeorch.adapters.probes.http import authority
from nodeorch.adapters.probes.outcome import Outcome, excerpt, printable
from nodeorch.model.workload import Grpc

PATH = "/grpc.health.v1.Health/Check"
LIMIT = 32 * 1024
"""Bytes of one conversation; an honest one has a few hundred."""
EVENTS = 64
"""Frames of one conversation; an honest one has ten."""
MESSAGE_LIMIT = 1024
_PIECE = 1024
"""Bytes that h2 gets at a time: between two pieces we can stop."""
_STREAM = 1
_FRAME_HEAD, _SETTINGS = 9, 4
"""Bytes of a frame's head, and a type of frame."""
_CONFIG = h2.config.H2Configuration(client_side=True, header_encoding=False)

CODES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""google.golang.org/grpc/codes."""
NOT_FOUND, UNIMPLEMENTED = 5, 12
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
"""Of HealthCheckResponse.ServingStatus; 0 is UNKNOWN."""


class Check:
    """A talk.Talk."""

    def __init__(self, grpc: Grpc, address: str, timeout: float) -> None:
        host = authority(grpc.server_name or address, grpc.port)
        about = f" {grpc.service}" if grpc.service else ""
        self.what = f"grpc {authority(address, grpc.port)}{about}"
        self._service = grpc.service
        self._link = h2.connection.H2Connection(_CONFIG)
        self._link.initiate_connection()
        self._link.send_headers(_STREAM, _headers(grpc, host, timeout))
        self._link.send_data(_STREAM, _frame(grpc.service), end_stream=True)
        self.greeting = self._link.data_to_send()
        self._early = b""
        """The beginning, until it can be judged."""
        self._seen = 0
        self._events = 0
        self._fields: dict[bytes, bytes] = {}
        """Of the headers and of the trailers."""
        self._message = bytearray()
        self.outcome: Outcome | None = None
        self.whole = False

    def feed(self, data: bytes) -> None:
        if not self._seen:
            data = self._early = self._early + data
            if words := _no_preface(data):
                return self._settle(words)
            if len(data) < _FRAME_HEAD:
                return
        for at in range(0, len(data), _PIECE):
            if self.whole:
                return
            self._take(data[at : at + _PIECE])

    def reply(self) -> bytes:
        return b"" if self.whole else self._link.data_to_send()

    def end(self) -> None:
        self._settle("closed before the answer was complete" if self._events else _CLOSED)

    def expire(self, words: str) -> None:
        if self.outcome is None:
            words = f"{printable(self.what)}: {words}"
            self.outcome = Outcome(False, words, timed_out=True)

    def _take(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen > LIMIT:
            return self._settle("sends more than 32 KiB")
        try:
            events = self._link.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            return self._settle(f"broken HTTP/2: {excerpt(str(error))}")
        except Exception as error:  # the bytes are a stranger's, the parser is not ours
            return self._settle(f"broken HTTP/2: {type(error).__name__}")
        for event in events:
            self._events += 1
            if self._events > EVENTS:
                return self._settle(f"sends more than {EVENTS} frames")
            self._on(event)
            if self.whole:
                return

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            for name, value in event.headers or ():
                self._fields.setdefault(bytes(name), bytes(value))
        elif isinstance(event, h2.events.DataReceived):
            self._message += event.data or b""
            if len(self._message) > MESSAGE_LIMIT:
                self._settle("its answer is longer than a health check's")
        elif isinstance(event, h2.events.StreamEnded):
            self._judge()
        elif isinstance(event, h2.events.StreamReset):
            self._settle(f"the server reset the request ({_error(event.error_code)})")
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._settle(f"the server goes away (GOAWAY, {_error(event.error_code)})")

    def _judge(self) -> None:
        status = _text(self._fields.get(b":status", b""))
        kind = _text(self._fields.get(b"content-type", b""))
        code = _text(self._fields.get(b"grpc-status", b""))
        if not kind.startswith("application/grpc") or not code:
            name = f" {HTTPStatus(int(status)).phrase}" if status in _HTTP else ""
            said = f"HTTP status {status}{name}, content type {kind or 'none'}"
            return self._settle(f"{said}: it is no gRPC server")
        if code != "0":
            return self._refused(code)
        health = _health(bytes(self._message))
        if health == SERVING:
            self.outcome, self.whole = Outcome(True, "serving"), True
        elif health == NOT_SERVING:
            self._settle("not serving")
        elif health == SERVICE_UNKNOWN:
            self._settle(self._unknown())
        elif health == 0:
            self._settle("its health is unknown (UNKNOWN)")
        else:
            self._settle("its answer is no health check's")

    def _refused(self, code: str) -> None:
        number = int(code) if code.isdigit() and len(code) < 3 else -1
        if number == UNIMPLEMENTED:
            return self._settle("unimplemented: the server has no grpc.health.v1.Health")
        if number == NOT_FOUND:
            return self._settle(self._unknown())
        message = unquote_to_bytes(self._fields.get(b"grpc-message", b"")[:1024])
        said = excerpt(message.decode("utf-8", "replace"))
        name = CODES.get(number) or excerpt(code)
        self._settle(f"grpc status {name}" + (f': "{said}"' if said else ""))

    def _unknown(self) -> str:
        return f'the server knows no service "{self._service}"'

    def _settle(self, words: str) -> None:
        """It failed."""
        if self.outcome is None:
            self.outcome = Outcome(False, f"{printable(self.what)}: {words}")
        self.whole = True


_CLOSED = "closed without an answer"
_HTTP = {str(status.value) for status in HTTPStatus}


def _no_preface(data: bytes) -> str:
    """Why this cannot be a server's beginning, which is a SETTINGS frame (RFC 9113, 3.4)."""
    if data.startswith(b"HTTP/1"):
        return "it speaks HTTP/1, not HTTP/2"
    if len(data) > 3 and data[3] != _SETTINGS:
        return f'answered "{excerpt(data.decode("utf-8", "replace"))}", which is no HTTP/2'
    return ""


def _headers(grpc: Grpc, host: str, timeout: float) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "https" if grpc.tls else "http"),
        (":authority", host),
        (":path", PATH),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "nodeorch"),
        # At most eight digits; the server need not work on what nobody waits for.
        ("grpc-timeout", f"{min(max(1, round(timeout * 1000)), 99_999_999)}m"),
    ]


def _frame(service: str) -> bytes:
    """HealthCheckRequest{service = 1}, uncompressed, with its length before it."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _health(framed: bytes) -> int | None:
    """HealthCheckResponse.status (field 1), 0 when it is not there; None: it is no such message."""
    if len(framed) < 5 or framed[0] != 0 or int.from_bytes(framed[1:5], "big") != len(framed) - 5:
        return None
    status, at = 0, 5
    while at < len(framed):
        tag, at = _read_varint(framed, at)
        value, at = _read_field(framed, at, tag & 7)
        if at < 0:
            return None
        if tag == 0x08:
            status = value
    return status


def _read_field(data: bytes, at: int, wire: int) -> tuple[int, int]:
    """(the number, the position after the field); a position of -1: it cannot be read."""
    if at < 0:
        return 0, -1
    value = 0
    if wire == 0:
        value, at = _read_varint(data, at)
    elif wire == 1:
        at += 8
    elif wire == 2:
        size, at = _read_varint(data, at)
        at = at + size if at >= 0 else at
    elif wire == 5:
        at += 4
    else:
        at = -1
    return value, at if at <= len(data) else -1


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    return 0, -1


def _error(code: object) -> str:
    return code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)


def _text(value: bytes) -> str:
    return excerpt(value.decode("ascii", "replace"))
