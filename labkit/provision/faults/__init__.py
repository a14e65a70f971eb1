"""Faults as commands: what breaks in a cluster, made on purpose, and undone.

    target.py   what is meant: a machine, a service on a machine, a pod's process
    plan.py     each fault as the commands that make it and those that undo it, to be read before they run
    disk.py     a full disk, the same way
    whole.py    is the cluster as it should be? rules.py: a machine's rules
    book.py     STATE/faults.json: which faults there are, written before they are made, so that all can be undone
    play.py     make them, undo them

Nothing here is more than what a learner could type: signals, systemctl, docker, iptables, tc.
"""
