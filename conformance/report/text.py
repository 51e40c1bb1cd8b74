"""MyST text: tables, code, folded parts and pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

FENCE = "`````"
"""Longer than any that generated text contains."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells, in which pipes and line breaks are made harmless."""

    def line(cells: Sequence[str]) -> str:
        clean = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
        return "| " + " | ".join(clean) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def matrix(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of signs: narrow columns, whose heads are read from below."""
    return f"{{.matrix}}\n{table(header, rows)}"


FILTER = (
    '<input type="search" class="filter" placeholder="show only what has these words" '
    'aria-label="show only what has these words">'
)
"""A field that leaves of all :func:`filtered` tables of its page the rows with some words."""


def filtered(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose rows are looked through by the field :data:`FILTER`."""
    return f"{{.filtered}}\n{table(header, rows)}"


def page(*blocks: str) -> str:
    """Return the blocks that say something, one below the other."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def prose(text: str) -> str:
    """Return plain text as MyST: what would be markup outside of backticks is escaped.

    Addresses become links.
    """
    parts = re.split(r"(``.+?``|`.+?`|https?://[^\s)]*[^\s).,;:])", text, flags=re.DOTALL)
    return "".join(map(_escaped, parts))


def _escaped(part: str) -> str:
    if part.startswith("`"):
        return part
    if part.startswith("http"):
        return f"<{part}>"
    return re.sub(r"([*_<\[\]{}#])", r"\\\1", part)


def sentence(text: str) -> str:
    """Return plain text as MyST, ending with a full stop."""
    escaped = prose(text.strip())
    return escaped + ("" if escaped[-1:] in ".?!" else ".")


def code(text: str, language: str = "python", kind: str = "shown") -> str:
    """Return a block of code of a kind, which is its class; only plain blocks run in the build."""
    return f"{FENCE}{{code-block}} {language}\n:class: {kind}\n\n{text.strip()}\n{FENCE}"


def folded(summary: str, *blocks: str) -> str:
    """Return blocks that are hidden until the summary, which is HTML, is clicked."""
    inner = "\n\n".join(block for block in blocks if block)
    return f"<details><summary>{summary}</summary>\n\n{inner}\n\n</details>"


def badge(text: str, *kinds: str) -> str:
    """Return a word in a frame, coloured by its kinds."""
    return f"[{text}]{{.badge {' '.join('.' + kind.replace(' ', '-') for kind in kinds)}}}"


def contents(names: Iterable[str], caption: str = "") -> str:
    """Return the entries of the side bar below a page, which stay invisible on it."""
    option = f":caption: {caption}\n" if caption else ""
    return f"```{{toctree}}\n:hidden:\n{option}\n" + "\n".join(names) + "\n```"
