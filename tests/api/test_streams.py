"""GET events and logs: no gap, no repetition, resumable; logs go on over restarts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nodeorch.api.events import PAGE
from nodeorch.client.unix import ApiError, Client
from nodeorch.ports import EngineError, LogLine
from tests.api.harness import WEB, Harness, spec
from tests.api.standin import QUEUE
from tests.lab.wait import wait_for


class Reader:
    """Reads a stream in a thread."""

    def __init__(self, client: Client, path: str, query: dict[str, Any]) -> None:
        self.lines: list[dict[str, Any]] = []
        self.ended = False
        self._client = client
        self._thread = threading.Thread(target=self._read, args=(path, query), daemon=True)
        self._thread.start()

    def _read(self, path: str, query: dict[str, Any]) -> None:
        self.lines.extend([])
        for line in self._client.stream(path, query):
            self.lines.append(line)
        self.ended = True

    def until(self, count: int) -> list[dict[str, Any]]:
        wait_for(lambda: len(self.lines) >= count, what=f"{count} lines of {self.lines}")
        return self.lines


def words(lines: list[dict[str, Any]]) -> list[str]:
    return [line["words"] for line in lines]


def say(harness: Harness, *texts: str, workload: str = "") -> None:
    for text in texts:
        harness.do(lambda text=text: harness.standin.say(text, workload))  # type: ignore[misc]


def test_events_after_and_last(harness: Harness, client: Client) -> None:
    say(harness, *"abcde")
    assert words(list(client.stream("/v1/events"))) == list("abcde")
    assert words(list(client.stream("/v1/events", {"after": 3}))) == list("de")
    assert words(list(client.stream("/v1/events", {"last": 2}))) == list("de")
    assert words(list(client.stream("/v1/events", {"last": 0}))) == []
    assert words(list(client.stream("/v1/events", {"after": 1, "last": 1}))) == ["e"]


def test_events_of_one_workload(harness: Harness, client: Client) -> None:
    say(harness, "a", workload="web")
    say(harness, "b", workload="db")
    assert words(list(client.stream("/v1/events", {"workload": "db"}))) == ["b"]
    with pytest.raises(ApiError):
        list(client.stream("/v1/events", {"workload": "../x"}))


def test_following_has_the_backlog_and_what_comes(harness: Harness) -> None:
    say(harness, *"abc")
    reader = Reader(harness.client, "/v1/events", {"follow": 1, "after": 1})
    assert words(reader.until(2)) == ["b", "c"]
    say(harness, "d")
    say(harness, "e", workload="web")
    assert words(reader.until(4)) == list("bcde")


def test_what_happens_while_the_backlog_is_read_comes_once(harness: Harness) -> None:
    say(harness, "a")
    done = []

    def meanwhile() -> None:
        if not done:
            done.append(True)
            harness.standin.say("b")

    harness.standin.store.before_reading = meanwhile
    reader = Reader(harness.client, "/v1/events", {"follow": 1})
    reader.until(2)
    say(harness, "c")
    assert words(reader.until(3)) == ["a", "b", "c"]


def test_following_from_now_on(harness: Harness) -> None:
    say(harness, "a")
    reader = Reader(harness.client, "/v1/events", {"follow": 1, "last": 0, "workload": "web"})
    wait_for(lambda: harness.standin._subscribers)
    say(harness, "b", workload="db")
    say(harness, "c", workload="web")
    assert words(reader.until(1)) == ["c"]


def forget(harness: Harness, upto: int) -> None:
    def drop() -> None:
        journal = harness.standin.store.journal
        journal[:] = [e for e in journal if e.seq > upto]

    harness.do(drop)


def test_what_is_forgotten_is_told_as_a_gap(harness: Harness, client: Client) -> None:
    say(harness, *"abcdef")
    forget(harness, 4)
    gap, *rest = list(client.stream("/v1/events", {"after": 2}))
    assert gap == {"gap": "3 to 4 are forgotten", "after": 2, "first": 5}
    assert words(rest) == ["e", "f"]
    for after in (0, 4, 5, 6):
        assert "gap" not in "".join(map(str, client.stream("/v1/events", {"after": after})))


def test_a_number_of_another_journal_is_told_too(harness: Harness) -> None:
    say(harness, *"ab")
    reader = Reader(harness.client, "/v1/events", {"follow": 1, "after": 77})
    [gap] = reader.until(1)
    assert gap == {"gap": "the journal ends at 2: 77 is of another one", "after": 77, "first": 3}
    say(harness, "c")
    assert words(reader.until(2)[1:]) == ["c"]


def test_a_long_backlog_comes_by_pages(harness: Harness, client: Client) -> None:
    harness.do(lambda: [harness.standin.say(str(n)) for n in range(3 * PAGE + 7)])
    pages = []
    harness.standin.store.before_reading = lambda: pages.append(1)
    lines = list(client.stream("/v1/events", {"after": 3}))
    assert words(lines) == [str(n) for n in range(3, 3 * PAGE + 7)]
    assert len(pages) >= 4
    assert words(list(client.stream("/v1/events", {"last": PAGE + 2})))[0] == str(2 * PAGE + 5)


def test_a_reader_too_slow_is_told_and_cut_off(harness: Harness) -> None:
    reader = Reader(harness.client, "/v1/events", {"follow": 1, "last": 0})
    wait_for(lambda: harness.standin._subscribers)

    def burst() -> None:
        for n in range(QUEUE + 5):
            harness.standin.say(str(n))

    harness.do(burst)
    wait_for(lambda: reader.ended)
    assert [line["seq"] for line in reader.lines[:-1]] == list(range(1, QUEUE + 1))
    assert "too slow" in reader.lines[-1]["error"]
    wait_for(lambda: not harness.standin._subscribers)


def line(instance: str, second: int, text: str, stream: str = "stdout") -> LogLine:
    return LogLine(instance, stream, f"2024-05-01T10:00:{second:02}.5Z", text)


@pytest.fixture
def two(harness: Harness) -> Iterator[list[str]]:
    """The container ids of two replicas with a few lines each."""
    harness.declare(spec("web", "replicas = 2"))
    instances = harness.standin.world.workloads["web"].instances
    ids = [instances[f"web.{n}.g1"].record.container_id for n in (0, 1)]
    harness.standin.engine.lines = {
        ids[0]: [line("web.0.g1", 1, "a"), line("web.0.g1", 4, "d")],
        ids[1]: [line("web.1.g1", 2, "b"), line("web.1.g1", 3, "c", "stderr")],
    }
    yield ids


LOGS = "/v1/workloads/web/logs"


def texts(lines: list[dict[str, Any]]) -> list[str]:
    return [line["text"] for line in lines]


def test_logs_of_replicas_are_merged_by_time(client: Client, two: list[str]) -> None:
    lines = list(client.stream(LOGS))
    assert texts(lines) == list("abcd")
    assert lines[2] == {
        "instance": "web.1.g1",
        "stream": "stderr",
        "at": "2024-05-01T10:00:03.5Z",
        "text": "c",
    }


def test_logs_of_one_instance(client: Client, two: list[str]) -> None:
    assert texts(list(client.stream(LOGS, {"instance": "web.1.g1"}))) == ["b", "c"]


def test_tail_and_since_go_to_the_engine(harness: Harness, client: Client, two: list[str]) -> None:
    assert texts(list(client.stream(LOGS, {"tail": 1}))) == ["c", "d"]
    since = "2024-05-01T10:00:03+00:00"
    assert texts(list(client.stream(LOGS, {"since": since}))) == ["c", "d"]
    assert harness.standin.engine.asked[-1]["since"] == since
    for bad in ("yesterday", "2024-05-01T10:00:03", "5"):
        with pytest.raises(ApiError) as raised:
            list(client.stream(LOGS, {"since": bad}))
        assert raised.value.status == 400


def test_logs_that_cannot_be_read_say_so(harness: Harness, client: Client, two: list[str]) -> None:
    harness.standin.engine.error = EngineError("timeout", "no answer in 5 s")
    lines = list(client.stream(LOGS))
    assert [(x["stream"], x["text"]) for x in lines] == [
        ("error", "cannot read its log: no answer in 5 s")
    ] * 2


def test_logs_of_the_unknown(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        list(client.stream("/v1/workloads/nosuch/logs"))
    assert raised.value.status == 404


def test_following_goes_on_after_a_restart_without_repetition(harness: Harness) -> None:
    harness.declare(WEB)
    [instance] = harness.standin.world.workloads["web"].instances.values()
    own, engine = instance.record.container_id, harness.standin.engine
    engine.lines = {own: [line("web.0.g1", 1, "a"), line("web.0.g1", 2, "b")]}
    reader = Reader(harness.client, LOGS, {"follow": 1, "tail": 1})
    assert texts(reader.until(1)) == ["b"]
    harness.do(lambda: engine.ended.add(own))
    wait_for(lambda: len(engine.asked) >= 2, what="asked again after the log ended")
    # The same second as the last line: the engine, which takes whole seconds, shows both.
    more = LogLine("web.0.g1", "stdout", "2024-05-01T10:00:02.7Z", "c")
    harness.do(lambda: (engine.ended.clear(), engine.lines[own].append(more)))
    assert texts(reader.until(2)) == ["b", "c"]


def test_following_takes_new_instances_in_and_ends_with_the_workload(harness: Harness) -> None:
    harness.declare(WEB)
    reader = Reader(harness.client, LOGS, {"follow": 1})
    wait_for(lambda: harness.standin.engine.asked)
    harness.client.post("/v1/workloads/web/scale", {"replicas": 2})
    harness.obey()
    second = harness.standin.world.workloads["web"].instances["web.1.g1"].record.container_id
    hello = LogLine("web.1.g1", "stdout", "2124-05-01T10:00:02.7Z", "hello")
    harness.do(lambda: harness.standin.engine.lines.setdefault(second, []).append(hello))
    assert texts(reader.until(1)) == ["hello"]
    harness.client.delete("/v1/workloads/web")
    harness.obey()
    wait_for(lambda: reader.ended)
