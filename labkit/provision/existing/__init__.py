"""Hosts that somebody already has, as machines of a cluster: `labkit up --provider ssh --inventory hosts.json`.

    inventory.py   hosts.json: which hosts, and how they are reached           decide (pure)
    trust.py       their host keys: pinned before anything is said to them     ask
    look.py        runs on a host: what it is like, in one round trip          look
    checks.py      what of that forbids to touch it                            decide (pure)
    on_host/       runs on a host: remembers it as it was found, undoes        look, decide, act
    prepare.py     packages, files, network: from a host to a machine          act
    from_bundle.py Debian packages for hosts that cannot fetch any              act
    hosts.py       their life, as Vagrant's twin: up, halt, destroy, status

Nothing is changed on any host before all of them have passed the checks, and the first thing that is written on a host
is how it was found (/var/lib/labkit).
"""
