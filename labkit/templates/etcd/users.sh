# Run by `labkit up` on the master: who may do what in etcd. A user is the common name of a certificate of etcd's own CA.
#
#   kube-apiserver   reads and writes /registry/     the only component that talks to etcd
#   operator         reads /registry/                labs and inspection; the key is root's alone
#   root             must exist before auth can be enabled. It has no password and nobody holds a certificate in that
#                    name: from then on nobody is root.
#
# Until auth is enabled every certificate of the CA may do everything, so the operator's does it. May be run again.
set -eu
pki=${PKI:-/etc/etcd/pki}
etcd() {
    ETCDCTL_API=3 etcdctl --command-timeout=5s --endpoints="${ENDPOINT:-https://127.0.0.1:2379}" \
        --cacert="$pki/ca.crt" --cert="$pki/operator.crt" --key="$pki/operator.key" "$@"
}
if etcd get /labkit 2>&1 | grep -q 'permission denied'; then exit 0; fi
for user in root kube-apiserver operator; do
    etcd user get $user >/dev/null 2>&1 || etcd user add $user --no-password
    etcd role get $user >/dev/null 2>&1 || etcd role add $user
    etcd user grant-role $user $user
done
etcd role grant-permission kube-apiserver readwrite --prefix=true /registry/
etcd role grant-permission operator read --prefix=true /registry/
etcd auth enable
