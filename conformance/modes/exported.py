"""Export: each function is exported as a program, which is then called instead of it."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from conformance.modes.mode import Arguments, Function, Keywords, Limit, Mode, Refusal


class Program(torch.nn.Module):
    """A function of its tensors, as the module that ``torch.export`` asks for.

    What is no tensor is a constant of the program.
    """

    def __init__(self, function: Function, leaves: list[Any], spec: Any) -> None:
        super().__init__()
        self.function, self.leaves, self.spec = function, leaves, spec

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Call the function."""
        left = iter(tensors)
        filled = [next(left) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        arguments, keywords = tree_unflatten(filled, self.spec)
        return self.function(*arguments, **keywords)


def exported(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Export a function for these arguments, and call the program that came of it."""
    leaves, spec = tree_flatten((arguments, keywords))
    tensors = tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
    program = torch.export.export(Program(function, leaves, spec), tensors)
    return program.module()(*tensors)


_GUIDE = "https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html"
_TRACED = f"{_GUIDE}#limitations-of-torch-export"

EXPORT = Mode(
    "export",
    "torch.export.export of each function that a law runs, then its module",
    "torch.export.export",
    call=exported,
    rewords=True,
    refusals=(
        Refusal("GuardOnDataDependentSymNode", "", _TRACED),
        Refusal("DataDependentOutputException", "", _TRACED),
        Refusal("DynamicOutputShapeException", "", _TRACED),
        Refusal("PendingUnbackedSymbolNotFound", "", _TRACED),
        Refusal("RuntimeError", ".numpy() is not supported for tensor subclasses", _TRACED),
        Refusal("RuntimeError", "in output, which is not a known type", _TRACED),
    ),
    limits=(
        Limit(
            (
                "saved-tensors.nesting",
                "saved-tensors.pair-of-forward",
                "saved-tensors.released",
                "saved-tensors.written-after-packing",
            ),
            "hooks run while the function is exported, on tensors without values",
            _TRACED,
        ),
    ),
)

MODES = (EXPORT,)
