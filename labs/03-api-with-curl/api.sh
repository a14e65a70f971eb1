# api METHOD PATH [options of curl]: curl with the certificate of admin.
# API_USER=kube-proxy api GET ... does the same with the certificate of somebody else.
api() {
  local user=${API_USER:-admin} pki=/etc/kubernetes/pki type=application/json
  [ "$1" != PATCH ] || type=application/merge-patch+json
  curl -sS --cacert $pki/ca.crt --cert $pki/$user.crt --key $pki/$user.key \
    -X "$1" "https://127.0.0.1:6443$2" -H "Content-Type: $type" "${@:3}"
}
