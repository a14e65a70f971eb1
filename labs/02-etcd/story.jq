# What `etcdctl watch -w json` prints, one line per write: the revision, and what it said of the pod.
.Events[] | (if .type == 1 then {} else .kv.value | @base64d | fromjson end) as $pod |
  {revision: .kv.mod_revision, node: $pod.spec.nodeName, phase: $pod.status.phase, ip: $pod.status.podIP,
   container: ($pod.status.containerStatuses[0].state // {} | .waiting.reason // keys[0])}
