"""The ``conformance`` command: what there is to run, and what a record holds.

Laws are run by pytest: ``pytest --pyargs conformance -n auto``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.results import read_record
from conformance.selection import matches, nearest


class CommandError(ValueError):
    """What the user asked for cannot be done; the message says why, in one sentence."""


def list_laws(patterns: Sequence[str]) -> str:
    """Return the ids of the laws that match any of the globs (all, if none is given)."""
    from conformance.law import shipped_laws

    laws = [(law_id, law) for law in shipped_laws() for law_id in law.ids()]
    chosen = [(law_id, law) for law_id, law in laws if not patterns or _any(law_id, patterns)]
    if not chosen:
        ids = [law_id for law_id, _ in laws]
        raise CommandError(f"no law matches {patterns[0]!r}; {nearest(patterns[0], ids)}")
    width = max(len(law_id) for law_id, _ in chosen)
    return "\n".join(f"{law_id:<{width}}  {law.statement}" for law_id, law in chosen)


def _any(law_id: str, patterns: Sequence[str]) -> bool:
    return any(matches(law_id, pattern) for pattern in patterns)


def counterexample_script(record: Path, law: str, target: str) -> str:
    """Return the first stand-alone script that a record holds for a law on a target glob."""
    verdicts = [line for line in read_record(record) if line.get("kind") == "verdict"]
    found = [v for v in verdicts if matches(v["law"], law) and fnmatchcase(v["target"], target)]
    if not found:
        ids = sorted({v["law"] for v in verdicts})
        raise CommandError(f"{record} has no verdict on {law!r}; {nearest(law, ids)}")
    for verdict in found:
        script: str = (verdict["counterexample"] or {}).get("script", "")
        if script:
            return script
    raise CommandError(
        f"{record} holds no script for {found[0]['law']}: its verdict is {found[0]['verdict']}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    laws = commands.add_parser("laws", help="list the laws: id and sentence")
    laws.add_argument("glob", nargs="*", help="only ids that match, such as 'scatter*'")
    script = commands.add_parser(
        "script", help="print the stand-alone script of a violated law in a record"
    )
    script.add_argument("record", type=Path, help="file written by pytest --record")
    script.add_argument("law", help="id of the law")
    script.add_argument("--target", default="*", help="glob over targets (default: *)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 if it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "laws":
            print(list_laws(options.glob))
        else:
            print(counterexample_script(options.record, options.law, options.target))
    except (CommandError, OSError, ValueError) as error:
        print(f"conformance {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
