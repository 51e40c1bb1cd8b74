"""Documentation pages, as MyST text, made of the laws themselves and the records of runs.

Nothing is said twice: sentence, conditions and source come from the law, verdict and evidence
from the records, claims from the ledger, known violations from the deviations file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import filter as matching
from pathlib import Path

from conformance.claims import SHIPPED as CLAIMS
from conformance.claims import Claim, read_claims
from conformance.law import Law, shipped_laws
from conformance.operators import OPERATORS
from conformance.profiles import DEFAULT, PROFILES
from conformance.report.chapter_pages import (
    chapter_page,
    chapters_of,
    contents_pages,
    example_file,
)
from conformance.report.claim_pages import claim_pages
from conformance.report.deviation_pages import deviation_pages
from conformance.report.law_links import law_link
from conformance.report.law_samples import Sample, law_samples
from conformance.report.operator_pages import operator_pages
from conformance.report.optimizer_pages import optimizer_pages
from conformance.report.text import FILTER, filtered, page, prose, table
from conformance.report.verified import Verified, counted_badges, read_verified

Kills = Sequence[Mapping[str, str]]

_ASSERTS = "A law that nobody can break asserts nothing."
_UNTRIED = (
    "Small faults are put into torch on purpose, and the law that each of them names must refute "
    "it. This site was built without trying them, to be quick; `tox -e docs` tries them all and "
    "lists them here."
)


def write_pages(
    records: Sequence[Path],
    kills: Kills | None,
    folder: Path,
    introductions: Path,
    ledger: Path = CLAIMS,
) -> None:
    """Write all generated pages into ``folder``, and remove what else is in it.

    ``kills`` is the kill table of the saboteurs, None where they were not tried.
    ``introductions`` holds ``CHAPTER.md``, written by hand, for chapters that have one.
    Raises ``ValueError`` if the first record lacks a verdict on one of the laws: a page says
    only what the runs it is from have shown.
    """
    laws = shipped_laws()
    verified = read_verified(records, [law_id for law in laws for law_id in law.ids()])
    claims, samples = read_claims(ledger), law_samples(laws)
    pages = {
        **handbook_pages(laws, verified, kills or (), claims, introductions, samples),
        **{f"operators/{name}": text for name, text in operator_pages(verified).items()},
        **{f"optimizers/{name}": text for name, text in optimizer_pages(laws, verified).items()},
        **claim_pages(claims, verified),
        **{f"deviations/{name}": text for name, text in deviation_pages(laws).items()},
        "saboteurs": saboteurs_page(kills, list(verified.verdicts)),
    }
    files = {f"{name}.md": text for name, text in pages.items()}
    scripts = {f"handbook/{example_file(name)}": s.script for name, s in samples.items()}
    tables = {"profiles.txt": profile_table(), "counts.txt": counts(laws, claims, verified)}
    _write({**files, **scripts, **tables}, folder)


def _write(files: Mapping[str, str], folder: Path) -> None:
    """Make ``folder`` hold these files alone; those that stay the same are not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.rglob("*"):
        if old.is_file() and old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def handbook_pages(
    laws: Sequence[Law],
    verified: Verified,
    kills: Kills,
    claims: Sequence[Claim],
    introductions: Path,
    samples: Mapping[str, Sample],
) -> dict[str, str]:
    """Return the text of the handbook's pages by their path: the contents, then the chapters."""
    chapters = chapters_of(laws)
    bearing = claims_of(claims, [law_id for law in laws for law_id in law.ids()])
    pages = {f"handbook/{name}": text for name, text in contents_pages(chapters, verified).items()}
    for name, members in chapters.items():
        path = introductions / f"{name}.md"
        introduction = path.read_text(encoding="utf-8") if path.exists() else ""
        pages[f"handbook/{name}"] = chapter_page(
            members, verified, kills, bearing, introduction, samples
        )
    return pages


def claims_of(claims: Sequence[Claim], law_ids: Sequence[str]) -> dict[str, list[Claim]]:
    """Return the claims that the verdict on each law bears on."""
    found: dict[str, list[Claim]] = {}
    known = set(law_ids)
    for claim in claims:
        for glob in claim.laws:
            for law_id in [glob] if glob in known else matching(law_ids, glob):
                found.setdefault(law_id, []).append(claim)
    return found


def counts(laws: Sequence[Law], claims: Sequence[Claim], verified: Verified) -> str:
    """Return what there is, and what the run has found, for the first page."""
    lines = verified.lines(law_id for law in laws for law_id in law.ids())
    return page(
        f"**{len(laws):,} laws** over **{len(OPERATORS)} operators** and all optimizers, in "
        f"{len(lines):,} cases: {counted_badges(lines)} And **{len(claims)} claims** of widely "
        "read tutorials, put to the test.",
        verified.note(),
    )


def profile_table() -> str:
    """Return the table of profiles, for the guide."""
    rows = [
        (
            f"`{p.name}`" + (" (default)" if p.name == DEFAULT else ""),
            f"{p.examples:,}",
            f"{p.dear:,}",
            "the same every time" if p.derandomized else "new; the seed is in the record",
            f"{p.timeout / 60:,.0f} min",
        )
        for p in PROFILES.values()
    ]
    heads = ("profile", "examples a law", "of a dear law", "inputs", "time limit a law")
    return table(heads, rows) + "\n"


def saboteurs_page(kills: Kills | None, known: Sequence[str]) -> str:
    """Return the kill table: every planted fault, the law that caught it, and what it said.

    ``kills`` None: this build tried none.
    """
    if kills is None:
        return page("# Saboteurs", _ASSERTS, _UNTRIED)
    rows = [
        (
            f"`{k['saboteur']}`",
            prose(k["breaks"]),
            law_link(k["law"], known),
            "yes" if k["caught"] else "**no**",
            f"`{k['message']}`",
        )
        for k in kills
    ]
    return page(
        "# Saboteurs",
        f"{_ASSERTS} Each of these {len(rows):,} faults is put into torch on purpose, in a process "
        "of its own, and the named law must refute it in profile `ci`.",
        FILTER,
        filtered(("saboteur", "fault", "law", "caught", "counterexample says"), rows),
    )
