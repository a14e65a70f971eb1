#!/bin/sh
# What `make test-vm` needs beside what `make up` installs: QEMU, libvirt, Vagrant's plugin for it. As root.
set -eu
packages="qemu-utils libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu vagrant vagrant-libvirt dnsmasq-base
  iptables ipxe-qemu seabios cpio e2fsprogs debootstrap debian-archive-keyring"
case $(uname -m) in
x86_64) packages="$packages qemu-system-x86" ;;
*) packages="$packages qemu-system-arm" ;;
esac
missing=
for package in $packages; do
  [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "installing$missing"
apt-get -qq update
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >/dev/null
