"""Parametrizations: a tensor of a module computed from others, which are what is learned."""

import numpy as np
import torch
from hypothesis import strategies as st
from torch.nn.utils import parametrize

from conformance import compare
from conformance.law import given, law
from strategies import tensors

PAGE = "torch.nn.utils.parametrize."
SHAPES = st.sampled_from(((2,), (2, 3), (), (1, 2), (0,)))
VALUES = SHAPES.flatmap(lambda shape: tensors(dtype=torch.float64, shape=shape))
# What a parametrization computes, its inverse if it has one, and its derivative.
MAPS = {
    "doubled": ("2 * x", "x / 2", "2 + 0 * x"),
    "shifted": ("x + 1", "x - 1", "1 + 0 * x"),
    "negated": ("-x", "-x", "-1 + 0 * x"),
    "squared": ("x * x", "", "2 * x"),
}
STACKS = st.lists(st.sampled_from(tuple(MAPS)), min_size=1, max_size=3)


class Mapped(torch.nn.Module):
    """A parametrization by an expression; it counts its calls."""

    def __init__(self, text):
        super().__init__()
        self.text, self.calls = text, 0

    def forward(self, x):
        """The value of the expression."""
        self.calls += 1
        return eval(self.text, {"x": x})


class Invertible(Mapped):
    """One with a right inverse."""

    def __init__(self, text, inverse):
        super().__init__(text)
        self.inverse = inverse

    def right_inverse(self, x):
        """The value of the inverse."""
        return eval(self.inverse, {"x": x})


def parametrization(name):
    """A new parametrization of that name."""
    text, inverse, _ = MAPS[name]
    return Invertible(text, inverse) if inverse else Mapped(text)


def through(x, stack):
    """The value of a stack of maps, and its derivative."""
    slope = np.ones_like(x)
    for name in stack:
        text, _, derivative = MAPS[name]
        slope = slope * eval(derivative, {"x": x})
        x = eval(text, {"x": x})
    return x, slope


def host(value, flag=True):
    """A module with a weight, a bias and a buffer."""
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(value.detach().clone(), flag)
    module.bias = torch.nn.Parameter(torch.zeros(1, device=value.device))
    module.register_buffer("mean", value.detach().clone())
    return module


TENSORS = {"parameter": "weight", "buffer": "mean"}


@law("parametrize.value", docs=f"{PAGE}register_parametrization", over=TENSORS)
@given(value=VALUES, stack=STACKS, training=st.booleans(), flag=st.booleans())
def test_value(target, case, value, stack, training, flag):
    """A parametrized tensor is what its parametrizations make of the original, one after another.

    The original is under parametrizations.NAME.original, in the state too: what the first one's
    right_inverse made of the tensor. Gradients pass through. Registering returns the module.
    """
    module, before = host(value, flag).train(training), compare.to_numpy(value)
    for name in stack:
        returned = parametrize.register_parametrization(module, case, parametrization(name))
        compare.fact(returned is module, True, "returns the module")
    inverse = MAPS[stack[0]][1]
    start = eval(inverse, {"x": before}) if inverse else before
    kept = module.parametrizations[case]
    compare.equal(kept.original, start, dtype=torch.float64, what="original")
    expected, slope = through(start, stack)
    bound = 1e-12 * np.abs(expected)
    compare.close(getattr(module, case), expected, bound=bound, dtype=torch.float64)
    compare.fact([m.training for m in kept], [training] * len(stack), "modes")
    compare.fact(parametrize.is_parametrized(module), True, "is parametrized")
    told = [parametrize.is_parametrized(module, n) for n in (case, "bias")]
    compare.fact(told, [True, False], "is parametrized, by name")
    name = f"parametrizations.{case}.original"
    compare.fact(name in module.state_dict(), True, "the original is in the state")
    compare.fact(case in module.state_dict(), False, "the tensor is in the state")
    is_parameter = name in dict(module.named_parameters())
    compare.fact(is_parameter, case == "weight", "the original is a parameter")
    if case == "weight":
        compare.fact(kept.original.requires_grad, flag, "the original requires grad")
    if case == "weight" and flag:
        getattr(module, case).sum().backward()
        bound = 1e-12 * np.abs(slope)
        compare.close(kept.original.grad, slope, bound=bound, dtype=torch.float64, what="gradient")


@law("parametrize.assign", docs=f"{PAGE}register_parametrization", over=TENSORS)
@given(value=VALUES, stack=STACKS)
def test_assign(target, case, value, stack):
    """Assigning to a parametrized tensor sets the original, through all right inverses in reverse.

    The original stays the same tensor. If one has no right_inverse it is refused, and nothing
    changes.
    """
    module = host(torch.full_like(value, 3.0))
    for name in stack:
        parametrize.register_parametrization(module, case, parametrization(name))
    original = module.parametrizations[case].original
    before, wanted = compare.to_numpy(original), compare.to_numpy(value)
    if "squared" in stack:
        with compare.raises(RuntimeError, "does not implement right_inverse"):
            setattr(module, case, value)
        compare.unchanged(original, before, "original")
        return
    setattr(module, case, value)
    compare.fact(module.parametrizations[case].original is original, True, "the same original")
    for name in reversed(stack):
        wanted = eval(MAPS[name][1], {"x": wanted})
    compare.equal(original + 0.0, wanted + 0.0, dtype=torch.float64, what="original")
    got = getattr(module, case)
    compare.equal(got + 0.0, compare.to_numpy(value) + 0.0, dtype=torch.float64, what="tensor")


@law("parametrize.remove", docs=f"{PAGE}remove_parametrizations", over=TENSORS)
@given(value=VALUES, stack=STACKS, leave=st.booleans(), other=st.booleans())
def test_remove(target, case, value, stack, leave, other):
    """Removing parametrizations leaves the tensor at its value, or at the original's, if asked so.

    As the parameter or buffer that it was, under its own name. Those of other tensors stay.
    """
    module = host(value)
    kind = type(module)
    for name in stack:
        parametrize.register_parametrization(module, case, parametrization(name))
    if other:
        parametrize.register_parametrization(module, "bias", parametrization("shifted"))
    original = compare.to_numpy(module.parametrizations[case].original)
    current = compare.to_numpy(getattr(module, case))
    result = parametrize.remove_parametrizations(module, case, leave_parametrized=leave)
    compare.fact(result is module, True, "returns the module")
    got = getattr(module, case)
    compare.equal(got, current if leave else original, dtype=torch.float64, what="tensor")
    members = dict(module.named_parameters() if case == "weight" else module.named_buffers())
    compare.fact(members.get(case) is got, True, "registered under its name")
    compare.fact(got.requires_grad, case == "weight", "requires grad")
    told = [parametrize.is_parametrized(module, n) for n in (case, "bias")]
    compare.fact(told, [False, other], "is parametrized, by name")
    if not other:
        compare.fact(type(module) is kind, True, "the class that it was of")
        names = sorted(module.state_dict())
        compare.fact(names, ["bias", "mean", "weight"], "names in the state")


@law("parametrize.cached", docs=f"{PAGE}cached")
@given(
    value=VALUES, reads=st.integers(1, 3), nested=st.booleans(), failing=st.booleans(),
)  # fmt: skip
def test_cached(target, value, reads, nested, failing):
    """Within cached() a parametrized tensor is computed once, when it is first used, and kept.

    Also where contexts are nested, and where it ends by an exception. Afterwards, and before, it
    is computed each time.
    """
    module, first = host(value), parametrization("doubled")
    parametrize.register_parametrization(module, "weight", first)
    original = module.parametrizations.weight.original
    first.calls = 0
    try:
        with parametrize.cached():
            compare.fact(first.calls, 0, "calls before the first use")
            seen = [module.weight for _ in range(reads)]
            if nested:
                with parametrize.cached():
                    seen.append(module.weight)
                seen.append(module.weight)
            compare.fact(first.calls, 1, "calls within the context")
            compare.fact([w is seen[0] for w in seen], [True] * len(seen), "the same tensor")
            if failing:
                raise ArithmeticError("planned")
    except ArithmeticError:
        pass
    with torch.no_grad():
        original.add_(1)
    wanted = 2 * (compare.to_numpy(value) / 2 + 1)
    for number in range(2):
        compare.equal(module.weight, wanted, dtype=torch.float64, what="tensor afterwards")
        compare.fact(first.calls, 2 + number, "calls afterwards")


class Product(torch.nn.Module):
    """The outer product of two vectors."""

    def forward(self, x, y):
        """The matrix."""
        return x.unsqueeze(-1) * y.unsqueeze(-2)

    def right_inverse(self, matrix):
        """The first column, and ones: a product again if all columns are alike."""
        return matrix[..., 0].clone(), torch.ones_like(matrix[0])


@law("parametrize.several", docs=f"{PAGE}register_parametrization")
@given(value=tensors(dtype=torch.float64, shape=(2,)), doubled=st.booleans())
def test_several(target, value, doubled):
    """A parametrization of several tensors takes them from its right inverse: original0, original1.

    They are parameters, get gradients, and are all set by an assignment.
    """
    module = host(value.unsqueeze(1).expand(2, 3))
    parametrize.register_parametrization(module, "weight", Product())
    if doubled:
        parametrize.register_parametrization(module, "weight", parametrization("doubled"))
    factor, column = 2.0 if doubled else 1.0, compare.to_numpy(value)
    names = [f"parametrizations.weight.original{n}" for n in range(2)]
    found = [name for name, _ in module.named_parameters() if "original" in name]
    compare.fact(found, names, "originals by name")
    parts = module.parametrizations.weight
    expected = factor * np.outer(column, np.ones(3))
    compare.equal(module.weight, expected, dtype=torch.float64, what="weight")
    module.weight.sum().backward()
    wanted = [np.full(2, 3 * factor), np.full(3, factor * column.sum())]
    compare.gradients([parts.original0, parts.original1], wanted, [True, True])
    module.weight = torch.ones(2, 3, dtype=torch.float64, device=target.device)
    compare.equal(module.weight, np.ones((2, 3)), dtype=torch.float64, what="weight, assigned")
    with compare.raises(ValueError, "Cannot leave unparametrized"):
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    compare.fact(parametrize.is_parametrized(module, "weight"), True, "still parametrized")
