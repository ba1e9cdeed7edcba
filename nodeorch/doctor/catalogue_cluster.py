"""Findings about a fleet of hosts: Serf, certificates, etcd."""

from __future__ import annotations

from nodeorch.doctor.finding import Entry, Severity

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CLUSTER = {
    "fleet-serf-missing": Entry(
        E,
        "The hosts of a fleet find each other by Serf. Without it they know only of those that "
        "they knew before, and no new one can be seen.",
        "systemctl mask serf.service   # Debian's own: it listens without encryption\n"
        "{install} serf\n"
        "{start_serf}",
    ),
    "fleet-serf-down": Entry(
        E,
        "Serf does not run, so this host counts as failed for the others when its daemon falls "
        "silent, and hears of no new host. Its workloads run on.",
        "{start_serf}",
    ),
    "fleet-files-bad": Entry(
        E,
        "With these files nodeorchd does not start, Serf does not, or the fleet lies open: gossip "
        "is always encrypted, and Serf's RPC gives the keys to whoever may ask it. When they "
        "cannot be put right, join anew:",
        "nodeorch cluster token   # on the host that made the fleet\n"
        "nodeorch cluster leave --force   # here\n"
        "nodeorch cluster join TOKEN ADDRESS --address {address}   # here",
    ),
    "fleet-files-open": Entry(
        E,
        "Who reads these files can pass for this host, or listen to the whole fleet. If that may "
        "have happened new keys are needed, too.",
        "chown -R root: {files} && chmod -R go= {files}\n"
        "nodeorch cluster rotate certificate && nodeorch cluster rotate key   # new keys",
    ),
    "fleet-certificate-ends": Entry(
        W,
        "nodeorchd renews it when a third of its life is left, and that did not happen. When it "
        "has ended no other host speaks with this one.",
        "nodeorch cluster rotate certificate",
    ),
    "fleet-certificate-wrong": Entry(
        E,
        "The other hosts know each other by the names in their certificates: they do not speak "
        "with one that has another's, or whose key does not fit.",
        "nodeorch cluster rotate certificate   # or put [node] name in {config} right",
    ),
    "fleet-door-shut": Entry(
        E,
        "The other hosts reach this one by that address and port, and nobody listens there: they "
        "cannot tell its daemon from a dead one, and fetch nothing from it.",
        "ip -brief address   # is it still an address of this host? See [cluster] address\n"
        "{restart_daemon}",
    ),
    "etcd-silent": Entry(
        W,
        "Workloads that run at most once need a majority of etcd's members. Others do not care.",
        "systemctl status etcd.service   # on that host; see docs/cluster.md for its certificates",
    ),
    "etcd-old": Entry(
        N,
        "Before 3.4.31 and 3.5.13 a leader that was stopped for some seconds takes leases back "
        "that were renewed all along (etcd issue 15247). nodeorch builds on none, others may.",
        "{install} etcd-server   # 3.4.31 or newer, where there is one",
    ),
}
