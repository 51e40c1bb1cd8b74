"""Pages of optimizers: formula, options, what torch does by law, and variants that were verified.

The formula is what the docstring of the reference says; the pictures are drawn in the build.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.law import Law, documentation_link
from conformance.reference.optimizers import CLOSED_FORMS
from conformance.reference.optimizers.quasi_newton import lbfgs
from conformance.report.contents import PARTS
from conformance.report.law_links import law_label
from conformance.report.text import contents, page, prose, table
from conformance.report.verified import (
    Line,
    Verified,
    counted_badges,
    evidence,
    reason,
    verdict_badge,
)
from strategies.optimizer_tables import OPTIONS


def optimizer_pages(laws: Sequence[Law], verified: Verified) -> dict[str, str]:
    """Return the text of each page by its name: the contents, then one for each optimizer."""
    names = sorted(OPTIONS)
    return {
        "index": _contents(names, laws, verified),
        **{name: _page(name, laws, verified) for name in names},
    }


def _contents(names: Sequence[str], laws: Sequence[Law], verified: Verified) -> str:
    rows = [
        (
            f"[{name}]({name}.md)",
            ", ".join(f"`{option}`" for option in OPTIONS[name]),
            counted_badges(line for _, _, line in _found(name, laws, verified)),
        )
        for name in names
    ]
    return page(
        "# Optimizers",
        "Each optimizer of `torch.optim` against its documented formula, over whole histories of "
        "gradients and in every implementation. What concerns all of them stands in the "
        "[handbook](../handbook/optimizers.md).",
        "```{picture} valley\n```",
        table(("optimizer", "options", "verdicts on its cases"), rows),
        verified.note(),
        contents(names),
    )


def _page(name: str, laws: Sequence[Law], verified: Verified) -> str:
    found = list(_found(name, laws, verified))
    return page(
        f"# {name}",
        f"[torch's documentation]({documentation_link(f'torch.optim.{name}')}). Verdicts on its "
        f"cases: {counted_badges(line for _, _, line in found)}",
        "## The formula",
        _formula(name),
        "## A history against the formula",
        f"```{{picture}} history-{name}\n```",
        "## Options",
        "Values that the laws draw, the plainest first; every combination that the class accepts.",
        table(("option", "values"), _options(OPTIONS[name])),
        *_variants(found),
        "## What torch does",
        table(("law", "verdicts"), _behaviour(found)),
        "---",
        verified.note(),
    )


def _formula(name: str) -> str:
    """What the reference's docstring says, a term a line, and then where that is from."""
    form: Any = CLOSED_FORMS.get(name, lbfgs)
    rest = inspect.cleandoc(form.__doc__ or "").partition("\n\n")[2]
    text, _, source = " ".join(rest.split()).partition("Source: ")
    said = re.split(r"(?<=\.) (?=[A-Z`])", text.strip())
    terms = [term for one in said if _is_formula(one) for term in one.rstrip(".").split("; ")]
    return page(
        "\n".join(f"- {prose(term)}" for term in terms),
        prose(" ".join(one for one in said if not _is_formula(one))),
        f"Source: {prose(source)}",
    )


def _is_formula(sentence: str) -> bool:
    return "``" in sentence and "=" in sentence


def _options(options: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, str]]:
    for option, values in options.items():
        yield f"`{option}`", ", ".join(f"`{value!r}`" for value in values)


def _found(name: str, laws: Sequence[Law], verified: Verified) -> Iterable[tuple[Law, str, Line]]:
    """Yield the verdicts on cases named after the optimizer, alone or with a variant behind."""
    reading = [chapter for part in PARTS for chapter in part.chapters]
    for law in sorted(laws, key=lambda law: (*reading, law.chapter).index(law.chapter)):
        for case in law.cases:
            if name in (case, case.partition("-")[0]):
                for line in verified.lines([f"{law.id}:{case}"]):
                    yield law, case, line


def _variants(found: Iterable[tuple[Law, str, Line]]) -> Iterable[str]:
    rows = [
        (f"`{case.partition('-')[2] or 'default'}`", verdict_badge(line["verdict"]), evidence(line))
        for law, case, line in found
        if law.id == "optimizer.closed-form"
    ]
    if rows:
        yield "## Verified variants"
        yield "Each implementation is held to the same formula, after every step."
        yield table(("variant", "verdict", "evidence"), rows)


def _behaviour(found: Iterable[tuple[Law, str, Line]]) -> Iterable[tuple[str, str]]:
    """One row a law: its sentence, how many cases hold, and what is known where one does not."""
    by_law: dict[str, list[tuple[Law, str, Line]]] = {}
    for entry in found:
        by_law.setdefault(entry[0].id, []).append(entry)
    for law_id, entries in by_law.items():
        link = f"[{prose(entries[0][0].statement)}](#{law_label(law_id)})"
        known = [f"`{case}`: {reason(line)}." for _, case, line in entries if reason(line)]
        yield link, " ".join([counted_badges(line for _, _, line in entries), *known])
