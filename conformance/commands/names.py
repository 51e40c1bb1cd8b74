"""The names that a shell completes: laws, chapters, targets; from a file that is quick to read.

To list the laws takes seconds, since torch is imported for it; a press of the tab key may not. So
the names are written down once for an installation, and again when it has changed.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

KINDS = ("laws", "chapters", "targets", "operators", "modes")
_PACKAGE = Path(__file__).parent.parent


def names(kind: str) -> list[str]:
    """Return what a list holds, by name; of laws the ids without a case first."""
    path, stamp = _folder() / f"{kind}-{_place()}.txt", _stamp()
    with suppress(OSError, UnicodeDecodeError):
        first, *known = path.read_text(encoding="utf-8").splitlines()
        if first == stamp:
            return known
    found = _listed(kind)
    with suppress(OSError):  # a folder that cannot be written costs time, and nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text("\n".join([stamp, *found]) + "\n", encoding="utf-8")
        fresh.replace(path)
    return found


def _listed(kind: str) -> list[str]:
    from conformance.commands.listing import rows

    whole = [row.name for row in rows(kind, [])]
    if kind != "laws":
        return whole
    return [
        *dict.fromkeys(name.partition(":")[0] for name in whole),
        *(n for n in whole if ":" in n),
    ]


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "autograd-conformance"


def _place() -> str:
    return f"{zlib.crc32(str(_PACKAGE).encode()):08x}"


def _stamp() -> str:
    """Return what changes whenever the names may: the suite's files, or torch."""
    changed = [path.stat().st_mtime_ns for path in _PACKAGE.rglob("*.py")]
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    return f"{len(changed)} files, {max(changed)}, torch {torch}"
