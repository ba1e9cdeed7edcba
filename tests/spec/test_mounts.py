"""No workload gets a runtime's socket, however it is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeorch.spec.load import load_text
from nodeorch.spec.mounts import GUARDED, allowed_mount, normalise, refused_mount


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//",
        "/.",
        "/srv/..",
        "/run",
        "/run/",
        "/var",
        "/var/run",
        "/var/run/",
        "/var/lib",
        "/etc",
        "/etc/",
        "/run/podman",
        "/run/podman/podman.sock",
        "//run/../run/podman",
        "/var/run/podman/podman.sock",
        "/var//run/./podman",
        "/var/lib/../../run/podman/",
        "/srv/../run/docker.sock",
        "/run/docker.sock",
        "/run/dockershim.sock",
        "/run/containerd/containerd.sock",
        "/run/crio/crio.sock",
        "/run/nodeorch",
        "/run/user/1000/podman/podman.sock",
        "/run/systemd/private",
        "/run/dbus/system_bus_socket",
        "/srv/podman.sock",
        "/home/ann/docker.sock/",
        "/var/lib/containers/storage",
        "/var/lib/nodeorch/state.db",
        "/etc/nodeorch/workloads.d",
        "/etc/shadow",
        "/proc/1/root",
        "/sys/fs/cgroup",
        "/dev",
        "/dev/sda",
        "/boot/grub",
        "srv",
        "",
    ],
)
def test_refused(path: str) -> None:
    assert refused_mount(path)


@pytest.mark.parametrize(
    "path", ["/srv/x", "/var/lib/web", "/etc/web", "/home/ann", "/opt", "/data", "/run/web"]
)
def test_not_refused(path: str) -> None:
    assert refused_mount(path) is None


def test_own_paths_are_guarded_too() -> None:
    assert refused_mount("/data/state/db", ("/data//state/",)) == "is within /data/state"
    assert refused_mount("/data", ("/data/state",)) == "contains /data/state"
    assert refused_mount("/data/statement", ("/data/state",)) is None


def test_only_allowed_folders() -> None:
    assert allowed_mount("/srv", ("/srv",))
    assert allowed_mount("/srv/a/", ("/srv/",))
    assert not allowed_mount("/srv/../usr", ("/srv",))
    assert not allowed_mount("/srvx", ("/srv",))
    assert not allowed_mount("/srv", ())


_NOISE = st.sampled_from(["", ".", "x/..", "../" * 9 + "{}"])


@given(st.sampled_from(GUARDED), st.lists(_NOISE, max_size=4), st.booleans())
def test_no_spelling_helps(guarded: str, noise: list[str], alias: bool) -> None:
    path = guarded
    if alias and path.startswith("/run/"):
        path = "/var" + path
    for word in noise:
        path = "/srv/" + word.format(path) if "{}" in word else path + "/" + word
    assert refused_mount(path)


@given(st.text(alphabet="/.av"))
def test_normal_is_normal(path: str) -> None:
    normal = normalise(path)
    assert normal.startswith("/")
    assert normalise(normal) == normal
    assert not {"", ".", ".."} & set(normal.split("/")[1:]) or normal == "/"


def test_the_settings_decide_what_is_allowed() -> None:
    text = (
        '[workload]\nname = "a"\nimage = "a"\n[[volumes]]\nsource = "/usr/share/x"\ntarget = "/x"\n'
    )
    assert load_text(text, "a.toml")[0] is None
    assert load_text(text, "a.toml", allowed_sources=("/usr",))[0] is not None
    assert load_text(text, "a.toml", allowed_sources=("/usr",), guarded=("/usr/share",))[0] is None
    everything = load_text(text.replace("/usr/share/x", "/run"), "a.toml", allowed_sources=("/",))
    assert everything[0] is None
