# shellcheck shell=bash
# Control groups: each host has one of its own in every hierarchy, and sees it as the root. Sourced
# by lab, which sets GROUP.
: "${GROUP:?}"

# The mount points of all hierarchies, v1 and v2.
hierarchies() {
  awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) ~ /^cgroup2?$/ && $5 ~ "^/sys/fs/cgroup(/|$)") print $5 }' \
    /proc/self/mountinfo | sort -u
}

# The one of v2: on a machine with v1 controllers it has none, but freezes and kills all the same.
unified() {
  awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) == "cgroup2") { print $5; exit } }' /proc/self/mountinfo
}

group_make() {
  local host=$1 root folder file controllers
  for root in $(hierarchies); do
    for folder in "$root/$GROUP" "$root/$GROUP/$host"; do
      mkdir -p "$folder"
      # A new cpuset allows nothing.
      for file in cpuset.cpus cpuset.mems; do
        if [[ -e $root/cgroup.sane_behavior && -e $folder/$file ]]; then
          cat "$(dirname "$folder")/$file" >"$folder/$file"
        fi
      done
    done
  done
  root=$(unified)
  controllers=$(sed 's/^/+/; s/ / +/g' "$root/cgroup.controllers")
  [[ $controllers = + ]] || for folder in "$root" "$root/$GROUP"; do
    printf '%s\n' "$controllers" >"$folder/cgroup.subtree_control"
  done
}

# This process, and what it starts from now on, is the host's.
group_join() {
  local host=$1 root group
  for root in $(hierarchies); do
    group=$root/$GROUP/$host
    # On v2 a group with controllers for its children has no processes itself; see boot.
    [[ ! -d $group/init ]] || group+=/init
    printf '%s\n' "$BASHPID" >"$group/cgroup.procs"
  done
}

group_pids() {
  local group
  group=$(unified)/$GROUP/$1
  # Groups come and go while this looks.
  find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}

# Kill what is left, then remove the groups. An empty host: of the whole lab.
group_end() {
  local host=$1 root tries pid
  for ((tries = 0; tries < 200; tries++)); do
    for pid in $(group_pids "$host"); do kill -KILL "$pid" 2>/dev/null || true; done
    for root in $(hierarchies); do
      find "$root/$GROUP/$host" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    [[ -n $(group_folders "$host") ]] || return 0
    sleep 0.02
  done
  fail "control groups stay: $(group_folders "$host" | head -n 3 | tr '\n' ' ')" "see which processes are in them"
}

group_folders() {
  local root
  for root in $(hierarchies); do [[ ! -d $root/$GROUP/$1 ]] || echo "$root/$GROUP/$1"; done
}

# group_freeze HOST 1|0: all processes of the host, and of its containers
group_freeze() {
  local group
  group=$(unified)/$GROUP/$1
  printf '%s\n' "$2" >"$group/cgroup.freeze"
  wait_for 500 grep -qx "frozen $2" "$group/cgroup.events" ||
    fail "some process of $1 does not stop" "see ps -o pid,stat,wchan,args"
}

group_frozen() { grep -qxs 1 "$(unified)/$GROUP/$1/cgroup.freeze"; }
