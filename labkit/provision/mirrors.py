"""Where this computer fetches from: what cluster.json says, through the variables that programs know.

    mirrors.debian  ->  $LABKIT_DEBIAN_MIRROR   debootstrap (image.py, box.py), apt on a public box (Vagrantfile)
    mirrors.pypi    ->  $PIP_INDEX_URL          pip for the machines' wheels and a bundle's (wheels.py)

A variable that is set already was set for this one command, and wins. (registry.mirror is the machines' own affair.)
"""

import os

from labkit.cluster import Cluster

DEBIAN, PYPI = "LABKIT_DEBIAN_MIRROR", "PIP_INDEX_URL"


def use(cluster: Cluster) -> None:
    """From here on, for this process and all that it starts."""
    for variable, url in ((DEBIAN, cluster.mirrors.debian), (PYPI, cluster.mirrors.pypi)):
        if url:
            os.environ.setdefault(variable, url)
