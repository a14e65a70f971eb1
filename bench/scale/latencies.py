"""How long kube-apiserver took to answer, as it counts itself: the difference of two looks at its /metrics.

This is how the scalability goals of Kubernetes are measured ("99 % of all API calls"): at the server, watches apart.
Within a bucket of the histogram values are taken as evenly spread, as Prometheus' histogram_quantile does.
"""

import itertools
import re
from collections import Counter
from collections.abc import Mapping

from labkit.client.rest import Client

_BUCKET = re.compile(r'apiserver_request_latencies_bucket\{.*le="([^"]+)"\} (\d+)')


async def look(client: Client) -> Counter[float]:
    """Upper bound in microseconds -> how many requests since the server's start took at most that long."""
    return parse((await client.raw("GET", "/metrics")).decode())


def parse(metrics: str) -> Counter[float]:
    """All verbs and resources together."""
    found: Counter[float] = Counter()
    for bound, count in _BUCKET.findall(metrics):
        found[float(bound)] += int(count)
    return found


def quantile(before: Mapping[float, int], after: Mapping[float, int], share: float) -> float:
    """Milliseconds within which this share of the requests between the two looks was answered."""
    upto = [(bound, after[bound] - before.get(bound, 0)) for bound in sorted(after)]
    wanted = share * upto[-1][1]
    for (lower, fewer), (upper, more) in itertools.pairwise([(0.0, 0), *upto]):
        if more >= wanted and more > fewer:
            within = 0.0 if upper == float("inf") else (upper - lower) * (wanted - fewer) / (more - fewer)
            return (lower + within) / 1e3
    return 0.0
