"""Facts → what a person is told: findings with their meaning and the fix, gravest first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from nodeorch.doctor import look_cluster, look_kernel, look_node, look_podman
from nodeorch.doctor.catalogue import CATALOGUE
from nodeorch.doctor.facts import Facts
from nodeorch.doctor.finding import Finding, Severity

CHECKS: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
    look_podman.installed,
    look_podman.socket,
    look_podman.runtime,
    look_podman.ulimits,
    look_podman.network,
    look_podman.settings,
    look_podman.exec_probes,
    look_podman.subids,
    look_podman.fighters,
    look_podman.leftovers,
    look_node.disks,
    look_node.state,
    look_node.settings,
    look_node.specs,
    look_node.daemon,
    look_node.serf,
    *look_cluster.CHECKS,
    look_kernel.kernel,
    look_kernel.cgroups,
    look_kernel.controllers,
    look_kernel.swap,
    look_kernel.psi,
    look_kernel.inotify,
    look_kernel.pids,
    look_kernel.clock,
    look_kernel.zones,
    look_kernel.systemd,
)
DROP_INS = "/etc/containers/containers.conf.d"
BOOT = {
    "grub": "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{argument} /' /etc/default/grub && update-grub",
    "grubby": "grubby --update-kernel=ALL --args='{argument}'",
    "": "# add to the kernel's command line: {argument}",
}
EDIT = "sed -i '1s/$/ {argument}/' {file}"


class Told(Struct, frozen=True):
    code: str
    severity: Severity
    found: str
    means: str
    fix: str
    """Shell lines, to be pasted by root."""


def examine(facts: Facts) -> list[Told]:
    told = [_tell(finding, facts) for check in CHECKS for finding in check(facts)]
    codes, grades = list(CATALOGUE), list(Severity)
    return sorted(told, key=lambda t: (grades.index(t.severity), codes.index(t.code)))


def failed(told: Iterable[Told], strict: bool) -> bool:
    """``strict``: warnings fail, too. Notes never do."""
    grave = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return any(each.severity in grave for each in told)


def _tell(finding: Finding, facts: Facts) -> Told:
    entry = CATALOGUE[finding.code]
    values = _usual(facts) | finding.values
    lines = [entry.fix.format_map(values)] if entry.fix else []
    if entry.argument:
        lines.append(_boot(facts.boot, entry.argument.format_map(values)))
    if entry.setting:
        lines.append(_setting(finding.code, entry.setting, values, facts))
    severity = finding.severity or entry.severity
    return Told(finding.code, severity, finding.words, entry.means, "\n".join(lines))


def _boot(way: str, argument: str) -> str:
    command = BOOT.get(way, EDIT).format(argument=argument, file=way)
    return f"{command}\nreboot"


def _setting(code: str, setting: tuple[str, str], values: Mapping[str, str], facts: Facts) -> str:
    """A file of its own, which overrides the others; with CONTAINERS_CONF no other is read."""
    table, line = setting[0], setting[1].format_map(values)
    restart = values["restart_podman"]
    if facts.conf_file:
        return f"# in {facts.conf_file}, below [{table}]:\n{line}\n{restart}"
    return (
        f"mkdir -p {DROP_INS}\n"
        f"printf '%s\\n' '[{table}]' '{line}' >{DROP_INS}/nodeorch-{code}.conf\n"
        f"{restart}"
    )


def _usual(facts: Facts) -> dict[str, str]:
    """What several fixes need."""
    serve = f"podman system service --time=0 unix://{facts.podman_socket} &"
    daemon = f"nodeorchd --config {facts.config} &"
    ours = facts.podman_socket == "/run/podman/podman.sock" and facts.systemd
    unit = facts.systemd and facts.unit
    group = facts.group or "nodeorch-viewer"
    admit = f"usermod --append --groups {group} {facts.user}"
    if facts.group is None:
        admit = f'# in {facts.config}: [api] group = "{group}"; then: {admit}'
    return {
        "install": facts.installer,
        "config": facts.config,
        "start_podman": "systemctl enable --now podman.socket" if ours else serve,
        "restart_podman": (
            "systemctl restart podman.service" if ours else f"# end the service, then: {serve}"
        ),
        "start_daemon": "systemctl enable --now nodeorchd.service" if unit else daemon,
        "restart_daemon": (
            "systemctl restart nodeorchd.service" if unit else f"# end it, then: {daemon}"
        ),
        "admit": admit,
    }
