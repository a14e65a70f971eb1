"""Plays the commands of a page and writes down what they print: `python docs/record.py docs/story.md`.

    ```console
    $ labkit story rc/web       every line that begins with `$ ` is run, in a shell, 80 columns wide, in page order
    ...                         what stands below it, up to the next one, is replaced
    ```

Needs a running cluster (of $LABKIT_CLUSTER); what the page makes there it also removes. Paths are those of the
repository's root.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"(?<=\n)```console\n(.*?)```(?=\n)", re.DOTALL)


def main(page: Path) -> None:
    page.write_text(FENCE.sub(lambda fence: f"```console\n{played(fence[1])}```", page.read_text()))


def played(block: str) -> str:
    """The block with what its commands print now. A command that fails ends the recording."""
    return "".join(f"$ {command}\n{run(command)}" for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE))


def run(command: str) -> str:
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"COLUMNS": "80", "PATH": tools, "NO_COLOR": "1"}
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=300, check=False)  # fmt: skip
    if done.returncode:
        sys.exit(f"{command}: ended with {done.returncode}\n{done.stdout}")
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n" if done.stdout.strip() else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
