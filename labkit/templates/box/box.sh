#!/bin/sh
# What is true of our own box only (labkit/provision/box_tree.py runs it in the tree, after setup.sh): who may log in,
# how the network comes up, what does not run. Every second counts that is spent here and not in an emulated machine.
set -eu

# Nobody may log in before the host has said whose key opens the machine (init): there is no well-known one.
install -m 600 -o vagrant -g vagrant /dev/null /home/vagrant/.ssh/authorized_keys

# eth0 is Vagrant's; eth1 and the machine's name come with the kernel's command line (Vagrantfile).
cat >/etc/systemd/network/10-eth0.network <<'NETWORK'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
UseDNS=no
NETWORK
sed -i 's/^hosts:.*/hosts: files myhostname dns/' /etc/nsswitch.conf
echo '127.0.0.1 localhost' >/etc/hosts
rm -f /etc/hostname /etc/resolv.conf
: >/etc/resolv.conf
echo '/dev/vda / ext4 noatime 0 0' >/etc/fstab

# Each machine is somebody of its own from its first boot on.
rm -f /etc/ssh/ssh_host_*_key* /var/lib/dbus/machine-id
: >/etc/machine-id
rm -rf /var/lib/etcd/*
printf 'br_netfilter\noverlay\nfuse\n' >/etc/modules-load.d/labkit.conf

systemctl --quiet set-default multi-user.target
systemctl --quiet enable systemd-networkd.service systemd-network-generator.service lab-hostkeys.service
systemctl --quiet mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service \
  systemd-networkd-wait-online.service systemd-timesyncd.service systemd-pstore.service systemd-firstboot.service \
  systemd-update-utmp.service systemd-random-seed.service systemd-binfmt.service systemd-journal-flush.service \
  ldconfig.service getty.target serial-getty@ttyS0.service serial-getty@ttyAMA0.service \
  sys-kernel-debug.mount sys-kernel-tracing.mount dev-mqueue.mount dev-hugepages.mount \
  modprobe@drm.service modprobe@configfs.service modprobe@efi_pstore.service modprobe@dm_mod.service
