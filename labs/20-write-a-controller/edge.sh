#!/bin/bash
# The obvious way: wait for an event, and do something. Runs until it is stopped.
kubectl get configmaps -l kind=site --watch-only --output-watch-events -o json | jq --unbuffered -r \
  '"\(.type) \(.object.metadata.name) \(.object.data.replicas)"' |
while read -r event name replicas; do
  echo "$event $name $replicas"
  case $event in
    ADDED) sed "s/NAME/$name/g; s/REPLICAS/$replicas/" site.yaml | kubectl create -f - ;;
    DELETED) kubectl delete rc "$name" --cascade=foreground --wait=false ;;
  esac
done
