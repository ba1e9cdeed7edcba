"""A registry of images in this process, read-only: enough to pull from."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.lab import REGISTRY, Lab

OCI = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """Serves what ``publish`` took out of the lab, at lab.REGISTRY, over plain HTTP.

    ``broken`` makes every answer a 500; ``requests`` counts what was asked for.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, tuple[str, bytes]] = {}
        self.broken = False
        self.requests = 0
        host, _, port = REGISTRY.partition(":")
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.requests += 1
                status, kind, body = registry.find(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publish(self, image: str, name: str, tag: str) -> str:
        """Take a local image in as NAME:TAG; the manifest's digest."""
        with tempfile.TemporaryDirectory() as place:
            archive = f"{place}/image.tar"
            self._lab.podman("save", "-q", "--format=oci-archive", "-o", archive, image)
            with tarfile.open(archive) as tar:
                files = {m.name: tar.extractfile(m) for m in tar.getmembers() if m.isfile()}
                content = {name: file.read() for name, file in files.items() if file}
        for data in content.values():
            self._blobs[f"sha256:{hashlib.sha256(data).hexdigest()}"] = data
        digest = str(json.loads(content["index.json"])["manifests"][0]["digest"])
        body = self._blobs[digest]
        kind = str(json.loads(body).get("mediaType", OCI))
        for reference in (tag, digest):
            self._manifests[f"{name}/manifests/{reference}"] = (kind, body)
        return digest

    def find(self, path: str) -> tuple[int, str, bytes]:
        """(status, content type, body)."""
        if self.broken:
            return 500, "text/plain", b"broken"
        what = path.removeprefix("/v2/")
        if not what:
            return 200, "application/json", b"{}"
        if what in self._manifests:
            return 200, *self._manifests[what]
        blob = self._blobs.get(what.rpartition("/")[2])
        if "/blobs/" in what and blob is not None:
            return 200, "application/octet-stream", blob
        return 404, "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
