"""kubelet: sees to it that the pods of its node run, and says how they are. `kubelet.py` is where to start reading."""
