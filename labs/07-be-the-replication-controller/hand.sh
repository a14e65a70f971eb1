# The three things that a replication controller needs: to count, to create, to delete.
count() {
  kubectl get pods -l app=$NAME -o name | wc -l
}
create() {  # one pod after the template of the replication controller $NAME
  kubectl get rc $NAME -o json | jq '{
    apiVersion: "v1", kind: "Pod", spec: .spec.template.spec,
    metadata: (.spec.template.metadata + {generateName: "by-hand-", annotations: {"made-by": "hand"}})
  }' | kubectl create -f -
}
oldest() {
  kubectl get pods -l app=$NAME --sort-by=.metadata.creationTimestamp -o name | head -n 1
}
