#!/bin/sh
# What `make up` runs first: the programs that labkit stands on, from the distribution's own packages.
# Installs only what is missing, as root or through sudo; what the distribution does not have is named, with the step
# to get it, before anything is changed. (The virtual environment is the Makefile's.)
#
#   bootstrap.sh            install what is missing
#   bootstrap.sh --dry-run  only say what would be done
set -eu

say() { printf 'labkit: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
offered() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '(none)')" ]; }

can_make_venv() { "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null; }

missing=''
need() { missing="$missing $1"; }

can_make_venv || need python3-venv
has vagrant || need vagrant
# A docker command alone is not enough: it wants an engine, here or (through DOCKER_HOST) elsewhere.
has dockerd || docker info >/dev/null 2>&1 || need docker.io
has debootstrap || need debootstrap
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || need debian-archive-keyring
has iptables || need iptables
has ip || need iproute2
[ -z "$missing" ] && exit 0

if ! has apt-get; then
  say "missing:$missing. This is no Debian or Ubuntu: install them with your own package manager, then run this again."
  exit 3
fi
sudo=''
if [ "$(id -u)" != 0 ]; then
  has sudo || { say "missing:$missing. Run this as root, or install sudo."; exit 3; }
  sudo=sudo
fi
# Package lists may never have been fetched on a fresh machine, and those of a month ago name packages that no longer fit
# what is installed. A dry run asks nobody.
dry=${1:-}
if [ "$dry" != --dry-run ]; then
  say "asking the package archive for$missing"
  $sudo apt-get -qq update || true
fi
lacking=''
for package in $missing; do offered "$package" || lacking="$lacking $package"; done

# Newer Debians split docker's command line off.
case "$missing" in *docker.io*) if offered docker-cli; then need docker-cli; fi ;; esac

if [ -n "$lacking" ]; then
  distribution=$(. /etc/os-release && echo "$PRETTY_NAME")
  say "$distribution has no package for:$lacking. Nothing was changed."
  for package in $lacking; do
    case $package in
    vagrant)
      say "vagrant: HashiCorp packages it for Debian and Ubuntu. As root:"
      say "  curl -fsSL https://apt.releases.hashicorp.com/gpg | gpg --dearmor -o /usr/share/keyrings/hashicorp.gpg"
      say "  echo \"deb [signed-by=/usr/share/keyrings/hashicorp.gpg] https://apt.releases.hashicorp.com \$(. /etc/os-release; echo \$VERSION_CODENAME) main\" >/etc/apt/sources.list.d/hashicorp.list"
      say "  apt-get update && apt-get install vagrant"
      ;;
    docker.io)
      say "docker: on Ubuntu \`add-apt-repository universe\`; elsewhere https://docs.docker.com/engine/install/ (package docker-ce)"
      ;;
    *)
      say "$package: on Ubuntu \`add-apt-repository universe && apt-get update\`"
      ;;
    esac
  done
  say "Then run \`make up\` again."
  exit 3
fi

if [ "$dry" = --dry-run ]; then
  say "would install:$missing"
  exit 0
fi
# What apt says is kept for the case that it fails; a terminal sees one line that changes.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
follow() {
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in "Get:"* | "Unpacking "* | "Setting up "*) [ ! -t 1 ] || printf '\r\033[K  %.76s' "$line" ;; esac
  done
  [ ! -t 1 ] || printf '\r\033[K'
}
say "installing:$missing"
# shellcheck disable=SC2086
{ $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q install --yes --no-install-recommends $missing 2>&1 ||
  echo "apt-get failed: $?"; } </dev/null | follow
if tail -n 1 "$log" | grep -q '^apt-get failed: '; then
  tail -n 20 "$log"
  exit 3
fi
if [ "$(id -u)" != 0 ] && ! id -nG | grep -qw docker && has docker; then
  say "docker is for the group docker: \`sudo usermod --append --groups docker $(id -un)\`, then log in again"
fi
