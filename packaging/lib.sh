# shellcheck shell=bash
# What the scripts in this folder share. To be sourced after `set -Eeuo pipefail`.
#
# A script sets LOG (a file for what a person need not read) and calls `step "do something"`
# before each part; whatever then fails is reported as "cannot do something: why; what to do".

PYTHON=/usr/bin/python3 # Debian's own: python3-venv belongs to it, and another one in PATH may not fit
STEP="start"
LOG=${LOG:-/dev/null}

say() { printf '%s\n' "$*"; }

step() {
  STEP=$1
  say "-- $STEP"
  printf '== %s\n' "$STEP" >>"$LOG"
}

quiet() { "$@" >>"$LOG" 2>&1 </dev/null; }

# fail WHY WHAT-TO-DO
fail() {
  trap - ERR
  say "cannot $STEP: $1; $2" >&2
  show_log
  exit 1
}

show_log() {
  [[ -s $LOG ]] || return 0
  say "last lines of $LOG:" >&2
  tail -n 20 "$LOG" | sed 's/^/  | /' >&2
}

on_error() {
  local code=$1 line=$2 command=$3
  [[ $BASH_SUBSHELL -eq 0 ]] || exit "$code" # the main shell tells it, once
  trap - ERR
  say "cannot $STEP: line $line, \`${command%%$'\n'*}\`, ended with $code; the log tells more, then run this again" >&2
  show_log
  exit 1
}

need_root() {
  [[ $EUID -eq 0 ]] || fail "this needs root" "run it with sudo"
}

need_python() {
  local have="none"
  [[ ! -x $PYTHON ]] || have=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  case $have in
  3.1[1-9]) ;;
  *) fail "$PYTHON is version $have" "use Debian 12 or newer, which has Python 3.11 or newer" ;;
  esac
}

apt_has() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

# apt_need PACKAGE…: install those that miss, without asking and without touching the index if
# it is not needed.
apt_need() {
  local missing=() package
  for package in "$@"; do apt_has "$package" || missing+=("$package"); done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  step "install ${missing[*]}"
  apt_run "${missing[@]}" && return 0
  # An index that misses or is old shows as a failed install. A repository that does not answer
  # is no reason to give up: the packages may come from the others.
  quiet apt-get -q -o Acquire::Retries=2 -o DPkg::Lock::Timeout=120 update || true
  apt_run "${missing[@]}" ||
    fail "apt-get install failed" "look at the lines below, see that Debian's packages are reachable, and run this again"
}

apt_run() {
  quiet env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
    -o Acquire::Retries=2 -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 install "$@"
}

# make_venv FOLDER LOCK BUILD-LOCK: a virtual environment with exactly what LOCK lists, checked by
# hash. It is kept as long as the locks and the interpreter stay the same.
make_venv() {
  local folder=$1 lock=$2 build_lock=$3 want
  want=$(cat "$build_lock" "$lock" <("$PYTHON" -VV) | sha256sum)
  [[ $(cat "$folder/.made-from" 2>/dev/null) != "$want" ]] || return 0
  step "install the Python environment into $folder"
  rm -rf "$folder"
  quiet "$PYTHON" -m venv "$folder"
  # The build tool first: a source distribution in the lock must not fetch an unpinned one.
  pip_install "$folder" -r "$build_lock"
  pip_install "$folder" --use-pep517 --no-build-isolation -r "$lock"
  printf '%s\n' "$want" >"$folder/.made-from"
}

pip_install() {
  local folder=$1
  shift
  quiet "$folder/bin/pip" install --no-input --disable-pip-version-check --require-hashes "$@" ||
    fail "pip install failed" "look at the lines below, see that the Python package index is reachable, and run this again"
}

# install_nodeorch FOLDER REPOSITORY: into an environment made by make_venv, without any download
install_nodeorch() {
  local folder=$1 repository=$2 copy
  step "install nodeorch into $folder"
  copy=$(mktemp -d) # a build leaves files behind, and the checkout stays clean
  cp -r "$repository"/{pyproject.toml,README.md,LICENSE,nodeorch} "$copy"
  quiet "$folder/bin/pip" install --no-input --disable-pip-version-check --no-deps --no-index \
    --no-build-isolation --force-reinstall "$copy" ||
    fail "pip install failed" "look at the lines below"
  rm -rf "$copy"
}

# The first mirror in apt's sources, in the newer format or the older one-line one.
mirror() {
  cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:/ { print $2; exit } $1 == "deb" { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) { print $i; exit } }' || true
}

# take_over ROOT: a Debian made below ROOT reaches the package registries as this machine does
take_over() {
  local root=$1 file
  for file in /etc/pip.conf /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
    [[ ! -e $file ]] || cp -L "$file" "$root$file"
  done
}

# busybox_tar FILE: the root folder of an image, of Debian's busybox-static
busybox_tar() {
  local root=$1.root applet
  rm -rf "$root"
  mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev,run,var}
  chmod 1777 "$root/tmp"
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(/bin/busybox --list); do
    [[ $applet = busybox ]] || ln -s busybox "$root/bin/$applet"
  done
  printf 'root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\napp:x:1000:\n' >"$root/etc/group"
  tar -C "$root" --owner=0 --group=0 -cf "$1" .
  rm -rf "$root"
}
