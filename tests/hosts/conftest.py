"""Fleets of real hosts, shared by the tests of a session; each test finds one whole and empty."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.hosts.fleet import Fleet


class Fleets:
    """One at a time: hosts cost little, but not nothing."""

    def __init__(self) -> None:
        self._held: Fleet | None = None

    def get(self, count: int) -> Fleet:
        if self._held is not None and len(self._held.hosts) != count:
            self.close()
        if self._held is None:
            self._held = Fleet(count)
            self._held.up()
        try:
            self._held.reset()
        except AssertionError:
            # Whatever the last test left that cannot be mended: the next one starts anew.
            self.close()
            self._held = Fleet(count)
            self._held.up()
        return self._held

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


@pytest.fixture(scope="session")
def fleets() -> Iterator[Fleets]:
    if os.geteuid() != 0:
        pytest.skip("hosts of a lab need root")
    held = Fleets()
    try:
        yield held
    finally:
        held.close()


@pytest.fixture
def two(fleets: Fleets) -> Fleet:
    return fleets.get(2)


@pytest.fixture
def three(fleets: Fleets) -> Fleet:
    return fleets.get(3)


@pytest.fixture
def five(fleets: Fleets) -> Fleet:
    return fleets.get(5)
