"""The device ``hosted``: a PrivateUse1 backend in Python, with host memory and CPU kernels.

Importing registers it: ``--load tests.backends.hosted --target hosted``. Its tensors are ordinary
ones of torch with storage, strides and a device index; each operation runs as the CPU's on aliases
of their memory. What it lacks is a real accelerator's usual gap: sparse layouts, generators of its
own. ``KERNELS`` holds what stands for an operation instead; a saboteur puts its fault there.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "hosted"
Kernel = Callable[..., Any]

KERNELS: dict[str, Kernel] = {}
"""Kernel by qualified operator, such as ``aten::gather``; ``aten::add.out`` for one overload."""

_ON_CPU = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)


# -- memory: the same bytes under another device ------------------------------------------------


class _ManagedTensor(ctypes.Structure):
    """The head of DLPack's ``DLManagedTensor``: where the memory is, and on which device."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_index", ctypes.c_int32),
    )


_DLPACK_CPU, _DLPACK_PRIVATE_USE = 1, 12
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def _under(tensor: torch.Tensor, device_type: int, index: int = 0) -> torch.Tensor:
    """Return a tensor over the same memory on a device of DLPack's type."""
    capsule = torch._C._to_dlpack(tensor)
    head = _ManagedTensor.from_address(_pointer_of(capsule, b"dltensor"))
    head.device_type, head.device_index = device_type, index
    moved = torch._C._from_dlpack(capsule)
    moved = moved.conj() if tensor.is_conj() else moved  # bits that DLPack does not tell
    return moved._neg_view() if tensor.is_neg() else moved


def under_index(tensor: torch.Tensor, index: int) -> torch.Tensor:
    """Return a tensor of this device under another index of it."""
    return _under(tensor, _DLPACK_PRIVATE_USE, index)


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Return a CPU tensor over the memory of one of this device."""
    return _under(tensor, _DLPACK_CPU)


def to_device(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of this device over the memory of one of the CPU."""
    if tensor.layout != torch.strided:
        raise NotImplementedError(f"{NAME} has no tensors of layout {tensor.layout}")
    return _under(tensor.clone() if tensor._is_zerotensor() else tensor, _DLPACK_PRIVATE_USE)


def on_device(value: object) -> bool:
    """Whether a value is a tensor of this device."""
    return isinstance(value, torch.Tensor) and value.device.type == NAME


# -- operations ---------------------------------------------------------------------------------


def run(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    """The kernel of every operation that has none of its own."""
    name = operation._schema.name
    overload = operation._schema.overload_name
    own = KERNELS.get(f"{name}.{overload}") or KERNELS.get(name)
    if own is not None:
        return own(operation, *arguments, **keywords)
    return stock(operation, *arguments, **keywords)


def stock(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    """Run an operation as it should be: views on this device, all else on the CPU's kernels."""
    if _is_view(operation):
        return operation.redispatch(_ON_CPU, *arguments, **keywords)
    arguments, keywords = _tensors_for_numbers(operation, arguments, keywords)
    _check_devices(operation, arguments, keywords)
    aliases: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def alias(value: Any) -> Any:
        if on_device(value):
            return aliases.setdefault(id(value), (value, to_host(value)))[1]
        if isinstance(value, torch.device) and value.type == NAME:
            return torch.device("cpu")
        return value

    hosted = tree_map(alias, (arguments, keywords))
    try:
        results = operation(*hosted[0], **hosted[1])
    except RuntimeError as error:
        if "not resizable" not in str(error):
            raise
        return _resizing(operation, arguments, keywords)
    originals = {id(host): original for original, host in aliases.values()}

    def back(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return originals[id(value)] if id(value) in originals else to_device(value)

    for original, host in aliases.values():
        if (original.shape, original.stride()) != (host.shape, host.stride()):
            _reset(original, original, host.shape, host.stride(), host.storage_offset())
        torch._C._set_conj(original, host.is_conj())  # torch's solve leaves it to this bit
    return tree_map(back, results)


def _tensors_for_numbers(operation: Any, arguments: Any, keywords: Any) -> Any:
    """Give tensors where torch has unpacked them: a number that stands for one takes its dtype."""
    like = next((t for t in tree_leaves((arguments, keywords)) if on_device(t)), None)
    parameters = {p.name: p for p in operation._schema.arguments}

    def tensor_for(parameter: Any, value: Any) -> Any:
        if isinstance(value, (int, float, complex)) and str(parameter.type) == "Tensor":
            dtype = None if like is None else torch.result_type(like, value)
            return torch.tensor(value, dtype=dtype)
        return value

    positional = tuple(map(tensor_for, operation._schema.arguments, arguments))
    return positional, {n: tensor_for(parameters[n], v) for n, v in keywords.items()}


def _check_devices(operation: Any, arguments: Any, keywords: Any) -> None:
    """Refuse tensors of another device, but for those of rank 0 and indices, as torch does."""
    tensors = [t for t in tree_leaves((arguments, keywords)) if isinstance(t, torch.Tensor)]
    others = [t.device for t in tensors if not on_device(t) and t.dim() > 0]
    if others and len(others) < len(tensors) and "index" not in operation._schema.name:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{others[0]} and {NAME}:0! (when checking arguments of {operation})"
        )


def _is_view(operation: Any) -> bool:
    returned = [result.alias_info for result in operation._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returned)


def _written(operation: Any, arguments: Any, keywords: Any) -> Iterator[torch.Tensor]:
    for position, argument in enumerate(operation._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = keywords.get(argument.name)
            yield arguments[position] if position < len(arguments) else given


def _resizing(operation: Any, arguments: Any, keywords: Any) -> Any:
    """Write results into memory that may grow, and put that in place of what was too small."""
    written = list(_written(operation, arguments, keywords))
    grown = {id(tensor): to_host(tensor).clone() for tensor in written}
    host = {id(tensor): tensor for tensor in grown.values()}

    def replace(value: Any) -> Any:
        return grown.get(id(value), to_host(value)) if on_device(value) else value

    hosted = tree_map(replace, (arguments, keywords))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first attempt has warned
        operation(*hosted[0], **hosted[1])
    assert len(host) == len(written)
    for tensor in written:
        new = to_device(grown[id(tensor)])
        _reset(tensor, new, new.shape, new.stride(), 0)
    return written[0] if len(written) == 1 else tuple(written)


def _reset(
    tensor: torch.Tensor, memory: torch.Tensor, shape: Any, stride: Any, offset: Any
) -> torch.Tensor:
    setter = torch.ops.aten.set_.source_Storage_storage_offset
    return setter.redispatch(_ON_CPU, tensor, memory.untyped_storage(), offset, shape, stride)


def copy_from(
    operation: Any, source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False
) -> torch.Tensor:
    from_ = to_host(source) if on_device(source) else source
    (to_host(target) if on_device(target) else target).copy_(from_)
    return target


def _copy_from_and_resize(
    operation: Any, source: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    return copy_from(operation, source, target.resize_(source.shape))


def _set(operation: Any, *arguments: Any, **keywords: Any) -> Any:
    return operation.redispatch(_ON_CPU, *arguments, **keywords)


def _resize(
    operation: Any, tensor: torch.Tensor, shape: Any, *, memory_format: Any = None
) -> torch.Tensor:
    if tensor.shape == torch.Size(shape) and memory_format is None:
        return tensor
    like = torch.empty(
        shape, dtype=tensor.dtype, memory_format=memory_format or torch.contiguous_format
    )
    storage = tensor.untyped_storage()
    offset = tensor.storage_offset()
    if (offset + like.numel()) * like.itemsize > storage.nbytes():
        grown = torch.empty((offset + like.numel()) * like.itemsize, dtype=torch.uint8)
        bytes_ = torch.empty(0, dtype=torch.uint8, device=NAME).set_(storage)
        grown[: storage.nbytes()] = to_host(bytes_)
        memory = to_device(grown)
    else:
        memory = tensor
    return _reset(tensor, memory, like.shape, like.stride(), offset)


def _convolution(
    operation: Any, x: Any, weight: Any, bias: Any, *options: Any, **named: Any
) -> torch.Tensor:
    on_host = [None if t is None else to_host(t) for t in (x, weight, bias)]
    return to_device(torch.ops.aten.convolution(*on_host, *options, **named))


def _convolution_backward(
    operation: Any, gradient: Any, x: Any, weight: Any, *options: Any, **named: Any
) -> Any:
    on_host = map(to_host, (gradient, x, weight))
    results = torch.ops.aten.convolution_backward(*on_host, None, *options, **named)
    return tuple(None if result is None else to_device(result) for result in results)


KERNELS.update(
    {
        "aten::convolution_overrideable": _convolution,
        "aten::convolution_backward_overrideable": _convolution_backward,
        "aten::_copy_from": copy_from,
        "aten::_copy_from_and_resize": _copy_from_and_resize,
        "aten::set_": _set,
        "aten::resize_": _resize,
    }
)


# -- registration -------------------------------------------------------------------------------


class Module:
    """``torch.hosted``: what torch asks of a device's module."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def set_device(self, device: object) -> None:
        pass

    def device(self, device: object) -> AbstractContextManager[None]:
        """Make a device the current one: there is but one."""
        return nullcontext()

    def synchronize(self, device: object = None) -> None:
        pass

    def get_device_name(self, device: object = None) -> str:
        return "host memory"

    def manual_seed_all(self, seed: int) -> None:
        """Random numbers come from the CPU's generator, which torch seeds itself."""

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        """Return the state of the generator from which random numbers come: the CPU's."""
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        torch.set_rng_state(state)

    def _is_in_bad_fork(self) -> bool:
        return False

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


def _new_storage(cls: Any, *arguments: Any, device: Any = None, **keywords: Any) -> Any:
    """Make a storage. torch asks an allocator, which a backend in Python cannot register."""
    if device is not None and torch.device(device).type == NAME:
        size = arguments[0] if arguments else 0
        return torch.empty(size, dtype=torch.uint8, device=NAME).untyped_storage()
    return torch._C.StorageBase.__new__(cls, *arguments, device=device, **keywords)  # type: ignore[call-arg]


torch.UntypedStorage.__new__ = _new_storage  # type: ignore[method-assign]
_setup_privateuseone_for_python_backend(NAME, backend_module=Module())
_EVERY = torch.library.Library("_", "IMPL")
_EVERY.fallback(run, "PrivateUse1")
_ATEN = torch.library.Library("aten", "IMPL")
for _name in (  # torch would take them apart otherwise, or refuse them
    "convolution_overrideable", "convolution_backward_overrideable", "native_group_norm",
):  # fmt: skip
    _ATEN.impl(_name, partial(run, getattr(torch.ops.aten, _name).default), "PrivateUse1")
for _bit in ("Conjugate", "Negative"):  # a copy resolves them; else resolving would copy for ever
    _ATEN.impl("_copy_from", torch.library.fallthrough_kernel, _bit)
