"""Advanced indices mean what NumPy means, reach every form, and name places once if asked."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.advanced import advanced_indices
from strategies.indices import TakeAlongDimArguments, take_along_dim_arguments
from strategies.shapes import Shape, shapes
from strategies.subscripts import IndexPutArguments, index_put_arguments
from tests.quality import INDEPENDENT, Predicate, share


def as_numpy(indexed: Any) -> Any:
    """Return an index with arrays for its tensors."""
    if isinstance(indexed, tuple):
        return tuple(map(as_numpy, indexed))
    return indexed.numpy() if isinstance(indexed, torch.Tensor) else indexed


FULL_SHAPES = shapes(min_rank=1, max_elements=36)


@INDEPENDENT
@given(FULL_SHAPES.flatmap(lambda s: st.tuples(st.just(s), advanced_indices(s))))
def test_advanced_indices(drawn: tuple[Shape, Any]) -> None:
    shape, indexed = drawn
    numbers = torch.arange(prod(shape)).reshape(shape)
    expected = np.asarray(numbers.numpy()[as_numpy(indexed)])
    assert np.array_equal(numbers[indexed].numpy(), expected)
    assert numbers[indexed].shape == expected.shape


@INDEPENDENT
@given(FULL_SHAPES.flatmap(lambda s: st.tuples(st.just(s), advanced_indices(s, duplicates=False))))
def test_advanced_indices_name_places_once(drawn: tuple[Shape, Any]) -> None:
    shape, indexed = drawn
    named = np.arange(prod(shape)).reshape(shape)[as_numpy(indexed)]
    assert len(np.unique(named)) == np.size(named)


@INDEPENDENT
@given(index_put_arguments(arrangement="together"), index_put_arguments(arrangement="crossed"))
def test_arrangements(together: IndexPutArguments, crossed: IndexPutArguments) -> None:
    assert len({p.shape for p in together.positions}) == 1
    ranks = [p.dim() for p in crossed.positions]
    assert ranks == list(range(len(ranks), 0, -1))


@INDEPENDENT
@given(take_along_dim_arguments(flat=True), take_along_dim_arguments(flat=False))
def test_flat_or_along_dim(flat: TakeAlongDimArguments, along: TakeAlongDimArguments) -> None:
    assert flat.dim is None
    assert along.dim is not None


def items(drawn: Any) -> tuple[Any, ...]:
    return drawn if isinstance(drawn, tuple) else (drawn,)


MIXED = advanced_indices((3, 2, 5))
REACHED: dict[str, tuple[Predicate, float]] = {
    "bare": (lambda i: not isinstance(i, tuple), 0.02),
    "list": (lambda i: any(isinstance(x, list) for x in items(i)), 0.25),
    "mask": (
        lambda i: any(isinstance(x, torch.Tensor) and x.dtype == torch.bool
                             for x in items(i)), 0.08),
    "number": (lambda i: any(isinstance(x, int) for x in items(i)), 0.05),
    "None": (lambda i: any(x is None for x in items(i)), 0.15),
    "Ellipsis": (lambda i: any(x is ... for x in items(i)), 0.25),
    "apart": (
        lambda i: [isinstance(x, (torch.Tensor, list)) for x in items(i)][:3]
        == [True, False, True], 0.05),
}  # fmt: skip


@pytest.mark.parametrize("form", REACHED)
def test_form_is_reached(form: str) -> None:
    predicate, least = REACHED[form]
    assert share(MIXED, predicate) >= least


def test_a_scalar_has_no_advanced_index() -> None:
    with pytest.raises(InvalidArgument, match="use a rank of 1 to 4"):
        advanced_indices(())
