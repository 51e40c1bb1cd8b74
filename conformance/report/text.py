"""MyST text: tables and pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells, in which pipes and line breaks are made harmless."""

    def line(cells: Sequence[str]) -> str:
        clean = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
        return "| " + " | ".join(clean) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def page(*blocks: str) -> str:
    """Return the blocks that say something, one below the other."""
    return "\n\n".join(block for block in blocks if block) + "\n"
