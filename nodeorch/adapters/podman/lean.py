"""aiohttp and podman-py, imported without what they load at once and we never use.

Together that is a tenth of the daemon's memory:

- aiohttp reads the host's CA certificates into a TLS context. Here it speaks to a unix socket.
- requests, below podman-py, loads a detector of text encodings for ``Response.text``. Here
  bodies are bytes. requests works without it and then takes text for UTF-8, after a warning.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

CERTIFICATES = "SSL_CERT_FILE"
DETECTOR = "charset_normalizer"


@contextmanager
def _without_certificates() -> Iterator[None]:
    given = os.environ.get(CERTIFICATES)
    os.environ[CERTIFICATES] = os.devnull
    try:
        yield
    finally:
        del os.environ[CERTIFICATES]
        if given is not None:
            os.environ[CERTIFICATES] = given


@contextmanager
def _without_detector() -> Iterator[None]:
    if DETECTOR in sys.modules:
        yield
        return
    sys.modules[DETECTOR] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del sys.modules[DETECTOR]


with _without_certificates():
    import aiohttp
with _without_detector():
    from podman.api.client import APIClient
    from podman.errors import APIError

__all__ = ["APIClient", "APIError", "aiohttp"]
