"""What a component uses to talk to kube-apiserver: REST, kubeconfig, informer, work queue, controller loop, events."""
