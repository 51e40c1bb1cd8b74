"""Reference pages made of code: options of pytest, the command, the schema of records."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from conformance.cli import COMMANDS, reference
from conformance.report.text import code, prose, table
from conformance.results import Counterexample, Verdict
from extensions.commands import check_command, plugin_parser


def plugin_options() -> str:
    """Return the options of a run of laws as a table."""
    return _arguments(plugin_parser())


def command() -> str:
    """Return the help of every command, whose examples have been read by its parser."""
    for entry in COMMANDS:
        for line, _ in entry.examples:
            check_command(line)
    return reference()


def _arguments(parser: argparse.ArgumentParser) -> str:
    rows = [
        (f"`{_name(action)}`", prose(str(action.help or "") % _values(action, parser)))
        for action in parser._actions
        if action.help != argparse.SUPPRESS
    ]
    return table(("argument", "meaning"), rows) if rows else ""


def _name(action: argparse.Action) -> str:
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest
    )
    if not action.option_strings:
        return str(value)
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(action.option_strings) + takes


def _values(action: argparse.Action, parser: argparse.ArgumentParser) -> dict[str, Any]:
    return {**vars(action), "prog": parser.prog}


def verdict_fields() -> str:
    """Return the fields of a verdict line and of its counterexample."""
    blocks = []
    for kind in (Verdict, Counterexample):
        rows = [(f"`{f.name}`", f"`{f.type}`") for f in dataclasses.fields(kind)]
        blocks += [
            f"**{kind.__name__}.** {prose(inspect.getdoc(kind) or '')}",
            table(("field", "type"), rows),
        ]
    return "\n\n".join(blocks)


def record_lines(record: Path) -> str:
    """Return the first line of a record, and the first verdict, laid out to be read."""
    with record.open(encoding="utf-8") as lines:
        run, verdict = json.loads(next(lines)), json.loads(next(lines))
    run["torch_config"] = "..."
    return "\n\n".join(code(json.dumps(line, indent=2), "json") for line in (run, verdict))


class Generated(SphinxDirective):
    """The text that a function of this module returns."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the text where the directive stands."""
        makers: dict[str, Callable[[], str]] = {
            "plugin-options": plugin_options,
            "command": command,
            "verdict-fields": verdict_fields,
            "record-lines": lambda: record_lines(Path(self.env.srcdir, "_build/cpu.jsonl")),
        }
        return self.parse_text_to_nodes(makers[self.arguments[0]](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
