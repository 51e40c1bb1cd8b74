"""Pages of the ledger: myths, area by area, each with its counterexample's output; all claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from unicodedata import category

from conformance.claims import VERDICTS, Claim
from conformance.report.examples import run_blocks
from conformance.report.law_links import law_link
from conformance.report.text import (
    FILTER,
    badge,
    code,
    contents,
    filtered,
    page,
    prose,
    sentence,
    table,
)
from conformance.report.verified import Verified

Output = Callable[[Claim], str]

MARKS = {
    "holds": "✓",
    "holds with conditions": "≈",
    "refuted": "✗",
    "outdated": "↺",
    "untestable": "?",
}
"""Before verdicts on claims."""
_TITLES = {
    "inplace": "Writing in place",
    "no-grad": "no_grad",
    "numpy-interop": "NumPy",
    "optim": "Optimizers",
    "pointwise": "Operators, element by element",
    "retain-graph": "Retaining the graph",
    "view-memory": "Views and memory",
    "vjp-jacobian": "Vector-Jacobian products",
}
"""Areas whose names do not read well as they are."""


def output_of(claim: Claim) -> str:
    """Return what a claim's counterexample prints. Raises ``ValueError`` if it fails."""
    outcome = run_blocks([claim.counterexample])
    if outcome.failures:
        raise ValueError(f"the counterexample of {claim.id} fails:\n{outcome.failures[0][1]}")
    return outcome.output


def claim_pages(
    claims: Sequence[Claim], verified: Verified, output: Output = output_of
) -> dict[str, str]:
    """Return the text of each page by its path: myths by area, their contents, all claims."""
    known = list(verified.verdicts)
    myths = by_area(claim for claim in claims if claim.is_contradicted)
    pages = {
        f"myths/{area}": _area_page(area, found, verified, known, output)
        for area, found in myths.items()
    }
    return {
        "myths/index": _contents(myths, claims),
        **pages,
        "claims": _ledger(claims, known),
    }


def by_area(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    """Return the claims of each area, areas in alphabetical order."""
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.area, []).append(claim)
    return dict(sorted(found.items()))


def _contents(myths: Mapping[str, Sequence[Claim]], claims: Sequence[Claim]) -> str:
    blocks = []
    for area, found in myths.items():
        blocks.append(f"## {_title(area)}")
        blocks.append(
            "{.filtered}\n"
            + "\n".join(
                f"- {claim_badge(claim)} [{prose(claim.statement)}](#{claim_label(claim)})"
                for claim in found
            )
        )
    return page(
        "# Myths",
        "What widely read tutorials say of PyTorch, and what is not so, not any more, or not "
        "always. Each comes with the truth, and with the smallest program that shows it, whose "
        "output was made when this page was.",
        f"{sum(map(len, myths.values()))} of {len(claims)} [claims](../claims.md). Marks: "
        + ", ".join(
            f"{badge(f'{MARKS[verdict]} {verdict}', 'verdict', verdict)} {VERDICTS[verdict]}"
            for verdict in ("refuted", "outdated", "holds with conditions")
        )
        + ".",
        FILTER,
        *blocks,
        contents(myths),
    )


def _area_page(
    area: str,
    claims: Sequence[Claim],
    verified: Verified,
    known: Sequence[str],
    output: Output,
) -> str:
    sections = (block for claim in claims for block in _myth(claim, verified, known, output))
    return page(f"# {_title(area)}: myths", *sections, "---", verified.note())


def _myth(claim: Claim, verified: Verified, known: Sequence[str], output: Output) -> Iterable[str]:
    yield f"({claim_label(claim)})=\n## {prose(claim.statement)}"
    yield f"{claim_badge(claim)} `{claim.id}`, established for torch {prose(claim.versions)}"
    yield f"{{.truth}}\n{sentence(claim.truth)}"
    yield code(claim.counterexample)
    yield code(output(claim) or "(prints nothing)", "text", "output")
    links = [law_link(glob, known) for glob in claim.laws]
    yield f"Shown by {', '.join(links)}. Said in {'; '.join(map(_said, claim.sources))}."


def _ledger(claims: Sequence[Claim], known: Sequence[str]) -> str:
    blocks = []
    for area, found in by_area(claims).items():
        rows = [
            (f"{prose(claim.statement)} {claim_badge(claim)}", _truth(claim, known))
            for claim in found
        ]
        blocks += [f"## {_title(area)}", filtered(("claim", "truth"), rows)]
    counts = {verdict: sum(c.verdict == verdict for c in claims) for verdict in VERDICTS}
    return page(
        "# All claims",
        f"The ledger: {len(claims)} statements that widely read tutorials make or imply, each "
        "established by experiment and held to the laws that show it.",
        table(
            ("verdict", "means", "claims"),
            [
                (
                    badge(f"{MARKS[verdict]} {verdict}", "verdict", verdict),
                    means,
                    f"{counts[verdict]}",
                )
                for verdict, means in VERDICTS.items()
            ],
        ),
        FILTER,
        *blocks,
    )


def _truth(claim: Claim, known: Sequence[str]) -> str:
    laws = ", ".join(law_link(glob, known) for glob in claim.laws)
    more = f" [Counterexample.](#{claim_label(claim)})" if claim.is_contradicted else ""
    return sentence(claim.truth) + more + (f" Shown by {laws}." if laws else "")


def _said(source: str) -> str:
    """Return where something is said, without the icons that a page had in its headings."""
    return prose(" ".join("".join(c for c in source if category(c) != "Co").split()))


def claim_label(claim: Claim) -> str:
    """Return the label of a contradicted claim's section."""
    return f"claim-{claim.id}".lower()


def claim_badge(claim: Claim) -> str:
    """Return the verdict on a claim as a coloured word."""
    return badge(f"{MARKS[claim.verdict]} {claim.verdict}", "verdict", claim.verdict)


def _title(area: str) -> str:
    return _TITLES.get(area) or area.replace("-", " ").replace("_", " ").capitalize()
