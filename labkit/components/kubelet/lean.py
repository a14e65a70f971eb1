"""Imported before docker-py, in the kubelet's process only: what it would load and never need.

requests, under docker-py, loads a guesser of text encodings (3 MB of 60) and does without where there is none; docker
says UTF-8 always. Source: requests' documentation of `Response.apparent_encoding`.
"""

import sys
import warnings

for _guesser in ("chardet", "charset_normalizer"):
    sys.modules.setdefault(_guesser, None)  # type: ignore[arg-type]  # None is how an import is made to fail
warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
