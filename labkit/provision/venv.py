"""The components' Python on a machine: a venv whose dependencies come from wheels beside it and nowhere else.

/opt/labkit/venv      site-packages: the dependencies, and labkit
/opt/labkit/wheels    what it was installed from
/opt/labkit/stamps    what was done, so that it is not done again
"""

import shlex

STAMPS = "/opt/labkit/stamps"
VENV = "/opt/labkit/venv"
WHEELS = "/opt/labkit/wheels"
PIP_INSTALL = (
    "install --quiet --no-index --no-deps --no-compile --no-cache-dir --disable-pip-version-check"
    " --root-user-action=ignore"
)
"""From files beside it and nothing else. Compiled afterwards, in one go: a component's user may not write there."""


def install_dependencies(python: str, lock: str) -> str:
    """The command that makes the venv; its standard input is a tar of wheels. Our own box has run it already."""
    site = f"{VENV}/lib/python{python}/site-packages"
    return (
        f"set -e; rm -rf {VENV} {WHEELS}; mkdir -p {WHEELS} {STAMPS}; rm -f {STAMPS}/labkit; cd {WHEELS};"
        f" tar --extract --no-same-owner; python3 -m venv --without-pip {VENV};"
        f" {VENV}/bin/python -I $(ls pip-*.whl)/pip {PIP_INSTALL} $(ls *.whl | grep -v '^pip-');"
        f" {VENV}/bin/python -m compileall -q {site}; {stamp('lock', f'{lock} python{python}')}"
    )


def stamp(name: str, content: str) -> str:
    """The command that remembers it."""
    return f"printf %s {shlex.quote(content)} > {STAMPS}/{name}"
