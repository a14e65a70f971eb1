#!/bin/sh
# Makes the base of the node image somebody's computer: fewer packages, own settings, no cluster.
set -eu
here=/tmp/host
export DEBIAN_FRONTEND=noninteractive

# The node image has no Perl library; installers of packages need it (adduser).
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
dpkg -i $here/perl/*.deb >/dev/null

# Its packages come from a mirror on the host itself.
mkdir -p /srv/mirror
mv $here/debs/*.deb /srv/mirror/
(cd /srv/mirror && for deb in *.deb; do dpkg-deb --field "$deb"; echo "Filename: ./$deb"; echo "Size: $(stat -c %s "$deb")"; echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"; echo; done >Packages)
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/mirror ./' >/etc/apt/sources.list
rm -rf /var/lib/apt/lists/*
apt-get -qq update
# shellcheck disable=SC2046
dpkg --purge $(cat $here/purge.txt)
rm -rf /var/lib/etcd /var/lib/docker-registry /var/lib/docker /var/lib/containerd /usr/share/labkit
for user in etcd docker-registry; do userdel $user 2>/dev/null || true; done
command -v dockerd >/dev/null || groupdel docker 2>/dev/null || true

# Containers have no hardware.
systemctl --quiet set-default multi-user.target
systemctl --quiet mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
  systemd-modules-load.service systemd-remount-fs.service systemd-firstboot.service systemd-timesyncd.service \
  systemd-resolved.service systemd-logind.service systemd-networkd.service getty.target console-getty.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-sysctl.service \
  kmod-static-nodes.service systemd-pstore.service fstrim.timer apt-daily.timer apt-daily-upgrade.timer \
  dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service systemd-tmpfiles-clean.timer rpcbind.service rpcbind.socket \
  systemd-ask-password-wall.path systemd-ask-password-console.path
systemctl --quiet disable etcd.service docker-registry.service glusterd.service 2>/dev/null || true

# Somebody's own things.
useradd --create-home --shell /bin/bash teacher
echo 'teacher ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/teacher
install -d -m 700 -o teacher -g teacher /home/teacher/.ssh
install -m 600 -o teacher -g teacher $here/key.pub /home/teacher/.ssh/authorized_keys
echo 'exercise sheets' >/home/teacher/notes.txt
printf 'nameserver 9.9.9.9\nsearch school.example\n' >/etc/resolv.conf.school
echo 'net.ipv4.conf.all.log_martians = 1' >/etc/sysctl.d/school.conf
printf '#!/bin/sh\nexit 0\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
if command -v dockerd >/dev/null; then
  mkdir -p /etc/docker
  printf '{"debug": true,\n "bip": "172.26.0.1/16"}\n' >/etc/docker/daemon.json
  systemctl --quiet enable docker.service
fi
install -m 755 $here/init /usr/local/sbin/test-init
install -m 644 $here/school.service /etc/systemd/system/school.service
systemctl --quiet enable school.service ssh.service
rm -f /etc/ssh/ssh_host_*_key*
ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
