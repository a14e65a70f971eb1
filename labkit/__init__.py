"""labkit: a small Kubernetes of 2015 in readable Python, on machines of its own, with labs that check themselves."""

__version__ = "0.2.0"
