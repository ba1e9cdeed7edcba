"""``nodeorch init``: a commented spec to begin with."""

from __future__ import annotations

import os
import sys

import click

from nodeorch.spec.names import is_name

SCHEMA = "file:///usr/share/nodeorch/workload.schema.json"

_REST = """
# command = ["httpd", "-f"]           # replaces the image's
# args = ["-v"]                       # appended to it
# env = { MODE = "prod" }
# replicas = 1
# after = ["db"]                      # ready before this one starts
# needs = { migrate = "started" }     # the same with a condition
# networks = ["backend"]              # Podman networks; or only "host" or "none"

[resources]
memory = "256MiB"
# cpu = 0.5                           # or "500m"
# pids = 256

# [[ports]]
# container = 8080
# host = 18080                        # on 127.0.0.1 unless
# address = "0.0.0.0"

# [[volumes]]
# name = "data"                       # or source = "/srv/x" (of the host), or tmpfs = "16MiB"
# target = "/data"
# shared = true                       # every host finds the same data there

# [probes.readiness]                  # gates order and updates; liveness restarts
# http = { port = 8080, path = "/" }  # or tcp = { port = 8080 }, or exec = ["program"]
# interval = "1s"
# timeout = "500ms"
# failures = 3

# [restart]
# policy = "always"                   # or "on-failure", "never"
# backoff = { initial = "100ms", max = "30s", reset = "60s" }

# [failover]                          # of a fleet: another host runs it when this one fails
# mode = "available"
# failback = "now"                    # or "idle", "never"

# [placement]
# constraints = { disk = ["ssd"] }    # labels of nodes
# avoid = ["db"]                      # not on the same host

# [stop]
# signal = "TERM"
# grace = "10s"

# [security]                          # safe by default; name what has to be relaxed
# read_only = false
# user = "1000:1000"
# capabilities = ["NET_BIND_SERVICE"]
"""


@click.command("init")
@click.argument("name")
@click.option("--image", help="Image reference; default localhost/NAME:latest.")
@click.option("-o", "--output", metavar="FILE", help='Default NAME.toml; "-" prints.')
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option("--schema", "schema", metavar="URL", default=SCHEMA, show_default=True)
def command(name: str, image: str | None, output: str | None, force: bool, schema: str) -> None:
    """Write a commented spec for a workload NAME."""
    if not is_name(name):
        raise click.UsageError(
            f"cannot use {name!r} as a name: use a-z, 0-9 and - inside, at most 63 characters"
        )
    text = template(name, image or f"localhost/{name}:latest", schema)
    if output == "-":
        click.echo(text, nl=False)
        return
    path = output or f"{name}.toml"
    try:
        with open(path, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(
            f"cannot write {path}: it exists; use --force to overwrite it"
        ) from None
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise click.ClickException(f"cannot write {path}: {words}; choose another -o") from None
    if sys.stdout.isatty():
        click.echo(f"Wrote {path}. Check it with: nodeorch check {os.path.normpath(path)}")


def template(name: str, image: str, schema: str = SCHEMA) -> str:
    """The text of a new spec. What is commented out is valid when it is uncommented."""
    import tomli_w

    head = tomli_w.dumps({"workload": {"name": name, "image": image}})
    return f"#:schema {schema}\n\n{head}{_REST.lstrip()}"
