# shellcheck shell=bash
# What the hosts are made of: Debian packages, Python, nodeorch, an image, a disk for each. Sourced
# by lab.
: "${DIR:?}" "${VENV:?}" "${RUN:?}" "${MARK:?}" "${IMAGE:?}" "${REPO:?}" "${HERE:?}"

prepare() {
  need_python
  if [[ -d $DIR && ! -e $MARK && -n $(ls -A "$DIR") ]]; then
    fail "$DIR exists and is not ours" "choose another folder with NODEORCH_LAB_DIR"
  fi
  mkdir -p "$DIR"/{hosts,app,local/bin} "$RUN"
  chmod 0755 "$DIR"
  chmod 0700 "$DIR/hosts" # a disk has a copy of /etc
  : >"$MARK"
  forget_last_boot
  # shellcheck disable=SC2034  # read by lib.sh
  LOG=$DIR/lab.log
  packages
  environment
  if [[ -z $(on_hosts) ]]; then application; fi
}

packages() {
  # Debian's package would start an agent that is open to everyone.
  if [[ -d /run/systemd/system ]] && ! apt_has serf; then quiet systemctl mask serf.service; fi
  apt_need ca-certificates tzdata python3-venv busybox-static podman runc conmon netavark aardvark-dns catatonit iptables nftables \
    serf iproute2 iputils-ping procps util-linux
}

environment() {
  mkdir -p "$(dirname "$VENV")"
  (
    flock 8
    make_venv "$VENV" "$HERE/requirements.lock" "$HERE/requirements-build.lock"
    # Where nodeorch is, inside every host of every lab.
    echo /opt/nodeorch >"$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nodeorch-lab.pth"
  ) 8>"$VENV.lock" 9>&-
}

# nodeorch as it is in this checkout, beside its environment, which other labs may use with others.
application() {
  local name module
  step "install nodeorch into $DIR/app"
  rm -rf "$DIR/app/nodeorch"
  cp -r "$REPO/nodeorch" "$DIR/app/nodeorch"
  cp "$HERE/lab.d/init" "$DIR/app/init"
  for name in nodeorch nodeorchd; do
    module=nodeorch.cli.main
    [[ $name = nodeorch ]] || module=nodeorch.daemon.main
    printf '#!%s\nfrom %s import main\n\nmain()\n' "$VENV/bin/python" "$module" >"$DIR/local/bin/$name"
    chmod 0755 "$DIR/local/bin/$name"
  done
  image_make
}

image_make() {
  [[ ! -e $DIR/app/image.tar ]] || return 0
  step "build an image of busybox, here, from Debian's package"
  busybox_tar "$DIR/app/image.new"
  mv "$DIR/app/image.new" "$DIR/app/image.tar"
}

# -- disks

# disk_make HOST: its root folder, with what is its own; the rest is mounted over it at boot
disk_make() {
  local host=$1 disk=$DIR/hosts/$1/disk file
  [[ ! -e $DIR/hosts/$host/made ]] || return 0
  rm -rf "$disk"
  mkdir -p "$disk"/{usr,proc,sys,dev,run,tmp,root,srv,opt/nodeorch,var/{lib,log,cache,tmp}} "$disk/etc"
  chmod 1777 "$disk/tmp" "$disk/var/tmp"
  ln -s ../run "$disk/var/run"
  cp -a /etc/. "$disk/etc/"
  rm -rf "$disk"/etc/{nodeorch,serf,cni,hostname,hosts} "$disk"/etc/containers/{containers.conf,containers.conf.d,networks,storage.conf}
  mkdir -p "$disk"/etc/containers "$disk"/etc/nodeorch/{workloads.d,nodeorch.d}
  printf '%s\n' "$host" >"$disk/etc/hostname"
  printf '# The defaults are right for this host.\n' >"$disk/etc/nodeorch/nodeorch.toml"
  {
    echo '127.0.0.1 localhost'
    for file in 1 2 3 4 5 6 7 8 9; do echo "$NET.$((10 + file)) h$file"; done
  } >"$disk/etc/hosts"
  containers_conf "${host#h}" >"$disk/etc/containers/containers.conf"
  : >"$DIR/hosts/$host/made"
}

# at_most LIMIT CAP: more than the hard limit is refused without CAP_SYS_RESOURCE
at_most() { if [[ $1 = unlimited || $1 -gt $2 ]]; then echo "$2"; else echo "$1"; fi; }

containers_conf() {
  local index=$1 nofile nproc
  nofile=$(at_most "$(ulimit -H -n)" 8192)
  nproc=$(at_most "$(ulimit -H -u)" 8192)
  cat <<CONF
[containers]
# Soft and hard alike: Podman 4.3 swaps them when asked through its API.
default_ulimits = ["nofile=$nofile:$nofile", "nproc=$nproc:$nproc"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 2

[network]
network_backend = "netavark"
default_subnet = "10.62.$((100 + index)).0/24"
default_subnet_pools = [{ "base" = "10.62.128.0/18", "size" = 24 }]
CONF
}

unmount_below() {
  local folder=$1 point
  # Deepest first; the kernel writes a space in a path as \040.
  awk -v d="$folder/" 'index($5, d) == 1 { print length($5), $5 }' /proc/self/mountinfo |
    sort -rn | cut -d' ' -f2- | while read -r point; do umount -l "$(printf '%b' "$point")" || true; done
}
