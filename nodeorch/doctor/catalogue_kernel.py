"""Findings about the kernel, the clock and systemd."""

from __future__ import annotations

from nodeorch.doctor.finding import Entry, Severity

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

MORE_INSTANCES = (
    "echo 'fs.inotify.max_user_instances = 1024' >/etc/sysctl.d/60-inotify.conf\n"
    "sysctl -p /etc/sysctl.d/60-inotify.conf"
)
SYNCHRONISE = "{install} systemd-timesyncd && timedatectl set-ntp true   # or chrony"

KERNEL = {
    "kernel-too-old": Entry(
        E,
        "nodeorchd sees deaths through pidfd_open(2), which Linux has since 5.3.",
        "{install} linux-image-$(dpkg --print-architecture) && reboot   # Debian's name for it",
    ),
    "pidfd-refused": Entry(
        W,
        "The kernel is new enough, but a sandbox forbids pidfd_open(2). Deaths are then seen by "
        "Podman's events, some 100 ms later.",
        "grep ^Seccomp: /proc/self/status   # 2: run nodeorchd outside of this container",
    ),
    "cgroup-missing": Entry(
        E,
        "No control groups are mounted: nothing can be limited, and Podman starts nothing.",
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    ),
    "cgroup-read-only": Entry(
        E,
        "No group can be made for a container: this is itself a container without the right to.",
        "mount -o remount,rw /sys/fs/cgroup   # or start this container with --privileged",
    ),
    "cgroup-v1": Entry(
        N,
        "nodeorch keeps limits on cgroup v1, too. But there memory_high only counts when the host "
        "is short of memory, crun does not start, and newer Podmans give it up.",
        argument="systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all",
    ),
    "controller-missing": Entry(
        E,
        "Limits of this kind cannot be set: Podman refuses them, or leaves them out.",
        argument="{argument}",
    ),
    "cgroup-undelegated": Entry(
        E,
        "Processes sit in the root of this container's control groups, so that the kernel gives "
        "no controller to the groups below.",
        "mkdir -p /sys/fs/cgroup/init\n"
        "xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs\n"
        "sed 's/^/+/; s/ / +/g' /sys/fs/cgroup/cgroup.controllers "
        ">/sys/fs/cgroup/cgroup.subtree_control",
    ),
    "swap-unaccounted": Entry(
        W,
        "There is swap that the kernel does not account: a workload may fill all of it, and "
        "[resources] swap is not kept.",
        argument="swapaccount=1",
    ),
    "psi-missing": Entry(
        N,
        "The kernel does not tell pressure: that memory or disks are short shows only when "
        "something fails.",
        argument="psi=1",
    ),
    "inotify-exhausted": Entry(
        E,
        "No inotify instance is left. A changed spec file is only seen at "
        "systemctl reload nodeorchd, and other programs fail, too.",
        MORE_INSTANCES,
    ),
    "inotify-low": Entry(
        W,
        "All programs of a user share them, those in its containers included; nodeorchd needs one.",
        MORE_INSTANCES,
    ),
    "pids-low": Entry(
        W,
        "When the kernel has no number left nothing can start, not even what would repair it.",
        "echo 'kernel.pid_max = 4194304' >/etc/sysctl.d/60-pids.conf\n"
        "sysctl -p /etc/sysctl.d/60-pids.conf",
    ),
    "clock-wrong": Entry(
        E,
        "Certificates are not valid at such a time: images cannot be pulled.",
        "{install} chrony && chronyd -q 'pool pool.ntp.org iburst'   # or: date --set='…'",
    ),
    "clock-went-back": Entry(
        W,
        "The clock was set back since. Decisions of nodeorch go by one that cannot be set, but "
        "times that are shown are wrong, and schedules may wait.",
        SYNCHRONISE,
    ),
    "clock-unsynchronised": Entry(
        W,
        "Nothing keeps the clock right. Decisions of nodeorch go by one that cannot be set, but "
        "certificates, schedules and shown times go by this one.",
        SYNCHRONISE,
    ),
    "zones-missing": Entry(
        W,
        "No time zone is known but UTC: nothing can be scheduled in another.",
        "{install} tzdata",
    ),
    "no-systemd": Entry(
        W,
        "Nobody starts nodeorchd at boot, replaces it when it ends, or stops workloads in their "
        "order when the host goes down.",
        "while :; do nodeorchd --config {config}; sleep 1; done   # as a service of your init",
    ),
    "unit-missing": Entry(
        W,
        "nodeorchd is not installed as a service: it does not start at boot.",
        "packaging/install   # in the source of nodeorch",
    ),
    "unit-disabled": Entry(
        W,
        "After the next boot nodeorchd does not run, and neither do the workloads.",
        "systemctl enable nodeorchd.service nodeorch-shutdown.service",
    ),
}
