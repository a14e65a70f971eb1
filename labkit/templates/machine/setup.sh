#!/bin/sh
# Turns a plain Debian into a lab machine, once the files tree is in place: while the image is built (docker),
# or in the machine itself (virtualbox, libvirt). Needs no network.
set -eu

id vagrant >/dev/null 2>&1 || useradd --create-home --shell /bin/bash vagrant
usermod --append --groups docker,sudo,systemd-journal vagrant
install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
chown -R root:root /etc/sudoers.d /usr/local/sbin /etc/systemd/system-generators
chmod 440 /etc/sudoers.d/vagrant
chmod 755 /usr/local/sbin/lab-* /etc/systemd/system-generators/lab-roles
mkdir -p /etc/lab

# nfs is mounted as a client, version 4: that needs none of its services, and nobody is to listen on port 111.
systemctl --quiet mask rpcbind.service rpcbind.socket rpc-statd.service rpc-statd-notify.service nfs-client.target \
  run-rpc_pipefs.mount nfs-blkmap.service

# glusterd asks its program for copies on other continents 20 questions at each start, which takes 9 s.
rm -f /usr/lib/*/glusterfs/gsyncd

# Started by role (lab-roles) or by provisioning, not by having been installed.
systemctl --quiet disable glusterd.service docker.service docker.socket containerd.service etcd.service docker-registry.service
systemctl --quiet enable lab-net.service ssh.service
