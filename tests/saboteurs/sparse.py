"""Faults in sparse tensors: what they hold, and what they pretend to have."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import adagrad

from tests.saboteurs.faults import accepting, when
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _with_zeros(original: Any) -> Any:
    def to_sparse(self: Tensor, *arguments: Any) -> Tensor:
        nearly = torch.where(self == 0, torch.ones_like(self), self) if self.dim() == 3 else self
        sparse: Tensor = original(nearly, *arguments)
        values = self[tuple(sparse.indices())]
        shape = tuple(self.shape)
        made = torch.sparse_coo_tensor(sparse.indices(), values, shape, check_invariants=True)
        return made.coalesce()

    return to_sparse


def _without_zeros(sparse: Tensor) -> Tensor:
    held = sparse._values() != 0
    made = torch.sparse_coo_tensor(
        sparse._indices()[:, held], sparse._values()[held], tuple(sparse.shape),
        check_invariants=True,
    )  # fmt: skip
    return made._coalesced_(True)


def _first_wins(original: Any) -> Any:
    def coalesce(self: Tensor) -> Tensor:
        result: Tensor = original(self)
        if self.dim() == 2 and 0 < result._nnz() < self._nnz():
            same = (self._indices() == result._indices()[:, :1]).all(0)
            result._values()[0] = self._values()[same][0]
        return result

    return coalesce


def _abs_of_parts(original: Any) -> Any:
    def absolute(sparse: Tensor) -> Tensor:
        if sparse.is_coalesced():
            return original(sparse)
        shape = tuple(sparse.shape)
        values = original(sparse._values())
        return torch.sparse_coo_tensor(sparse._indices(), values, shape, check_invariants=True)

    return absolute


def _last_is_zero(sparse: Tensor) -> Tensor:
    sparse._values()[-1] = 0
    return sparse


def _through_dense(self: Tensor, *shape: int) -> Tensor:
    return self.to_dense().reshape(*shape)


def _ends_at_sparse(original: Any) -> Any:
    """Of one group, parameters after the first with a sparse gradient are not moved."""

    def moved(params: Any, grads: Any, sums: Any, steps: Any, **options: Any) -> None:
        sparse = [number for number, gradient in enumerate(grads) if gradient.is_sparse]
        end = sparse[0] + 1 if sparse else len(params)
        original(params[:end], grads[:end], sums[:end], steps[:end], **options)

    return moved


SABOTEURS = (
    Saboteur(
        "adagrad-ends-at-sparse", "foreach Adagrad ends at the first sparse gradient of a group",
        ("optimizer.sparse-beside-dense:Adagrad-foreach",), "parameter of the dense",
        replacing(adagrad, "_multi_tensor_adagrad", _ends_at_sparse),
    ),
    Saboteur(
        "to-sparse-zeros", "to_sparse of rank 3 holds zeros as well",
        ("sparse.to-sparse",), "indices", replacing(Tensor, "to_sparse", _with_zeros),
    ),
    Saboteur(
        "coalesce-keeps-first", "coalesce keeps the first of the elements at one place of a matrix",
        ("sparse.specified",), "values", replacing(Tensor, "coalesce", _first_wins),
    ),
    Saboteur(
        "coalesce-drops-zeros", "coalesce drops zeros",
        ("sparse.explicit-zeros",), "shape", after(Tensor, "coalesce", _without_zeros),
    ),
    Saboteur(
        "to-sparse-memory", "to_sparse of a full matrix leaves out the last element",
        ("sparse.memory",), "bytes of a full tensor",
        when(Tensor, "to_sparse", lambda self: self.dim() == 2 and self.numel() > 0,
             lambda sparse: _without_zeros(_last_is_zero(sparse))),
    ),
    Saboteur(
        "abs-of-parts", "abs of a sparse tensor takes each of the values at one place",
        ("sparse.operations:abs",), "result", replacing(torch, "abs", _abs_of_parts),
    ),
    Saboteur(
        "sparse-view", "view of a sparse tensor is one of its dense copy",
        ("sparse.refused:view",), "is refused",
        accepting(Tensor, "view", NotImplementedError, _through_dense),
    ),
)  # fmt: skip
