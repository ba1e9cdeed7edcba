# ruff: noqa: ASYNC240 - a test may block its loop
"""Serf's RPC on the wire: how a stream is cut, and agents that say what makes no sense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.adapters.serf import SerfMembers, members, talk
from nodeorch.adapters.serf.frames import Frames
from nodeorch.fleetports import MembersError
from nodeorch.model.facts import Fact, MembersSeen
from nodeorch.model.fleet import Member, MemberStatus
from tests.lab.wait import async_wait_for

pack = msgspec.msgpack.encode

# Frames

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=40)),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=30,
)


@given(st.lists(plain, min_size=1, max_size=4), st.integers(1, 50))
def test_objects_come_out_as_they_went_in_however_they_are_torn(values: Any, step: int) -> None:
    frames, stream, found = Frames(), b"".join(map(pack, values)), []
    for at in range(0, len(stream), step):
        frames.feed(stream[at : at + step])
        while (whole := frames.cut()) is not None:
            found.append(whole)
    assert found == [pack(value) for value in values]


@pytest.mark.parametrize("size", [15, 16, 31, 32, 255, 256, 65535, 65536])
@pytest.mark.parametrize("make", ["text", "bytes", "list", "dict", "ext"])
def test_every_form_of_length_is_known(make: str, size: int) -> None:
    value = {
        "text": lambda: "x" * size,
        "bytes": lambda: b"x" * size,
        "list": lambda: [None] * size,
        "dict": lambda: dict.fromkeys(range(size)),
        "ext": lambda: msgspec.msgpack.Ext(5, b"x" * size),
    }[make]()
    whole, frames = pack(value), Frames()
    frames.feed(whole[:-1])
    assert frames.cut() is None
    frames.feed(whole[-1:] + b"\x01")
    assert (frames.cut(), frames.cut(), frames.cut()) == (whole, b"\x01", None)


@pytest.mark.parametrize(
    "start", [b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\x00\x30\x00\x00"]
)
def test_what_claims_to_be_too_large_is_refused_at_its_first_bytes(start: bytes) -> None:
    frames = Frames()
    frames.feed(start)
    with pytest.raises(ValueError, match="larger than 4 MiB"):
        frames.cut()


def test_nesting_has_no_depth_that_breaks_it() -> None:
    frames = Frames()
    deep = b"\x91" * 100_000
    frames.feed(deep)
    assert frames.cut() is None
    frames.feed(b"\x01")
    assert frames.cut() == deep + b"\x01"


# Agents

WITHOUT_BODY = ("members", "stats", "list-keys")
Answers = Callable[[dict[str, Any]], bytes | None]
"""A request → what comes; None: nothing ever."""


def member(name: str, **other: object) -> dict[str, object]:
    usual = {"Name": name, "Addr": b"\x0a\0\0\x01", "Port": 7946, "Status": "alive", "Tags": {}}
    return usual | other


def agent(listed: object, **other: bytes | None) -> Answers:
    """An agent whose list is ``listed``; ``other``: command → what comes instead."""

    def answer(request: dict[str, Any]) -> bytes | None:
        command, header = request["Command"], pack({"Error": "", "Seq": request["Seq"]})
        if command.replace("-", "_") in other:
            return other[command.replace("-", "_")]
        bodies = {"stats": {"agent": {"name": "h1"}}, "members": {"Members": listed}}
        return header + (pack(bodies[command]) if command in bodies else b"")

    return answer


class Room:
    """An agent that can be another from one request to the next, and what is heard of it."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.facts: list[MembersSeen] = []
        self.asked: list[str] = []
        self.connections = 0
        self.address = ""

    def hear(self, fact: Fact) -> None:
        assert isinstance(fact, MembersSeen)
        self.facts.append(fact)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        frames, request = Frames(), dict[str, Any]()
        while data := await reader.read(65536):
            frames.feed(data)
            while (whole := frames.cut()) is not None:
                said = msgspec.msgpack.decode(whole)
                request = said if "Command" in said else {**request, "body": said}
                if request["Command"] in WITHOUT_BODY or "body" in request:
                    await self.answer(request, writer)

    async def answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.asked.append(request["Command"])
        if (answer := self.answers(request)) is not None:
            for at in range(0, len(answer), 1000):
                writer.write(answer[at : at + 1000])
                await asyncio.sleep(0)


@asynccontextmanager
async def asking(room: Room, auth: Path) -> AsyncIterator[SerfMembers]:
    server = await asyncio.start_server(room.serve, "127.0.0.1", 0)
    room.address = "{}:{}".format(*server.sockets[0].getsockname())
    asker = SerfMembers(room.address, auth, room.hear, members.POLL)
    yield asker
    await asker.close()
    server.close()


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    (tmp_path / "rpc.key").write_text("secret\n")
    return tmp_path / "rpc.key"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PATIENCE", 0.1)
    monkeypatch.setattr(members, "RETRY", 0.05)
    monkeypatch.setattr(members, "POLL", 0.05)
    monkeypatch.setattr(talk, "TIMEOUT", 0.3)


HEADER = pack({"Error": "", "Seq": 4})
GARBAGE = {
    "no msgpack": (b"\xc1\xc1\xc1", "not understood: it is no MessagePack"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not understood"),
    "another request's answer": (pack({"Error": "", "Seq": 77}), "it answers another request"),
    "another shape": (HEADER + pack({"Members": 5}), "not understood"),
    "broken text": (b"\x82\xa5Error\xa2\xff\xff\xa3Seq\x04", "not understood"),
    "too large": (HEADER + b"\xdb\xff\xff\xff\xff", "larger than 4 MiB"),
    "endless": (HEADER + b"\xdb\x00\x3f\x00\x00" + b"x" * 5000, "no answer within 0.3 s"),
    "deep": (HEADER + b"\x81\xa1x" + b"\x91" * 100_000 + b"\x01", "not understood"),
    "no answer": (None, "no answer within 0.3 s"),
}


async def test_it_is_asked_as_often_as_wanted(auth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(agent([member("h1")]))
    monkeypatch.setattr(members, "POLL", 0.01)
    async with asking(room, auth):
        begun = asyncio.get_running_loop().time()
        await async_wait_for(lambda: room.asked.count("members") > 20)
        assert asyncio.get_running_loop().time() - begun < 20 * 0.5, "once a second it is not"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", GARBAGE)
async def test_an_answer_that_makes_no_sense_is_a_trouble_until_one_does(
    auth: Path, kind: str
) -> None:
    came, words = GARBAGE[kind]
    good, room = agent([member("h1")]), Room(agent([], members=came))
    async with asking(room, auth):
        await async_wait_for(lambda: room.facts)
        await async_wait_for(lambda: room.connections > 3)  # it goes on trying
        assert len(room.facts) == 1 and words in room.facts[0].trouble, room.facts
        assert room.facts[0].trouble.startswith(f"cannot ask Serf at {room.address}: ")
        assert room.facts[0].trouble.endswith("; see systemctl status nodeorch-serf")
        room.answers = good
        await async_wait_for(lambda: len(room.facts) > 1)
        assert room.facts[1] == MembersSeen((Member("h1", "10.0.0.1", MemberStatus.ALIVE),))


@pytest.mark.usefixtures("hurried")
async def test_a_refused_key_is_told_and_a_new_one_is_read(auth: Path) -> None:
    no = pack({"Error": "Invalid authentication token", "Seq": 2})
    room = Room(agent([member("h1")], auth=no))
    async with asking(room, auth):
        await async_wait_for(lambda: room.facts)
        assert "Invalid authentication token" in room.facts[0].trouble
        auth.unlink()
        await async_wait_for(lambda: len(room.facts) > 1)
        assert "the key of its RPC cannot be read" in room.facts[1].trouble
        auth.write_text("other")
        room.answers = agent([member("h1")])
        await async_wait_for(lambda: room.facts[-1].members)


async def test_a_member_that_makes_no_sense_does_not_hide_the_others(auth: Path) -> None:
    broken = msgspec.Raw(pack(member("h3")).replace(b"h3", b"\xff\xff"))
    listed = [
        member("h2", Addr=ip_address("fd00::2").packed, Status="failed", Tags=None),
        broken,
        member("h4", Addr=b"\x01"),
        member("h5", Status="none"),
        member("h6", Tags={"run": 7}),
        member("h1", Addr=ip_address("::ffff:10.0.0.7").packed, New="field"),
    ]
    room = Room(agent(listed))
    async with asking(room, auth):
        await async_wait_for(lambda: room.facts)
    assert room.facts == [
        MembersSeen(
            (
                Member("h1", "10.0.0.7", MemberStatus.ALIVE),
                Member("h2", "fd00::2", MemberStatus.FAILED),
            )
        )
    ]


@pytest.mark.usefixtures("hurried")
async def test_a_restart_within_the_patience_is_no_trouble(
    auth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "PATIENCE", 5.0)
    room = Room(agent([member("h1")]))
    async with asking(room, auth):
        await async_wait_for(lambda: room.facts)
        room.answers = agent([], members=b"\xc1")
        await async_wait_for(lambda: room.connections > 2)
        room.answers = agent([member("h1")])
        seen = room.asked.count("members")
        await async_wait_for(lambda: room.asked.count("members") > seen + 2)
    assert len(room.facts) == 1


@pytest.mark.usefixtures("hurried")
async def test_tags_that_are_not_taken_are_tried_again_at_the_next_looks_only(auth: Path) -> None:
    room = Room(agent([member("h1")], tags=pack({"Error": "no", "Seq": 3})))
    async with asking(room, auth) as asker:
        asker.sync({"run": "1"})
        await async_wait_for(lambda: room.asked.count("tags") >= 3)
        assert room.asked.count("members") >= room.asked.count("tags")
        assert not any(fact.trouble for fact in room.facts)


@pytest.mark.usefixtures("hurried")
async def test_tags_that_the_agent_has_are_not_told(auth: Path) -> None:
    room = Room(agent([member("h1", Tags={"run": "1"})]))
    async with asking(room, auth) as asker:
        asker.sync({"run": "1"})
        await async_wait_for(lambda: room.asked.count("members") > 3)
    assert "tags" not in room.asked


async def test_new_tags_do_not_wait_for_the_next_look(
    auth: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(members, "POLL", 60.0)
    begun, gate, tags = asyncio.Event(), asyncio.Event(), dict[str, str]()

    def answers(request: dict[str, Any]) -> bytes | None:
        return agent([member("h1", Tags=dict(tags))])(request)

    class Slow(Room):
        async def answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
            if request["Command"] == "tags":
                assert not begun.is_set() or gate.is_set(), "one after the other"
                begun.set()
                await gate.wait()
                tags.clear()
                tags.update(request["body"]["Tags"])
            await super().answer(request, writer)

    room = Slow(answers)
    async with asking(room, auth) as asker:
        await async_wait_for(lambda: room.facts)
        asker.sync({"run": "1"})
        await asyncio.wait_for(begun.wait(), 5)
        long = {"run": "2", "long": "x" * 600}
        looks = room.asked.count("members")
        asker.sync(long)  # while the first are under way
        asker.sync(dict(long))
        await async_wait_for(lambda: room.asked.count("members") > looks)
        gate.set()
        await async_wait_for(lambda: tags == {"run": "2"})
        assert room.connections == 3  # for the looks, and one for each word of tags
    assert len([r for r in caplog.records if "too long for Serf" in r.message]) == 1


@pytest.mark.parametrize("verb", ["list", "install", "use", "remove"])
async def test_a_host_that_did_not_follow_is_named(auth: Path, verb: str) -> None:
    body = {"Messages": {"h3": "disk full"}, "Keys": None, "NumNodes": 3, "NumErr": 1, "NumResp": 3}
    answer = pack({"Error": "1/3 nodes reported failure", "Seq": 3}) + pack(body)
    command = "list_keys" if verb == "list" else f"{verb}_key"
    room = Room(agent([member("h1")], **{command: answer}))
    async with asking(room, auth) as asker:
        with pytest.raises(MembersError) as caught:
            await asker.keys(verb, "a key")
    assert "1/3 nodes reported failure; h3: disk full; try again" in str(caught.value)
    assert "a key" not in str(caught.value) and str(caught.value).startswith(f"cannot {verb} ")


def test_tags_that_do_not_fit_are_left_out_from_the_last() -> None:
    tags = {"port": "7444", "run": "1234abcd", "long": "x" * 500, "short": "y"}
    assert members._fitting(tags) == {"port": "7444", "run": "1234abcd"}
    assert members._fitting({"long": "x" * 500}) == {"long": "x" * 500}
    assert members._fitting({"long": "ä" * 252}) == {}


async def test_closing_ends_what_is_under_way(auth: Path) -> None:
    room = Room(agent([member("h1")], tags=None))
    async with asking(room, auth) as asker:
        asker.sync({"run": "1"})
        await async_wait_for(lambda: "tags" in room.asked)
        began = time.monotonic()
        await asker.close()
        assert time.monotonic() - began < 1
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("serf")]
