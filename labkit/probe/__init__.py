"""Looks at one request on the machine that it passes: `labkit packet` runs `python -m labkit.probe` there, as root.

    arm      nft: mark the first packet of this one request, so that the kernel tells each rule that it meets   nfttrace
    send     a socket in the pod's network namespace, or the machine's own                            netns, sending
    look     conntrack (how addresses were changed), ss (whose sockets), ip route (where to next)     conntrack, sockets
    tell     the rules as iptables-save prints them, each with the function that made it              rules
    disarm

A Request comes as JSON on stdin, a Report goes as JSON to stdout (report.py). Nothing on the machine is changed but the
table `labkit-packet-PID`, which is gone when the program ends.
"""
