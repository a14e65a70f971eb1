"""kube-proxy: the small network proxy on every machine that makes a Service reachable at its cluster IP."""
