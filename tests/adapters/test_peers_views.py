"""Views: who fetches which from whom, and what is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from nodeorch.adapters.peers import peers as peers_module
from nodeorch.adapters.peers.pull import Puller
from nodeorch.fleetports import PeerError
from nodeorch.model.facts import Fact, ViewSeen
from nodeorch.model.fleet import Declared, Grave, Stamp, View
from nodeorch.model.placing import Failover, FailoverMode
from nodeorch.model.workload import File, Main, Workload
from tests.adapters.peering import Fleet, Node, view
from tests.lab.wait import async_wait_for

TEXT = b"listen 80\n"
DIGEST = sha256(TEXT).hexdigest()
MOVES = Failover(mode=FailoverMode.AVAILABLE)


def _declared(name: str, **fields: Any) -> dict[str, Declared]:
    return {name: Declared(Workload(main=Main(name=name, image="i"), **fields), "d", 1)}


@pytest_asyncio.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    await fleet.close()


async def _gets(node: Node, wanted: View, via: str) -> None:
    await async_wait_for(lambda: ViewSeen(wanted, via) in node.facts, 5, f"{node.facts}")


async def test_a_view_is_fetched_at_link_up_and_when_it_changes(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    first = view("b", 1, declared=_declared("web"))
    b.views(first)
    await _gets(a, first, "b")
    a.views(first)
    second = view("b", 2)
    b.views(second)
    await _gets(a, second, "b")
    assert len(a.seen(ViewSeen)) == 2
    assert not b.seen(ViewSeen)


async def test_a_view_with_graves_and_orphans_is_believed(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    graves = {"z/web": Grave(term=2, by="b"), "b/old": Grave(term=1, by="b")}
    adrift = {"z/lost": _declared("lost")["lost"]}
    orphans, departed = _declared("left"), {"y": Grave(1, "b")}
    told = view("b", 2, graves=graves, orphans=orphans, departed=departed, adrift=adrift)
    b.views(told)
    await _gets(a, told, "b")


async def test_a_view_of_a_host_that_is_away_is_had_from_another(fleet: Fleet) -> None:
    gone = view("z", 7)
    a = await fleet.node("a", "127.0.0.11")
    b = await fleet.node("b", "127.0.0.12")
    b.views(gone)
    fleet.introduce(a, b)
    await _gets(a, gone, "b")


async def test_an_older_view_and_the_same_are_not_fetched(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    b = await fleet.node("b", "127.0.0.12")
    a.views(view("z", 7), view("y", 3))
    b.views(view("z", 6), view("y", 3), last := view("x", 1))
    fleet.introduce(a, b)
    await _gets(a, last, "b")
    await _gets(b, view("z", 7), "a")
    assert a.seen(ViewSeen) == [ViewSeen(last, "b")]


async def test_others_tell_a_host_of_its_own_later_view(fleet: Fleet) -> None:
    a = await fleet.node("a", "127.0.0.11")
    b = await fleet.node("b", "127.0.0.12")
    a.views(view("a", 1))
    b.views(later := view("a", 9))
    fleet.introduce(a, b)
    await _gets(a, later, "b")


async def test_gossip_is_a_hint_and_anybody_linked_is_asked(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    await a.hears("b")
    b.out.views["z"] = hidden = view("z", 2)  # type: ignore[index]  # there, but not told on the link
    a.set(hints={"z": Stamp(0, 2)})
    await _gets(a, hidden, "b")


async def test_what_no_link_told_is_found_by_comparing(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_module, "COMPARE", 0.5)
    a, b = await fleet.start("a", "b")
    await a.hears("b")
    b.out.views["z"] = hidden = view("z", 2)  # type: ignore[index]
    await _gets(a, hidden, "b")


async def test_files_of_movable_workloads_come_with_the_view(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    b.shelf.keep("web", DIGEST, TEXT)
    b.shelf.keep("stays", DIGEST, TEXT)
    files = (File(target="/etc/web", digest=DIGEST),)
    moves = _declared("web", files=files, failover=MOVES)
    told = view("b", 1, declared=moves | _declared("stays", files=files))
    b.views(told)
    await _gets(a, told, "b")
    assert a.mirror.read("web", DIGEST) == TEXT
    with pytest.raises(FileNotFoundError):
        a.mirror.read("stays", DIGEST)
    with pytest.raises(PeerError, match="it is not here"):
        await a.peers.ask("b", "GET", f"/v1/files/stays/{DIGEST}")
    assert await a.peers.ask("b", "GET", f"/v1/files/web/{DIGEST}") == TEXT


async def test_mirrored_files_are_given_on(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    b.mirror.keep("web", DIGEST, TEXT)
    files = (File(target="/etc/web", digest=DIGEST),)
    told = view("z", 1, declared=_declared("web", files=files, failover=MOVES))
    b.views(told)
    await _gets(a, told, "b")
    assert a.mirror.read("web", DIGEST) == TEXT


# The puller alone: what others may say, and when it is asked again.


class Others:
    """Other hosts' answers; time is made up."""

    def __init__(self, tmp_path: Path, *linked: str) -> None:
        self.now = 100.0
        self.linked = list(linked)
        self.answers: dict[tuple[str, str], bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.facts: list[Fact] = []
        self.kept: dict[tuple[str, str], bytes] = {}
        self.puller = Puller(
            self.ask, self, self.facts.append, "me", lambda: self.linked, lambda: self.now
        )

    async def ask(self, host: str, method: str, path: str, *, limit: int) -> bytes:
        self.asked.append((host, path))
        if (host, path) not in self.answers:
            raise PeerError(f"{host} said no")
        return self.answers[host, path]

    def missing(self, declared: Declared) -> list[str]:
        name = declared.workload.name
        return [f.digest for f in declared.workload.files if (name, f.digest) not in self.kept]

    def keep(self, workload: str, digest: str, content: bytes) -> None:
        if sha256(content).hexdigest() != digest:
            raise ValueError("it is not what was declared")
        self.kept[workload, digest] = content

    def read(self, workload: str, digest: str) -> bytes:
        raise FileNotFoundError

    def give(self, giver: str, given: View | bytes, host: str = "z") -> None:
        body = given if isinstance(given, bytes) else msgspec.json.encode(given)
        self.answers[giver, f"/v1/views/{host}"] = body

    async def offer(self, giver: str, revision: int, host: str = "z") -> list[View]:
        """What came of it."""
        self.puller.offer(giver, {host: Stamp(0, revision)})
        return await self.settle()

    async def settle(self) -> list[View]:
        await async_wait_for(lambda: not self.puller._tasks)
        return [fact.view for fact in self.facts if isinstance(fact, ViewSeen)]


@pytest.fixture
def others(tmp_path: Path) -> Others:
    return Others(tmp_path, "b", "c")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        msgspec.json.encode(view("y", 5)),
        msgspec.json.encode(view("z", 5, graves={"../x": {"term": 1, "by": "b"}})),
        msgspec.json.encode(view("z", 5, declared={"other": _declared("web")["web"]})),
        msgspec.json.encode(view("z", 5, adrift={"y/../x": _declared("web")["web"]})),
        msgspec.json.encode(view("z", 5, adrift={"y/other": _declared("web")["web"]})),
        msgspec.json.encode(
            view("z", 5, declared=_declared("web", files=(File(target="/x", digest="../x"),)))
        ),
    ],
)
async def test_what_is_no_sound_view_changes_nothing_and_another_is_asked(
    others: Others, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    others.give("b", bad)
    assert await others.offer("b", 5) == []
    assert "cannot fetch the view of z from b" in caplog.text
    others.give("c", good := view("z", 5))
    others.now += 60
    others.puller.tick()
    assert await others.settle() == [good]


async def test_one_that_promised_more_than_it_has_is_not_believed(others: Others) -> None:
    others.puller.ours({"z": view("z", 3)})
    others.give("b", view("z", 2))
    others.give("c", view("z", 4))
    assert await others.offer("b", 9) == [view("z", 4)]


async def test_failures_are_tried_again_with_growing_pauses(others: Others) -> None:
    assert await others.offer("b", 1) == []
    tries = []
    for _ in range(100):
        others.now += 0.5
        before = len(others.asked)
        others.puller.tick()
        await others.settle()
        if len(others.asked) > before:
            tries.append(others.now - 100)
    assert tries == [1, 3, 7, 15, 31]


async def test_a_new_offer_ends_a_long_pause(others: Others) -> None:
    await others.offer("b", 1)
    for _ in range(8):
        others.now += 60
        others.puller.tick()
        await others.settle()
    others.give("b", new := view("z", 2))
    assert await others.offer("b", 2) == []
    others.now += 1.0
    others.puller.tick()
    assert await others.settle() == [new]


async def test_who_is_not_linked_is_not_asked(others: Others) -> None:
    others.linked = []
    assert await others.offer("b", 1) == []
    assert others.asked == []
    others.linked = ["c"]
    others.give("c", view("z", 1))
    others.puller.tick()
    assert await others.settle() == [view("z", 1)]


async def test_names_that_cannot_be_are_not_asked_for(others: Others) -> None:
    assert await others.offer("b", 1, host="../stamps") == []
    assert others.asked == []


async def test_a_file_that_nobody_has_holds_a_view_back_but_not_for_ever(
    others: Others, caplog: pytest.LogCaptureFixture
) -> None:
    files = (File(target="/etc/web", digest=DIGEST),)
    told = view("z", 1, declared=_declared("web", files=files, failover=MOVES))
    others.give("b", told)
    others.answers["b", f"/v1/files/web/{DIGEST}"] = b"something else"
    assert await others.offer("b", 1) == []
    others.now += 60
    others.puller.tick()
    assert await others.settle() == []
    others.now += 60
    others.puller.tick()
    assert await others.settle() == [told]
    assert "could not run here" in caplog.text
    assert others.kept == {}


async def test_files_of_what_runs_nowhere_else_are_not_asked_for(others: Others) -> None:
    files = (File(target="/etc/web", digest=DIGEST),)
    others.give("b", told := view("z", 1, declared=_declared("web", files=files)))
    assert await others.offer("b", 1) == [told]
    assert others.asked == [("b", "/v1/views/z")]


async def test_no_more_is_read_than_may_come(fleet: Fleet) -> None:
    a, b = await fleet.start("a", "b")
    b.views(view("b", 1, declared=_declared("web")))
    caller = a.peers._caller
    body = await caller.ask("b", "GET", "/v1/views/b")
    assert await caller.ask("b", "GET", "/v1/views/b", limit=len(body)) == body
    with pytest.raises(PeerError, match=f"its answer is larger than {len(body) - 1} bytes"):
        await caller.ask("b", "GET", "/v1/views/b", limit=len(body) - 1)


async def test_a_file_is_had_from_whoever_has_it(others: Others) -> None:
    files = (File(target="/etc/web", digest=DIGEST),)
    told = view("z", 1, declared=_declared("web", files=files, failover=MOVES))
    others.give("b", told)
    others.answers["c", f"/v1/files/web/{DIGEST}"] = TEXT
    assert await others.offer("b", 1) == [told]
    assert others.kept == {("web", DIGEST): TEXT}


async def test_what_was_handed_over_is_not_fetched_again_at_once(others: Others) -> None:
    others.give("b", view("z", 1))
    await others.offer("b", 1)
    await others.offer("c", 1)
    assert len(others.asked) == 1
    others.now += 31  # it never became ours: perhaps the world did not take it
    await others.offer("b", 1)
    assert len(others.asked) == 2
