from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodeorch.cli.main import run
from tests.api.harness import Harness
from tests.api.nought import WALL

NOW = WALL + 1000.0


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.close()


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    harness: Harness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """Run a command line against the stand-in: (exit code, stdout, stderr). Time stands still."""
    monkeypatch.setenv("NODEORCH_SOCKET", str(harness.socket))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("nodeorch.cli.render.time.time", lambda: NOW)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
