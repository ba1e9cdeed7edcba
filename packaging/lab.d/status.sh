# shellcheck shell=bash
# The table of hosts, looked at from outside. Sourced by lab.
: "${DIR:?}" "${GROUP:?}" "${NET:?}"

status() {
  local host
  [[ -e $MARK ]] || fail "there is no lab in $DIR" "run packaging/lab up 3"
  printf '%-5s %-14s %-7s %-22s %-10s %-8s %s\n' HOST ADDRESS POWER LINK NODEORCHD SERF CONTAINERS
  for host in $(hosts); do
    printf '%-5s %-14s %-7s %-22s %-10s %-8s %s\n' "$host" "$(address_of "$host")" "$(power "$host")" "$(link "$host")" \
      "$(service "$host" nodeorchd)" "$(service "$host" serf)" "$(containers "$host")"
  done
}

power() {
  if is_off "$1"; then echo off; elif group_frozen "$1"; then echo frozen; else echo on; fi
}

# "whole", "down", or from whom it is cut off (>: it does not reach it, <: is not reached by it)
link() {
  local host=$1 words
  if is_off "$host" || group_frozen "$host"; then
    echo down
    return 0
  fi
  words=$(in_switch nft list set bridge lab cut | sed -n 's/.*"\(h.\)" \. "\(h.\)".*/\1 . \2/p' | awk -v h="$host" '
    $1 == h { to[$3] } $3 == h { from[$1] }
    END { for (i = 1; i <= 9; i++) { x = "h" i
            if (x in to) { if (x in from) all = all "," x; else out = out ",>" x } else if (x in from) out = out ",<" x }
          print substr(all out, 2) }')
  echo "${words:+cut: }${words:-whole}$(loss_of "$host")"
}

loss_of() {
  in_switch nft list chain bridge lab loss | awk -v h="\"$1\"" '
    /numgen/ && ($1 == "numgen" || $2 == h) { for (i = 1; i < NF; i++) if ($i == "<") share = $(i + 1) }
    END { if (share + 0) print ", loses " share " %" }'
}

# up | stopped (by a signal) | down; of a host that is frozen as it was
service() {
  local root pid state name
  root=/proc/$(init_of "$1")/root || { echo - && return 0; }
  pid=$(cat "$root/run/lab/$2.pid" 2>/dev/null) || { echo down && return 0; }
  name=$(cat "$root/proc/$pid/comm" 2>/dev/null) || name=""
  state=$(sed 's/.*) //' "$root/proc/$pid/stat" 2>/dev/null | cut -c1)
  # Until it has something to do, a shell waits in its place.
  if [[ -z $name || $name = sh ]]; then
    echo down
  elif [[ $state = T ]]; then
    echo stopped
  else
    echo up
  fi
}

containers() {
  local folder count=0
  for folder in "$(unified)/$GROUP/$1"/libpod_parent/libpod-*; do
    [[ $folder = */libpod-conmon-* ]] || ! grep -qs . "$folder/cgroup.procs" || count=$((count + 1))
  done
  echo "$count"
}
