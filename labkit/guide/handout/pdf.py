"""The HTML of a page on paper. WeasyPrint lays it out and embeds the letters that are used; Chinese ones it takes from
a font of the system (Debian: fonts-wqy-microhei, fonts-noto-cjk or fonts-droid-fallback)."""

import importlib
import shutil
import subprocess
import sys

WEASYPRINT = "weasyprint>=66,<70"
"""As the extra `handout` of pyproject.toml has it."""
EXTRA = (  # by its own name: on the public index `labkit` is somebody else's package
    f"{sys.executable} -m pip install '{WEASYPRINT}', and of the system libpango-1.0-0, libpangoft2-1.0-0 and"
    " fonts-wqy-microhei"
)


class CannotPrint(Exception):
    """Something that a PDF needs is not there; says what, and how to get it."""


def printed(html: str, lang: str) -> bytes:
    """Raises CannotPrint."""
    if lang == "zh" and not _has_chinese():
        raise CannotPrint(
            f"no font with Chinese letters on this machine; expected one of a package like these: {EXTRA}"
        )
    try:
        weasyprint = importlib.import_module("weasyprint")
    except (ImportError, OSError) as exc:  # OSError: it is there, and libpango is not
        raise CannotPrint(f"a PDF needs WeasyPrint ({exc}); get it with {EXTRA}") from exc
    return bytes(weasyprint.HTML(string=html).write_pdf())


def _has_chinese() -> bool:
    """What fontconfig knows; without it nobody can tell, and WeasyPrint would not work either."""
    if not shutil.which("fc-list"):
        return True
    listed = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, timeout=30, check=False)
    return bool(listed.stdout.strip())
