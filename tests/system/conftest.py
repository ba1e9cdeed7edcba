from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.system.host import Host


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    """A started daemon that declares nothing yet."""
    host = Host(lab).start()
    try:
        yield host
    finally:
        host.close()
