"""Runs on a host, as /var/lib/labkit/host.pyz: remembers the host as it was found, and brings it back.

    things.py    what there is: files, packages, users, rules ... as {"file /etc/hosts": "644 0 0 9f86d0..."}   look
    ledger.py    which of it labkit has changed                                                               decide
    undo.py      how that is taken back                                                                          act

    open     before a change: what differs since the last `seal` is somebody else's doing and stays
    seal     after a change: what differs since `open` is labkit's doing
    undo     labkit's doing is taken back, the rest stays

Only the standard library. It stays on the host while that is a machine, so that whoever has lost the computer from
which the cluster was made can still type `python3 /var/lib/labkit/host.pyz undo`.
"""
