#!/bin/bash
# The desk: opens the four shops, breaks them, and knows what it broke. To read on is to spoil the game for yourself.
#   bash desk.sh open | opens SHOP | break objects|control|parcel|wires | cause N | mend N | close
draw=$DRAW
shops=(- $ONE $TWO $THREE $FOUR)
kinds="selector target-port image node-selector command replicas"
etc=/etc/kubernetes

shop() { # NAME NUMBER
  cat <<END
{"kind": "List", "apiVersion": "v1", "items": [
{"kind": "Service", "apiVersion": "v1", "metadata": {"name": "$1", "labels": {"lab": "fix"}},
 "spec": {"clusterIP": "10.0.81.$2", "ports": [{"port": 80, "targetPort": 80}], "selector": {"app": "$1"}}},
{"kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": "$1", "labels": {"lab": "fix"}},
 "spec": {"replicas": $((1 + ($2 == 1))), "selector": {"app": "$1"}, "template":
  {"metadata": {"labels": {"app": "$1", "lab": "fix"}}, "spec": {"terminationGracePeriodSeconds": 1,
   "containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]}}}}]}
END
}

opens() { # NAME: does the page of this shop open, from here?
  ip=$(kubectl get service $1 -o jsonpath='{.spec.clusterIP}' 2>/dev/null) || { echo "there is no service $1"; return 1; }
  curl -s -m 3 http://$ip/ | grep -q nginx || { echo "$1: the page does not open"; return 1; }
}

patched() { # NAME TEMPLATE-SPEC: another template for the shop's pods, and pods made from it
  kubectl patch rc $1 -p "{\"spec\": {\"template\": {\"spec\": $2}}}" && kubectl delete pods -l app=$1 --wait=false
}

cause() { # N: what was broken there
  case $1 in
  [1-4]) python3 -c "import random; print(random.Random($draw).sample('$kinds'.split(), 4)[$1 - 1])" ;;
  5) [ $((draw / 2 % 2)) = 0 ] && echo scheduler-stopped || echo scheduler-address ;;
  6) [ $((draw / 4 % 2)) = 0 ] && echo controllers-address || echo controllers-stopped ;;
  7) [ $((draw / 8 % 2)) = 0 ] && echo dns-endpoints || echo dns-stopped ;;
  8) [ $((draw / 16 % 2)) = 0 ] && echo quota || echo service-account ;;
  esac
}

break_() { # N
  case $(cause $1) in
  selector) kubectl patch service ${shops[$1]} -p '{"spec": {"selector": {"app": "'${shops[$1]}'s"}}}' ;;
  target-port) kubectl patch service ${shops[$1]} -p '{"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}' ;;
  image) patched ${shops[$1]} '{"containers": [{"name": "web", "image": "ngnix"}]}' ;;
  node-selector) patched ${shops[$1]} '{"nodeSelector": {"disk": "fast"}}' ;;
  command) patched ${shops[$1]} '{"containers": [{"name": "web", "command": ["nginx", "-c", "/etc/nginx/shop.conf"]}]}' ;;
  replicas) kubectl scale rc ${shops[$1]} --replicas=0 ;;
  *-stopped) systemctl stop $(unit $1) ;;
  *-address) sed -i s/:6443/:6434/ $etc/$(unit $1).kubeconfig; systemctl restart --no-block $(unit $1) ;;
  dns-endpoints) kubectl get endpoints kube-dns -n kube-system -o json > /run/lab-dns.json
    sed 's/"port": 53/"port": 35/' /run/lab-dns.json | kubectl replace -f - ;;
  quota) kubectl create quota stalls --hard=pods=0 -n market ;;
  service-account) kubectl patch rc stall -n market -p '{"spec": {"template": {"spec": {"serviceAccountName": "merchant"}}}}' ;;
  esac
}

mend() { # N
  case $(cause $1) in
  selector) kubectl patch service ${shops[$1]} -p '{"spec": {"selector": {"app": "'${shops[$1]}'"}}}' ;;
  target-port) kubectl patch service ${shops[$1]} -p '{"spec": {"ports": [{"port": 80, "targetPort": 80}]}}' ;;
  image) patched ${shops[$1]} '{"containers": [{"name": "web", "image": "nginx"}]}' ;;
  node-selector) patched ${shops[$1]} '{"nodeSelector": null}' ;;
  command) patched ${shops[$1]} '{"containers": [{"name": "web", "command": null}]}' ;;
  replicas) kubectl scale rc ${shops[$1]} --replicas=$((1 + ($1 == 1))) ;;
  *-stopped) systemctl start $(unit $1) ;;
  *-address) sed -i s/:6434/:6443/ $etc/$(unit $1).kubeconfig; systemctl restart $(unit $1) ;;
  dns-endpoints) [ ! -e /run/lab-dns.json ] || { jq 'del(.metadata.resourceVersion)' /run/lab-dns.json | kubectl replace -f -; rm /run/lab-dns.json; } ;;
  quota) kubectl delete quota stalls -n market --ignore-not-found ;;
  service-account) kubectl patch rc stall -n market -p '{"spec": {"template": {"spec": {"serviceAccountName": null, "serviceAccount": null}}}}' ;;
  esac
}

unit() { # N: the component of that fault
  case $1 in 5) echo kube-scheduler ;; 6) echo kube-controller-manager ;; 7) echo kube-dns ;; esac
}

pod() { # NAME NODE
  echo "{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"$1\", \"labels\": {\"lab\": \"fix\"}},
    \"spec\": {$2 \"terminationGracePeriodSeconds\": 1, \"containers\": [{\"name\": \"c\", \"image\": \"busybox\", \"command\": [\"sleep\", \"1000000\"]}]}}"
}

spread() { # the first shop has two pods, one on each agent: made at once, since pods that are just leaving count too
  for try in $(seq 60); do [ "$(kubectl get nodes --no-headers | grep -cw Ready)" -ge 2 ] && break; sleep 0.5; done
  for try in 1 2 3; do
    kubectl scale rc ${shops[1]} --replicas=0
    for wait in $(seq 40); do [ -z "$(kubectl get pods -l app=${shops[1]} -o name)" ] && break; sleep 0.5; done
    kubectl scale rc ${shops[1]} --replicas=2
    for wait in $(seq 40); do [ "$(kubectl get endpoints ${shops[1]} -o jsonpath='{.subsets[*].addresses[*].ip}' | wc -w)" = 2 ] && break; sleep 0.5; done
    [ "$(kubectl get pods -l app=${shops[1]} -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort -u | grep -c agent)" = 2 ] && return
  done
}

broken_agents() { [ $((draw % 2)) = 0 ] && echo agent1 agent2 || echo agent2 agent1; } # without kube-proxy, without kubelet

{
  case "$1 $2" in
  "open "*) for n in 1 2 3 4; do shop ${shops[$n]} $n | kubectl create -f -; done ;;
  "opens "*) opens $2 >&3 || exit 1 ;;
  "break objects") for n in 1 2 3 4; do break_ $n; done; sleep 1 ;;
  "break control")
    kubectl create namespace market
    shop stall 9 | jq '.items[1] | .metadata.namespace = "market"' | kubectl create -f -
    for n in 8 5 6 7; do break_ $n; done
    kubectl delete pods -n market --all --wait=false
    pod order "" | kubectl create -f -
    kubectl scale rc ${shops[1]} --replicas=3 ;;
  "break parcel") set -- $(broken_agents); pod parcel "\"nodeName\": \"$2\"," | kubectl create -f - ;;
  "break wires") spread ;; # the rest of it happens on the agents
  "cause "*) cause $2 >&3 ;;
  "mend "*) mend $2 ;;
  "close "*)
    for n in 5 6 7; do mend $n; done
    kubectl delete namespace market --ignore-not-found --wait=false
    kubectl delete rc,services -l lab=fix; kubectl delete pods -l lab=fix ;;
  *) sed -n 2,3p "$0" >&3 ;;
  esac
} 3>&1 > /dev/null 2>&1
