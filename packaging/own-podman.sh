# shellcheck shell=bash
# A Podman of our own: storage, runtime folder, networks and configuration below $DIR and $RUN,
# fitted to what this host allows. Sourced by quickstart after lib.sh; the caller sets DIR, RUN and
# IMAGE.
: "${DIR:?}" "${RUN:?}" "${IMAGE:?}"

# Which OCI runtimes to try, likeliest first: crun does not run on a host with cgroup v1
# controllers, where it says so only when a container starts.
runtimes() {
  if [[ $(stat -fc %T /sys/fs/cgroup) = cgroup2fs ]]; then echo crun runc; else echo runc crun; fi
}

# at_most LIMIT CAP: a limit to give to containers. More than the host's hard limit is refused
# without CAP_SYS_RESOURCE, and so is more than Podman lowers its own limits to (the caps below).
at_most() {
  if [[ $1 = unlimited || $1 -gt $2 ]]; then echo "$2"; else echo "$1"; fi
}

storage_driver() {
  local try=$DIR/overlay-try
  mkdir -p "$try"/{lower,upper,work,merged}
  if quiet mount -t overlay -o "lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work" none "$try/merged"; then
    umount "$try/merged"
    echo overlay
  else
    echo vfs # on a folder that is an overlay itself, for example inside a container
  fi
  rm -rf "$try"
}

# The first of a few private /24 networks that this machine has no route into.
free_subnet() {
  "$PYTHON" - <<'PY'
import ipaddress, struct
taken = []
for line in open("/proc/net/route").read().splitlines()[1:]:
    _, destination, _, _, _, _, _, mask, *_ = line.split()
    number, bits = (struct.unpack("<I", bytes.fromhex(x))[0] for x in (destination, mask))
    if bits:
        taken.append(ipaddress.ip_network((number, bin(bits).count("1"))))
for third in range(64, 128):
    net = ipaddress.ip_network(f"10.231.{third}.0/24")
    if not any(net.overlaps(other) for other in taken):
        print(net)
        break
else:
    raise SystemExit("no free network in 10.231.64.0/18")
PY
}

# podman_config RUNTIME
podman_config() {
  local manager=cgroupfs nofile nproc driver
  [[ ! -d /run/systemd/system ]] || manager=systemd
  nofile=$(at_most "$(ulimit -H -n)" 1048576)
  nproc=$(at_most "$(ulimit -H -u)" "$(</proc/sys/kernel/pid_max)")
  # The driver of an existing storage cannot be changed.
  if [[ -s $DIR/storage.driver ]]; then driver=$(<"$DIR/storage.driver"); else driver=$(storage_driver); fi
  printf '%s\n' "$driver" >"$DIR/storage.driver"
  cat >"$DIR/etc/containers.conf" <<CONF
[containers]
# Soft and hard alike: Podman 4.3 swaps them when asked through its API.
default_ulimits = ["nofile=$nofile:$nofile", "nproc=$nproc:$nproc"]

[engine]
runtime = "$1"
cgroup_manager = "$manager"
events_logger = "file"
exit_command_delay = 2
# Not the lock table in /dev/shm, which is one for all Podmans of a machine.
lock_type = "file"

[network]
network_backend = "netavark"
default_network = "quickstart"
CONF
  cat >"$DIR/bin/podman" <<WRAPPER
#!/bin/sh
# Podman with the storage, runtime folder and networks of the quickstart alone.
export CONTAINERS_CONF='$DIR/etc/containers.conf' PODMAN_IGNORE_CGROUPSV1_WARNING=1
exec podman --root '$DIR/storage' --runroot '$RUN/containers' --tmpdir '$RUN/libpod' \\
  --network-config-dir '$DIR/networks' --storage-driver '$driver' "\$@" 9>&-
WRAPPER
  chmod 0755 "$DIR/bin/podman"
}

# The network, described by a file: Podman would give it a bridge name and addresses that
# it finds unused now, and that this machine's own Podman may think to be its own later.
network_config() {
  local net
  [[ ! -s $DIR/networks/quickstart.json ]] || return 0
  net=$(free_subnet)
  cat >"$DIR/networks/quickstart.json" <<JSON
{
  "name": "quickstart",
  "id": "$(printf quickstart | sha256sum | cut -d' ' -f1)",
  "driver": "bridge",
  "network_interface": "nodeorch$(printf %s "$net" | cut -d. -f3)",
  "created": "2024-01-01T00:00:00Z",
  "subnets": [{ "subnet": "$net", "gateway": "${net%.0/24}.1" }],
  "ipv6_enabled": false,
  "internal": false,
  "dns_enabled": true,
  "ipam_options": { "driver": "host-local" }
}
JSON
}

build_image() {
  ! quiet "$DIR/bin/podman" image exists "$IMAGE" || return 0
  step "build an image of busybox, here, from Debian's package"
  busybox_tar "$RUN/image.tar"
  quiet "$DIR/bin/podman" import --change 'CMD ["sleep", "1000000"]' "$RUN/image.tar" "$IMAGE" ||
    fail "podman import failed" "look at the lines below"
  rm -f "$RUN/image.tar"
}

# The runtime is chosen by trying it: no rule tells all the hosts that each of them refuses.
choose_runtime() {
  local runtime
  for runtime in $(runtimes); do
    apt_need "$runtime"
    podman_config "$runtime"
    build_image
    step "start a container with $runtime"
    if quiet timeout 60 "$DIR/bin/podman" run --rm --network none "$IMAGE" true; then
      say "   OCI runtime: $runtime; storage: $(<"$DIR/storage.driver")"
      return 0
    fi
    say "   $runtime does not run containers on this host"
  done
  fail "neither runc nor crun can start a container" \
    "look at the lines below: this host may lack namespaces, cgroups or the right to mount"
}
