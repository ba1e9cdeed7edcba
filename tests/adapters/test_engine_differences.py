"""How Podman 4.3.1 and 5.4.2 differ, each by its own answer: the rows of docs/podman.md.

A version that is neither shows here first what the adapter cannot count on any more.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from nodeorch.adapters.cgroup import CgroupReader
from nodeorch.doctor.libpod import Libpod, Refused
from nodeorch.model.workload import MIB
from tests.lab import Lab, wait_for

LIMITS = [{"type": name, "soft": 1024, "hard": 1024} for name in ("nofile", "nproc")]
MEMORY = {"memory": {"limit": 32 * MIB}}
PAGE = Path(__file__).parents[2] / "docs" / "podman.md"


class Raw:
    """Podman's API without the adapter."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.major = int(self._connection().ping().partition(".")[0])

    def _connection(self) -> Libpod:
        return Libpod(self.socket, 30.0)

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """None when what it answers is no JSON, as to an update."""
        try:
            return self._connection().call(method, path, body, **query)
        except ValueError:
            return None

    def refusal(self, method: str, path: str, body: Any = None, **query: str) -> str:
        """Its words; empty: it did not refuse."""
        try:
            self.call(method, path, body, **query)
        except Refused as error:
            return str(error)
        return ""

    def status(self, method: str, path: str) -> int:
        connection = self._connection()
        connection.request(method, f"/v4.0.0/libpod/{path}")
        return connection.getresponse().status

    def run(self, **more: Any) -> dict[str, Any]:
        spec = {"image": "localhost/bb:1", "netns": {"nsmode": "none"}, "r_limits": LIMITS}
        made = self.call("POST", "containers/create", spec | {"labels": {"mark": "1"}} | more)
        self.call("POST", f"containers/{made['Id']}/start")
        return self.inspect(made["Id"])

    def inspect(self, container: str) -> dict[str, Any]:
        seen: dict[str, Any] = self.call("GET", f"containers/{container}/json")
        return seen


@pytest.fixture
def raw(lab: Lab) -> Raw:
    made = Raw(lab.socket)
    assert made.major in (4, 5), "not measured yet: look at each of these tests, then add it"
    return made


def limit(seen: dict[str, Any]) -> int | None:
    limits = CgroupReader().limits(seen["State"]["Pid"], seen["Id"])
    return limits.memory if limits else None


def test_whether_an_oom_kill_is_told(raw: Raw) -> None:
    seen = raw.run(command=["sh", "-c", "sleep 0.2; tail /dev/zero"], resource_limits=MEMORY)

    def ended() -> dict[str, Any] | None:
        state: dict[str, Any] = raw.inspect(seen["Id"])["State"]
        return state if state["Status"] == "exited" else None

    state = wait_for(ended, 20.0)
    assert (state["OOMKilled"], state["ExitCode"]) == (raw.major >= 5, 137)


def test_whether_a_live_change_is_shown_and_outlives_a_restart(raw: Raw) -> None:
    seen = raw.run(resource_limits=MEMORY)
    raw.call("POST", f"containers/{seen['Id']}/update", {"memory": {"limit": 64 * MIB}})
    again = raw.inspect(seen["Id"])
    assert limit(again) == 64 * MIB
    assert again["HostConfig"]["Memory"] == (64 if raw.major >= 5 else 32) * MIB
    raw.call("POST", f"containers/{seen['Id']}/restart", timeout="0")
    assert limit(raw.inspect(seen["Id"])) == (64 if raw.major >= 5 else 32) * MIB


def test_whether_an_update_minds_a_health_check_without_times(raw: Raw) -> None:
    seen = raw.run(healthconfig={"Test": ["NONE"]})
    said = raw.refusal("POST", f"containers/{seen['Id']}/update", MEMORY)
    assert ("healthcheck-timeout" in said) is (raw.major >= 5)


def test_how_a_signal_to_what_has_ended_is_refused(raw: Raw) -> None:
    seen = raw.run()
    raw.call("POST", f"containers/{seen['Id']}/stop", timeout="0")
    assert raw.status("POST", f"containers/{seen['Id']}/kill") == (409 if raw.major >= 5 else 500)
    said = raw.refusal("POST", f"containers/{seen['Id']}/kill")
    assert "can only kill running containers" in said


def test_how_what_lost_its_conmon_is_removed(raw: Raw) -> None:
    seen = raw.run()
    for name in ("ConmonPid", "Pid"):
        kill(seen["State"][name])
    path = f"containers/{seen['Id']}"
    said = raw.refusal("DELETE", path, force="true", timeout="0")
    assert "could not be stopped" in said
    assert ("exit code could not be retrieved" in said) is (raw.major >= 5)
    assert raw.refusal("DELETE", path, force="true", timeout="0") == ""


def test_whether_free_locks_are_told(raw: Raw) -> None:
    assert ("freeLocks" in raw.call("GET", "info")["host"]) is (raw.major >= 5)


def test_events_are_not_found_by_a_label_without_its_value(raw: Raw) -> None:
    since = str(int(time.time()) - 1)
    raw.run()

    def found(label: str) -> bool:
        connection = raw._connection()
        filters = json.dumps({"label": [label]})
        query = f"stream=false&since={since}&filters={filters}".replace(" ", "").replace('"', "%22")
        connection.request("GET", f"/v4.0.0/libpod/events?{query}")
        return b"mark" in connection.getresponse().read()

    wait_for(lambda: found("mark=1"))
    assert not found("mark")


def test_a_start_before_conmon_told_of_the_death_does_nothing(raw: Raw) -> None:
    """Podman knows of a death what conmon wrote down; held back here, a moment otherwise."""
    seen = raw.run()
    path = f"containers/{seen['Id']}/start"
    conmon = seen["State"]["ConmonPid"]
    os.kill(conmon, signal.SIGSTOP)
    try:
        kill(seen["State"]["Pid"])
        assert raw.status("POST", path) == 304
    finally:
        os.kill(conmon, signal.SIGCONT)
    wait_for(lambda: raw.status("POST", path) == 204)


def test_a_failed_pull_is_an_answer_of_status_200(raw: Raw) -> None:
    connection = raw._connection()
    connection.request("POST", "/v4.0.0/libpod/images/pull?reference=127.0.0.1:1/x:1")
    answer = connection.getresponse()
    assert answer.status == 200 and b'"error":' in answer.read()


def test_an_unknown_field_is_ignored_without_a_word(raw: Raw) -> None:
    assert raw.run(nonsense=True)["State"]["Running"]


def kill(pid: int) -> None:
    """kill -9, and back as soon as the kernel calls it dead."""
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([handle], [], [])
    os.close(handle)


# -- the page


def _rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "behaviour"]


def test_each_row_of_the_page_names_a_test_that_exists_and_code_that_exists() -> None:
    root = PAGE.parents[1]
    rows = _rows()
    assert len(rows) > 8
    for row in rows:
        assert len(row) == 5, row
        for file, name in re.findall(r"`(tests/\S+?\.py)::(\w+)`", row[4]):
            assert re.search(rf"def {name}\(", (root / file).read_text()), name
        assert "::" in row[4], row
        for file in re.findall(r"`(\w+\.py)`", row[3]):
            assert (root / "nodeorch" / "adapters" / "podman" / file).exists(), file


def test_each_test_of_this_file_is_a_row_of_the_page() -> None:
    mine = re.findall(r"^def (test_\w+)\(raw: ", Path(__file__).read_text(), re.MULTILINE)
    assert mine and all(f"::{name}`" in PAGE.read_text() for name in mine)
