"""``conformance merge``: one record of what several runs found."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.commands.command import DONE, Command, write_text
from conformance.records import incomplete, merged, read


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD", help="records to join")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the record to write"
    )
    parser.add_argument(
        "--partial", action="store_true",
        help="join what there is, although a run did not end or a shard is missing",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    records = [read(path) for path in options.records]
    lines = merged(records, partial=options.partial)
    write_text(options.output, "\n".join(lines) + "\n")
    for sentence in incomplete(records):
        print(f"conformance merge: {sentence}: {options.output} is partial", file=sys.stderr)
    written = read(options.output)
    targets = ", ".join(written.targets)
    print(f"{options.output}: {len(written.verdicts):,} verdicts on {targets or 'no target'}")
    return DONE


COMMAND = Command(
    name="merge",
    summary="put the records of shards and machines together",
    description="Put the records of shards and machines together.\n"
    "Refuses records that contradict each other: one law on one target with two verdicts, or one\n"
    "target under two builds of torch. The same verdict twice is kept once, on most examples.",
    examples=[
        ("conformance merge shard*.jsonl -o run.jsonl", "all shards of one run"),
        ("conformance merge cpu.jsonl cuda.jsonl -o all.jsonl", "two targets, two machines"),
        ("conformance merge killed.jsonl rest.jsonl -o run.jsonl --partial", "what there is"),
    ],
    declare=_declare,
    run=_run,
)
