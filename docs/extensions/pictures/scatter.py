"""Scatter and gather: which element goes where, drawn from a real call."""

from __future__ import annotations

import torch

from extensions.pictures.canvas import COLOURS, Picture, plain, subplots
from extensions.pictures.cells import draw_arrow, draw_cells


def scatter_arrows() -> Picture:
    """Draw ``scatter_add`` along dim 1, where two elements of a row meet."""
    index = torch.tensor([[0, 2, 2], [3, 1, 0]])
    source = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    result = torch.zeros(2, 4).scatter_add(1, index, source)
    figure, axes = subplots(figsize=(7.0, 4.4))
    plain(axes)

    def colour(row: int, column: int) -> str:
        return COLOURS[3 * row + column]

    draw_cells(axes, source.tolist(), (0, 0), "src", colour)
    draw_cells(axes, index.tolist(), (5, 0), "index, along dim 1", colour)
    name = "zeros(2, 4)\n.scatter_add(1, index, src)"
    draw_cells(axes, result.tolist(), (3.4, 4.4), name, beside=True)
    told = []
    for row, positions in enumerate(index.tolist()):
        for column, position in enumerate(positions):
            end = (3.9 + position + 0.12 * (column - 1), 4.4 + row + 0.18)
            draw_arrow(axes, (column + 0.5, row + 0.8), end, colour(row, column))
            told.append(f"src[{row}][{column}] into [{row}][{position}]")
    axes.set_xlim(-0.9, 9.2)
    axes.set_ylim(6.7, -0.7)
    return Picture(
        figure,
        f"scatter_add writes {', '.join(told)}; the result is {result.tolist()}.",
        "Each element of src stays in its row and goes to the column that the index names at the "
        "same place. Both 2 and 3 go to column 2 of the first row: <code>scatter_add</code> adds "
        "them; for <code>scatter</code> it is undefined which of them stays.",
    )


def gather_arrows() -> Picture:
    """Draw ``gather`` along dim 1, which reads where scatter would write."""
    source = torch.tensor([[10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0]])
    index = torch.tensor([[0, 2, 2], [3, 1, 0]])
    result = source.gather(1, index)
    figure, axes = subplots(figsize=(7.0, 4.2))
    plain(axes)

    def colour(row: int, column: int) -> str:
        return COLOURS[3 * row + column]

    draw_cells(axes, source.tolist(), (0, 0), "input")
    draw_cells(axes, index.tolist(), (5.4, 0), "index, along dim 1", colour)
    draw_cells(axes, result.tolist(), (3.4, 4.2), "input\n.gather(1, index)", colour, beside=True)
    told = []
    for row, positions in enumerate(index.tolist()):
        for column, position in enumerate(positions):
            end = (3.9 + column, 4.2 + row + 0.18)
            start = (position + 0.5 + 0.12 * (column - 1), row + 0.8)
            draw_arrow(axes, start, end, colour(row, column))
            told.append(f"[{row}][{column}] from input[{row}][{position}]")
    axes.set_xlim(-0.3, 9.4)
    axes.set_ylim(6.4, -0.7)
    return Picture(
        figure,
        f"gather reads {', '.join(told)}; the result is {result.tolist()}.",
        "The result has the shape of the index. An element may be read more than once: its "
        "gradient is then the sum over all readings.",
    )
