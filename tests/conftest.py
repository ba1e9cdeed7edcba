"""Fixtures for all tests. Those that use ``lab`` run against a real Podman of their own.

NODEORCH_TEST_PODMAN_SOCKET   use the Podman behind this socket instead
NODEORCH_TEST_PODMAN_NETNS    path of the network namespace it lives in, to be joined
NODEORCH_TEST_STRICT=1        fail, where tests would be skipped for want of root or Podman
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.lab import Lab, namespaces
from tests.lab.images import BUSYBOX

settings.register_profile("nodeorch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nodeorch")
"""A loaded machine proves nothing about the code: no property fails for being slow."""

SOCKET = os.environ.get("NODEORCH_TEST_PODMAN_SOCKET")
NETNS = os.environ.get("NODEORCH_TEST_PODMAN_NETNS")


def _missing() -> str | None:
    """Why no real Podman can be used here."""
    if os.geteuid() != 0:
        return "real Podman tests need root"
    for name in ("podman", "ip", BUSYBOX):
        if shutil.which(name) is None:
            return f"real Podman tests need {name}: apt-get install podman iproute2 busybox-static"
    return None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before any test and any thread: the process moves to namespaces of its own."""
    wanted = any("lab_session" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly or _missing():
        return
    if SOCKET is None:
        namespaces.enter()
    elif NETNS is not None:
        namespaces.join_network(NETNS)


@pytest.fixture(scope="session")
def lab_session() -> Iterator[Lab]:
    """A real Podman, shared by the session; tests use ``lab``."""
    if problem := _missing():
        if os.environ.get("NODEORCH_TEST_STRICT"):
            pytest.fail(problem)
        pytest.skip(problem)
    lab = Lab(SOCKET)
    try:
        lab.up()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def lab(lab_session: Lab) -> Iterator[Lab]:
    """A real Podman with no containers; the service answers, whatever the last test did to it."""
    if not lab_session.foreign and not lab_session.answers():
        lab_session.restart_service()
    yield lab_session
    if not lab_session.foreign and not lab_session.answers():
        lab_session.restart_service()
    lab_session.remove_all()
