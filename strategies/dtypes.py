"""Which dtypes to draw: families of torch dtypes, limited to what the device can hold.

In a run the target says which dtypes it lacks, having been probed. Elsewhere support is probed
here: a dtype counts as supported when the device can hold a tensor of it and copy it there from
the host. Each (device, dtype) is probed once a process.
"""

from __future__ import annotations

from functools import cache

import torch
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from strategies.devices import current_device, current_target

FAMILIES: dict[str, tuple[torch.dtype, ...]] = {
    "floating": (torch.float32, torch.float64, torch.float16, torch.bfloat16),
    "complex": (torch.complex64, torch.complex128),
    "integral": (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    "boolean": (torch.bool,),
}
FAMILIES["real"] = FAMILIES["floating"] + FAMILIES["integral"]
FAMILIES["differentiable"] = FAMILIES["floating"] + FAMILIES["complex"]
FAMILIES["numeric"] = FAMILIES["real"] + FAMILIES["complex"]
FAMILIES["split"] = (torch.float32, torch.float64)  # what a complex tensor's parts are
FAMILIES["any"] = FAMILIES["numeric"] + FAMILIES["boolean"]
# Dtypes with few operations (torch.Tensor's documentation calls their support limited): on request.
FAMILIES["unsigned"] = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
FAMILIES["float8"] = (
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
)
FAMILIES["all"] = FAMILIES["any"] + FAMILIES["unsigned"][1:] + FAMILIES["float8"]


def supports(device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether the current target, or ``device`` outside a run, can hold tensors of a dtype.

    torch's word for "cannot" is an exception, and which one depends on the backend,
    so every exception of a probe counts as a no.
    """
    lacks: frozenset[str] | None = getattr(current_target.get(), "lacks", None)
    if lacks is not None:
        return str(dtype).removeprefix("torch.") not in lacks
    return _holds(device, dtype)


@cache
def _holds(device: torch.device, dtype: torch.dtype) -> bool:
    try:
        torch.zeros(1, dtype=dtype).to(device)
    except Exception:
        return False
    return True


@cache
def _choice(family: str, device: torch.device, lacks: object) -> st.SearchStrategy[torch.dtype]:
    supported = [dtype for dtype in FAMILIES[family] if supports(device, dtype)]
    return st.sampled_from(supported) if supported else st.nothing()


@st.composite
def _dtypes(draw: st.DrawFn, family: str) -> torch.dtype:
    lacks = getattr(current_target.get(), "lacks", None)  # what the choice is made by
    return draw(_choice(family, current_device(), lacks))


def dtypes(family: str = "any") -> st.SearchStrategy[torch.dtype]:
    """Draw a dtype of ``family`` that the current target's device supports.

    Families: ``floating``, ``complex``, ``integral``, ``boolean``, ``real``,
    ``differentiable``, ``numeric``, ``any``; and those that torch supports in few operations:
    ``unsigned``, ``float8``, and ``all``, which has them too. Shrinks towards the family's
    first member (float32, int64).

    Example::

        @given(dtypes("floating"))
        def test(dtype): ...
    """
    if family not in FAMILIES:
        raise InvalidArgument(
            f"dtypes(family={family!r}): no such family; use one of {', '.join(FAMILIES)}"
        )
    return _dtypes(family)
