# mode.sh MODE: this machine's kube-proxy, from now on in this mode (userspace, iptables, nftables).
sed -i "s/--proxy-mode=[a-z]*/--proxy-mode=$1/" /etc/kubernetes/kube-proxy.env
systemctl restart kube-proxy
for try in $(seq 40); do
  case $1 in
  userspace) iptables-save -t nat | grep -q 'KUBE-PORTALS-HOST -d' && break ;;
  iptables) iptables-save -t nat | grep -q 'KUBE-SERVICES -d' && break ;;
  nftables) nft list map ip kube-proxy service-ips 2> /dev/null | grep -q goto && break ;;
  esac
  sleep 0.25
done
