"""The host's own way into the API: a kubeconfig that carries all it needs, and a client made from it."""

import base64

import yaml

from labkit.client.rest import Client
from labkit.cluster import Cluster, write_private
from labkit.provision.pki import Pki
from labkit.provision.vagrant import apiserver_endpoint


def kubeconfig(cluster: Cluster) -> str:
    """For kubectl on the host: the address that leads to kube-apiserver from here, the CA and admin's certificate."""
    pki = Pki(cluster.state / "pki")
    host, port = apiserver_endpoint(cluster)
    entry = {"server": f"https://{host}:{port}", "certificate-authority-data": _inline(pki.certificate("ca"))}
    user = {
        "client-certificate-data": _inline(pki.certificate("admin")),
        "client-key-data": _inline(pki.key("admin")),
    }
    name = f"labkit-{cluster.name}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": entry}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _inline(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def client(cluster: Cluster) -> Client:
    """A client of the cluster's kube-apiserver with all rights; also leaves STATE/kubeconfig (0600)."""
    path = cluster.state / "kubeconfig"
    write_private(path, kubeconfig(cluster).encode())
    return Client.from_kubeconfig(path)
