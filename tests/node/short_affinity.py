"""A whole kube-proxy for which three hours are as short as a test can wait: `python -m tests.node.short_affinity`."""

from labkit.components.kube_proxy import balancer

SECONDS = 3

if __name__ == "__main__":
    balancer.AFFINITY_SECONDS = SECONDS  # before the modules of the modes take it over
    from labkit.components.kube_proxy.__main__ import main

    main()
