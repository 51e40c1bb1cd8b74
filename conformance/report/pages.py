"""Documentation pages, as MyST text, made of the laws themselves and the record of a run.

Nothing is said twice: sentence, conditions and source come from the law, verdict and evidence
from the record, known violations from the deviations file.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance.deviations import SHIPPED, read_deviations
from conformance.law import Law, shipped_laws
from conformance.profiles import DEFAULT, PROFILES
from conformance.report.operator_pages import PREFIX, operator_pages
from conformance.report.text import page, table
from conformance.results import read_record

Verdicts = Mapping[str, Sequence[Mapping[str, Any]]]


def write_pages(record: Path, kills: Sequence[Mapping[str, str]], folder: Path) -> None:
    """Write all generated pages into ``folder``: chapters, operators, deviations, saboteurs.

    Raises ``ValueError`` if the record lacks a verdict on one of the laws: a page says only
    what the run it is from has shown.
    """
    lines = list(read_record(record))
    run = next(line for line in lines if line["kind"] == "run")
    verdicts: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if line["kind"] == "verdict":
            verdicts.setdefault(line["law"], []).append(line)
    laws = shipped_laws()
    missing = [law_id for law in laws for law_id in law.ids() if law_id not in verdicts]
    if missing:
        raise ValueError(f"{record} has no verdict on {', '.join(missing)}; run all laws")
    folder.mkdir(parents=True, exist_ok=True)
    chapters = [(name, list(group)) for name, group in groupby(laws, lambda law: law.chapter)]
    for name, members in chapters:
        (folder / f"{name}.md").write_text(chapter_page(members, verdicts, run, kills))
    for name, text in operator_pages(verdicts, _run_note(run)).items():
        (folder / f"{name}.md").write_text(text)
    (folder / "profiles.txt").write_text(profile_table())
    (folder / "index.md").write_text(contents_page(chapters, verdicts, run))
    (folder / "deviations.md").write_text(deviations_page())
    (folder / "saboteurs.md").write_text(saboteurs_page(kills))


def contents_page(
    chapters: Sequence[tuple[str, Sequence[Law]]], verdicts: Verdicts, run: Mapping[str, Any]
) -> str:
    """Return the handbook's first page: every chapter with its number of laws by verdict."""
    rows = []
    for name, laws in chapters:
        counts = _counted([v for law in laws for i in law.ids() for v in verdicts[i]])
        rows.append((f"[{_title(laws[0])}]({name}.md)", str(len(laws)), counts))
    return page(
        "# Semantics handbook",
        "What PyTorch's documentation promises, law by law, as a run has verified it.",
        _run_note(run),
        table(("chapter", "laws", "verdicts"), rows),
        "```{toctree}\n:hidden:\n" + "\n".join(name for name, _ in chapters) + "\n```",
    )


def chapter_page(
    laws: Sequence[Law],
    verdicts: Verdicts,
    run: Mapping[str, Any],
    kills: Sequence[Mapping[str, str]],
) -> str:
    """Return one chapter: each law with sentence, conditions, verdicts, evidence and source."""
    sections = [section for law in laws for section in _law_section(law, verdicts, kills)]
    return page(f"# {_title(laws[0])}", _subject(laws[0]), _run_note(run), *sections)


def _law_section(law: Law, verdicts: Verdicts, kills: Sequence[Mapping[str, str]]) -> Iterable[str]:
    yield f"## {law.id}"
    yield f"**{law.statement}**"
    if law.conditions:
        yield law.conditions
    link = law.documentation(next(iter(law.cases), None))
    yield f"Level *{law.level}*. [torch's documentation]({link})"
    lines = [line for law_id in law.ids() for line in verdicts[law_id]]
    if law.id.startswith(PREFIX):
        yield f"{_counted(lines)}: operator by operator in the [catalogue](catalogue.md)."
    else:
        yield table(("law", "target", "verdict", "evidence"), map(_evidence_row, lines))
    caught = [f"*{k['breaks']}*" for k in kills if k["law"] in law.ids() and k["caught"]]
    if caught:
        yield f"Shown to fail where {'; '.join(dict.fromkeys(caught))}."
    code = html.escape(inspect.getsource(law.function))
    yield f"<details><summary>source of the law</summary>\n<pre>{code}</pre>\n</details>"


def _counted(lines: Iterable[Mapping[str, Any]]) -> str:
    found = [line["verdict"] for line in lines]
    return ", ".join(f"{found.count(kind)} {kind}" for kind in dict.fromkeys(found))


def _evidence_row(line: Mapping[str, Any]) -> tuple[str, ...]:
    evidence = line["evidence"]
    parts = [
        f"{evidence['examples']} examples",
        f"{evidence['values']:,} values compared",
        *([f"{evidence['rejected']} rejected"] if evidence["rejected"] else []),
        *([f"{evidence['unsupported']} unsupported"] if evidence["unsupported"] else []),
        *([", ".join(evidence["dtypes"])] if evidence["dtypes"] else []),
        *([f"ranks {', '.join(map(str, evidence['ranks']))}"] if evidence["ranks"] else []),
        *([", ".join(evidence["layouts"])] if evidence["layouts"] else []),
    ]
    verdict = line["verdict"]
    if line["deviation"]:
        verdict += f": {line['deviation']['reason']}"
    if line["verdict"] == "deviates":
        parts = ["its recorded counterexample fails"] if not evidence["examples"] else parts
    return f"`{line['law']}`", f"`{line['target']}`", verdict, "; ".join(parts)


def profile_table() -> str:
    """Return the table of profiles, for the guide."""
    rows = [
        (
            f"`{p.name}`" + (" (default)" if p.name == DEFAULT else ""),
            f"{p.examples:,}",
            "the same every time" if p.derandomized else "new; the seed is in the record",
            f"{p.timeout / 60:,.0f} min",
        )
        for p in PROFILES.values()
    ]
    return table(("profile", "examples a law", "inputs", "time limit a law"), rows) + "\n"


def deviations_page() -> str:
    """Return the page of known violations of stock torch."""
    sections: list[str] = []
    for entry in read_deviations(SHIPPED):
        sections.append(f"## {entry.law}\n\n{entry.reason[0].upper()}{entry.reason[1:]}.")
        versions = f"torch `{entry.torch}`" if entry.torch else "every version tried"
        report = f"[public issue]({entry.link})" if entry.link else "no public issue found"
        sections.append(f"Target `{entry.target}`, {versions}; {report}.")
        if entry.inputs:
            sections.append(f"Where `{entry.inputs}`; the law is held to all other inputs.")
        script = entry.counterexample or entry.crash
        if script:
            sections.append(f"```python\n{script.strip()}\n```")
    return page(
        "# Deviations of torch releases",
        "What stock releases of torch are known to do against their documentation. Each entry's "
        "counterexample is run again in every run of the laws; `target` stands for what is "
        "under test.",
        *sections,
    )


def saboteurs_page(kills: Sequence[Mapping[str, str]]) -> str:
    """Return the kill table: every planted fault, the law that caught it, and what it said."""
    rows = [
        (k["saboteur"], k["breaks"], f"`{k['law']}`", "yes" if k["caught"] else "**no**",
         f"`{k['message']}`")
        for k in kills
    ]  # fmt: skip
    return page(
        "# Saboteurs",
        "A law that nobody can break asserts nothing. Each of these faults is put into torch on "
        "purpose, in a process of its own, and the named law must refute it in profile `ci`.",
        table(("saboteur", "fault", "law", "caught", "counterexample says"), rows),
    )


def _title(law: Law) -> str:
    return _subject(law).partition(":")[0]


def _subject(law: Law) -> str:
    module = inspect.getmodule(law.function)
    return inspect.cleandoc((module and module.__doc__) or law.chapter)


def _run_note(run: Mapping[str, Any]) -> str:
    return (
        f"*Verified with torch {run['torch']}, NumPy {run['numpy']}, Python "
        f"{run['python'].split()[0]} on {run['processor']} ({run['platform']}); profile "
        f"{run['profile']}, {run['examples']} examples a law, seed {run['seed']}.*"
    )
