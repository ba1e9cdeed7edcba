from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.system.host import Host
from tests.system.kit import one_host


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    """A started daemon that declares nothing yet."""
    host = Host(lab).start()
    try:
        yield host
    finally:
        host.close()


@pytest.fixture(scope="module")
def shared(
    lab_session: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Host]:
    """A daemon for all tests of a module, with the settings that its SETTINGS gives."""
    base = tmp_path_factory.getbasetemp().resolve()
    settings: str = getattr(request.module, "SETTINGS", "")
    with one_host(lab_session, settings.replace("{base}", str(base))) as host:
        yield host
