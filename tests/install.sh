#!/bin/sh
# Tools that the tests drive and a learner's machine may lack. Plain tools are installed; programs whose package would
# start a service on this machine (etcd), or that the machine may have in another version (kubectl), are only unpacked
# into a cache: $1/bin. Needs apt (Debian, Ubuntu) and root for the first kind; says what it could not get.
set -eu
tools=$1
mkdir -p "$tools/debs" "$tools/bin"

sudo=
[ "$(id -u)" = 0 ] || sudo=$(command -v sudo || true)
missing=
for pair in iptables:iptables ip:iproute2 dig:dnsutils conntrack:conntrack nft:nftables busybox:busybox-static \
    musl-gcc:musl-tools gcc:gcc tmux:tmux; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
# Handouts as PDF: the layout library's own library, and Chinese letters.
ldconfig -p 2>/dev/null | grep -q libpangoft2 || missing="$missing libpango-1.0-0 libpangoft2-1.0-0"
fc-list :lang=zh 2>/dev/null | grep -q . || missing="$missing fontconfig fonts-wqy-microhei"
updated=
update() {
    [ -n "$updated" ] || $sudo apt-get update -q >/dev/null 2>&1 || true
    updated=yes
}
if [ -n "$missing" ]; then
    update
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null ||
        echo "tests/install.sh: apt-get install$missing failed: the node layer will say what it misses" >&2
fi
# A file system over the network, for one test; Debian's package neither starts nor enables anything.
if ! command -v glusterd >/dev/null 2>&1 && [ ! -x /usr/sbin/glusterd ]; then
    update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends glusterfs-server >/dev/null ||
        echo "tests/install.sh: no package glusterfs-server: the test of GlusterFS will say so" >&2
fi

unpack() { # package, the program in it
    [ -x "$tools/bin/$2" ] && return
    update
    (cd "$tools/debs" && apt-get download -q "$1" >/dev/null 2>&1 && dpkg-deb -x "$1"_*.deb "$tools/$1") ||
        { echo "tests/install.sh: no package $1: tests that need $2 will say so" >&2; return; }
    cp "$tools/$1/usr/bin/$2" "$tools/bin/$2"
}
command -v etcd >/dev/null 2>&1 || unpack etcd-server etcd
command -v etcdctl >/dev/null 2>&1 || unpack etcd-client etcdctl
command -v kubectl >/dev/null 2>&1 || unpack kubernetes-client kubectl
unpack catatonit catatonit
