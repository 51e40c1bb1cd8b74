"""``python -m conformance``: the command, for an interpreter whose scripts are on no path."""

from __future__ import annotations

import sys

from conformance.cli import main

if __name__ == "__main__":
    sys.exit(main())
