import subprocess
import sys

LOOK = """
import labkit.components.kubelet.__main__, sys
print(*(name for name in ("requests", "charset_normalizer", "chardet") if sys.modules.get(name)))
"""


def test_the_kubelets_process_loads_no_guesser_of_encodings_and_says_nothing_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.strip(), done.stderr) == ("requests", "")
