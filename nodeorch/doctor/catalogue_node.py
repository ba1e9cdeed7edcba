"""Findings about disks, nodeorch itself, and Serf."""

from __future__ import annotations

from nodeorch.doctor.finding import Entry, Severity

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

NODE = {
    "disk-read-only": Entry(
        E,
        "Nothing can be written there. What runs is kept up, but nothing is created or removed, "
        "and commands are refused.",
        "dmesg --level=err | tail; mount -o remount,rw {mount}",
    ),
    "disk-full": Entry(
        E,
        "Soon nothing can be created, and what runs may fail.",
        "{free}",
    ),
    "disk-low": Entry(W, "When it is full nothing can be created.", "{free}"),
    "inodes-low": Entry(
        W,
        "When no inode is left no file can be made, however much space there is.",
        "{free}",
    ),
    "state-open": Entry(
        E,
        "Others may read the key that tells nodeorch's containers from forged ones.",
        "chmod 0700 {state} && chmod 0600 {state}/key {state}/nodeorch.db",
    ),
    "schema-newer": Entry(
        E,
        "A newer nodeorch wrote the database, and this one does not start with it (exit code 78). "
        "Install the newer one again, or go back to the copy that it kept:",
        "systemctl stop nodeorchd\n"
        "mv {state}/nodeorch.db {state}/nodeorch.db.newer && rm -f {state}/nodeorch.db-wal\n"
        "cp {state}/nodeorch.db.bak-v{known} {state}/nodeorch.db\n"
        "systemctl start nodeorchd",
    ),
    "config-missing": Entry(
        E,
        "nodeorchd does not start without its file, which may be empty.",
        "mkdir -p $(dirname {config}) && touch {config}",
    ),
    "config-bad": Entry(
        E,
        "nodeorchd does not start with it (exit code 78).",
        "nodeorch check {config}   # after each change, until it says: valid",
    ),
    "spec-bad": Entry(
        E,
        "The last good version of that file stays in force; if there was none, nothing runs.",
        "nodeorch check {folder}   # after each change, until it says: valid",
    ),
    "group-missing": Entry(
        E,
        "nodeorchd does not start: it cannot give its socket to a group that does not exist.",
        "groupadd --system {group}",
    ),
    "daemon-down": Entry(
        E,
        "Nobody supervises the workloads. What runs goes on, and what dies stays dead.",
        "{start_daemon}",
    ),
    "daemon-silent": Entry(
        E,
        "Something listens, but gives no answer that can be used. To restart nodeorchd harms no "
        "container.",
        "{restart_daemon}",
    ),
    "daemon-denied": Entry(
        W,
        "Only root and the members of the socket's group may use it.",
        "{admit}   # then log in again",
    ),
    "daemon-version": Entry(
        W,
        "It was upgraded and not restarted, or it is another installation.",
        "{restart_daemon}   # containers run on",
    ),
    "daemon-engine": Entry(
        E,
        "Podman answers here, but not to nodeorchd: it may use another socket, or be shut out.",
        "{restart_daemon}",
    ),
    "daemon-brake": Entry(
        W,
        "nodeorchd holds a deletion of many workloads back until a person confirms it.",
        "nodeorch confirm   # or put the files back",
    ),
    "socket-open": Entry(
        E,
        "Everybody on this host may do with the workloads what they like.",
        "chmod 0660 {socket}",
    ),
    "serf-open": Entry(
        E,
        "Who reaches it can join, read and send events without a key. Debian's package starts "
        "such a serf.service by itself.",
        "{stop_serf}   # or give it a key: serf keygen, encrypt_key in /etc/serf/*.json",
    ),
    "serf-enabled": Entry(
        W,
        "At the next boot it listens on all addresses, without encryption.",
        "systemctl disable serf.service   # or give it a key: encrypt_key in /etc/serf/*.json",
    ),
}
