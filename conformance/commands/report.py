"""``conformance report``: records as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from conformance.commands.command import DONE, Command, CommandError, warn, write_text
from conformance.records import incomplete, read
from conformance.report.html import html_report

PAGE = "index.html"


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD", help="records of runs")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR",
        help=f"folder to write {PAGE} into; made if it is not there",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    records = [read(path) for path in options.records]
    try:
        options.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"{options.output}: is no folder and cannot become one ({error.strerror}); name another"
        ) from error
    target = options.output / PAGE
    write_text(target, html_report(records))
    warn("report", incomplete(records))
    print(target)
    return DONE


COMMAND = Command(
    name="report",
    summary="write records as one HTML file that needs no network",
    description="Write records as one HTML file that needs no network: chapters by targets with "
    "counts, filters,\nand for each law its evidence and its counterexample. Each record keeps "
    "columns of its own;\nput shards together first, with conformance merge.",
    examples=[
        ("conformance report run.jsonl -o report", "then open report/index.html"),
        ("conformance report torch-2.12.jsonl torch-2.13.jsonl -o report", "side by side"),
    ],
    declare=_declare,
    run=_run,
)
