"""Pages of the known violations of stock torch: an index, then one for each part of the handbook.

Each entry stands beside the law that it violates, with the script that shows it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import filter as matching

from conformance.deviations import SHIPPED, Deviation, read_deviations
from conformance.law import Law
from conformance.report.contents import Part, parts_of
from conformance.report.law_links import law_link
from conformance.report.text import FILTER, code, contents, filtered, page, prose, sentence

_TELLS = (
    "What stock releases of torch are known to do against their documentation. Each entry's "
    "counterexample is run again in every run of the laws, and one that no longer fails ends that "
    "run: what stands here was true when this site was built."
)


class Known:
    """Every law by its ids."""

    def __init__(self, laws: Sequence[Law]) -> None:
        self.by_id = {law_id: law for law in laws for law_id in law.ids()}
        self.ids = list(self.by_id)

    def entries(self) -> list[Deviation]:
        """Return the entries of the shipped file, but for laws that there are not."""
        return [entry for entry in read_deviations(SHIPPED) if matching(self.ids, entry.law)]

    def violated(self, entry: Deviation) -> str:
        """Return the first id that an entry matches, which every entry of a run does."""
        return matching(self.ids, entry.law)[0]

    def chapter(self, entry: Deviation) -> str:
        """Return the chapter of the law that an entry violates."""
        return self.by_id[self.violated(entry)].chapter


def deviation_pages(laws: Sequence[Law]) -> dict[str, str]:
    """Return the text of each page by its name: the index, then one for each part."""
    known = Known(laws)
    entries = known.entries()
    by_part = _by_part(entries, known)
    labels = _labels(entries)
    pages = {"index": _index(by_part, labels)}
    for part, members in by_part.items():
        sections = (block for entry in members for block in _section(entry, known, labels))
        pages[part.page] = page(
            f"# {part.title}",
            "`target` stands for what is under test: `target.run(NAME, ...)` calls the function "
            "of that name.",
            *sections,
        )
    return pages


def _by_part(entries: Iterable[Deviation], known: Known) -> dict[Part, list[Deviation]]:
    """Return the entries of each part that has some, both in the order of the handbook."""
    by_chapter: dict[str, list[Deviation]] = {}
    for entry in entries:
        by_chapter.setdefault(known.chapter(entry), []).append(entry)
    return {
        part: [entry for chapter in part.chapters for entry in by_chapter[chapter]]
        for part in parts_of(by_chapter)
    }


def _labels(entries: Iterable[Deviation]) -> dict[str, str]:
    """Return the label of each entry's section by where it stands: its law, and a number."""
    found: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for entry in entries:
        name = re.sub(r"[^a-z0-9.]+", "-", entry.law.lower()).strip("-")
        seen[name] += 1
        found[entry.where] = f"deviation-{name}-{seen[name]}"
    return found


def _index(by_part: Mapping[Part, Sequence[Deviation]], labels: Mapping[str, str]) -> str:
    blocks = []
    for part, members in by_part.items():
        rows = [(f"[`{e.law}`](#{labels[e.where]})", prose(e.reason), _special(e)) for e in members]
        blocks.append(f"## [{part.title}]({part.page}.md)")
        blocks.append(filtered(("law", "what torch does instead", "where, and issue"), rows))
    total = sum(map(len, by_part.values()))
    public = sum(bool(entry.link) for members in by_part.values() for entry in members)
    return page(
        "# Deviations of torch releases",
        _TELLS,
        f"{total} entries, {public} of them with a public issue.",
        FILTER,
        *blocks,
        contents(part.page for part in by_part),
    )


def _section(entry: Deviation, known: Known, labels: Mapping[str, str]) -> Iterable[str]:
    law_id = known.violated(entry)
    law = known.by_id[law_id]
    yield f"({labels[entry.where]})=\n## `{entry.law}`"
    yield f"{{.truth}}\n{sentence(entry.reason)}"
    promise = law.documentation(law_id.partition(":")[2] or None)
    yield f"Against {law_link(entry.law, known.ids)}: “{prose(law.statement)}”"
    places = [_where(entry), f"[what torch documents]({promise})"]
    yield "{.evidence}\n" + "; ".join(places) + "."
    if entry.inputs:
        yield f"Where `{entry.inputs}`; the law is held to all other inputs."
    if entry.processor:
        yield f"Seen only on {entry.processor}."
    script = entry.counterexample or entry.crash
    if script:
        yield code(script)


def _special(entry: Deviation) -> str:
    """Return what narrows an entry down, and where it is reported."""
    target = f"target `{entry.target}`" if entry.target != "*" else ""
    versions = f"torch `{entry.torch}`" if entry.torch else ""
    report = f"[public issue]({entry.link})" if entry.link else "no public issue found"
    return ", ".join(filter(None, (target, versions, report)))


def _where(entry: Deviation) -> str:
    target = "every target" if entry.target == "*" else f"target `{entry.target}`"
    versions = f"torch `{entry.torch}`" if entry.torch else "every version tried"
    report = f"[public issue]({entry.link})" if entry.link else "no public issue found"
    return f"{target}, {versions}, {report}"
