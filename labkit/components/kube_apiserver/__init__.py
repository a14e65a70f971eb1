"""kube-apiserver: the one door to the cluster's state. Everything talks to it, and it alone talks to etcd."""
