"""What is there at all: versions, resources, schema, rights."""

from tests.kubectl.play import Call, Row
from tests.kubectl.rows.making import text
from tests.kubectl.rows.objects import lease, pod

ROWS = (
    Row("version", (
        Call("version", says=(r"Client Version", r"Server Version.*v0\.18\.2\+labkit")),
        Call("version -o json", says=(r'"serverVersion"', r'"gitVersion": "v0\.18\.2\+labkit"')),
    )),
    Row("api-versions", (
        Call("api-versions", says=(r"^v1$", r"^authorization\.k8s\.io/v1$"), never=("^apps/",)),
    )),
    Row("api-resources", (
        Call("api-resources", says=(
            r"^pods\s+po\s+v1\s+true\s+Pod$", r"^nodes\s+no\s+v1\s+false\s+Node$",
            r"^replicationcontrollers\s+rc\s+v1\s+true\s+ReplicationController$",
        )),
        Call("api-resources -o name --namespaced=false", says=(r"^nodes$", r"^persistentvolumes$"), never=(r"^pods$",)),
    )),
    Row("cluster-info", (
        Call("cluster-info", says=(
            r"(control plane|master).* is running at .*https://127\.0\.0\.1:\d+",
            r"KubeDNS.* is running at .*https://127\.0\.0\.1:\d+/api/v1/namespaces/kube-system/services/kube-dns:dns",
        )),
    )),
    Row("cluster-info dump", (
        Call("cluster-info dump --namespaces {ns}", says=(
            r'"kind": "NodeList"', r'"kind": "EventList"', r'"kind": "ReplicationControllerList"',
            r'"kind": "ServiceList"', r'"kind": "DaemonSetList"', r'"kind": "DeploymentList"',
            r'"kind": "ReplicaSetList"', r'"kind": "PodList"', r"START logs for container c of pod {ns}/web",
        )),
    ), given=(pod("web"),)),
    Row("get --raw", (
        Call("get --raw /healthz", prints="ok"),
        Call("get --raw /nope", says=("NotFound|the server could not find the requested resource",), code=1),
    )),
    Row("get lease", (
        Call("create -f -", input=text(lease("one", "me")), prints="lease.coordination.k8s.io/one created\n"),
        Call("get lease one", says=(r"^NAME\s+HOLDER\s+AGE", r"^one\s+me\s")),
        Call("patch lease one --type=merge -p '{\"spec\":{\"leaseDurationSeconds\":0}}'",
             says=("spec.leaseDurationSeconds: invalid value '0': must be greater than 0",), code=1),
        Call("delete lease one", says=(r'^lease.coordination.k8s.io "one" deleted',)),
    )),
    Row("get componentstatuses", (
        Call("get cs", says=(r"^NAME\s+STATUS\s+MESSAGE\s+ERROR", r"^etcd-0\s+Healthy"), never=("^No resources",)),
    )),
    Row("explain", (
        Call("explain rc.spec.template.spec.containers",
             says=(r"KIND:\s+ReplicationController", r"^\s+imagePullPolicy")),
        Call("explain svc", says=(r"VERSION:\s+v1", r"^\s+spec\s+<(Object|ServiceSpec)>")),
        Call("explain pod.spec.nope", says=('field "nope" does not exist',), code=1),
    )),
    Row("explain --recursive", (
        Call("explain pods --recursive",
             says=(r"^\s+livenessProbe\s+<", r"^\s+hostPort\s+<integer>", r"^\s+nodeName\s+<")),
    )),
    Row("completion lookups", (
        Call("__complete get pods ''", says=(r"^web$", r"^:4$")),
        Call("__complete get po", says=(r"^pods$",)),
        Call("__complete logs w", says=(r"^web$",)),
    ), given=(pod("web"),), since="1.22"),
    Row("completion lookup of 1.20", (
        Call("get -o template --template='{{range .items}}{{.metadata.name}} {{end}}' pods", prints="web "),
        Call("completion bash", says=("__kubectl_parse_get",)),
    ), given=(pod("web"),), until="1.21"),
    Row("auth can-i", (
        Call("auth can-i create pods", prints="yes\n"),
        Call("auth can-i get pods/log --namespace kube-system", prints="yes\n"),
    )),
    Row("auth can-i --list", (Call("auth can-i --list", says=(r"^Resources\s+Non-Resource URLs", r"^\*\.\*\s")),)),
    Row("auth whoami", (
        Call("auth whoami", table=("ATTRIBUTE VALUE", "Username admin", "Groups [system:masters]")),
    ), since="1.27"),
    Row("alpha auth whoami (v1alpha1: there is none)", (
        Call("alpha auth whoami", says=("the selfsubjectreviews API is not enabled in the cluster",), code=1),
    ), since="1.26", until="1.26"),
)  # fmt: skip
