# shellcheck shell=bash
# A fleet of the hosts, made as a person makes one. Sourced by lab.
: "${DIR:?}" "${NET:?}"

address_of() { echo "$NET.$((10 + ${1#h}))"; }

is_joined() { [[ -e $DIR/hosts/$1/disk/etc/nodeorch/cluster/serf.json ]]; }

join_hosts() {
  local count=$1 index token pids=() pid failed=0
  if ! is_joined h1; then
    step "make a fleet on h1"
    quiet inside h1 nodeorch cluster init lab --address "$(address_of h1)" || fail "nodeorch cluster init failed" "look at the lines below"
    restart_daemon h1
    wait_for 1500 in_switch bash -c "exec 3<>/dev/tcp/$(address_of h1)/7444" ||
      fail "nodeorchd on h1 does not listen for the others" "run packaging/lab shell h1 cat /var/log/nodeorchd.log"
  fi
  step "join the others to it"
  for ((index = 2; index <= count; index++)); do
    ! is_joined "h$index" || continue
    token=$(inside h1 nodeorch cluster token)
    join_host "h$index" "$token" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [[ $failed = 0 ]] || fail "a host did not join" "look at the lines above"
  step "wait until each host sees all others"
  for ((index = 1; index <= count; index++)); do
    wait_for 3000 sees "h$index" "$count" || fail "h$index does not see $count hosts up" "run packaging/lab shell h$index nodeorch members"
  done
}

join_host() {
  quiet inside "$1" nodeorch cluster join "$2" "$(address_of h1)" --address "$(address_of "$1")" ||
    fail "nodeorch cluster join failed on $1" "look at the lines below"
  restart_daemon "$1"
}

restart_daemon() { inside "$1" pkill --pidfile /run/lab/nodeorchd.pid; }

# sees HOST COUNT: so many hosts are up by its account, itself among them
sees() { [[ $(inside "$1" nodeorch members | grep -cw up) -ge $2 ]]; }
