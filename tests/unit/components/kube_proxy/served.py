"""Service ports of every shape, as literals."""

from labkit.components.kube_proxy.balancer import Address
from labkit.components.kube_proxy.served_ports import ServedPort

A, B, C = Address("10.244.2.2", 8000), Address("10.244.2.3", 8000), Address("10.244.3.2", 8000)
WEB = ServedPort("default/web:", "tcp", "10.0.0.12", 80, endpoints=(A, B, C))
STICKY = ServedPort("default/sticky:http", "tcp", "10.0.0.13", 80, sticky=True, endpoints=(A, B))
OPEN = ServedPort("default/open:", "udp", "10.0.0.14", 53, ("192.0.2.50",), 30053, endpoints=(A,))
EMPTY = ServedPort("default/empty:", "tcp", "10.0.0.15", 80, ("192.0.2.51",), 30080)
EVERY = (WEB, STICKY, OPEN, EMPTY)
