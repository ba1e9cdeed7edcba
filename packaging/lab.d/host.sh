# shellcheck shell=bash
# A host: power on, power off, freeze, and a way in. Sourced by lab.
: "${DIR:?}" "${RUN:?}" "${GROUP:?}" "${VENV:?}" "${HERE:?}" "${IMAGE:?}" "${NET:?}"

# -- which there are; the first process is known by pid and start time, so that a reused pid is
# never taken for it

start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

hosts() {
  local made
  for made in "$DIR"/hosts/h*/made; do
    [[ ! -e $made ]] || basename "$(dirname "$made")"
  done
}

on_hosts() {
  local host
  for host in $(hosts); do ! is_on "$host" || echo "$host"; done
}

need_host() {
  [[ -e $DIR/hosts/$1/made && $1 != */* ]] || fail "there is no host $1" "see packaging/lab status"
}

# Prints the pid of the host's first process, as this machine numbers it.
init_of() {
  local pid started
  read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
  [[ -n $started && $(start_time "$pid") = "$started" ]] && echo "$pid"
}

is_on() { init_of "$1" >/dev/null; }

is_off() { ! is_on "$1"; }

# Nothing that was told about processes and networks is so after a reboot of the machine.
forget_last_boot() {
  local boot
  [[ -e $MARK ]] || return 0
  boot=$(</proc/sys/kernel/random/boot_id)
  [[ $(cat "$RUN/boot" 2>/dev/null) = "$boot" ]] || {
    unmount_below "$RUN"
    rm -rf "$RUN"
    mkdir -p "$RUN"
    printf '%s\n' "$boot" >"$RUN/boot"
  }
}

# wait_for HUNDREDTHS COMMAND…: until the command succeeds
wait_for() {
  local tries=$1
  shift
  while ! "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || return 1
    sleep 0.01
  done
}

# -- power

# one_host VERB HOST: one at a time for each host
one_host() {
  need_host "$2"
  exec 9>"$RUN/$2.lock"
  flock -w 120 9 || fail "another lab command is at work on $2" "wait until it ends"
  STEP="$1 $2"
  "do_$1" "$2"
}

do_start() {
  if is_off "$1"; then
    switch_make
    start_host "$1"
  elif group_frozen "$1"; then
    group_freeze "$1" 0
    port_set "$1" up
  fi
}

do_kill() { cut_power "$1"; }

do_freeze() {
  is_on "$1" || fail "it is off" "start it first"
  port_set "$1" down
  group_freeze "$1" 1
}

start_host() {
  local host=$1 outer init
  # shellcheck disable=SC2034  # read by lib.sh
  STEP="start $host"
  disk_make "$host"
  group_make "$host"
  port_remove "$host"
  (
    group_join "$host"
    exec env -i PATH="$PATH" setsid unshare --mount --propagation private --pid --fork --uts --ipc --net --cgroup \
      /bin/bash "$HERE/lab.d/boot" "$DIR" "$VENV" "$host" "$NET"
  ) >"$DIR/hosts/$host/boot.log" 2>&1 </dev/null 9>&- &
  outer=$!
  wait_for 500 first_child "$outer" || no_boot "$host" "it has no first process"
  init=$(first_child "$outer")
  printf '%s %s\n' "$init" "$(start_time "$init")" >"$RUN/$host.pid"
  port_make "$host" "$init" || no_boot "$host" "it ended at once"
  wait_for 3000 test -S "/proc/$init/root/run/podman/podman.sock" || no_boot "$host" "Podman does not start"
  quiet inside "$host" podman image exists "$IMAGE" ||
    quiet inside "$host" podman import --change 'CMD ["sleep", "1000000"]' /opt/nodeorch/image.tar "$IMAGE" ||
    no_boot "$host" "podman import failed"
  wait_for 3000 test -S "/proc/$init/root/run/nodeorch/nodeorch.sock" || no_boot "$host" "nodeorchd does not start"
}

no_boot() {
  # shellcheck disable=SC2034  # read by lib.sh
  LOG=$DIR/hosts/$1/boot.log
  fail "$2" "look at the lines below and at $DIR/hosts/$1/disk/var/log"
}

first_child() {
  local child
  [[ $(cat "/proc/$1/comm") = unshare ]] || return 1
  child=$(cut -d' ' -f1 "/proc/$1/task/$1/children") && [[ -n $child ]] && echo "$child"
}

# As by pulling the plug: first no packet leaves any more, then nothing runs any more.
cut_power() {
  local host=$1 init
  if switch_there; then port_set "$host" down 2>/dev/null || true; fi
  if init=$(init_of "$host"); then
    kill -KILL "$init" # the kernel kills all that is in its PID namespace, frozen or not
    printf '0\n' >"$(unified)/$GROUP/$host/cgroup.freeze" # who waits for it, outside, was frozen as well
    wait_for 3000 is_off "$host" || fail "process $init does not end" "see ps -o stat,wchan -p $init"
  fi
  rm -f "$RUN/$host.pid"
  group_end "$host"
  if switch_there; then port_remove "$host"; fi
}

# -- the way in

# inside HOST COMMAND…
inside() (
  host=$1
  shift
  init=$(init_of "$host")
  group_join "$host"
  # Not `ip netns exec`, which mounts /sys anew and hides the control groups.
  exec nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup -- \
    env -i --chdir=/root HOME=/root USER=root LANG=C.UTF-8 TERM="${TERM-dumb}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 9>&-
)

shell_in() {
  local host=$1 problem=""
  shift
  if [[ ! -e $DIR/hosts/$host/made ]]; then
    problem="there is no such host; see packaging/lab status"
  elif is_off "$host"; then
    problem="it is off; run packaging/lab start $host"
  elif group_frozen "$host"; then
    problem="it is frozen; run packaging/lab start $host"
  fi
  if [[ -n $problem ]]; then
    say "cannot run a command in $host: $problem" >&2
    exit 255
  fi
  if [[ $# = 0 && -t 0 ]]; then
    # A terminal of its own: the machine's belongs to a session that the host does not see.
    set -- script --quiet --return --command 'bash -l' /dev/null
  elif [[ $# = 0 ]]; then
    set -- bash -l
  fi
  trap - ERR
  set +e
  inside "$host" "$@"
  exit $?
}
