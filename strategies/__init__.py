"""Hypothesis strategies for torch: dtypes, shapes, layouts, tensors, indices, functions.

Draws on the device of the current target, which is the CPU unless a run sets another one.
Importing this package changes nothing in Hypothesis or torch.
"""

from strategies.devices import current_device, current_target, device_pairs, devices
from strategies.dtypes import dtypes
from strategies.functions import functions, polynomials, squares
from strategies.graphs import graph_tensors, view_pairs
from strategies.indices import gather_arguments, illegal_scatter_indices, scatter_arguments
from strategies.optimizers import (
    gradient_histories,
    group_options,
    optimizer_options,
    optimizer_variants,
)
from strategies.shapes import (
    broadcastable_shapes,
    dim_tuples,
    dims,
    permutations,
    reshapes,
    shapes,
)
from strategies.source import source
from strategies.sparse import sparse_coo_tensors, sparse_csr_tensors
from strategies.tensors import tensors, with_cotangent
from strategies.values import arrays, dyadics, seeds

__all__ = [
    "arrays",
    "broadcastable_shapes",
    "current_device",
    "current_target",
    "device_pairs",
    "devices",
    "dim_tuples",
    "dims",
    "dtypes",
    "dyadics",
    "functions",
    "gather_arguments",
    "gradient_histories",
    "graph_tensors",
    "group_options",
    "illegal_scatter_indices",
    "optimizer_options",
    "optimizer_variants",
    "permutations",
    "polynomials",
    "reshapes",
    "scatter_arguments",
    "seeds",
    "shapes",
    "source",
    "sparse_coo_tensors",
    "sparse_csr_tensors",
    "squares",
    "tensors",
    "view_pairs",
    "with_cotangent",
]
