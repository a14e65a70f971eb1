"""kube-dns: gives every Service a name."""
