"""Things done by hand on the engine: noticed, said, and put right; strangers are left alone."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.lab.wait import wait_for
from tests.system.host import Host, alive


def events(host: Host, code: str) -> list[str]:
    lines = host.client.stream("/v1/events")
    return [e["words"] for e in lines if e["code"] == code]


def test_removed_stopped_paused_by_hand(host: Host) -> None:
    for name in ("gone", "halted", "paused"):
        host.sleeper(name)
    before = {n: host.running(n)["instances"][0] for n in ("gone", "halted", "paused")}
    host.lab.podman("rm", "-f", "-t", "0", before["gone"]["container_id"])
    # It may find the container started again by the time it wants to clean up.
    host.lab.podman("stop", "-t", "0", before["halted"]["container_id"], check=False)
    host.lab.podman("pause", before["paused"]["container_id"])
    host.until(
        "gone",
        lambda w: (
            w["ready"] == 1 and w["instances"][0]["container_id"] != before["gone"]["container_id"]
        ),
    )
    view = host.until("halted", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    assert view["instances"][0]["container_id"] == before["halted"]["container_id"]
    wait_for(lambda: events(host, "PausedOutside"), 10, "the pause is noticed")
    view = host.running("paused")
    assert view["instances"][0]["pid"] == before["paused"]["pid"]
    state = host.lab.podman(
        "inspect", "--format", "{{.State.Status}}", before["paused"]["container_id"]
    )
    assert state == "running"


def test_killed_together_with_its_conmon_it_comes_back_in_another_container(host: Host) -> None:
    """Podman calls it running for ever, and cannot start it again."""
    host.sleeper("web")
    first = host.running("web")["instances"][0]
    conmon = int(host.lab.podman("inspect", "--format", "{{.State.ConmonPid}}", "web.0.g1"))
    os.kill(conmon, signal.SIGKILL)
    host.cli("restart", "web")  # it can still be stopped
    view = host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    second = view["instances"][0]
    assert second["pid"] != first["pid"]

    conmon = int(host.lab.podman("inspect", "--format", "{{.State.ConmonPid}}", "web.0.g1"))
    os.kill(conmon, signal.SIGKILL)
    os.kill(second["pid"], signal.SIGKILL)
    host.until("web", lambda w: other(w, second) and w["ready"] == 1)
    assert "the engine cannot start it again" in host.cli("why", "web")
    assert host.lab.podman("ps", "-aq").count("\n") == 0, "one container"


def other(view: dict[str, Any], than: dict[str, Any]) -> bool:
    """Whether the workload's only instance is in another container."""
    held = view["instances"]
    return len(held) == 1 and held[0]["container_id"] not in ("", than["container_id"])


def test_renamed_by_hand_stays_ours(host: Host) -> None:
    host.sleeper("web")
    before = host.running("web")["instances"][0]
    host.lab.podman("rename", before["container_id"], "hugo")
    wait_for(lambda: events(host, "RenamedOutside"), 40, "the new name is noticed")
    after = host.running("web")["instances"][0]
    assert (after["pid"], after["container_id"]) == (before["pid"], before["container_id"])
    host.cli("delete", "web")
    wait_for(lambda: host.lab.podman("ps", "-aq") == "", 20)


def test_an_image_with_our_labels_run_by_hand_is_neither_adopted_nor_killed(host: Host) -> None:
    host.sleeper("web")
    ours = host.running("web")["instances"][0]
    labels = {
        key: value
        for key, value in host.lab.inspect(ours["container_id"])["Config"]["Labels"].items()  # type: ignore[index]
        if key.startswith("nodeorch.")
    }
    assert labels["nodeorch.workload"] == "web"
    host.lab.build_image("localhost/lookalike:1", cmd=["sleep", "1000000"], labels=labels)
    host.lab.podman("run", "-d", "--name", "byhand", "--network", "none", "localhost/lookalike:1")
    stranger = host.lab.pid("byhand")
    host.stop()
    host.start()
    host.running("web")
    host.cli("restart", "web")
    host.until("web", lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    assert [i["container_id"] for i in host.one("web")["instances"]] == [ours["container_id"]]
    assert host.lab.pid("byhand") == stranger and alive(stranger)
    host.cli("delete", "web")
    wait_for(lambda: host.status() == [], 20)
    assert alive(stranger)


def test_a_foreign_container_in_the_way_is_named_and_left(host: Host) -> None:
    host.lab.podman("run", "-d", "--name", "web.0.g1", "--network", "none", "localhost/bb:1")
    stranger = host.lab.pid("web.0.g1")
    host.sleeper("web")
    view = host.until("web", lambda w: "name" in w["reason"] and "in use" in w["reason"])
    assert view["ready"] == 0
    assert alive(stranger)
    host.lab.podman("rm", "-f", "-t", "0", "web.0.g1")
    host.running("web", 40)


def test_killed_many_at_random_all_come_back(host: Host) -> None:
    names = [f"w{i}" for i in range(6)]
    for name in names:
        host.sleeper(name)
    pids = {n: host.running(n)["instances"][0]["pid"] for n in names}
    for name in names[::2]:
        os.kill(pids[name], 9)
    for name in names[::2]:
        host.until(name, lambda w: w["ready"] == 1 and w["instances"][0]["restarts"] == 1)
    for name in names[1::2]:
        assert host.one(name)["instances"][0]["pid"] == pids[name]
