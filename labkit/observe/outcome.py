"""What became of a request, in words: in which mode, with which result, and whether an endpoint had it at all."""

from labkit.probe.report import Report

NFTABLES = "kube-proxy"  # the table of the nftables mode


def mode(report: Report) -> str:
    """By the rules that were hit; else what kube-proxy was told to be."""
    for look in report.looks:
        for hit in look.hits:
            if hit.table == NFTABLES:
                return "nftables"
            if hit.chain.startswith(("KUBE-PORTALS-", "KUBE-NODEPORT-")):
                return "userspace"
            if hit.chain.startswith("KUBE-"):
                return "iptables"
    return report.proxy.mode if report.proxy else "unknown"


def result(report: Report) -> str:
    after = f" after {report.milliseconds:g} ms" if report.milliseconds else ""
    told = {
        "answered": f"answered {readable(report.answer)}{after}",
        "connected": f"connected{after}",
        "sent": "sent; no answer, and UDP promises none",
        "closed": f"closed by the other side without a byte{after}",
        "reset": f"reset{after}",
        "refused": f"refused{after}",
        "silent": "no answer",
        "unreachable": "no way there",
    }
    return told.get(report.ending, report.trouble)


def readable(answer: bytes) -> str:
    """`"+PONG\\r\\n"`, or how much it was."""
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return f"with {len(answer)} bytes"
    if not text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable():
        return f"with {len(answer)} bytes"
    said = text.encode("unicode_escape").decode()
    return f'"{said if len(said) <= 60 else said[:60] + "..."}"'


def reached(report: Report) -> bool:
    """Whether an endpoint took the request."""
    if report.outgoing:
        return report.outgoing.state == "ESTAB" or report.ending == "answered"
    direct = report.flow is not None and not through_proxy(report)
    return direct and report.ending in ("answered", "connected", "sent", "closed")


def through_proxy(report: Report) -> bool:
    return bool(report.listening or report.accepted or report.attempts or report.outgoing)
