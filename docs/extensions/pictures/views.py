"""Views: several tensors over one storage, by size, stride and offset."""

from __future__ import annotations

from functools import partial

import torch

from extensions.pictures.canvas import COLOURS, FAINT, INK, Picture, plain, subplots
from extensions.pictures.cells import draw_cells


def _same(colour: str, *_: int) -> str:
    return colour


def strided_views() -> Picture:
    """Draw a storage of six numbers, and three tensors that see it."""
    base = torch.arange(6.0).reshape(2, 3)
    seen = {"base": base, "base.t()": base.t(), "base[:, 1:]": base[:, 1:]}
    figure, axes = subplots(figsize=(7.0, 4.6))
    plain(axes)
    draw_cells(axes, [base.flatten().tolist()], (2.2, 0), "storage")
    told = []
    for number, (name, view) in enumerate(seen.items()):
        x, colour = number * 3.7, COLOURS[number]
        draw_cells(axes, view.tolist(), (x, 2.4), name, partial(_same, colour))
        facts = f"stride {view.stride()}\noffset {view.storage_offset()}"
        axes.text(x, 2.4 + view.shape[0] + 0.65, facts, color=FAINT, va="center", fontsize=9)
        told.append(f"{name}: {view.tolist()}, {facts.replace(chr(10), ', ')}")
    axes.text(8.5, 0.5, "one memory", color=INK, va="center", fontsize=9)
    axes.set_xlim(-0.2, 10.4)
    axes.set_ylim(6.8, -0.7)
    return Picture(
        figure,
        f"A storage of {base.flatten().tolist()} and tensors that see it. {'; '.join(told)}.",
        "Element [i, j] of a view lies at offset + i · stride[0] + j · stride[1] of the "
        "storage. A write through one of them is seen through all.",
    )
