"""Hypothesis strategies for torch: dtypes, shapes, layouts, tensors, indices, functions.

Draws on the device of the current target, which is the CPU unless a run sets another one.
Importing this package changes nothing in Hypothesis or torch.
"""

from strategies.advanced import advanced_indices
from strategies.devices import current_device, current_target, device_pairs, devices
from strategies.dtypes import dtypes
from strategies.functions import complex_polynomials, functions, polynomials, squares
from strategies.graphs import graph_tensors, view_pairs
from strategies.illegal import illegal_arguments, illegal_basic_indices, illegal_masks
from strategies.indices import (
    gather_arguments,
    index_add_arguments,
    index_copy_arguments,
    index_select_arguments,
    scatter_arguments,
    take_along_dim_arguments,
)
from strategies.matrices import definite_matrices, hermitian_matrices, rectangular_matrices
from strategies.optimizers import (
    gradient_histories,
    group_options,
    optimizer_options,
    optimizer_variants,
)
from strategies.schedulers import compositions, metric_histories, schedules
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
from strategies.subscripts import (
    basic_indices,
    broadcastable_masks,
    index_put_arguments,
    masks,
    take_arguments,
)
from strategies.tensors import tensors, tensors_holding, with_cotangent
from strategies.values import arrays, dyadics, permuted_ranges, seeds

# The order of the documentation's page: from plain values to whole histories.
__all__ = [
    "current_device",
    "current_target",
    "devices",
    "device_pairs",
    "dtypes",
    "shapes",
    "broadcastable_shapes",
    "reshapes",
    "dims",
    "dim_tuples",
    "permutations",
    "arrays",
    "dyadics",
    "permuted_ranges",
    "seeds",
    "tensors",
    "tensors_holding",
    "with_cotangent",
    "rectangular_matrices",
    "hermitian_matrices",
    "definite_matrices",
    "graph_tensors",
    "view_pairs",
    "sparse_coo_tensors",
    "sparse_csr_tensors",
    "basic_indices",
    "advanced_indices",
    "masks",
    "broadcastable_masks",
    "gather_arguments",
    "scatter_arguments",
    "index_select_arguments",
    "index_add_arguments",
    "index_copy_arguments",
    "index_put_arguments",
    "take_arguments",
    "take_along_dim_arguments",
    "illegal_arguments",
    "illegal_basic_indices",
    "illegal_masks",
    "functions",
    "polynomials",
    "complex_polynomials",
    "squares",
    "gradient_histories",
    "optimizer_options",
    "group_options",
    "optimizer_variants",
    "schedules",
    "compositions",
    "metric_histories",
    "source",
]
