"""Follow the links of the built site that lead elsewhere; those within it the build has checked."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "_build"
REACHED_FIRST = "https://docs.pytorch.org/docs/stable/index.html"
"""Where most links lead: if it cannot be reached, none of thousands is waited for."""


def obstacle() -> str:
    """Return why links cannot be followed, or nothing."""
    if not (BUILD / "html" / ".doctrees").exists():
        return "there is no site yet; build it with: tox -e docs"
    try:
        with urllib.request.urlopen(REACHED_FIRST, timeout=30):
            return ""
    except urllib.error.HTTPError as error:
        return f"{REACHED_FIRST} answers {error.code}: its address has changed, or it is down"
    except OSError as error:
        return f"{REACHED_FIRST} cannot be reached ({error}); links elsewhere need the network"


def main() -> int:
    """Follow them all; return 1 if one is broken, 2 if they could not be followed."""
    found = obstacle()
    if found:
        print(f"links: {found}", file=sys.stderr)
        return 2
    doctrees = str(BUILD / "html" / ".doctrees")
    command = ["sphinx", "-q", "-b", "linkcheck", "-d", doctrees, str(HERE), str(BUILD / "links")]
    return subprocess.run([sys.executable, "-m", *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
