"""``conformance explain``: all that the suite knows of a law, without running it."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Any

from conformance.claims import read_claims, shown_by
from conformance.commands.command import DONE, Command, CommandError, aligned, as_json
from conformance.selection import matches, nearest

if TYPE_CHECKING:
    from conformance.deviations import Deviation
    from conformance.law import Law

_LEVELS = {
    "must": "torch's documentation promises it",
    "should": "users rely on it, and nothing promises it",
    "statistical": "a green run is evidence for it, not proof",
}
_WIDTH = 96
_MOST_CASES = 40


def explanation(law: Law, ids: list[str]) -> dict[str, Any]:
    """Return what there is to say of a law, of those of its ids that were asked for."""
    from conformance.deviations import SHIPPED, read_deviations

    chosen = law.id if len(ids) == len(law.ids()) else ids[0]
    claims = {c.id: c for law_id in ids for c in shown_by(read_claims(), law_id)}
    listed = {d.where: d for d in read_deviations(SHIPPED) if _speaks_of(d, ids)}
    line = inspect.getsourcelines(law.function)[1]
    return {
        "law": chosen,
        "statement": law.statement,
        "conditions": law.conditions,
        "level": law.level,
        "level_means": _LEVELS[law.level],
        "chapter": law.chapter,
        "documentation": list(dict.fromkeys(law.documentation(_case(i)) for i in ids)),
        "since": {i: first for i in ids if (first := law.first_release(_case(i)))},
        "source": f"{inspect.getsourcefile(law.function)}:{line}",
        "ids": ids,
        "claims": [
            {"id": c.id, "verdict": c.verdict, "statement": c.statement} for c in claims.values()
        ],
        "deviations": [
            {"law": d.law, "target": d.target, "torch": d.torch, "reason": d.reason, "link": d.link}
            for d in listed.values()
        ],
        "run": f"conformance run --law {chosen} -n 0",
    }


def _case(law_id: str) -> str | None:
    return law_id.partition(":")[2] or None


def _speaks_of(deviation: Deviation, ids: list[str]) -> bool:
    return any(fnmatchcase(law_id, deviation.law) for law_id in ids)


def as_text(told: dict[str, Any]) -> str:
    """Return an explanation for a terminal."""
    wrap = textwrap.TextWrapper(_WIDTH, initial_indent="  ", subsequent_indent="  ")
    blocks = [told["law"] + "\n" + wrap.fill(told["statement"])]
    if told["conditions"]:
        blocks.append(textwrap.indent(told["conditions"], "  "))
    pages = told["documentation"]
    more = f" and {len(pages) - 1} more pages" if len(pages) > 1 else ""
    rows = [
        ("level", f"{told['level']}: {told['level_means']}"),
        ("chapter", told["chapter"]),
        ("documented", pages[0] + more),
        *(("since", text) for text in _since(told["since"], told["ids"])),
        ("source", told["source"]),
        ("run alone", told["run"]),
    ]
    rows += [("claim", f"{c['id']} ({c['verdict']}): {c['statement']}") for c in told["claims"]]
    rows += [
        ("deviation", f"{d['law']} on {_place(d)}: {d['reason']} {d['link']}".rstrip())
        for d in told["deviations"]
    ]
    blocks.append(textwrap.indent(aligned(rows), "  "))
    if len(told["ids"]) > 1:
        cases = [law_id.partition(":")[2] for law_id in told["ids"]]
        shown = ", ".join(cases[:_MOST_CASES]) + (" ..." if len(cases) > _MOST_CASES else "")
        blocks.append(wrap.fill(f"{len(cases)} cases: {shown}"))
    return "\n\n".join(blocks)


def _place(deviation: dict[str, str]) -> str:
    with_torch = f" with torch {deviation['torch']}" if deviation["torch"] else ""
    return deviation["target"] + with_torch


def _since(releases: dict[str, str], ids: list[str]) -> Iterator[str]:
    """Say from which torch on the law holds, and of which of its cases that is said."""
    for release, found in groupby(sorted(releases, key=releases.__getitem__), releases.__getitem__):
        cases = [law_id.partition(":")[2] for law_id in found]
        some = "" if len(cases) == len(ids) else f", for {', '.join(cases)}"
        yield f"torch {release}{some}; an older one is not held to it"


def explanations(pattern: str) -> list[dict[str, Any]]:
    """Return what there is to say of every law that an id or a glob names."""
    from conformance.law import shipped_laws

    laws = shipped_laws()
    found = [
        explanation(law, ids)
        for law in laws
        if (ids := [law_id for law_id in law.ids() if matches(law_id, pattern)])
    ]
    if not found:
        known = [law_id for law in laws for law_id in dict.fromkeys((law.id, *law.ids()))]
        raise CommandError(f"no law matches {pattern!r}; {nearest(pattern, known)}")
    return found


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("law", metavar="LAW", help="id of a law, with or without case, or a glob")
    parser.add_argument("--json", action="store_true", help="print JSON, for a program")


def _run(options: argparse.Namespace) -> int:
    found = explanations(options.law)
    print(as_json(found) if options.json else "\n\n".join(map(as_text, found)))
    return DONE


COMMAND = Command(
    name="explain",
    summary="say all that is known of a law: sentence, conditions, links, how to run it alone",
    description="Say all that is known of a law, without running it: its sentence and conditions, "
    "its level,\nwhere torch documents it, the claims of tutorials that it bears on, and where "
    "stock torch is\nknown to violate it.",
    examples=[
        ("conformance explain accumulation.backward-adds", "one law"),
        ("conformance explain operators.value:add", "one case of a law"),
        ("conformance explain 'detach.*' --json", "a family of laws, for a program"),
    ],
    declare=_declare,
    run=_run,
)
