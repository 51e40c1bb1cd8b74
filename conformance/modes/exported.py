"""Export: each function is exported as a program, which is then called instead of it."""

from __future__ import annotations

from typing import Any

import torch

from conformance.modes.mode import Arguments, Function, Keywords, Mode, Refusal


class Program(torch.nn.Module):
    """A function as the module that ``torch.export`` asks for."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function."""
        return self.function(*arguments, **keywords)


def exported(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Export a function for these arguments, and call the program that came of it."""
    program = torch.export.export(Program(function), arguments, keywords)
    return program.module()(*arguments, **keywords)


_GUIDE = "https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html"

EXPORT = Mode(
    "export",
    "torch.export.export of each function that a law runs, then its module",
    "torch.export.export",
    call=exported,
)

MODES = (EXPORT,)
