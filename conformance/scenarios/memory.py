"""The memory under a tensor, as torch tells it: geometry, contents, and whether it is shared."""

from __future__ import annotations

import numpy as np
import torch

from conformance import compare
from conformance.evidence import judgeable
from conformance.reference import strides
from strategies.devices import holds_values
from strategies.storages import elements_stored, whole_storage


def geometry_of(tensor: torch.Tensor) -> strides.Strided:
    """Return the tensor's shape, strides and storage offset."""
    offset = int(tensor.storage_offset())
    return strides.Strided(tuple(tensor.shape), tuple(tensor.stride()), offset)


def contents_of(tensor: torch.Tensor) -> compare.Array:
    """Return every element of the tensor's storage, as a flat array; zeros without values."""
    if not holds_values(tensor):
        return np.zeros(elements_stored(tensor))
    return compare.to_numpy(whole_storage(tensor))


def check_shares(
    result: torch.Tensor, base: torch.Tensor, shares: bool, what: str = "result"
) -> None:
    """Check that two tensors have one storage, or that they have not.

    Says nothing of storages of no bytes, which have no address.
    """
    if not (judgeable("storage") and (not holds_values(result) or judgeable("data_ptr"))):
        return
    if result.untyped_storage().nbytes() and base.untyped_storage().nbytes():
        compare.fact(place_of(result) == place_of(base), shares, f"{what} shares storage")


def place_of(tensor: torch.Tensor) -> int:
    """Return the address of a tensor's storage, or of the storage object without values."""
    storage = tensor.untyped_storage()
    return int(storage.data_ptr() if holds_values(tensor) else storage._cdata)


def check_geometry(
    result: torch.Tensor, expected: strides.Strided, what: str = "result", *, exact: bool = False
) -> None:
    """Check shape, and what the device lets one see of strides and offset.

    Of the strides those of sides above 1, and the offset of what is not empty; all if ``exact``.
    """
    got = geometry_of(result)
    compare.fact(got.shape, expected.shape, f"shape of the {what}")
    if not judgeable("strides"):
        return
    if exact:
        compare.fact(got, expected, f"geometry of the {what}")
    compare.fact(strides.significant(got), strides.significant(expected), f"stride of the {what}")
    if 0 not in expected.shape:
        compare.fact(got.offset, expected.offset, f"storage_offset of the {what}")


def check_view(
    result: torch.Tensor, base: torch.Tensor, expected: strides.Strided, what: str = "view"
) -> None:
    """Check that a tensor is the view of the base's storage that ``expected`` describes.

    Shape, values and sharing; the offset and the strides of sides above 1 if it is not empty.
    """
    check_geometry(result, expected, what)
    if 0 not in expected.shape:
        check_shares(result, base, True, what)
    values = contents_of(base)[strides.addresses(expected)]
    compare.equal(result, values, dtype=base.dtype, what=what)
