"""Documentation pages of the catalogue: operator by law by dtype, as a run has verified it.

One page a family of operators: a table of verdicts, operator by law, and below it for each
operator which law has seen which dtype, what the operator is excused from, and what it rejects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.law import documentation_link, shipped_laws
from conformance.operators import FAMILIES, Operator
from conformance.report.law_links import PREFIX, law_label, operator_label
from conformance.report.samples import sample
from conformance.report.text import code, contents, matrix, page, prose, table
from conformance.report.verified import Line, Verified, reason

SIGNS = {"holds": "✓", "deviates": "≠", "unsupported": "○"}
"""How verdicts read in tables; every other one is written out."""


def laws_over_operators() -> dict[str, str]:
    """Return the laws whose cases are operators, by the part of their id after the dot.

    Values come first, then derivatives and transforms, which build on them.
    """
    found = [law for law in shipped_laws() if law.id.startswith(PREFIX)]
    found.sort(key=lambda law: law.chapter != "operators")
    return {
        law.id.removeprefix(PREFIX): law.statement
        for law in found
        if any(isinstance(case, Operator) for case in law.cases.values())
    }


def operator_pages(verified: Verified) -> dict[str, str]:
    """Return the text of each page by its name: the contents, then one for each family."""
    laws = laws_over_operators()
    pages = {"index": _contents(laws, verified)}
    for name, family in FAMILIES.items():
        pages[name] = _family_page(name, family, laws, verified)
    return pages


def _contents(laws: Mapping[str, str], verified: Verified) -> str:
    rows = []
    for name, family in FAMILIES.items():
        found = [_verdict(law, o, verified) for o in family for law in laws]
        counts = ", ".join(f"{found.count(kind)} {kind}" for kind in dict.fromkeys(found) if kind)
        callables = len({operator.name for operator in family})
        rows.append((f"[{_title(name)}]({name}.md)", str(callables), counts))
    total = len({operator.name for family in FAMILIES.values() for operator in family})
    return page(
        "# Operators",
        f"{total} operators of torch, each under every law below that applies to it, in each "
        "dtype that it supports.",
        table(("family", "operators", "verdicts"), rows),
        "## The laws",
        table(("law", "says"), [(_law(law), prose(says)) for law, says in laws.items()]),
        verified.note(),
        contents(FAMILIES),
    )


def _family_page(
    name: str,
    family: Sequence[Operator],
    laws: Mapping[str, str],
    verified: Verified,
) -> str:
    applied = [law for law in laws if any(_verdict(law, o, verified) for o in family)]
    rows = [
        (
            f"[`{operator.key}`](#{operator_label(operator)})",
            *(SIGNS.get(v, v) for v in (_verdict(law, operator, verified) for law in applied)),
        )
        for operator in family
    ]
    return page(
        f"# {_title(name)}",
        "✓ holds; ≠ deviates, as told below; ○ the device has no such operation; empty: the law "
        "does not apply.",
        matrix(("operator", *map(_law, applied)), rows),
        *(section for operator in family for section in _operator(operator, applied, verified)),
        "---",
        verified.note(),
    )


def _title(family: str) -> str:
    return family.replace("_", " ").capitalize()


def _law(name: str) -> str:
    return f"[`{name}`](#{law_label(PREFIX + name)})"


def _operator(operator: Operator, laws: Sequence[str], verified: Verified) -> list[str]:
    seen = {law: _dtypes(law, operator, verified) for law in laws}
    dtypes = [str(dtype).removeprefix("torch.") for dtype in operator.supported]
    rows = [
        (law, *(SIGNS["holds"] if dtype in seen[law] else "" for dtype in dtypes))
        for law in laws
        if _verdict(law, operator, verified) == "holds"
    ]
    spelled = dict.fromkeys(
        getattr(spelling, "__name__", spelling)
        for spelling in (operator.name, *operator.spellings, operator.in_place)
        if spelling
    )
    parts = [
        f"({operator_label(operator)})=\n## `{operator.key}`",
        f"[torch's documentation]({documentation_link(operator.page)}). Spellings: "
        + ", ".join(f"`{spelling}`" for spelling in spelled)
        + (" and `out=`." if operator.out else "."),
        code(shown, "pycon") if (shown := sample(operator)) else "",
        matrix(("law", *dtypes), rows) if rows else "",
    ]
    for law in laws:
        for why in dict.fromkeys(map(reason, _lines(law, operator, verified))):
            parts += [f"≠ `{law}`: {why}."] if why else []
    parts += [f"Excused from `{law}`: {prose(why)}." for law, why in operator.excused.items()]
    if operator.rejections:
        rejected = [
            (f"`{r.illegal}`", f"`{r.legal}`", f"{r.error}: `{r.message}`")
            for r in operator.rejections.values()
        ]
        parts.append(table(("rejected", "legal beside it", "raises"), rejected))
    return parts


def _lines(law: str, operator: Operator, verified: Verified) -> Sequence[Line]:
    return verified.lines([f"{PREFIX}{law}:{operator.key}"])


def _verdict(law: str, operator: Operator, verified: Verified) -> str:
    """The worst verdict over the targets of the run, or nothing where the law does not apply."""
    found = [line["verdict"] for line in _lines(law, operator, verified)]
    return next((kind for kind in found if kind != "holds"), found[0] if found else "")


def _dtypes(law: str, operator: Operator, verified: Verified) -> set[str]:
    lines = _lines(law, operator, verified)
    return {dtype for line in lines for dtype in line["evidence"]["dtypes"]}
