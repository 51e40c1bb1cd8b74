"""Sparse tensors: COO with duplicates and explicit zeros, and CSR."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from hypothesis import strategies as st

from strategies.devices import current_device
from strategies.dtypes import dtypes
from strategies.layouts import contiguous
from strategies.shapes import Shape, shapes
from strategies.tensors import from_storage
from strategies.values import decode, raw_bytes

_MOST_ENTRIES = 6


def _values(raw: bytes, dtype: torch.dtype) -> torch.Tensor:
    values = decode(raw, dtype, "dyadic")
    return from_storage(values, dtype, values.shape, contiguous(values.shape), current_device())


@st.composite
def _sparse_coo(draw: st.DrawFn, dtype: str) -> torch.Tensor:
    drawn = draw(dtypes(dtype))
    shape: Shape = draw(shapes(min_rank=1, max_rank=3))
    count = draw(st.integers(0, _MOST_ENTRIES if prod(shape) else 0))
    raw = draw(raw_bytes(count * (len(shape) + 1)))
    picks = np.frombuffer(raw[count:], dtype=np.uint8).reshape(len(shape), count)
    positions = picks.astype(np.int64) % np.maximum(np.array(shape), 1)[:, None]
    tensor = torch.sparse_coo_tensor(
        torch.from_numpy(positions).to(current_device()),
        _values(raw[:count], drawn),
        shape,
        check_invariants=True,
    )
    return tensor.coalesce() if draw(st.booleans()) else tensor


def sparse_coo_tensors(*, dtype: str = "numeric") -> st.SearchStrategy[torch.Tensor]:
    """Draw a sparse COO tensor with up to six entries, coalesced or not.

    Entries may be explicit zeros and name one position twice. Shrinks to one without entries.

    Example::

        @given(sparse_coo_tensors())
        def test(tensor): tensor.to_dense()
    """
    return _sparse_coo(dtype)


@st.composite
def _sparse_csr(draw: st.DrawFn, dtype: str) -> torch.Tensor:
    drawn = draw(dtypes(dtype))
    rows, columns = draw(shapes(min_rank=2, max_rank=2))
    present = np.frombuffer(draw(raw_bytes(rows * columns)), dtype=np.uint8) % 3 == 1
    mask = present.reshape(rows, columns)
    row_starts = np.concatenate(([0], np.cumsum(mask.sum(1)))).astype(np.int64)
    count = int(mask.sum())
    return torch.sparse_csr_tensor(
        torch.from_numpy(row_starts).to(current_device()),
        torch.from_numpy(np.nonzero(mask)[1].astype(np.int64)).to(current_device()),
        _values(draw(raw_bytes(count)), drawn),
        (rows, columns),
    )


def sparse_csr_tensors(*, dtype: str = "numeric") -> st.SearchStrategy[torch.Tensor]:
    """Draw a sparse CSR matrix, explicit zeros included. Shrinks to one without entries.

    Example::

        @given(sparse_csr_tensors())
        def test(tensor): tensor.to_dense()
    """
    return _sparse_csr(dtype)
