"""Certificates for servers of the tests."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

NAME = "web.internal"


class Certificates:
    """Made by openssl: a CA, one of its servers for ``NAME``, and one that signed itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.other = folder / "ca.pem", folder / "self.pem"
        self._make("ca", "-x509 -subj /CN=our-ca -days 2")
        self._make("self", f"-x509 -subj /CN={NAME} -days 2 -addext subjectAltName=DNS:{NAME}")
        issued = f"-x509 -CA {self.ca} -CAkey {folder}/ca.key -subj /CN={NAME} -days 2"
        self._make("web", f"{issued} -addext subjectAltName=DNS:{NAME}")

    def _make(self, name: str, how: str) -> None:
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc"
        out = f"-keyout {self.folder}/{name}.key -out {self.folder}/{name}.pem"
        command = f"openssl req {key} {out} {how}".split()
        subprocess.run(command, check=True, capture_output=True)

    def server(self, name: str = "web") -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return made

    def pair(self, name: str = "web") -> tuple[bytes, bytes]:
        """(key, certificate)"""
        key, cert = (self.folder / f"{name}.{kind}" for kind in ("key", "pem"))
        return key.read_bytes(), cert.read_bytes()

    def host(self, name: str, files: Path, *, san: str = "", ca: str = "ca") -> Path:
        """The folder of a fleet's host: ca.crt of "ca", and a certificate that ``ca`` issued."""
        issued = f"-x509 -CA {self.folder}/{ca}.pem -CAkey {self.folder}/{ca}.key"
        self._make(
            name, f"{issued} -subj /CN={name} -days 2 -addext subjectAltName=DNS:{san or name}"
        )
        files.mkdir(parents=True, exist_ok=True)
        (files / "ca.crt").write_bytes(self.ca.read_bytes())
        for kind, suffix in (("crt", "pem"), ("key", "key")):
            (files / f"node.{kind}").write_bytes((self.folder / f"{name}.{suffix}").read_bytes())
        return files
