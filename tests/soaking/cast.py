"""The workloads of a soak: what they are declared as, and how the declarations change."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.system.host import Host

CRASH = "sleep $((1 + $$ % 4)); exit 3"
LEAK = "sleep $((1 + $$ % 3)); tail /dev/zero; exec sleep 1000000"
"""Its child is killed for want of memory, again and again with oom = restart."""
DEAF = "trap '' TERM; while true; do sleep 1; done"
STAY = "exec sleep 1000000"
SERVE = "exec httpd -f -p 8080 -h /tmp"

SPEC = """\
[workload]
name = "{name}"
image = "localhost/bb:1"
command = ["sh", "-c", "{command}"]
env = {{ COLOUR = "{colour}" }}
replicas = {replicas}
{networks}[resources]
memory = "{memory}MiB"
{oom}[stop]
grace = "300ms"
[update]
deadline = "20s"
settle = "200ms"
[restart]
backoff = {{ initial = "100ms", max = "2s", reset = "10s" }}
{more}"""

PROBE = """\
[probes.readiness]
http = { port = 8080, path = "/", status = [200, 404] }
interval = "1s"
timeout = "5s"
"""


@dataclass(frozen=True)
class Part:
    """One workload as it is declared at present."""

    name: str
    command: str = STAY
    colour: int = 0
    replicas: int = 1
    online: bool = False
    """On the default network; else on none."""
    memory: int = 32
    oom: bool = False
    port: int | None = None
    steady: bool = True
    """It does not end of itself: in the end it has to be ready."""

    def text(self) -> str:
        more = PROBE if self.command == SERVE else ""
        if self.port is not None:
            more += f"[[ports]]\ncontainer = 8080\nhost = {self.port}\n"
        return SPEC.format(
            name=self.name,
            command=self.command,
            colour=self.colour,
            replicas=self.replicas,
            networks="" if self.online else 'networks = ["none"]\n',
            memory=self.memory,
            oom='oom = "restart"\n' if self.oom else "",
            more=more,
        )


def company(count: int) -> dict[str, Part]:
    """Of ``count`` workloads two thirds are plain; the rest serve, crash, leak and are deaf."""
    parts: dict[str, Part] = {}
    for n in range(count):
        name = f"w{n:02}"
        kind = n % 12
        if kind == 0:
            part = Part(name, command=SERVE, online=True, port=18600 + n)
        elif kind == 1:
            part = Part(name, command=SERVE, online=True)
        elif kind == 2:
            part = Part(name, command=CRASH, steady=False)
        elif kind == 3:
            part = Part(name, command=LEAK, memory=16, oom=True, steady=False)
        elif kind == 4:
            part = Part(name, command=DEAF)
        elif kind == 5:
            part = Part(name, replicas=2)
        else:
            part = Part(name)
        parts[name] = part
    return parts


def declare(host: Host, part: Part) -> None:
    host.declare(part.name, part.text())


def edited(part: Part, dice: random.Random) -> Part:
    """Another version: a live change, a replacement, more or fewer replicas."""
    what = dice.choice(("memory", "colour", "colour", "replicas"))
    if what == "memory" and not part.oom:
        return replace(part, memory=dice.choice((24, 32, 40, 48)))
    if what == "replicas" and part.port is None:
        return replace(part, replicas=dice.choice((1, 2, 3)))
    return replace(part, colour=part.colour + 1)
