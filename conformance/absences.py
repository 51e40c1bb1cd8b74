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

    [[absent]]
    error = "LoweringError: no kernel"  # instead of a law: a regular expression for the type and
                                   # the first line of the errors by which a backend says that it
                                   # has no such operation, where that is no NotImplementedError
    target = "mine"
    torch = ""
    reason = "operations that are not lowered yet"
    link = ""
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import filter as filter_names
from pathlib import Path
from typing import Any

from conformance.capabilities import PROBES, Capabilities
from conformance.deviations import DeviationsError, Entry, check_entry, check_matches, read_tables

SHIPPED = Path(__file__).with_name("capabilities.toml")
_REQUIRED = ("target", "torch", "reason", "link")
_SUBJECTS = ("law", "capability", "error")
_OPTIONAL = (*_SUBJECTS, "inputs")


@dataclass(frozen=True)
class Absence(Entry):
    """One entry: it names laws, a capability, or an error."""

    capability: str = ""
    error: str = ""


def read_absences(path: Path) -> list[Absence]:
    """Read one file. Raises :class:`DeviationsError` naming file, line and what to mend."""
    return [_absence(table, where) for table, where in read_tables(path, "absent")]


def _absence(table: dict[str, Any], where: str) -> Absence:
    check_entry(table, "absent", where, _REQUIRED, _OPTIONAL)
    if sum(subject in table for subject in _SUBJECTS) != 1:
        raise DeviationsError(f"{where}: name either a law or a capability or an error")
    capability = table.get("capability", "")
    if capability and capability not in PROBES:
        raise DeviationsError(
            f"{where}: no capability {capability!r}; it is one of {', '.join(PROBES)}"
        )
    if "law" not in table and "inputs" in table:
        raise DeviationsError(f"{where}: inputs are those of a law, and of nothing else")
    try:
        re.compile(table.get("error", ""))
    except re.error as error:
        raise DeviationsError(f"{where}: error is no regular expression: {error}") from error
    return Absence(where=where, **{"law": "", **table})


def check_absences(absences: Iterable[Absence], known: Sequence[str]) -> None:
    """Raise :class:`DeviationsError` for an entry whose glob matches no law id."""
    check_matches([absence for absence in absences if absence.law], known)


def without(capabilities: Capabilities, absences: Iterable[Absence], target: str) -> Capabilities:
    """Return a target's capabilities less those that its author does not claim."""
    device = target.partition("/")[0]
    own = [a for a in absences if filter_names((target, device), a.target)]
    declared = {a.capability: f"declared: {a.reason}" for a in own if a.capability}
    words = {a.error: f"declared: {a.reason}" for a in own if a.error}
    return replace(capabilities, refused={**capabilities.refused, **declared}, words=words)
