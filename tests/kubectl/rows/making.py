"""create, run, expose, apply, diff, replace, edit."""

import json

from tests.kubectl.play import Call, Row, Stored
from tests.kubectl.rows.objects import LAST_APPLIED, Manifest, config, of_kind, pod, rc, service


def text(*manifests: Manifest) -> str:
    """As a file: one manifest, or a List."""
    if len(manifests) == 1:
        return json.dumps(manifests[0])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def manifest(image: str = "redis", **labels: str) -> str:
    one = rc("one", 0)
    one["metadata"]["labels"] = labels or {"colour": "red"}
    one["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return text(one)


CREATE = (
    Row("create -f", (
        Call("create -f -", prints="pod/web created\nservice/web created\n",
             input=text(pod("web"), service("web"))),
        Stored("pods/{ns}/web", "/spec/restartPolicy", "Always"),
        Stored("services/specs/{ns}/web", "/spec/sessionAffinity", "None"),
        Call("create -f -", says=(r'\(AlreadyExists\).*pods "web" already exists',), code=1, input=text(pod("web"))),
        Call("create -f -", says=("spec.containers.*[Rr]equired value",), code=1,
             input=text(of_kind("Pod", "none", spec={"containers": []}))),
    )),
    Row("create -f with a wrong field", (
        Call("create -f -", says=(r"unknown field.*\bimmage\b",), code=1,
             input=text(pod("web", immage="x"))),
        Call("create -f - --validate=false", prints="pod/web created\n", input=text(pod("web", immage="x"))),
        Stored("pods/{ns}/web", "/spec/immage"),
    )),
    Row("create --dry-run", (
        Call("create -f - --dry-run=server", prints="pod/web created (server dry run)\n", input=text(pod("web"))),
        Call("create -f - --dry-run=server -o yaml", says=("restartPolicy: Always", r"^  uid: \S+"),
             input=text(pod("web"))),
        Call("create -f - --dry-run=client", prints="pod/web created (dry run)\n", input=text(pod("web"))),
        Stored("pods/{ns}/web"),
    )),
    Row("create with generateName", (
        Call("create -f - -o name", says=(r"^configmap/some-\w{5}$",),
             input='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"some-"}}'),
    )),
    Row("create namespace", (
        Call("create namespace {ns}-b", prints="namespace/{ns}-b created\n"),
        Stored("namespaces/{ns}-b", "/status/phase", "Active"),
        Stored("serviceaccounts/{ns}-b/default", "/metadata/name", "default"),
    )),
    Row("create configmap", (
        Call("create configmap one --from-literal=A=b --from-literal=c.d=e", prints="configmap/one created\n"),
        Stored("configmaps/{ns}/one", "/data", {"A": "b", "c.d": "e"}),
        Call("create configmap two --from-file={manifests}/guestbook.yaml", says=("configmap/two created",)),
    )),
    Row("create secret", (
        Call("create secret generic one --from-literal=a=b", prints="secret/one created\n"),
        Stored("secrets/{ns}/one", "/data", {"a": "Yg=="}),
        Stored("secrets/{ns}/one", "/type", "Opaque"),
        Call("create secret docker-registry two --docker-username=u --docker-password=p --docker-server=r",
             prints="secret/two created\n"),
        Stored("secrets/{ns}/two", "/type", "kubernetes.io/dockerconfigjson"),
    )),
    Row("create serviceaccount", (
        Call("create serviceaccount one", prints="serviceaccount/one created\n"),
        Stored("serviceaccounts/{ns}/one", "/metadata/name", "one"),
    )),
    Row("create token", (
        Call("create serviceaccount one", prints="serviceaccount/one created\n"),
        Call("create token one --duration=20m", says=(r"^eyJ[\w-]+\.[\w-]+\.[\w-]+$",)),
        Call("create token one --audience=vault -o yaml", says=("kind: TokenRequest", "- vault", "onSeconds: 3600")),
        Call("create token two", says=('serviceaccounts "two" not found',), code=1),
        Call("create token one --duration=1m", says=("may not specify a duration less than 10 minutes",), code=1),
    ), since="1.24"),
    Row("create service", (
        Call("create service clusterip one --tcp=80:8080", prints="service/one created\n"),
        Stored("services/specs/{ns}/one", "/spec/ports/0/targetPort", 8080),
        Stored("services/specs/{ns}/one", "/spec/selector", {"app": "one"}),
        Call("create service nodeport two --tcp=80", prints="service/two created\n"),
        Stored("services/specs/{ns}/two", "/spec/type", "NodePort"),
    )),
    Row("create quota", (
        Call("create quota one --hard=pods=2,cpu=500m", prints="resourcequota/one created\n"),
        Stored("resourcequotas/{ns}/one", "/status/hard", {"pods": "2", "cpu": "500m"}),
    )),
    Row("run", (
        Call("run web --image=redis --labels=a=b --port=6379", prints="pod/web created\n"),
        Stored("pods/{ns}/web", "/metadata/labels", {"a": "b"}),
        Stored("pods/{ns}/web", "/spec/containers/0/ports/0/containerPort", 6379),
        Stored("pods/{ns}/web", "/status/phase", "Running"),
    )),
    Row("expose", (
        Call("expose rc one --port=80 --target-port=8080", prints="service/one exposed\n"),
        Stored("services/specs/{ns}/one", "/spec/selector", {"name": "one"}),
        Stored("services/specs/{ns}/one", "/spec/ports/0/targetPort", 8080),
        Call("expose pod web --port=81 --name=two", prints="service/two exposed\n"),
        Stored("services/specs/{ns}/two", "/spec/selector", {"colour": "red"}),
    ), given=(rc("one", 0), pod("web"))),
)  # fmt: skip

APPLY = (
    Row("apply", (
        Call("apply -f -", prints="replicationcontroller/one created\n", input=manifest()),
        Call("apply -f -", prints="replicationcontroller/one unchanged\n", input=manifest()),
        Call("apply -f -", prints="replicationcontroller/one configured\n", input=manifest("nginx", size="big")),
        Stored("controllers/{ns}/one", "/metadata/labels", {"size": "big"}),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/image", "nginx"),
        Call("apply view-last-applied rc one", says=(r"^    size: big$", "image: nginx")),
    )),
    Row("apply --dry-run=server", (
        Call("apply -f - --dry-run=server", prints="replicationcontroller/one configured (server dry run)\n",
             input=manifest("nginx")),
        Call("apply -f - --dry-run=server", prints="configmap/new created (server dry run)\n",
             input=text(config("new"))),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/image", "redis"),
        Stored("configmaps/{ns}/new"),
    ), given=(rc("one", 0),)),
    Row("apply set-last-applied", (
        Call("apply set-last-applied -f - --create-annotation", prints="configmap/red configured\n",
             input=text(config("red", A="1"))),
        Call("apply view-last-applied cm red -o json", says=('"A": "1"',)),
    ), given=(config("red", A="1"),)),
    Row("apply --server-side", (
        Call("apply --server-side -f -", prints="replicationcontroller/one serverside-applied\n", input=manifest()),
        Stored("controllers/{ns}/one", "/spec/replicas", 0),
        Call("apply --server-side -f -", prints="replicationcontroller/one serverside-applied\n",
             input=manifest("nginx")),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/image", "nginx"),
        Stored("controllers/{ns}/one", f"/metadata/annotations/{LAST_APPLIED}"),
    )),
    Row("apply --server-side --force-conflicts", (
        Call("apply --server-side -f -", prints="replicationcontroller/one serverside-applied\n", input=manifest()),
        Call("apply --server-side --field-manager=bob -f -", code=1, input=manifest("nginx"),
             says=(r'Apply failed with 1 conflict: conflict with "kubectl".*: '
                   r'\.spec\.template\.spec\.containers\[name="c"\]\.image',)),
        Call("apply --server-side --field-manager=bob --force-conflicts -f -", input=manifest("nginx"),
             prints="replicationcontroller/one serverside-applied\n"),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/image", "nginx"),
        Call("scale rc one --replicas=1", says=("scaled",)),
        Call("apply --server-side --field-manager=bob -f -", code=1, input=manifest("nginx"),
             says=(r'conflict with "kubectl" with subresource "scale" using v1: \.spec\.replicas',)),
    )),
    Row("apply --server-side: what is not named any more", (
        Call("apply --server-side -f -", says=("serverside-applied",), input=text(config("red", A="1", B="1"))),
        Call("label cm red by=hand", prints="configmap/red labeled\n"),
        Call("apply --server-side -f -", says=("serverside-applied",), input=text(config("red", A="1"))),
        Stored("configmaps/{ns}/red", "/data", {"A": "1"}),
        Stored("configmaps/{ns}/red", "/metadata/labels", {"by": "hand"}),
        Stored("configmaps/{ns}/red", "/metadata/managedFields/0/manager", "kubectl"),
    )),
    Row("apply, then apply --server-side", (
        Call("apply -f -", prints="configmap/red created\n", input=text(config("red", A="1", B="1"))),
        Call("apply --server-side -f -", says=("serverside-applied",), input=text(config("red", A="2"))),
        Stored("configmaps/{ns}/red", "/data", {"A": "2"}),
    )),
    Row("apply --prune", (
        Call("apply -f -", says=("configmap/one created", "configmap/two created"),
             input=text(*(config(name) | {"metadata": {"name": name, "labels": {"set": "{ns}"}}}
                          for name in ("one", "two")))),
        Call("apply -f - --prune -l set={ns} --prune-whitelist=core/v1/ConfigMap",
             says=("configmap/one (unchanged|configured)", "configmap/two pruned"),
             input=text(config("one") | {"metadata": {"name": "one", "labels": {"set": "{ns}"}}})),
        Stored("configmaps/{ns}/two"),
        Stored("configmaps/{ns}/one", "/metadata/name", "one"),
    ), until="1.25"),
    Row("apply --prune --prune-allowlist", (
        Call("apply -f -", says=("configmap/one created", "configmap/two created"),
             input=text(*(config(name) | {"metadata": {"name": name, "labels": {"set": "{ns}"}}}
                          for name in ("one", "two")))),
        Call("apply -f - --prune -l set={ns} --prune-allowlist=core/v1/ConfigMap",
             says=("configmap/one (unchanged|configured)", "configmap/two pruned"),
             input=text(config("one") | {"metadata": {"name": "one", "labels": {"set": "{ns}"}}})),
        Stored("configmaps/{ns}/two"),
        Stored("configmaps/{ns}/one", "/metadata/name", "one"),
    ), since="1.26"),
    Row("diff", (
        Call("diff -f -", says=(r"^-\s+- image: redis$", r"^\+\s+- image: nginx$"), never=("resourceVersion",),
             code=1, input=manifest("nginx")),
        Stored("controllers/{ns}/one", "/spec/template/spec/containers/0/image", "redis"),
        Call("diff -f -", prints="", input=text(rc("one", 0))),
    ), given=(rc("one", 0),)),
    Row("replace", (
        Call("replace -f -", prints="replicationcontroller/one replaced\n", input=manifest("nginx", size="big")),
        Stored("controllers/{ns}/one", "/metadata/labels", {"size": "big"}),
        Call("replace -f -", says=("NotFound",), code=1, input=text(config("nope"))),
    ), given=(rc("one", 0),)),
    Row("replace --force", (
        Call("replace --force -f -", says=('configmap "red" (force )?deleted', "configmap/red replaced"),
             input=text(config("red", A="2"))),
        Stored("configmaps/{ns}/red", "/data", {"A": "2"}),
    ), given=(config("red", A="1", B="1"),)),
    Row("edit", (
        Call("edit rc one", prints="replicationcontroller/one edited\n"),
        Stored("controllers/{ns}/one", "/metadata/labels", {"colour": "blue"}),
        Call("edit cm colours", says=("Edit cancelled, no changes made",)),
    ), given=(rc("one", 0), config("colours", A="1"))),
)  # fmt: skip
ROWS = (*CREATE, *APPLY)
