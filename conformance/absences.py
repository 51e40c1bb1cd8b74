"""What a target does not have and does not claim, kept as data: TOML, one table an entry.

.. code-block:: toml

    [[absent]]
    law = "operators.jvp:zeta"     # glob over law ids
    target = "cpu"                 # glob over targets; "*" for all
    torch = ""                     # versions of torch, such as ">=2.9,<2.14"; "" for all
    reason = "what is missing, and why, in one sentence"
    link = ""                      # where it is discussed or documented
    inputs = "tensors[0].is_complex()"  # optional: a Python expression over the law's inputs, or
                                   # over the list of tensors in them, that is true of exactly
                                   # those it is missing for; the law is held to all others

    [[absent]]
    capability = "float64"         # instead of a law: one that `conformance list targets` names
    target = "mine"
    torch = ""
    reason = "the hardware has none"
    link = ""
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from conformance.capabilities import PROBES, Capabilities
from conformance.deviations import DeviationsError, Entry, check_entry, check_matches, read_tables

SHIPPED = Path(__file__).with_name("capabilities.toml")
_REQUIRED = ("target", "torch", "reason", "link")
_OPTIONAL = ("law", "capability", "inputs")


@dataclass(frozen=True)
class Absence(Entry):
    """One entry: it names laws, or a capability."""

    capability: str = ""


def read_absences(path: Path) -> list[Absence]:
    """Read one file. Raises :class:`DeviationsError` naming file, line and what to mend."""
    return [_absence(table, where) for table, where in read_tables(path, "absent")]


def _absence(table: dict[str, Any], where: str) -> Absence:
    check_entry(table, "absent", where, _REQUIRED, _OPTIONAL)
    if ("law" in table) == ("capability" in table):
        raise DeviationsError(f"{where}: name either a law or a capability")
    capability = table.get("capability", "")
    if capability and capability not in PROBES:
        raise DeviationsError(
            f"{where}: no capability {capability!r}; it is one of {', '.join(PROBES)}"
        )
    if capability and "inputs" in table:
        raise DeviationsError(f"{where}: inputs are those of a law, not of a capability")
    return Absence(where=where, **{"law": "", **table})


def check_absences(absences: Iterable[Absence], known: Sequence[str]) -> None:
    """Raise :class:`DeviationsError` for an entry whose glob matches no law id."""
    check_matches([absence for absence in absences if absence.law], known)


def without(capabilities: Capabilities, absences: Iterable[Absence], target: str) -> Capabilities:
    """Return a target's capabilities less those that its author does not claim."""
    declared = {
        absence.capability: f"declared: {absence.reason}"
        for absence in absences
        if absence.capability and fnmatchcase(target, absence.target)
    }
    return replace(capabilities, refused={**capabilities.refused, **declared})
