#!/bin/sh
# What is true of machines that are containers only: no hardware, no kernel of their own, identity at first boot.
set -eu

systemctl --quiet enable lab-hostkeys.service
systemctl --quiet set-default multi-user.target
systemctl --quiet mask \
  systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
  systemd-modules-load.service systemd-remount-fs.service systemd-firstboot.service systemd-timesyncd.service \
  systemd-resolved.service systemd-logind.service systemd-networkd.service \
  systemd-networkd-wait-online.service \
  getty.target getty-static.service console-getty.service getty@tty1.service serial-getty@ttyS0.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
  sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
  systemd-binfmt.service systemd-sysctl.service kmod-static-nodes.service systemd-pstore.service \
  fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service systemd-tmpfiles-clean.timer systemd-ask-password-wall.path systemd-ask-password-console.path

rm -f /etc/ssh/ssh_host_*_key* /var/lib/dbus/machine-id
: >/etc/machine-id
rm -rf /var/lib/etcd/*
