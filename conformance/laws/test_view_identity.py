"""Tensors as objects: a view is one of its own, whose sizes and layout say what it looks at."""

import copy
import math

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios import memory
from conformance.target import resolve
from strategies import shapes, tensors
from strategies.view_calls import strided_tensors

SAME_ELEMENTS = {
    "view_as": ("torch.Tensor.view_as", "self"),
    "detach": ("torch.Tensor.detach", ""),
    "alias": ("torch.Tensor.__getitem__", "all"),
    "data": ("torch.Tensor.data", ""),
    "expand_as": ("torch.Tensor.expand_as", "self"),
    "movedim": ("torch.Tensor.movedim", "none"),
}


@law("views.objects", docs="tensor_view.html", over=SAME_ELEMENTS)
@given(base=strided_tensors())
def test_objects(target, case, base):
    """A view is another object than its base, though both are one memory from the same address.

    Whereas assigning a tensor to another name makes no object.
    """
    name, further = case
    arguments = {"self": (base,), "all": (...,), "none": ((), ()), "": ()}[further]
    expected = compare.to_numpy(base)
    result = resolve(name)(base, *arguments)
    compare.fact(result is base, False, "is its base")
    compare.equal(result, expected, dtype=base.dtype)
    memory.check_shares(result, base, True)
    compare.fact(result.data_ptr(), base.data_ptr(), "address")
    renamed = base
    compare.fact(id(renamed), id(base), "id of the same object by another name")


@law("views.layout", docs="tensor_attributes.html#torch.layout")
@given(tensor=strided_tensors(repeats=True))
def test_layout(target, tensor):
    """The layout of a dense tensor is torch.strided whatever its strides, contiguous or not."""
    for found in (tensor, tensor.contiguous(), tensor.mT if tensor.dim() > 1 else tensor[None]):
        compare.fact(found.layout, torch.strided, "layout")
        compare.fact(len(found.stride()), found.dim(), "number of strides")


@law("views.sizes", docs="torch.Tensor.size")
@given(shape=shapes(), tensor=tensors(layouts=("contiguous", "transposed", "expanded")))
def test_sizes(target, shape, tensor):
    """size() and shape are the same torch.Size, a tuple; dim and numel count sides and elements.

    size(dim) is one of the sides, counted from either end; numel of rank 0 is 1.
    """
    blank = (torch.zeros(shape, device=target.device), shape)
    drawn = (tensor, compare.to_numpy(tensor).shape)
    for sized, sides in (blank, drawn):
        found = (sized.shape, sized.size(), sized.dim(), sized.ndim, sized.numel())
        rank, count = len(sides), math.prod(sides)
        expected = (torch.Size(sides), torch.Size(sides), rank, rank, count)
        compare.fact(found, expected, "shape, size(), dim(), ndim and numel()")
        compare.fact(isinstance(sized.size(), tuple), True, "a size is a tuple")
        compare.fact((torch.numel(sized), sized.nelement()), (count, count), "numel and nelement")
        ends = [(sized.size(dim), sized.size(dim - rank)) for dim in range(rank)]
        compare.fact(ends, [(side, side) for side in sides], "size(dim)")


@law("views.method-only", docs="torch.Tensor.view", level="should")
@given(tensor=strided_tensors())
def test_method_only(target, tensor):
    """view is a method alone, of which torch has no function; reshape is both, with one result."""
    compare.fact(hasattr(torch, "view"), False, "torch has a function view")
    expected = compare.to_numpy(tensor)
    shape = tuple(tensor.shape)
    for name in ("torch.Tensor.view", "torch.Tensor.reshape", "torch.reshape"):
        result = target.run(name, tensor, shape)
        compare.equal(result, expected, dtype=tensor.dtype, what=name)
        memory.check_shares(result, tensor, True, name)


@law("views.copied-together", docs="torch.Tensor", level="should")
@given(base=strided_tensors(shape=shapes(min_rank=1, min_side=1)))
def test_copied_together(target, base):
    """What shares memory shares it after copy.deepcopy of both, and with the originals no more.

    The copies lie as the originals do, at the same offsets in the storage.
    """
    values, last = compare.to_numpy(base), base[-1:]
    first, second = copy.deepcopy([base, last])
    memory.check_shares(second, first, True, "copy of the view")
    memory.check_shares(first, base, False, "copy")
    for copied, original in ((first, base), (second, last)):
        compare.fact(memory.geometry_of(copied), memory.geometry_of(original), "geometry")
    compare.equal(first, values, dtype=base.dtype, what="copy")
    compare.equal(second, values[-1:], dtype=base.dtype, what="copy of the view")
    again = copy.deepcopy((last, last))
    compare.fact(again[0] is again[1], True, "one tensor is copied once")


LAZY_VIEWS = {
    "conjugated": ("{a}.conj()", "np.conj({a})"),
    "conjugated-rows": ("{a}[1:].conj()", "np.conj({a}[1:])"),
    "conjugated-turned": ("{a}.mT.conj()", "np.conj({a}.T)"),
    "negated": ("{a}.conj().imag", "-{a}.imag"),
}
COPIED = ("v.copy_(s)", "v[...] = s", "v[:, 1:] = s[:, 1:]", "v.mul_(s)", "v += s")


@law("views.lazy-written", docs="torch.conj", over=LAZY_VIEWS)
@given(
    x=tensors(dtype="complex", shape=(3, 2), values="dyadic", layouts=("contiguous",)),
    source=tensors(dtype="complex", shape=(3, 2), values="dyadic"),
    statement=st.sampled_from(COPIED),
    lazy=st.booleans(),
)
def test_lazy_written(target, case, x, source, statement, lazy):
    """What is written to a view that conjugates or negates lazily stands in the base unsigned.

    The view then reads as what was written, whether that was lazy as well or not.
    """
    form, plain = case
    base = compare.to_numpy(x)
    view, other = eval(form.format(a="x"), {"x": x}), eval(form.format(a="y"), {"y": source})
    given_source = other if lazy else other.resolve_conj().resolve_neg()
    expected, written = (np.array(eval(plain.format(a="z"), {"z": z, "np": np}))
                         for z in (base, compare.to_numpy(source)))  # fmt: skip
    exec(statement, {"v": view, "s": given_source})
    if statement == "v.mul_(s)":
        expected *= written
    elif statement == "v += s":
        expected += written
    else:
        expected[:, int("1:" in statement) :] = written[:, int("1:" in statement) :]
    compare.close(view, expected, bound=0.0, dtype=view.dtype, what="view")
    again = eval(plain.format(a="z"), {"z": compare.to_numpy(x), "np": np})
    compare.every(again == expected, x, "what was written, unsigned")


AS_REAL = {"view": "v.view(torch.float64)", "view_as_real": "torch.view_as_real(v)"}


@law("views.lazy-not-reinterpreted", docs="torch.view_as_real", level="should", over=AS_REAL)
@given(x=tensors(dtype=torch.complex128, shape=(2, 3), values="dyadic", layouts=("contiguous",)))
def test_lazy_not_reinterpreted(target, case, x):
    """A lazily conjugated tensor is not viewed as real numbers until it is resolved."""
    lazy = x.conj()
    with compare.raises(RuntimeError, "conjugate"):
        eval(case, {"torch": torch, "v": lazy})
    parts = eval(case, {"torch": torch, "v": lazy.resolve_conj()})
    expected = np.conj(compare.to_numpy(x)).view(np.float64).reshape(parts.shape)
    compare.equal(parts, expected, dtype=torch.float64)
