"""Rows for the tests of the store."""

from __future__ import annotations

from pathlib import Path

from nodeorch.adapters.sqlite import SqliteStore
from nodeorch.model.workload import Main, Workload
from nodeorch.model.world import Code, DesiredRecord, InstanceRecord, Note, Version, Why
from nodeorch.ports import Changes


def version(name: str, generation: int = 1) -> Version:
    spec = Workload(Main(name=name, image="localhost/web:1", env={"MODE": "prod"}))
    return Version(generation, f"digest-{generation}", "template", spec)


def desired(name: str, generation: int = 1) -> DesiredRecord:
    return DesiredRecord(version(name, generation), declared="d", latest=generation)


def instance(name: str) -> InstanceRecord:
    return InstanceRecord(f"{name}.0.g1", name, 0, 1, "template", 7)


def note(words: str, workload: str = "web", **details: str | int) -> tuple[float, Note]:
    return 1000.0, Note(Why(Code.STARTED, words), workload, f"{workload}.0.g1", dict(details))


def two_rows() -> Changes:
    return Changes({"web": desired("web")}, {"web.0.g1": instance("web")}, serial=7)


async def filled(path: Path, events: int = 5) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.save(two_rows())
    await store.save(Changes(notes=tuple(note(f"note {n}") for n in range(events))))
    await store.close()
