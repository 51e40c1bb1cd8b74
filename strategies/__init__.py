"""Hypothesis strategies for torch: dtypes, shapes, layouts, tensors, indices, functions.

Draws on the device of the current target, which is the CPU unless a run sets another one.
Importing this package changes nothing in Hypothesis or torch.
"""

from strategies.devices import current_device, current_target
from strategies.dtypes import dtypes
from strategies.functions import functions, polynomials, squares
from strategies.indices import gather_arguments, illegal_scatter_indices, scatter_arguments
from strategies.optimizers import gradient_histories, optimizer_options
from strategies.shapes import dims, shapes
from strategies.source import source
from strategies.tensors import tensors, with_cotangent
from strategies.values import arrays, dyadics

__all__ = [
    "arrays",
    "current_device",
    "current_target",
    "dims",
    "dtypes",
    "dyadics",
    "functions",
    "gather_arguments",
    "gradient_histories",
    "illegal_scatter_indices",
    "optimizer_options",
    "polynomials",
    "scatter_arguments",
    "shapes",
    "source",
    "squares",
    "tensors",
    "with_cotangent",
]
