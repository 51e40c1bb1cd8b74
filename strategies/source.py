"""Values as Python source that rebuilds them exactly, without this package where possible.

A tensor's text gives the same values bit for bit, dtype, device, strides, offset, storage,
``requires_grad``, and a view where it is one. Short text wins where it is exact:
``torch.tensor([1.0, 2.0])``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from hypothesis.vendor import pretty

from strategies.devices import lacks
from strategies.layouts import contiguous_stride
from strategies.storages import elements_stored, whole_storage

_CANONICAL_NAN = {
    torch.float16: 0x7E00,
    torch.bfloat16: 0x7FC0,
    torch.float32: 0x7FC00000,
    torch.float64: 0x7FF8000000000000,
}
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def source(value: object) -> str:
    """Return Python text that evaluates to an equal value.

    The text may use the names ``torch``, ``np``, ``nan`` and ``inf``, and the class names of
    dataclasses and named tuples of this package that occur in ``value``.
    Raises ``TypeError`` for a value that has no such text.

    Example::

        >>> source(torch.zeros(2))
        'torch.tensor([0.0, 0.0])'
    """
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return f"np.array({_nested(value.tolist())}, dtype=np.{value.dtype.name})" + (
            f".reshape({value.shape})" if 0 in value.shape else ""
        )
    if isinstance(value, (bool, int, float, str, bytes, type(None), slice, type(...))):
        return repr(value)
    if isinstance(value, complex):
        return f"complex({value.real!r}, {value.imag!r})"
    if isinstance(value, torch.Size):
        return f"torch.Size({list(value)})"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = ", ".join(f"{k}={source(v)}" for k, v in zip(value._fields, value, strict=True))
        return f"{type(value).__name__}({parts})"
    if isinstance(value, tuple):
        return f"({', '.join(map(source, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(source, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{source(k)}: {source(v)}" for k, v in value.items()) + "}"
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if isinstance(value, (torch.dtype, torch.layout)):
        return str(value)
    if hasattr(value, "source_text") and not isinstance(value, type):
        return str(value.source_text())
    if is_dataclass(value) and not isinstance(value, type):
        parts = ", ".join(f"{f.name}={source(getattr(value, f.name))}" for f in fields(value))
        return f"{type(value).__name__}({parts})"
    return _named(value)


def _named(value: object) -> str:
    """The dotted name under which torch exports a function or class."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, (BuiltinFunctionType, FunctionType, type)) or callable(value):
        name = getattr(value, "__name__", None)
        for owner, prefix in ((torch, "torch"), (torch.Tensor, "torch.Tensor")):
            if name and getattr(owner, name, None) is value:
                return f"{prefix}.{name}"
        module = getattr(value, "__module__", "") or ""
        if name and module.split(".")[0] == "torch":
            return f"{module}.{name}"
        if isinstance(value, type) and module == "builtins":
            return str(name)
    raise TypeError(
        f"no source text for {type(value).__module__}.{type(value).__name__}: {value!r}"
    )


def _nested(values: Any) -> str:
    """Nested lists of numbers; complex ones by parts, since ``-1j`` loses the sign of zero."""
    if isinstance(values, list) and "j" in repr(values):
        return f"[{', '.join(map(_nested, values))}]"
    return source(values) if isinstance(values, complex) else repr(values)


def _has_plain_text(flat: torch.Tensor) -> bool:
    """Whether repr of the values loses nothing: every nan is the canonical one."""
    if flat.is_complex():
        return _has_plain_text(torch.view_as_real(flat).reshape(-1))
    if not flat.is_floating_point():
        return True
    values = flat.tolist()
    if not any(map(math.isnan, values)):
        return True
    if flat.dtype not in _CANONICAL_NAN:
        return False
    bits = flat.view(_BITS[flat.element_size()]).tolist()
    mask = (1 << (8 * flat.element_size())) - 1
    nans = [b & mask for b, v in zip(bits, values, strict=True) if math.isnan(v)]
    return all(b == _CANONICAL_NAN[flat.dtype] for b in nans)


def _literal(values: torch.Tensor) -> str:
    """A host tensor with contiguous values, as a literal."""
    dtype = (
        ""
        if values.dtype in (torch.float32, torch.int64, torch.bool)
        else f", dtype={values.dtype}"
    )
    if values.numel() == 0:
        return f"torch.zeros({tuple(values.shape)}, dtype={values.dtype})"
    if _has_plain_text(values.reshape(-1)):
        return f"torch.tensor({_nested(values.tolist())}{dtype})"
    bits = values.view(_BITS[values.element_size()]) if not values.is_complex() else None
    if bits is None:
        return f"torch.view_as_complex({_literal(torch.view_as_real(values).contiguous())})"
    return f"torch.tensor({bits.tolist()}, dtype={bits.dtype}).view({values.dtype})"


def _tensor(tensor: torch.Tensor) -> str:
    values = tensor.detach()
    if values.layout != torch.strided:
        return _sparse(values) + (".requires_grad_()" if tensor.requires_grad else "")
    conjugated, negated = values.is_conj(), values.is_neg()
    if conjugated:
        values = values.conj()
    if negated:
        values = torch._neg_view(values)
    whole = lacks("storage") or (
        values.stride() == contiguous_stride(tuple(values.shape))
        and values.storage_offset() == 0
        and elements_stored(values) == values.numel()
    )
    place = "" if values.device.type == "cpu" else f".to({str(values.device)!r})"
    lazy = (".conj()" if conjugated else "") + ("._neg_view()" if negated else "")
    required = ".requires_grad_()" if tensor.requires_grad else ""
    if values.device.type == "meta":
        geometry = f"{tuple(values.shape)}, {values.stride()}"
        text = f"torch.empty_strided({geometry}, dtype={values.dtype}, device='meta')"
        return text + lazy + required
    seen = f".as_strided({tuple(values.shape)}, {values.stride()}, {values.storage_offset()})"
    if whole:
        text = _literal(values.cpu()) + place + lazy
    else:
        text = f"{_literal(whole_storage(values).cpu())}{place}{seen}{lazy}"
    is_view, becomes_view = tensor._base is not None, not whole or bool(lazy)
    if is_view and not becomes_view:
        text += seen
    elif becomes_view and not is_view:
        text += ".detach()"
    return text + required


def _sparse(values: torch.Tensor) -> str:
    size = tuple(values.shape)
    if values.layout == torch.sparse_coo:
        parts = f"{_tensor(values._indices())}, {_tensor(values._values())}, {size}"
        return f"torch.sparse_coo_tensor({parts}, is_coalesced={values.is_coalesced()})"
    if values.layout == torch.sparse_csr:
        rows, columns = values.crow_indices(), values.col_indices()
        parts = f"{_tensor(rows)}, {_tensor(columns)}, {_tensor(values.values())}, {size}"
        return f"torch.sparse_csr_tensor({parts})"
    raise TypeError(f"no source text for a tensor of layout {values.layout}")


def arguments_source(arguments: Mapping[str, object] | Sequence[tuple[str, object]]) -> str:
    """Return one assignment a line for named values: the inputs of one example.

    A value without source text is shown by its type, as a comment.
    """
    items = arguments.items() if isinstance(arguments, Mapping) else arguments
    lines = []
    for name, value in items:
        try:
            lines.append(f"{name} = {source(value)}")
        except TypeError as error:
            lines.append(f"# {name}: {error}")
    return "\n".join(lines)


@cache
def teach_hypothesis() -> None:
    """Make Hypothesis print tensors as :func:`source` in its falsifying examples.

    Called when a tensor is first drawn, not on import; it changes how tensors are printed and
    nothing else.
    """

    def print_tensor(value: torch.Tensor, printer: pretty.RepresentationPrinter, _: bool) -> None:
        try:
            printer.text(source(value))
        except TypeError:
            printer.text(repr(value))

    pretty.for_type_by_name("torch", "Tensor", print_tensor)
