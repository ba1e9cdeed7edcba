"""``apply`` is safe: live where it can be, else replaced, and back when it does not work."""

from __future__ import annotations

import json
import time
import urllib.request

from tests.lab.teardown import late_teardown
from tests.lab.wait import wait_for
from tests.system.host import Host

WEB = """\
[workload]
name = "web"
image = "{image}"
command = ["httpd", "-f", "-p", "8080", "-h", "/www/{root}"]
[[ports]]
container = 8080
host = {port}
[resources]
memory = "{memory}"
[probes.readiness]
http = {{ port = 8080, path = "/{path}" }}
interval = "200ms"
[stop]
grace = "500ms"
[update]
deadline = "3s"
"""
PORT = 18481


def web(
    host: Host,
    *,
    image: str = "localhost/pages:1",
    root: str = "one",
    path: str = "",
    memory: str = "32MiB",
) -> None:
    host.declare("web", WEB.format(image=image, root=root, path=path, memory=memory, port=PORT))


def page() -> str:
    """What the published port serves; empty while nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=3) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def containers(host: Host) -> list[str]:
    return sorted(host.lab.podman("ps", "-a", "--format", "{{.Names}}").split())


def pages(host: Host) -> None:
    host.lab.build_image(
        "localhost/pages:1",
        files={"www/one/index.html": "one", "www/two/index.html": "two"},
    )


def test_live_replace_return_history_rollback(host: Host) -> None:
    pages(host)
    web(host)
    old = host.running("web")["instances"][0]
    assert page() == "one"

    web(host, memory="48MiB")  # live
    view = host.until("web", lambda w: w["instances"][0]["memory_limit_bytes"] == 48 << 20)
    assert view["instances"][0]["pid"] == old["pid"] and view["generation"] == 2

    web(host, root="two", memory="48MiB")  # replaced
    host.until("web", lambda w: w["generation"] == 3 and w["state"] == "running")
    assert page() == "two"
    wait_for(lambda: containers(host) == ["web.0.g3"], 20)
    good = host.instance("web")

    web(host, root="two", path="missing.html", memory="49MiB")  # probes only: live, and unready
    host.until("web", lambda w: w["ready"] == 0)
    web(host, root="two", memory="48MiB")
    host.running("web")

    web(host, root="nowhere", memory="48MiB")  # never becomes ready
    host.until("web", lambda w: w["state"] == "updating")
    view = host.until("web", lambda w: w["state"] == "running" and "failed" in w["reason"], 40)
    assert page() == "two"
    assert view["instances"][0]["container_id"] == good["container_id"], "its container was kept"
    wait_for(lambda: containers(host) == ["web.0.g3"], 20)
    assert "back to generation" in host.cli("why", "web")

    web(host, image="localhost/absent:1", root="two", memory="48MiB")  # cannot be pulled
    view = host.until("web", lambda w: "absent" in w["reason"], 40)
    assert page() == "two"
    assert view["instances"][0]["container_id"] == good["container_id"]
    web(host, root="two", memory="48MiB")
    host.running("web")

    generations = json.loads(host.cli("--json", "history", "web"))
    assert len(generations) >= 5
    first = min(g["generation"] for g in generations)
    host.cli("rollback", "web", "--to", str(first))
    wait_for(lambda: page() == "one", 30)
    host.until("web", lambda w: w["generation"] == first and w["ready"] == 1)


def test_a_late_teardown_of_the_old_takes_no_port_from_the_new(host: Host) -> None:
    """Podman tears an ended container down in a process of its own; here it comes late."""
    pages(host)
    web(host)
    old = host.running("web")["instances"][0]["container_id"]
    with late_teardown(old) as frozen:
        web(host, root="two")
        wait_for(frozen.is_set, 10, "the teardown has begun")
        wait_for(
            lambda: [bool(i["container_id"]) for i in host.one("web")["instances"]] == [True] * 2
        )
        time.sleep(0.5)  # what must not happen has no condition to wait for
        # The frozen process may hold the lock of the old one: Podman is not asked about that.
        assert host.lab.podman("inspect", "--format", "{{.State.Status}}", "web.0.g2") == "created"
    host.until("web", lambda w: w["state"] == "running" and w["generation"] == 2)
    assert page() == "two"


def test_start_first_loses_no_request_of_a_watching_probe(host: Host) -> None:
    pages(host)
    spec = WEB.replace("host = {port}\n", "")
    host.declare("web", spec.format(image="localhost/pages:1", root="one", path="", memory="32MiB"))
    host.running("web")
    host.declare("web", spec.format(image="localhost/pages:1", root="two", path="", memory="32MiB"))
    lowest = []

    def replaced() -> bool:
        view = host.one("web")
        lowest.append(view["ready"])
        return view["state"] == "running" and view["generation"] == 2

    wait_for(replaced, 30)
    assert min(lowest) == 1, "there was a moment without a ready instance"
    wait_for(lambda: containers(host) == ["web.0.g2"], 20)
