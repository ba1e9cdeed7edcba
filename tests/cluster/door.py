"""A host's door, with the standard library: ``door.py FILES CLUSTER NAME ADDRESS PORT [TAKEN…]``.

Does for a fleet what the daemon does: the CA's certificate for everybody; joins and renewals by the
real process that signs. Prints "ready".
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nodeorch.cluster.command import signing

FILES, CLUSTER, NAME, ADDRESS, PORT, *TAKEN = sys.argv[1:]


class Door(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer((Path(FILES) / "ca.crt").read_bytes())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        host = next((value for group in subject for _, value in group), "")
        context = {"files": FILES, "cluster": CLUSTER}
        if self.path == "/v1/join":
            context |= {
                "signer": {"name": NAME, "address": ADDRESS, "port": int(PORT)},
                "taken": TAKEN,
                "hosts": dict.fromkeys(TAKEN, ("10.77.0.9", 7444)),
                "labels": {"zone": ["a", "b"]},
            }
            return self._answer(signed("sign", context, body))
        if not host:
            return self._answer(b"cannot answer: a certificate is needed\n", 401)
        return self._answer(signed("renew", context | {"host": host}, body))

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def signed(verb: str, context: dict[str, object], body: bytes) -> bytes:
    command, env = signing(verb)
    given = json.dumps(context).encode() + b"\n" + body
    done = subprocess.run(command, input=given, env=env, cwd="/", capture_output=True, check=True)
    return done.stdout


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request: ssl.SSLSocket, client_address: object) -> None:  # type: ignore[override]
        request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not like us hangs up: nothing to print."""


def main() -> None:
    server = Server((ADDRESS, int(PORT)), Door)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(f"{FILES}/node.crt", f"{FILES}/node.key")
    context.load_verify_locations(f"{FILES}/ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
