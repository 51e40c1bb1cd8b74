"""Every code block of the site is tried in the build; one that fails makes a warning of it.

Python runs, all blocks of a page in order and in one namespace; a dialogue with ``>>>`` must print
what it shows. Commands are parsed by the parser that they are for. TOML and JSON are parsed, and
deviations and claims read as such. Blocks of kind ``shown`` or ``output`` come out of generated
pages: laws, counterexamples of deviations, and outputs; what made the page has run them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from conformance.absences import read_absences
from conformance.claims import read_claims
from conformance.deviations import read_deviations, tomllib
from conformance.report.examples import run_blocks
from extensions.commands import check_command

logger = logging.getLogger(__name__)

EXEMPT = {"shown", "output"}


READERS: dict[str, Callable[[Path], object]] = {
    "claim": read_claims,
    "deviation": read_deviations,
    "absent": read_absences,
}
"""What reads a file of such tables."""


def check_toml(text: str) -> None:
    """Read a block as the file that it is an entry of; as plain TOML if it is of none of ours."""
    tables = [kind for kind in READERS if f"[[{kind}]]" in text]
    if not tables:
        tomllib.loads(text)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "block.toml")
        path.write_text(text, encoding="utf-8")
        READERS[tables[0]](path)


def check_console(text: str) -> None:
    """Parse every line that begins with a prompt, with those that it goes on to."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            check_command(line.removeprefix("$ "))


CHECKS: dict[str, Callable[[str], object]] = {
    "console": check_console,
    "toml": check_toml,
    "json": json.loads,
    "text": str,
}
"""How blocks of a language other than Python are tried; other languages are not allowed."""


def check_document(_: Sphinx, document: nodes.document) -> None:
    """Try the code blocks of a document."""
    python = []
    for block in document.findall(nodes.literal_block):
        language = block.get("language", "text")
        if EXEMPT & set(block["classes"]) or "/reference/strategies" in str(block.source):
            continue
        if language in ("python", "pycon"):
            python.append(block)
        elif language in CHECKS:
            try:
                CHECKS[language](block.astext())
            except Exception as error:
                logger.warning("this block is wrong: %s", error, location=block)
        else:
            logger.warning("no code block in %s can be tried", language, location=block)
    if python:
        outcome = run_blocks([block.astext() for block in python])
        for number, failure in outcome.failures:
            logger.warning("this example fails:\n%s", failure, location=python[number])


def setup(app: Sphinx) -> dict[str, bool]:
    """Try the blocks of each page as it is read."""
    app.connect("doctree-read", check_document)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
