"""Links within the site: from an id, or a glob over ids, to the place that shows the law."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import filter as matching

from conformance.operators import OPERATORS, Operator

PREFIX = "operators."
"""Laws over the catalogue; what they say of an operator stands on the operator's page."""


def law_label(law_id: str) -> str:
    """Return the label of a law's section in the handbook."""
    return f"law-{law_id}".lower()


def operator_label(operator: Operator) -> str:
    """Return the label of an operator: keys differ in case alone, as those of T and t."""
    return f"operator-{operator.name}-{operator.variant}".lower()


def law_link(glob: str, known: Sequence[str]) -> str:
    """Return a link to the laws that a glob matches, among the known ids with their cases."""
    found = [glob] if glob in known else matching(known, glob)
    if not found:
        return f"`{glob}`"
    law_id, _, case = found[0].partition(":")
    label = law_label(law_id)
    if law_id.startswith(PREFIX) and len(found) == 1 and case in OPERATORS:
        label = operator_label(OPERATORS[case])
    return f"[`{glob}`](#{label})"
