"""Build the site: run the laws, try the saboteurs, write the pages from what both have shown.

``python docs/build.py [OPTION...]`` hands its options to the run of the laws. A site of such a run
is one to look at: it leaves out the saboteurs, who take the most of the time.
``tox -e docs -- --profile smoke`` builds it in minutes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "_build"
SABOTEURS = BUILD / "saboteurs.json"


def commands(options: Sequence[str]) -> list[list[str]]:
    """Return what is done, in order."""
    record = ["--target", "cpu", "--record", str(BUILD / "cpu.jsonl")]
    laws = ["pytest", "--pyargs", "conformance", "-n", "auto", *record, *options]
    saboteurs = ["pytest", "tests/test_saboteurs.py", "-n", "auto", "--kill-table", str(SABOTEURS)]
    site = ["sphinx", "-W", "--keep-going", "-b", "html", str(HERE), str(BUILD / "html")]
    return [laws, *([] if options else [saboteurs]), site]


def main(options: Sequence[str]) -> int:
    """Do it all; return the code of the first command that fails, or 0."""
    BUILD.mkdir(exist_ok=True)
    SABOTEURS.unlink(missing_ok=True)  # what an earlier build has shown is not shown by this one
    for command in commands(options):
        done = subprocess.run([sys.executable, "-m", *command], cwd=HERE.parent, check=False)
        if done.returncode:
            return done.returncode
    print(f"open {BUILD / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
