from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nodeorch.client.unix import Client
from tests.api.harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(harness: Harness) -> Iterator[Client]:
    made = harness.client
    yield made
    made.close()
