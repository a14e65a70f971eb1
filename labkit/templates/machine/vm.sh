#!/bin/sh
# Turns a Debian 12 box (virtualbox, libvirt) into a lab machine. Vagrant has put recipe/, key.pub and node.conf
# beside it. The only step that needs the internet is apt's; after lab-net has started there is no way out.
set -eu
here=/tmp/labkit

packages=$(grep -v '^#' $here/recipe/packages.txt | tr '\n' ' ')
# shellcheck disable=SC2086
there=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ')
missing=$(for name in $packages; do case " $there " in *" $name "*) ;; *) echo "$name" ;; esac; done)
if [ -n "$missing" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  # Nothing that is installed here starts by itself: what runs on a machine is decided by role.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  # shellcheck disable=SC2086
  apt-get -qq install --no-install-recommends $missing
  rm /usr/sbin/policy-rc.d
fi

cp -r $here/recipe/files/. /
sh $here/recipe/setup.sh
install -m 600 -o vagrant -g vagrant $here/key.pub /home/vagrant/.ssh/authorized_keys
# From here on the resolver is the cluster's, whatever a DHCP server says later.
if [ -d /etc/dhcp/dhclient-enter-hooks.d ]; then
  echo 'make_resolv_conf() { :; }' >/etc/dhcp/dhclient-enter-hooks.d/labkit
fi
install -m 644 $here/node.conf /etc/lab/node.conf
printf 'br_netfilter\noverlay\nfuse\n' >/etc/modules-load.d/labkit.conf
for module in br_netfilter overlay fuse; do modprobe $module || true; done
systemctl daemon-reload
systemctl restart lab-net.service
systemctl start multi-user.target
