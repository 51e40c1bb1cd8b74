"""Saved tensors: hooks that pack and unpack them, and what nodes say of them."""

import weakref

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.target import resolve
from strategies import arrays, functions, polynomials, squares
from strategies.functions import numpy_of

HOOKS = "torch.autograd.graph.saved_tensors_hooks"
NOTES = "notes/autograd.html#saved-tensors"
RAW = "notes/autograd.html#hooks-for-saved-tensors"


class Packed:
    """What a pack hook may return: any object. It knows the number of its call."""

    def __init__(self, tensor, number):
        self.tensor, self.number = tensor.detach().clone(), number


class Pair:
    """A pair of hooks that note their calls in order: what was packed, what is unpacked."""

    def __init__(self, factor=1.0):
        self.factor, self.packed, self.unpacked = factor, [], []

    def pack(self, tensor):
        """Pack a tensor as an object of ours."""
        self.packed.append(Packed(tensor, len(self.packed)))
        return self.packed[-1]

    def unpack(self, packed):
        """Return the tensor, times the factor if there is one."""
        self.unpacked.append(packed)
        return packed.tensor if self.factor == 1 else packed.tensor * self.factor

    def hooks(self):
        """The context manager that sets the pair."""
        return torch.autograd.graph.saved_tensors_hooks(self.pack, self.unpack)


def as_detached(tensor):
    return tensor.detach()


def as_array(tensor):
    return tensor.device, tensor.detach().cpu().numpy().copy()


def from_array(packed):
    return torch.from_numpy(packed[1]).to(packed[0])


def as_numbers(tensor):
    return tuple(tensor.shape), tensor.dtype, tensor.device, tensor.detach().reshape(-1).tolist()


def from_numbers(packed):
    shape, dtype, device, numbers = packed
    return torch.tensor(numbers, dtype=dtype, device=device).reshape(shape)


def as_strided(tensor):
    return tensor.detach().repeat_interleave(2, dim=0) if tensor.dim() else tensor.detach()


def from_strided(packed):
    return packed[::2] if packed.dim() else packed


def same(packed):
    return packed


PACKINGS = {
    "detached": (as_detached, same),
    "array": (as_array, from_array),
    "numbers": (as_numbers, from_numbers),
    "strided": (as_strided, from_strided),
}


@law("saved-tensors.round-trip", docs=HOOKS, over=PACKINGS)
@given(f=functions(scalar=True), inside=st.booleans())
def test_round_trip(target, case, f, inside):
    """Hooks whose unpack gives back what was packed change no gradient, not by a bit.

    Whatever object represents it in between, and whether backward runs inside the block or after.
    """
    plain, leaves = f.leaves(target.device), f.leaves(target.device)
    target.run(f, *plain).backward()
    with torch.autograd.graph.saved_tensors_hooks(*case):
        result = target.run(f, *leaves)
        if inside:
            result.backward()
    if not inside:
        result.backward()
    expected = [np.zeros(0) if p.grad is None else compare.to_numpy(p.grad) for p in plain]
    compare.gradients(leaves, expected, f.reaches)


@law("saved-tensors.calls", docs=HOOKS)
@given(f=squares(), passes=st.integers(1, 3))
def test_calls(target, f, passes):
    """pack is called in the forward pass, unpack in each backward pass, with what pack returned.

    "The output of pack_hook is then stored in the computation graph instead of the original
    tensor."
    """
    pair = Pair()
    leaves = f.leaves(target.device)
    with pair.hooks():
        result = target.run(f, *leaves)
    count = len(pair.packed)
    # A square saves its operand, twice if it is written as a product.
    compare.fact(count >= 1, True, "something was packed")
    compare.fact(len(pair.unpacked), 0, "unpacked before backward")
    for number in range(1, passes + 1):
        before = len(pair.unpacked)
        result.backward(retain_graph=number < passes)
        compare.fact(len(pair.packed), count, "packed during backward")
        fresh = pair.unpacked[before:]
        compare.fact(all(isinstance(packed, Packed) for packed in fresh), True, "what is unpacked")
        known = {id(packed) for packed in pair.packed}
        compare.fact(all(id(packed) in known for packed in fresh), True, "the very objects packed")
        compare.fact(len(fresh) >= 1, True, "something was unpacked")
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [passes * value for value in expected], f.reaches)


@law("saved-tensors.packed-values", docs=HOOKS)
@given(
    x=arrays(shape=(2,)), y=arrays(shape=(2,)), requiring=st.sampled_from(((1, 1), (1, 0), (0, 1)))
)
def test_packed_values(target, x, y, requiring):
    """Of a product each factor is packed once that the other one's gradient needs, and unpacked.

    Not the one that no gradient needs.
    """
    pair = Pair()
    values = (x, y)
    leaves = [
        torch.tensor(value, device=target.device, requires_grad=bool(flag))
        for value, flag in zip(values, requiring, strict=True)
    ]
    with pair.hooks():
        result = target.run("torch.mul", *leaves)
    # The gradient to one factor is the cotangent times the other one.
    needed = sorted(values[1 - number].tolist() for number in (0, 1) if requiring[number])
    packed = sorted(packed.tensor.tolist() for packed in pair.packed)
    compare.fact(packed, needed, "values packed")
    result.sum().backward()
    numbers = [packed.number for packed in pair.unpacked]
    compare.fact(sorted(numbers), list(range(len(needed))), "numbers of what is unpacked")
    compare.gradients(leaves, (y, x), [bool(flag) for flag in requiring])


@law("saved-tensors.unpacked-is-used", docs=HOOKS)
@given(x=arrays(shape=(3,)), factor=st.sampled_from((2.0, -0.5)), create_graph=st.booleans())
def test_unpacked_is_used(target, x, factor, create_graph):
    """backward computes with what unpack returns, not with the original."""
    pair = Pair(factor)
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    with pair.hooks():
        result = target.run("torch.square", leaf)
    (gradient,) = torch.autograd.grad(result.sum(), leaf, create_graph=create_graph)
    compare.close(gradient, 2 * factor * x, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.nesting", docs=HOOKS)
@given(
    depth=st.integers(1, 4),
    failing=st.integers(0, 4),
    x=arrays(shape=(2,)),
)
def test_nesting(target, depth, failing, x):
    """Only the innermost pair of hooks applies; when its block ends, the one around it does again.

    Also where an exception ends it. No pair applies outside all blocks.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    pairs = [Pair() for _ in range(depth)]

    def counts():
        return [len(pair.packed) for pair in pairs]

    def check(level, expected):
        target.run("torch.square", leaf)
        if level >= 0:
            expected[level] += 1
        compare.fact(counts(), expected, f"packed by each pair, at depth {level + 1}")

    def enter(level, expected):
        with pairs[level].hooks():
            check(level, expected)
            if level + 1 < depth:
                try:
                    enter(level + 1, expected)
                except KeyError:
                    compare.fact(failing > depth - level - 2, True, "it was to raise")
                check(level, expected)
            if failing >= depth - level:
                raise KeyError("out of the block")

    expected = [0] * depth
    check(-1, expected)
    try:
        enter(0, expected)
    except KeyError:
        compare.fact(failing >= depth, True, "it was to raise")
    check(-1, expected)


@law("saved-tensors.pair-of-forward", docs=HOOKS)
@given(x=arrays(shape=(2,)), other=st.booleans())
def test_pair_of_forward(target, x, other):
    """A tensor is unpacked by the partner of the hook that packed it, whichever applies by then."""
    first, second = Pair(2.0), Pair(-4.0)
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    with first.hooks():
        inner = target.run("torch.square", leaf)
        with second.hooks():
            outer = target.run("torch.square", leaf)
    unhooked = target.run("torch.square", leaf)
    if other:
        with second.hooks():
            inner.sum().backward()
    else:
        inner.sum().backward()
    compare.close(leaf.grad, 4 * x, bound=0.0, dtype=torch.float64, what="packed by the first")
    leaf.grad = None
    outer.sum().backward()
    compare.close(leaf.grad, -8 * x, bound=0.0, dtype=torch.float64, what="packed by the second")
    leaf.grad = None
    unhooked.sum().backward()
    compare.close(leaf.grad, 2 * x, bound=0.0, dtype=torch.float64, what="not packed")
    calls = [(len(pair.packed), len(pair.unpacked)) for pair in (first, second)]
    compare.fact(calls, [(1, 1), (1, 1)], "calls of each pair")


UNRECORDED = ("torch.no_grad", "torch.inference_mode", "torch.enable_grad")


@law("saved-tensors.nothing-to-save", docs=HOOKS)
@given(f=polynomials(), mode=st.sampled_from(UNRECORDED))
def test_nothing_to_save(target, f, mode):
    """Nothing is packed where nothing is recorded: under no_grad, or where no input requires grad.

    Recorded, the square of the same function is.
    """
    pair, recorded = Pair(), Pair()
    leaves = f.leaves(target.device)
    with recorded.hooks():
        result = f(*leaves)
        compare.fact((result * result).requires_grad, True, "requires_grad of the recorded")
    compare.fact(len(recorded.packed) >= 1, True, "packed where recorded")
    if mode == "torch.enable_grad":
        leaves = [leaf.detach() for leaf in leaves]
    with resolve(mode)(), pair.hooks():
        value = f(*leaves)
        value = value * value
    compare.fact((value.requires_grad, len(pair.packed)), (False, 0), "requires_grad, packed")


@law("saved-tensors.written-after-packing", docs=HOOKS, level="should")
@given(x=arrays(shape=(3,)), scale=st.sampled_from((2.0, -1.0)))
def test_written_after_packing(target, x, scale):
    """A tensor whose copy was packed may be written to: its gradient is that of the copy."""
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    for hooks in (Pair().hooks(), torch.autograd.graph.saved_tensors_hooks(as_array, from_array)):
        leaf.grad = None
        with hooks:
            tensor = leaf * 1
            result = target.run("torch.square", tensor)
        tensor.mul_(scale)
        result.sum().backward()
        compare.close(leaf.grad, 2 * x, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.higher-order", docs=HOOKS)
@given(f=squares(), inside=st.booleans())
def test_higher_order(target, f, inside):
    """Second derivatives go through the hooks too, and are exact.

    What the backward pass itself saves is packed where it runs inside the block.
    """
    pair = Pair()
    leaves = f.leaves(target.device)

    def detour(tensor):
        return tensor

    ones = [np.ones(point.shape) for point in f.points]
    with torch.autograd.graph.saved_tensors_hooks(detour, detour):
        result = target.run(f, *leaves)
    reached = [leaf for leaf, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    if inside:
        with pair.hooks():
            first = torch.autograd.grad(result, reached, create_graph=True)
        compare.fact(len(pair.packed) >= 1, True, "something was packed during backward")
    else:
        first = torch.autograd.grad(result, reached, create_graph=True)
    total = torch.stack([gradient.sum() for gradient in first]).sum()
    second = torch.autograd.grad(total, reached, allow_unused=True, materialize_grads=True)
    products = derivatives.hessian_product(numpy_of(f), f.points, ones)
    kept = [value for value, reaches in zip(products, f.reaches, strict=True) if reaches]
    for number, (gradient, value) in enumerate(zip(second, kept, strict=True)):
        what = f"second derivative {number}"
        compare.close(gradient, value, bound=0.0, dtype=torch.float64, what=what)


class Product(torch.autograd.Function):
    """``a * b``, saved by save_for_backward in another order, and a third tensor kept on ctx."""

    @staticmethod
    def forward(ctx, a, b):
        """Save b, then a."""
        ctx.save_for_backward(b, a, None)
        ctx.kept = a * 5
        return a * b

    @staticmethod
    def backward(ctx, cotangent):
        """The product rule."""
        b, a, _ = ctx.saved_tensors
        return cotangent * b, cotangent * a


@law("saved-tensors.custom-function", docs=HOOKS)
@given(x=arrays(shape=(2,)), y=arrays(shape=(2,)), factor=st.sampled_from((1.0, 2.0)))
def test_custom_function(target, x, y, factor):
    """What a custom Function gives to save_for_backward is packed, in its order, and nothing else.

    ctx.saved_tensors are what unpack returns. A tensor kept as an attribute is not packed.
    """
    pair = Pair(factor)
    a, b = (torch.tensor(v, device=target.device, requires_grad=True) for v in (x, y))
    with pair.hooks():
        result = Product.apply(a, b)
    compare.fact(len(pair.packed), 2, "tensors packed")
    for packed, value in zip(pair.packed, (y, x), strict=True):
        compare.equal(packed.tensor, value, dtype=torch.float64, what=f"packed {packed.number}")
    result.sum().backward()
    compare.fact([p.number for p in pair.unpacked], [0, 1], "order of unpacking")
    compare.gradients((a, b), (factor * y, factor * x), (True, True))


@law("saved-tensors.released", docs=NOTES, level="should")
@given(x=arrays(shape=(2,)), retained=st.booleans())
def test_released(target, x, retained):
    """What was packed is kept as long as the graph; a pass that does not retain it releases it."""
    held = []

    def pack(tensor):
        packed = Packed(tensor, 0)
        held.append(weakref.ref(packed))
        return packed

    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
        result = target.run("torch.square", leaf).sum()
    compare.fact([reference() is None for reference in held], [False], "released before backward")
    if retained:
        result.backward(retain_graph=True)
        compare.fact(held[0]() is None, False, "released by a pass that retains")
    result.backward()
    compare.fact(held[0]() is None, True, "released by a pass that does not retain")
    total = (2 + 2 * retained) * x
    compare.close(leaf.grad, total, bound=0.0, dtype=torch.float64, what="gradient")
