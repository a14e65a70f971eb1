"""Real kubectl of every version against kube-apiserver: `make kubectl` a few of them, `make matrix` all."""
