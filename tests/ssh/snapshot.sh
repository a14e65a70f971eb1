# Everything that a host is made of, a line each: what `labkit destroy` has to leave as it was.
# Left out: what changes by itself (logs, dpkg's and apt's own books, caches of fonts and manuals), what docker keeps of
# images it has pulled for a while (its databases), and the kernel's counters.
files() {
  find / \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/docker/\* -o -path /var/lib/containerd/\* \
    -o -path /var/lib/systemd -o -path /var/lib/private/systemd \) -prune -o -printf '%p %y %m %u %g %l\n'
  find / \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache -o -path /var/lib/docker -o -path /var/lib/containerd \
    -o -path /var/lib/systemd -o -name __pycache__ \) -prune -o -type f -print0 | xargs -0 sha256sum
}
echo '== files'
files | grep -v __pycache__ | sort
echo '== /var/log, by name'
find /var/log -maxdepth 1 -printf '%p %y %m %u\n' | sort
echo '== packages'
dpkg -l | awk '/^[a-z][a-zA-Z]/ {print $1, $2, $3}'
echo '== users and groups'
getent passwd
getent group
echo '== units'
systemctl list-unit-files --no-legend --no-pager | sort
systemctl list-units --all --plain --no-legend --no-pager --type=service,socket,timer | awk '{print $1, $3}' | grep -v 'user\|session\|run-' | sort
echo '== firewall'
for program in iptables ip6tables; do
  $program-save | sed -e '/^#/d' -e 's/\[[0-9:]*\]//' | awk '/^\*/ {table = $0} /^-A/ {print table, $0; next} {print table, $0}' |
    grep -v COMMIT | grep -v '^\*[a-z]* \*' | grep -v ' ACCEPT $' | sort
done
echo '== addresses, routes'
ip -br address | sed 's/@if[0-9]*//' | sort
ip route | sort
ip -6 route | grep -v fe80 | sort
echo '== kernel'
sysctl -a 2>/dev/null | grep -E '^net\.(ipv4\.(ip_forward|conf)|ipv6\.conf|bridge)' | grep -vE 'docker0|veth|br-|stable_secret' | sort
