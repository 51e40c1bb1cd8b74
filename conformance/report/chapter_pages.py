"""The handbook: a page a chapter, its laws in the order of its module, and the contents.

Nothing is said twice: sentence, conditions and source come from the law, verdict and evidence
from the records, claims from the ledger; an introduction may be written by hand.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from conformance.claims import Claim
from conformance.law import LEVELS, Law
from conformance.report.claim_pages import claim_badge, claim_label
from conformance.report.contents import parts_of
from conformance.report.law_links import PREFIX, law_label
from conformance.report.law_samples import Sample
from conformance.report.text import badge, code, contents, folded, page, prose, table
from conformance.report.verified import (
    Line,
    Verified,
    counted,
    counted_badges,
    evidence,
    reason,
    verdict_badge,
)

Chapters = Mapping[str, Sequence[Law]]

_MEANINGS = {
    "must": "torch's documentation promises it",
    "should": "users rely on it and nothing promises it",
    "statistical": "a run that finds nothing is evidence, not proof",
}
_EXCUSES_SHOWN = 6
_BEGINNING = ("leaf_flags",)


def chapters_of(laws: Iterable[Law]) -> dict[str, list[Law]]:
    """Return the laws of each chapter."""
    return {name: list(group) for name, group in groupby(laws, lambda law: law.chapter)}


def contents_pages(chapters: Chapters, verified: Verified) -> dict[str, str]:
    """Return the handbook's first page and one for each part, by name: chapters and verdicts."""
    levels = ", ".join(f"*{level}* ({_MEANINGS[level]})" for level in LEVELS)
    total = sum(len(laws) for laws in chapters.values())
    first = next((name for name in _BEGINNING if name in chapters), None)
    blocks, pages = [], {}
    for part in parts_of(chapters):
        rows = [_row(name, chapters[name], verified) for name in part.chapters]
        listed = table(("chapter", "laws", "verdicts"), rows)
        blocks += [f"## [{part.title}]({part.page}.md)", part.tells, listed]
        pages[part.page] = page(f"# {part.title}", part.tells, listed, contents(part.chapters))
    pages["index"] = page(
        "# Semantics handbook",
        f"What PyTorch's documentation promises, in {total:,} laws, as a run has verified them. "
        "Each law is one sentence, tried on generated inputs and judged by an oracle that shares "
        f"no code with torch. Its level says who promises it: {levels}.",
        f"New to autograd? Begin with [leaves]({first}.md) and read that part in its order."
        if first
        else "",
        *blocks,
        verified.note(),
        contents(pages),
    )
    return pages


def _row(name: str, laws: Sequence[Law], verified: Verified) -> tuple[str, str, str]:
    lines = verified.lines(law_id for law in laws for law_id in law.ids())
    about = prose(subject(laws).partition("\n\n")[0])
    return f"**[{title(laws)}]({name}.md)** {about}", str(len(laws)), counted_badges(lines)


def chapter_page(
    laws: Sequence[Law],
    verified: Verified,
    kills: Sequence[Mapping[str, str]],
    claims: Mapping[str, Sequence[Claim]],
    introduction: str = "",
    samples: Mapping[str, Sample] = MappingProxyType({}),
) -> str:
    """Return one chapter: its introduction, then each law with all that is known of it."""
    lines = verified.lines(law_id for law in laws for law_id in law.ids())
    sections = (block for law in laws for block in _law(law, verified, kills, claims, samples))
    return page(
        f"# {title(laws)}",
        prose(subject(laws)),
        introduction,
        "## The laws",
        f"{len(laws)} laws, verdicts {counted_badges(lines)}",
        *sections,
        "---",
        verified.note(),
    )


def _law(
    law: Law,
    verified: Verified,
    kills: Sequence[Mapping[str, str]],
    claims: Mapping[str, Sequence[Claim]],
    samples: Mapping[str, Sample],
) -> Iterable[str]:
    lines = verified.lines(law.ids())
    yield f"({law_label(law.id)})=\n### `{law.id}`"
    yield f"{{.law}}\n{prose(law.statement)}"
    if law.conditions:
        yield prose(law.conditions)
    badges = f"{badge(law.level, 'level')} {counted_badges(lines)}"
    yield f"{{.evidence}}\n{badges} {_basis(law, lines)} {_documentation(law)}{_since(law)}"
    yield from _cases(law, lines)
    caught = [k["breaks"] for k in kills if k["law"] in law.ids() and k["caught"]]
    if caught:
        told = "; ".join(prose(text) for text in dict.fromkeys(caught))
        yield f"{{.evidence}}\nShown to fail where {told}."
    bearing = {claim.id: claim for law_id in law.ids() for claim in claims.get(law_id, ())}
    if bearing:
        yield folded(
            f"claims that it decides: {len(bearing)}", "\n".join(map(_claim, bearing.values()))
        )
    yield folded("source of the law", code(inspect.getsource(law.function)))
    if law.id in samples:
        yield folded("one of its examples", *_example(law, samples[law.id]))


def _example(law: Law, sample: Sample) -> Iterable[str]:
    told = f"`{sample.law_id}`, " if sample.law_id != law.id else ""
    script = f"{{download}}`a script <{example_file(law.id)}>`"
    yield f"{told}drawn and found to hold; as {script}, it needs torch and NumPy only."
    yield code(sample.inputs) if sample.inputs else ""


def example_file(law_id: str) -> str:
    """Return where the script of a law's example lies, beside the pages."""
    return f"examples/{law_id}.py"


def _claim(claim: Claim) -> str:
    where = f"#{claim_label(claim)}" if claim.is_contradicted else "../claims.md"
    return f"- {prose(claim.statement)} {claim_badge(claim)} [more]({where})"


def _documentation(law: Law) -> str:
    pages = list(dict.fromkeys(map(law.documentation, law.cases or [None])))
    text = f"[torch's documentation]({pages[0]})"
    return text + (f" and {len(pages) - 1} pages more" if len(pages) > 1 else "")


def _since(law: Law) -> str:
    releases = dict.fromkeys(map(law.first_release, law.cases or [None]))
    told = ", ".join(f"torch {release}" for release in releases if release)
    return f"; since {told}{', for some cases' if '' in releases else ''}" if told else ""


def _basis(law: Law, lines: Sequence[Line]) -> str:
    """What the verdicts rest on, target by target."""
    if law.id.startswith(PREFIX):
        return "operator by operator in the [table of operators](../operators/index.md)."
    if len(lines) == 1:
        why = reason(lines[0])
        return f"on {_place(lines[0])}: {evidence(lines[0])}. {why}"
    parts = []
    for place in dict.fromkeys(map(_place, lines)):
        found = [line["evidence"] for line in lines if _place(line) == place]
        examples, values = (sum(one[key] for one in found) for key in ("examples", "values"))
        parts.append(f"on {place}: {examples:,} examples, {values:,} values compared")
    return "; ".join(parts) + "."


def _cases(law: Law, lines: Sequence[Line]) -> Iterable[str]:
    """Where there are several cases: those that do not hold, and all of them, folded."""
    if law.id.startswith(PREFIX) or len(lines) == 1:
        return
    excused = [f"- `{o['law']}`: {reason(o)}" for o in lines if o["verdict"] != "holds"]
    if excused:
        shown, rest = excused[:_EXCUSES_SHOWN], excused[_EXCUSES_SHOWN:]
        more = [f"- and {len(rest)} more in the table below"] if rest else []
        yield "\n".join(["Where it does not simply hold:", "", *shown, *more])
    rows = [
        (f"`{o['law'].partition(':')[2] or o['law']}`", _place(o), _verdict(o), evidence(o))
        for o in lines
    ]
    header = ("case", "target", "verdict", "evidence")
    yield folded(f"all {len(lines)} cases: {counted(lines)}", table(header, rows))


def _verdict(line: Line) -> str:
    why = reason(line)
    return verdict_badge(line["verdict"]) + (f" {why}" if why else "")


def _place(line: Line) -> str:
    return f"`{line['target']}` with torch {line['torch']}"


def title(laws: Sequence[Law]) -> str:
    """Return a chapter's name: what its module's description says before the colon."""
    name = _description(laws).partition("\n\n")[0].partition(":")[0]
    return prose(" ".join(name.replace("`", "").split()).rstrip("."))


def subject(laws: Sequence[Law]) -> str:
    """Return what a chapter is about: the rest of its module's description."""
    first, _, rest = _description(laws).partition("\n\n")
    about = first.partition(":")[2].strip()
    return "\n\n".join(part for part in (sentence_case(about), rest) if part)


def sentence_case(text: str) -> str:
    """Return a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _description(laws: Sequence[Law]) -> str:
    module = inspect.getmodule(laws[0].function)
    return inspect.cleandoc((module and module.__doc__) or laws[0].chapter)
