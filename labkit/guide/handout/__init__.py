"""Handouts: a page with its recorded outputs and pictures, for those who read it away from a cluster.

markdown   plain Markdown, without what only the engine reads        html   one file, light and dark, no network
pdf        the same HTML on paper (WeasyPrint; the extra `handout`)  export `labkit lab export`

What gives the solution away is left out, but for the instructor (`--solutions`).
"""
