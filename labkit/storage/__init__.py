"""What kube-apiserver keeps and how it finds it again.

Storage (protocol.py) <- Etcd (etcd.py), Memory (memory.py)
    keys and bytes; one revision counter for the whole store; transactions; a watch
Cache (cache.py)
    one watch of the store, every object's JSON once, a ring of history per kind; serves reads and watchers
Registry (registry.py)
    objects of one kind: create, get, list, update, delete; strategies decide, the store's transaction settles races
"""
