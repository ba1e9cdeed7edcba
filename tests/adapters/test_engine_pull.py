"""Pulling from a registry: policies, digests, progress, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from nodeorch.adapters.podman import PodmanEngine
from nodeorch.model.workload import Pull
from nodeorch.ports import EngineError
from tests.lab import Lab
from tests.lab.lab import REGISTRY
from tests.lab.registry import Registry

IMAGE = "localhost/bb:1"


@pytest.fixture
async def engine(lab: Lab) -> AsyncIterator[PodmanEngine]:
    made = PodmanEngine(lab.socket)
    yield made
    await made.close()


@pytest.fixture
def registry(lab: Lab) -> Iterator[Registry]:
    made = Registry(lab)
    yield made
    made.close()
    for tag in ("1", "2"):
        lab.podman("rmi", "-f", f"{REGISTRY}/app:{tag}", check=False)


def publish(lab: Lab, registry: Registry, seconds: str) -> str:
    """A new image that only the registry has."""
    lab.build_image("localhost/made:1", cmd=["sleep", seconds])
    digest = registry.publish("localhost/made:1", "app", "1")
    lab.podman("rmi", "localhost/made:1")
    return digest


async def test_pull(lab: Lab, engine: PodmanEngine, registry: Registry) -> None:
    reference = f"{REGISTRY}/app:1"
    first = publish(lab, registry, "1")
    said: list[str] = []
    image, digest = await engine.ensure_image(reference, Pull.MISSING, said.append)
    assert digest == first and said
    assert await engine.ensure_image(reference, Pull.NEVER) == (image, digest)
    asked = registry.requests
    await engine.ensure_image(reference, Pull.MISSING)
    assert registry.requests == asked, "it is here: nobody is asked"
    second = publish(lab, registry, "2")
    newer, digest = await engine.ensure_image(reference, Pull.ALWAYS)
    assert digest == second != first and newer != image
    by_digest = f"{REGISTRY}/app@{first}"
    assert await engine.ensure_image(by_digest, Pull.MISSING) == (image, first)
    lab.podman("rmi", "-f", image, newer)


async def test_a_pull_that_fails(engine: PodmanEngine, registry: Registry) -> None:
    for reference in (f"{REGISTRY}/app:1", f"{REGISTRY}/absent:1", "127.0.0.1:1/x:1"):
        with pytest.raises(EngineError, match="cannot pull") as caught:
            await engine.ensure_image(reference, Pull.MISSING)
        assert caught.value.kind == "no_image"
    registry.publish(IMAGE, "app", "1")
    registry.broken = True
    with pytest.raises(EngineError, match="cannot pull"):
        await engine.ensure_image(f"{REGISTRY}/app:1", Pull.ALWAYS)
