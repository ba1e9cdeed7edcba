# shellcheck shell=bash
# The switch: a bridge in a network namespace of its own, with a port for each host that is named
# as the host is. Cuts and losses are rules of the bridge, so that the hosts see silence and no
# lost carrier. Sourced by lab, which sets RUN.
: "${RUN:?}"
NET=10.62.200

in_switch() { nsenter --net="$RUN/switch.net" "$@"; }

switch_there() { [[ -e $RUN/switch.net ]] && in_switch true 2>/dev/null; }

switch_make() {
  ! switch_there || return 0
  step "make the switch"
  : >"$RUN/switch.net"
  unshare --net="$RUN/switch.net" true
  in_switch ip link set lo up
  in_switch ip link add switch type bridge
  in_switch ip addr add "$NET.1/24" dev switch
  in_switch ip link set switch up
  # The switch has an address for those who observe; nothing may reach a host around a cut.
  in_switch sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
  in_switch nft -f - <<'NFT'
table bridge lab {
  set cut {
    type ifname . ifname
  }
  chain loss {
  }
  chain forward {
    type filter hook forward priority 0
    iifname . oifname @cut drop
    jump loss
  }
}
NFT
}

# port_make HOST PID: plugs the network namespace of the process into the switch, as its eth0.
# The hardware address stays the same over restarts: others remember it.
port_make() {
  local host=$1 pid=$2
  in_switch ip link add "$host" type veth peer name eth0 address "02:62:00:00:00:0${host#h}" netns "$pid"
  in_switch ip link set "$host" master switch up
}

port_set() { in_switch ip link set "$1" "$2"; }

port_remove() { in_switch ip link del "$1" 2>/dev/null || true; }

# -- faults

# between VERB A B: lets A's packets to B through ("delete") or not ("add")
between() { printf '%s element bridge lab cut { "%s" . "%s" }\n' "$@"; }

# apart VERB HOST,HOST…: these from all others, both ways
apart() {
  local verb=$1 group=,$2, one other
  for one in ${2//,/ }; do
    for other in $(hosts); do
      [[ $group != *,$other,* ]] || continue
      between "$verb" "$one" "$other"
      between "$verb" "$other" "$one"
    done
  done
}

do_cut() {
  local host
  if [[ $1 = --one-way ]]; then
    [[ $# = 3 ]] || usage
    need_host "$2"
    need_host "$3"
    in_switch nft -f - <<<"$(between add "$2" "$3")"
    return 0
  fi
  [[ $# = 1 ]] || usage
  for host in ${1//,/ }; do need_host "$host"; done
  in_switch nft -f - <<<"$(apart add "$1")"
}

do_heal() {
  printf 'flush set bridge lab cut\nflush chain bridge lab loss\n' | in_switch nft -f -
}

do_loss() {
  local percent=$1 host=${2-} drop
  [[ $# -le 2 && $percent =~ ^[0-9]{1,2}$ ]] || usage
  drop="numgen random mod 100 < $percent drop"
  if [[ -z $host ]]; then
    printf 'flush chain bridge lab loss\nadd rule bridge lab loss %s\n' "$drop"
  else
    need_host "$host"
    printf 'add rule bridge lab loss %s "%s" '"$drop"'\n' iifname "$host" oifname "$host"
  fi | in_switch nft -f -
}

do_flap() {
  local host=$1 times=${2-5} seconds=${3-1} i
  [[ $# -le 3 ]] || usage
  need_host "$host"
  for ((i = 0; i < times; i++)); do
    in_switch nft -f - <<<"$(apart add "$host")"
    sleep "$seconds"
    in_switch nft -f - <<<"$(apart delete "$host")"
    sleep "$seconds"
  done
}

do_observe() {
  switch_there || fail "the lab is not up" "run packaging/lab up 3"
  exec nsenter --net="$RUN/switch.net" "$@"
}
