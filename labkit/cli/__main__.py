"""`python -m labkit.cli` is `labkit`."""

from labkit.cli import main

main()
