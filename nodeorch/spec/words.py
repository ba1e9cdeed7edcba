"""What each key of a workload file means, in words, with an example.

The JSON Schema shows the meaning in editors; docs/specs.md shows both. By struct of
model/workload.py and field; a test demands an entry for each field and runs the examples.
"""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    meaning: str
    example: str
    """A value, as it is written in TOML; never the default."""
    beside: str = ""
    """What has to stand in the same table for the example to be valid."""


_HTTP = Word(
    "a request to the container's address, with the keys of an http probe",
    '{ port = 8080, path = "/warm-up", method = "POST" }',
)
_AVAILABLE = 'mode = "available"'
_TLS = 'port = 8443, scheme = "https"'

WORDS: dict[str, dict[str, Word]] = {
    "Main": {
        "name": Word("the workload's name; the same as the file's", '"web"'),
        "image": Word("image reference, with tag or digest", '"localhost/web:1"'),
        "kind": Word('`"job"`: it runs and ends; see Jobs', '"job"'),
        "scope": Word(
            'which hosts of a fleet run it: `"host"`, the one that declares it; `"fleet"`: its '
            'replicas are spread over all; `"every-host"`: each runs all its replicas',
            '"fleet"',
        ),
        "command": Word(
            "replaces the image's command and entrypoint", '["httpd", "-f", "-p", "8080"]'
        ),
        "args": Word("appended to the command, or to the image's", '["--verbose"]'),
        "env": Word("environment variables", '{ MODE = "prod" }'),
        "env_file": Word(
            "file of `KEY=value` lines, read with the spec; what stands in `env` wins. Its "
            "*content* is part of `env`: when that changes, a new container is made. It must lie "
            "where volumes may; at most 256 KiB",
            '"/etc/web/secret.env"',
        ),
        "working_dir": Word("absolute path inside the container", '"/app"'),
        "replicas": Word("how many instances", "2"),
        "after": Word("workloads that must be ready before this one starts", '["db"]'),
        "needs": Word(
            'the same with a condition: `"started"`, `"ready"` or `"completed"` (ended with '
            "code 0)",
            '{ migrate = "completed" }',
        ),
        "networks": Word(
            'Podman networks, made when they miss; or only `"host"` or `"none"`. Without: '
            "Podman's default network. On a named network the others find this one by its "
            "workload's name",
            '["backend"]',
        ),
        "hostname": Word("inside the container", '"web.example.org"'),
        "labels": Word("on the container; `nodeorch.` is kept for nodeorch", '{ team = "shop" }'),
        "init": Word("runs a small init as process 1, which reaps orphans", "true"),
        "pull": Word(
            'when to pull the image: `"missing"`, `"always"` (at each new generation) or `"never"`',
            '"always"',
        ),
        "priority": Word("who gets memory first when there is not enough for all", "100"),
    },
    "Resources": {
        "memory": Word(
            "hard limit, at least 4MiB. It is also what the workload asks of the node. Missing: "
            "the daemon's `[defaults] memory`",
            '"512MiB"',
        ),
        "memory_high": Word(
            "the kernel reclaims above this (cgroup v2); soft limit on v1",
            '"480MiB"',
            'memory = "512MiB"',
        ),
        "swap": Word(
            "swap on top of `memory`; missing means none", '"256MiB"', 'memory = "512MiB"'
        ),
        "cpu": Word("how many cpus it may use at most", "1.5"),
        "cpu_weight": Word("its share when cpus are short, 100 is normal", "400"),
        "cpuset": Word("which cpus", '"0-3,8"'),
        "pids": Word("processes and threads", "64"),
        "io_weight": Word("its share when disks are busy", "50"),
        "io": Word("limits of block devices", '[{ path = "/dev/sda", write_bytes = "10MB" }]'),
        "ulimits": Word("process limits by name", "{ nofile = { soft = 4096, hard = 4096 } }"),
        "oom": Word(
            '`"restart"`: an OOM kill of any of its processes restarts the instance; '
            '`"continue"`: only the death of the first process does',
            '"restart"',
        ),
    },
    "DeviceLimit": {
        "path": Word("block device, below `/dev`", '"/dev/sda"'),
        "read_bytes": Word("bytes a second; 0 is unlimited", '"20MB"', 'path = "/dev/sda"'),
        "write_bytes": Word("bytes a second", '"10MB"', 'path = "/dev/sda"'),
        "read_ops": Word("operations a second", "500", 'path = "/dev/sda"'),
        "write_ops": Word("operations a second", "200", 'path = "/dev/sda"'),
    },
    "Ulimit": {
        "soft": Word("what the process begins with; at most `hard`", "1024", "hard = 4096"),
        "hard": Word("how far the process may raise it", "4096", "soft = 1024"),
    },
    "Port": {
        "container": Word("port that the process listens on", "8080"),
        "host": Word(
            "port of the host that leads to it; without, nothing is published",
            "18080",
            "container = 8080",
        ),
        "address": Word(
            'address of the host; `"0.0.0.0"` opens it to everyone',
            '"0.0.0.0"',
            "container = 8080, host = 80",
        ),
        "protocol": Word("of the port", '"udp"', "container = 514, host = 1514"),
    },
    "Volume": {
        "target": Word("absolute path inside the container", '"/data"', 'name = "files"'),
        "name": Word(
            "a named volume of Podman, made when it misses, never removed by nodeorch",
            '"files"',
            'target = "/data"',
        ),
        "source": Word(
            "a path of the host; it must exist and lie in an allowed folder",
            '"/srv/files/public"',
            'target = "/public"',
        ),
        "tmpfs": Word(
            "memory of this size; gone with the container, and counted in `resources.memory`",
            '"16MiB"',
            'target = "/cache"',
        ),
        "read_only": Word(
            "the container cannot write to it",
            "true",
            'source = "/srv/files/public", target = "/public"',
        ),
        "shared": Word(
            "each host that may run the workload finds the same data there (NFS, Ceph, a copy of "
            "what never changes). nodeorch believes it",
            "true",
            'source = "/srv/files/public", target = "/public"',
        ),
    },
    "File": {
        "target": Word(
            "path in the container; no two volumes or files share one",
            '"/etc/proxy/proxy.conf"',
            r'content = "listen 8080\n"',
        ),
        "content": Word(
            "the text, as it stands: nothing in it is expanded",
            r'"listen 8080\n"',
            'target = "/etc/proxy/proxy.conf"',
        ),
        "source": Word(
            "a file of the host, at most 1MiB; its content is what counts",
            '"/srv/proxy/mime.types"',
            'target = "/etc/proxy/mime.types"',
        ),
        "mode": Word(
            "octal; the file belongs to root",
            '"0555"',
            'source = "/srv/proxy/warm-up.sh", target = "/usr/local/bin/warm-up"',
        ),
    },
    "Probes": {
        "startup": Word(
            "holds the other two back until it passes once; failing restarts",
            '{ tcp = { port = 8080 }, interval = "500ms", failures = 120 }',
        ),
        "readiness": Word(
            "gates `after`, updates and `wait`; failing only marks the instance not ready",
            '{ http = { port = 8080, path = "/ready" } }',
        ),
        "liveness": Word(
            "failing restarts, but only what was ready before or had its time to become so",
            '{ exec = ["/bin/api", "check"], interval = "30s" }',
        ),
    },
    "Probe": {
        "http": Word("a GET", '{ port = 8080, path = "/ready" }'),
        "tcp": Word("a connection", "{ port = 5432 }"),
        "exec": Word("a command inside the container; exit code 0 passes", '["pg_isready", "-q"]'),
        "grpc": Word("a health check by the standard protocol", "{ port = 50051 }"),
        "interval": Word("between two tries", '"5s"', "tcp = { port = 5432 }"),
        "timeout": Word("of one try", '"500ms"', "tcp = { port = 5432 }"),
        "failures": Word('so many in a row: the verdict is "failed"', "5", "tcp = { port = 5432 }"),
        "successes": Word(
            'so many in a row: the verdict is "passed"', "2", "tcp = { port = 5432 }"
        ),
        "delay": Word("before the first try", '"2s"', "tcp = { port = 5432 }"),
    },
    "Http": {
        "port": Word("of the container", "8080"),
        "path": Word("what is asked for, with its query", '"/ready?deep=1"', "port = 8080"),
        "method": Word("`POST` and `PUT` send no body", '"HEAD"', "port = 8080"),
        "status": Word("accepted codes; without, 200 to 399", "[200, 204]", "port = 8080"),
        "headers": Word("sent with the request", '{ Host = "app" }', "port = 8080"),
        "body": Word("text that the answer must contain", '"ok"', "port = 8080"),
        "scheme": Word('`"https"`: over TLS', '"https"', "port = 8443"),
        "ca": Word(
            "over TLS: file of CA certificates (PEM) on the host; see "
            "[Probes over TLS](#probes-over-tls)",
            '"/etc/ssl/our-ca.pem"',
            f'{_TLS}, server_name = "ledger.internal"',
        ),
        "server_name": Word(
            "over TLS: the name that is asked for, also as `Host`", '"ledger.internal"', _TLS
        ),
    },
    "Tcp": {"port": Word("of the container", "5432")},
    "Grpc": {
        "port": Word("of the container", "50051"),
        "service": Word(
            "asked about; without, the server as a whole", '"bank.Ledger"', "port = 50051"
        ),
        "tls": Word("over TLS", "true", "port = 50051"),
        "ca": Word(
            "as in `http`",
            '"/etc/ssl/our-ca.pem"',
            'port = 50051, tls = true, server_name = "ledger.internal"',
        ),
        "server_name": Word("as in `http`", '"ledger.internal"', "port = 50051, tls = true"),
    },
    "Hooks": {
        "post_start": Word("runs once after each start", '{ exec = ["/bin/queue", "join"] }'),
        "pre_stop": Word("runs before the stop signal", '{ exec = ["/bin/queue", "leave"] }'),
    },
    "PostStart": {
        "exec": Word("a command in the container; exit code 0 passes", '["/bin/queue", "join"]'),
        "http": _HTTP,
        "timeout": Word("then it has failed; an exec is killed", '"20s"', 'exec = ["/bin/join"]'),
        "on_failure": Word(
            '`"ignore"`: it is told, and the instance counts as ready',
            '"ignore"',
            'exec = ["/bin/join"]',
        ),
    },
    "PreStop": {
        "exec": Word("a command in the container", '["/bin/queue", "leave"]'),
        "http": _HTTP,
        "timeout": Word(
            "the signal follows then at the latest", '"5s"', 'exec = ["/bin/queue", "leave"]'
        ),
    },
    "Restart": {
        "policy": Word(
            '`"on-failure"`: not after exit code 0; `"never"`: it stays as it ended',
            '"on-failure"',
        ),
        "backoff": Word("the pauses between restarts", '{ initial = "200ms", max = "10s" }'),
    },
    "Backoff": {
        "initial": Word(
            "longest pause before the second restart; it doubles with each further failure. At "
            "least 10ms",
            '"200ms"',
        ),
        "max": Word("no pause is longer", '"10s"'),
        "reset": Word("having run this long forgets earlier failures", '"2m"'),
    },
    "Job": {
        "schedule": Word(
            "when it runs: five cron fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, "
            "`@yearly`",
            '"30 3 * * *"',
        ),
        "timezone": Word("of the schedule; the host's `tzdata` has to know it", '"Europe/Berlin"'),
        "catch_up": Word(
            "a run that was missed is made up for when it is no later than this. At least ten "
            "seconds, so that a restart of the daemon loses none",
            '"6h"',
        ),
        "concurrency": Word(
            'when a run is due and another has not ended: `"forbid"` skips it, `"replace"` stops '
            'the other first, `"allow"` runs both, up to 20',
            '"replace"',
        ),
        "deadline": Word(
            "for a run from when it was made, with its waiting and its retries; then it is "
            "stopped and has failed",
            '"2h"',
        ),
        "retries": Word(
            "how often a failed run is tried again, after a pause by `[restart] backoff` that "
            "doubles",
            "2",
        ),
        "keep": Word(
            "ended runs that are remembered. The containers of the last three are kept for their "
            "logs",
            "30",
        ),
    },
    "Stop": {
        "signal": Word("sent to the first process", '"SIGINT"'),
        "grace": Word("from the signal to SIGKILL", '"1m30s"'),
    },
    "Security": {
        "read_only": Word("root file system; `/tmp` and `/run` are writable, in memory", "false"),
        "user": Word(
            '`"1000"`, `"1000:1000"` or names that the image knows; without, the image\'s',
            '"1000:1000"',
        ),
        "capabilities": Word("added to none", '["NET_BIND_SERVICE"]'),
        "no_new_privileges": Word("setuid programs gain nothing", "false"),
        "seccomp": Word('or `"unconfined"`, or the absolute path of a profile', '"unconfined"'),
        "userns": Word('`"auto"`: ids of its own, chosen by Podman', '"auto"'),
        "privileged": Word("everything; avoid it", "true"),
    },
    "Logs": {"max_size": Word("of an instance's log", '"50MiB"')},
    "Update": {
        "deadline": Word(
            "to become ready, from the start of the new instance; else the previous generation "
            "returns. A startup probe that may take longer lengthens it",
            '"2m"',
        ),
        "settle": Word(
            "without a startup or readiness probe: to run before it counts as good", '"5s"'
        ),
    },
    "Failover": {
        "mode": Word(
            '`"available"`: another host runs it, and both may while they cannot see each other; '
            '`"exclusive"` (at most one copy) is refused: it is not there yet',
            '"available"',
        ),
        "after": Word(
            "to wait on top of what it takes to be sure that the host is gone",
            '"30s"',
            _AVAILABLE,
        ),
        "prefer": Word("hosts that get it first, the best one first", '["h2", "h3"]', _AVAILABLE),
        "failback": Word(
            'when it returns to the host that declares it: `"now"`, as soon as that is up again; '
            '`"idle"`, when it has next to nothing to do',
            '"now"',
            _AVAILABLE,
        ),
    },
    "Placement": {
        "constraints": Word(
            "labels of nodes, each with the values of which a host must have one",
            '{ disk = ["ssd", "nvme"] }',
        ),
        "spread": Word(
            'a label of nodes: replicas are spread over its values; `"host"`: over the hosts',
            '"zone"',
        ),
        "avoid": Word("workloads that it does not share a host with", '["db"]'),
    },
}
"""Struct → field → words."""
