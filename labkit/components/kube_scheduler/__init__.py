"""kube-scheduler: decides on which node a pod runs. Start with `scheduler.py`."""
