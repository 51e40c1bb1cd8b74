"""torch.autograd.functional: Jacobians, Hessians and their products with vectors."""

import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from conformance.target import resolve
from strategies import functions, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of
from strategies.layouts import LAZY, WRITABLE

PLAIN = tuple(name for name in WRITABLE if name not in LAZY)
FORWARD = (("strategy", "forward-mode"), ("vectorize", True))
JACOBIANS = {
    "reverse": (),
    "create-graph": (("create_graph", True),),
    "vectorized": (("vectorize", True),),
    "vectorized-create-graph": (("vectorize", True), ("create_graph", True)),
    "forward": FORWARD,
}
HESSIANS = {
    "reverse": (),
    "create-graph": (("create_graph", True),),
    "vectorized": (("vectorize", True),),
    "vectorized-create-graph": (("vectorize", True), ("create_graph", True)),
    "forward": (("outer_jacobian_strategy", "forward-mode"), ("vectorize", True)),
}
DIFFERENTIABLE = {
    "reverse": (("create_graph", True),),
    "vectorized": (("vectorize", True), ("create_graph", True)),
}
PRODUCTS = {name: name for name in ("vjp", "jvp", "hvp", "vhp")}
ENTRIES = {
    "jacobian": "jacobian", "hessian": "hessian", "vjp": "vjp", "jvp": "jvp", "hvp": "hvp",
    "vhp": "vhp",
}  # fmt: skip


def page(case):
    return f"torch.autograd.functional.{case}"


def entry(name):
    """Return a function of torch.autograd.functional."""
    return resolve(f"torch.autograd.functional.{name}")


def product_of(name, function, points, directions, cotangent):
    """Return what a product gives: for vjp and vhp, hvp a tuple for the arguments."""
    if name == "vjp":
        return tuple(derivatives.vjp(function, points, cotangent))
    if name == "jvp":
        return jets.differential(function, points, directions)
    return tuple(derivatives.hessian_product(function, points, directions))


def without_lists(f):
    """Return the function with its subscripts that are lists written as stacked entries."""
    entries = r"xp.stack((\1[..., 0], \1[..., -1], \1[..., 0]), -1)"
    return replace(f, body=re.sub(r"(\w+)\[\.\.\., \[0, -1, 0\]\]", entries, f.body))


def squares_for(case):
    """Draw squares for a variant of hessian: subscripts in forward mode have a law of their own."""
    drawn = squares(max_leaves=2, max_steps=3)
    return drawn.map(without_lists) if case == HESSIANS["forward"] else drawn


def functions_for(case):
    """Draw smooth functions for a variant of hessian, as above."""
    drawn = functions(scalar=True, max_leaves=2, max_steps=5)
    return drawn.map(without_lists) if case == HESSIANS["forward"] else drawn


def repeated_entries(tensor):
    return (tensor[[0, -1, 0]] * tensor).sum()


def as_tuples(found):
    """Return a structure with tuples for lists: what holds them is a law of its own."""
    return found if isinstance(found, torch.Tensor) else tuple(as_tuples(part) for part in found)


def weights(shape, device):
    """Return distinct dyadic weights, which tell every entry from the others."""
    count = int(np.prod(shape))
    return torch.arange(1.0, 1 + count, dtype=torch.float64, device=device).reshape(shape) / 8


def two_results(f, *leaves):
    """A result of the function's shape and one of another, which weighs it."""
    value = f(*leaves)
    return value * 2.0, (value * value)[None]


def cubes(tensor):
    return tensor * tensor * tensor


def sum_of_cubes(tensor):
    return (tensor * tensor * tensor).sum()


@law("functional.jacobian", docs="torch.autograd.functional.jacobian", over=JACOBIANS)
@given(f=polynomials())
def test_jacobian(target, case, f):
    """jacobian of a function of a tuple gives the tuple of exact Jacobians to each input.

    Each of the shape of the result followed by that of the input; zeros to inputs that the
    result does not depend on.
    """
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(derivatives.jacobian(numpy_of(f), f.points))
    compare.nested(as_tuples(found), expected, what="Jacobian to input")


@law("functional.jacobian-smooth", docs="torch.autograd.functional.jacobian", over=JACOBIANS)
@given(f=functions(max_steps=8))
def test_jacobian_smooth(target, case, f):
    """jacobian of a smooth function is exact as far as rounding allows."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(derivatives.jacobian(numpy_of(f), f.points))
    bound = jets.rounding(numpy_of(f), f.points, 1)
    compare.nested(as_tuples(found), expected, bound=bound, what="Jacobian to input")


@law("functional.jacobian-several-results", docs=page("jacobian"), over=JACOBIANS)
@given(f=polynomials(max_leaves=2, max_steps=4, significant_bits=18))
def test_jacobian_several_results(target, case, f):
    """If inputs and results are tuples, Jacobian[i][j] is that of result i to input j."""
    inputs = tuple(f.leaves(target.device))
    run = partial(target.run, two_results, f)
    found = torch.autograd.functional.jacobian(run, inputs, **dict(case))
    (first, second) = derivatives.jacobian(numpy_of(f), f.points), numpy_of(f)(*f.points)
    rank = len(f.shape)
    expected = (
        tuple(2 * block for block in first),
        tuple(
            (2 * second.reshape(f.shape + (1,) * (block.ndim - rank)) * block)[None]
            for block in first
        ),
    )
    compare.nested(as_tuples(found), expected, what="Jacobian of result")


@law("functional.jacobian-structure", docs=page("jacobian"), over=JACOBIANS)
@given(f=polynomials(max_steps=3))
def test_jacobian_structure(target, case, f):
    """Jacobians to a tuple of inputs come in a tuple; of a tuple of results, a tuple of those."""
    inputs = tuple(f.leaves(target.device))
    one = torch.autograd.functional.jacobian(partial(target.run, f), inputs, **dict(case))
    run = partial(target.run, two_results, f)
    two = torch.autograd.functional.jacobian(run, inputs, **dict(case))
    compare.fact(len(one), len(inputs), "number of Jacobians")
    compare.fact([type(part) for part in (one, two, *two)], [tuple] * 4, "types of what holds them")


@law("functional.jacobian-of-expanded", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1)))
def test_jacobian_of_expanded(target, case, point):
    """The Jacobian is the same if elements of the input share memory."""
    point = point.expand(2, *point.shape)
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("functional.jacobian-of-nothing", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=st.sampled_from([(0,), (0, 2), (2, 0)])))
def test_jacobian_of_nothing(target, case, point):
    """A result without elements has a Jacobian without elements, of the joined shape."""
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    compare.nested(found, np.zeros(2 * tuple(point.shape)), what="Jacobian")
    compare.fact(tuple(found.shape), 2 * tuple(point.shape), "shape of the Jacobian")


@law("functional.jacobian-of-tensor", docs=page("jacobian"), over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=PLAIN))
def test_jacobian_of_tensor(target, case, point):
    """jacobian of a function of one tensor is one tensor, for every shape and layout.

    Rank 0 included: the diagonal of an elementwise function.
    """
    found = torch.autograd.functional.jacobian(partial(target.run, cubes), point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("functional.jacobian-dtype", docs=page("jacobian"), over=JACOBIANS)
@given(
    point=tensors(dtype=torch.float32, shape=shapes(min_side=1), layouts=PLAIN),
    other=tensors(dtype=torch.float64, shape=()),
)
def test_jacobian_dtype(target, case, point, other):
    """A Jacobian has the dtype of the input; in forward mode, that of the result."""

    def product(a, b):
        return a.to(torch.float64) * b

    found = torch.autograd.functional.jacobian(
        partial(target.run, product), (point, other), **dict(case)
    )
    values, weight = compare.to_numpy(point), compare.to_numpy(other)
    expected = np.diag(np.full(values.size, weight)).reshape(2 * values.shape)
    dtype = torch.float64 if dict(case).get("strategy") else torch.float32
    compare.nested(found[0], expected, dtype=dtype, what="Jacobian to the first input")
    compare.nested(found[1], values, what="Jacobian to the second input")


@law("functional.jacobian-differentiable", docs=page("jacobian"), over=DIFFERENTIABLE)
@given(f=squares(max_leaves=2, max_steps=3))
def test_jacobian_differentiable(target, case, f):
    """A Jacobian taken with create_graph=True can be differentiated: it gives the exact Hessian.

    Here the gradient of its sum weighted by distinct numbers, which is the Hessian times them.
    """
    leaves = f.leaves(target.device)
    found = torch.autograd.functional.jacobian(partial(target.run, f), tuple(leaves), **dict(case))
    factors = [weights(leaf.shape, target.device) for leaf in leaves]
    sum((block * w).sum() for block, w in zip(found, factors, strict=True)).backward()
    direction = [compare.to_numpy(factor) for factor in factors]
    expected = derivatives.hessian_product(numpy_of(f), f.points, direction)
    for leaf, value in zip(leaves, expected, strict=True):
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        compare.close(gradient, value, bound=0.0, dtype=torch.float64, what="derivative")


@law("functional.detached", docs=page, over=ENTRIES)
@given(f=squares(max_leaves=2, max_steps=3))
def test_detached(target, case, f):
    """Without create_graph nothing that comes back requires grad, and inputs are as before.

    Inputs that require grad keep their flag, values and .grad, which stays None.
    """
    leaves = tuple(f.leaves(target.device))
    words = () if case in ("jacobian", "hessian") else (_directions(case, leaves),)
    found = entry(case)(partial(target.run, f), leaves, *words)
    flags = [tensor.requires_grad for tensor in _flat(found)]
    compare.fact(flags, [False] * len(flags), "requires_grad of what comes back")
    for leaf, point in zip(leaves, f.points, strict=True):
        compare.fact((leaf.requires_grad, leaf.grad), (True, None), "flag and grad of an input")
        compare.unchanged(leaf, point, "input")


def _directions(name, leaves):
    """Return what a product takes for a scalar-valued function: a number, or inputs' weights."""
    if name == "vjp":
        return weights((), leaves[0].device)
    return tuple(weights(leaf.shape, leaf.device) for leaf in leaves)


def _flat(found):
    return (
        [found] if isinstance(found, torch.Tensor) else [t for part in found for t in _flat(part)]
    )


@law("functional.hessian", docs=page("hessian"), over=HESSIANS)
@given(f=squares_for)
def test_hessian(target, case, f):
    """hessian of a function of a tuple gives Hessian[i][j], exact, for inputs i and j."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.hessian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(tuple(row) for row in jets.hessian(numpy_of(f), f.points))
    compare.nested(as_tuples(found), expected, what="Hessian")


@law("functional.hessian-smooth", docs=page("hessian"), over=HESSIANS)
@given(f=functions_for)
def test_hessian_smooth(target, case, f):
    """hessian of a smooth function is exact as far as rounding allows."""
    inputs = tuple(f.leaves(target.device))
    found = torch.autograd.functional.hessian(partial(target.run, f), inputs, **dict(case))
    expected = tuple(tuple(row) for row in jets.hessian(numpy_of(f), f.points))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    compare.nested(as_tuples(found), expected, bound=bound, what="Hessian")


@law("functional.hessian-of-tensor", docs=page("hessian"), over=HESSIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=PLAIN))
def test_hessian_of_tensor(target, case, point):
    """hessian of a function of one tensor is one tensor, for every shape and layout."""
    run = partial(target.run, sum_of_cubes)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    values = compare.to_numpy(point)
    expected = np.diag(6 * values.reshape(-1)).reshape(2 * values.shape)
    compare.nested(found, expected, what="Hessian")


@law("functional.hessian-of-negated", docs=page("hessian"), over=HESSIANS)
@given(numbers=tensors(dtype=torch.complex128, shape=shapes(min_side=1), layouts=("contiguous",)))
def test_hessian_of_negated(target, case, numbers):
    """The Hessian is the same where the input is a view that negates: the conjugate's imag."""
    point = numbers.conj().imag
    run = partial(target.run, sum_of_cubes)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    values = -compare.to_numpy(numbers).imag
    expected = np.diag(6 * values.reshape(-1)).reshape(2 * values.shape)
    compare.nested(found, expected, what="Hessian")


@law("functional.hessian-of-subscript", docs=page("hessian"), over=HESSIANS)
@given(point=tensors(dtype=torch.float64, shape=(3,), layouts=PLAIN))
def test_hessian_of_subscript(target, case, point):
    """The Hessian is exact through a subscript that is a list, with repeated entries."""
    run = partial(target.run, repeated_entries)
    found = torch.autograd.functional.hessian(run, point, **dict(case))
    # x0^2 + x2 x1 + x0 x2
    compare.nested(found, np.array([[2.0, 0, 1], [0, 0, 1], [1, 1, 0]]), what="Hessian")


@law("functional.hessian-differentiable", docs=page("hessian"), over=DIFFERENTIABLE)
@given(f=squares(max_leaves=2, max_steps=2))
def test_hessian_differentiable(target, case, f):
    """A Hessian taken with create_graph=True gives the third derivative when differentiated.

    Here along the inputs' own values and distinct weights.
    """
    leaves = f.leaves(target.device)
    found = torch.autograd.functional.hessian(partial(target.run, f), tuple(leaves), **dict(case))
    total = torch.zeros((), dtype=torch.float64, device=target.device, requires_grad=True)
    for row, first in zip(found, leaves, strict=True):
        for block, second in zip(row, leaves, strict=True):
            one = weights(first.shape, target.device).reshape(first.shape + (1,) * second.dim())
            total = total + (block * one * second.detach()).sum()
    gradients = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    first = [compare.to_numpy(weights(p.shape, target.device)) for p in f.points]
    bound = 16 * jets.rounding(numpy_of(f), f.points, 3)
    for number, gradient in enumerate(gradients):
        third = jets.derivative(numpy_of(f), f.points, number, first, f.points)
        compare.close(gradient, third, bound=bound, dtype=torch.float64, what="derivative")


@law("functional.products", docs=page, over=PRODUCTS)
@given(f=squares(max_steps=4), graph=st.booleans())
def test_products(target, case, f, graph):
    """vjp, jvp, hvp and vhp give the function's value and the exact product with v.

    With and without create_graph; for each input of a tuple, in the inputs' shapes, or in the
    result's for jvp.
    """
    leaves = tuple(f.leaves(target.device))
    given_v = _directions(case, leaves)
    run = partial(target.run, f)
    value, product = entry(case)(run, leaves, given_v, create_graph=graph)
    compare.close(value, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64, what="value")
    directions = [compare.to_numpy(weights(p.shape, target.device)) for p in f.points]
    cotangent = compare.to_numpy(weights((), target.device))
    expected = product_of(case, numpy_of(f), f.points, directions, cotangent)
    compare.nested(product, expected, what=case)


@law("functional.vjp-of-vector", docs=page("vjp"))
@given(f=functions())
def test_vjp_of_vector(target, f):
    """vjp gives J^T v for a vector-valued function, each entry of v weighing its row."""
    inputs, v = tuple(f.leaves(target.device)), weights(f.shape, target.device)
    _, product = torch.autograd.functional.vjp(partial(target.run, f), inputs, v)
    cotangent = compare.to_numpy(v)
    expected = tuple(derivatives.vjp(numpy_of(f), f.points, cotangent))
    bound = jets.rounding(numpy_of(f), f.points, 1) * float(cotangent.sum())
    compare.nested(product, expected, bound=bound, what="vjp to input")


@law("functional.jvp-of-vector", docs=page("jvp"))
@given(f=functions())
def test_jvp_of_vector(target, f):
    """jvp gives J v for a vector-valued function, v weighing the entries of every input."""
    inputs = tuple(f.leaves(target.device))
    v = tuple(weights(leaf.shape, target.device) for leaf in inputs)
    _, product = torch.autograd.functional.jvp(partial(target.run, f), inputs, v)
    directions = [compare.to_numpy(part) for part in v]
    expected = jets.differential(numpy_of(f), f.points, directions)
    bound = jets.rounding(numpy_of(f), f.points, 1)
    compare.close(product, expected, bound=bound, dtype=torch.float64, what="jvp")


@law("functional.products-smooth", docs=page, over={"hvp": "hvp", "vhp": "vhp"})
@given(f=functions(scalar=True, max_steps=5))
def test_products_smooth(target, case, f):
    """hvp and vhp of a smooth function are exact as far as rounding allows."""
    leaves = tuple(f.leaves(target.device))
    v = _directions(case, leaves)
    _, product = entry(case)(partial(target.run, f), leaves, v)
    directions = [compare.to_numpy(part) for part in v]
    expected = tuple(derivatives.hessian_product(numpy_of(f), f.points, directions))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    compare.nested(product, expected, bound=bound, what=case)


@law("functional.products-differentiable", docs=page, over=PRODUCTS)
@given(f=squares(max_leaves=2, max_steps=3))
def test_products_differentiable(target, case, f):
    """With create_graph=True value and product can both be differentiated, exactly.

    The gradient of the value is the function's own; that of the product is taken to the inputs.
    """
    leaves = tuple(f.leaves(target.device))
    v = _directions(case, leaves)
    value, product = entry(case)(partial(target.run, f), leaves, v, create_graph=True)
    words: dict[str, Any] = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(value, leaves, retain_graph=True, **words)
    compare.nested(first, tuple(derivatives.gradient(numpy_of(f), f.points)), what="gradient")
    directions = [compare.to_numpy(weights(p.shape, target.device)) for p in f.points]
    # Each product is projected on numbers that tell its entries apart, then differentiated.
    parts = [(part * weights(part.shape, target.device)).sum() for part in _flat(product)]
    # A constant product is not connected to the inputs, as documented: zeros times them are.
    connected = sum(parts) + sum((leaf * 0).sum() for leaf in leaves)
    second = torch.autograd.grad(connected, leaves, **words)
    along = {"vjp": (directions,), "jvp": (directions,)}.get(case, (directions, directions))
    scale = 0.125 if case in ("vjp", "jvp") else 1.0
    bound = jets.rounding(numpy_of(f), f.points, 3)
    for number, gradient in enumerate(second):
        expected = scale * jets.derivative(numpy_of(f), f.points, number, *along)
        compare.close(gradient, expected, bound=bound, dtype=torch.float64, what="derivative")


@law("functional.default-vector", docs=page, over=PRODUCTS)
@given(point=tensors(dtype=torch.float64, shape=st.sampled_from([(), (1,), (1, 1)])))
def test_default_vector(target, case, point):
    """Where v would hold a single element it is 1 by default; else it must be given.

    For the result of vjp; for the input of jvp, hvp and vhp.
    """
    _, found = entry(case)(partial(target.run, cubes), point)
    values = compare.to_numpy(point)
    expected = 3 * values**2 if case in ("vjp", "jvp") else 6 * values
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what=case)
    function = cubes if case in ("vjp", "jvp") else sum_of_cubes
    with compare.raises(RuntimeError, "The vector v can only be None if"):
        entry(case)(
            partial(target.run, function), torch.cat((point.reshape(-1), point.reshape(-1)))
        )


@law("functional.vector-size", docs=page, over=PRODUCTS)
@given(f=squares(max_leaves=1, max_steps=3))
def test_vector_size(target, case, f):
    """A v of another size than needed raises: it is not broadcast."""
    (leaf,) = f.leaves(target.device)
    right = torch.ones(() if case == "vjp" else leaf.shape, dtype=torch.float64).to(target.device)
    wrong = torch.ones((2, *right.shape), dtype=torch.float64, device=target.device)
    run = partial(target.run, f)
    _, product = entry(case)(run, leaf, right)
    ones = [np.ones(leaf.shape)]
    expected = product_of(case, numpy_of(f), f.points, ones, np.array(1.0))
    compare.nested(product, expected[0] if case != "jvp" else expected, what=case)
    with compare.raises(RuntimeError, "v has invalid size"):
        entry(case)(run, leaf, wrong)


@law("functional.independent-input", docs=page, over=ENTRIES)
@given(
    f=squares(max_leaves=1, max_steps=3),
    other=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=PLAIN),
)
def test_independent_input(target, case, f, other):
    """To an input that does not reach the result everything is zeros; strict=True raises.

    The other input gets what it would get alone.
    """

    def first_only(leaf, _):
        return f(leaf)

    (leaf,) = f.leaves(target.device)
    inputs, run = (leaf, other), partial(target.run, first_only)
    words = () if case in ("jacobian", "hessian") else (_directions(case, inputs),)
    found = entry(case)(run, inputs, *words)
    nothing = np.zeros(tuple(other.shape))
    if case == "jvp":
        directions = [compare.to_numpy(weights(leaf.shape, target.device))]
        expected = jets.differential(numpy_of(f), f.points, directions)
        compare.close(found[1], expected, bound=0.0, dtype=torch.float64, what="jvp")
    else:
        last = found[1] if case != "jacobian" else found
        last = last[1] if case == "hessian" else last[-1]
        shape = nothing.shape * 2 if case == "hessian" else nothing.shape
        compare.nested(last, np.zeros(shape), what="derivative to the other input")
    with compare.raises(RuntimeError, "independent of input|not allowed in strict mode"):
        entry(case)(run, inputs, *words, strict=True)


@law("functional.hessian-demands-scalar", docs=page, over={n: n for n in ("hessian", "hvp", "vhp")})
@given(f=squares(max_leaves=1, max_steps=3))
def test_hessian_demands_scalar(target, case, f):
    """hessian, hvp and vhp demand a function that returns a tensor with a single element."""

    def twice(leaf):
        return torch.stack((f(leaf), f(leaf)))

    def matrix(leaf):
        return f(leaf).reshape(1, 1)

    (leaf,) = f.leaves(target.device)
    words = () if case == "hessian" else (torch.ones_like(leaf).detach(),)
    found = entry(case)(partial(target.run, matrix), leaf, *words)
    if case == "hessian":
        compare.nested(found, jets.hessian(numpy_of(f), f.points)[0][0], what="Hessian")
    else:
        product = derivatives.hessian_product(numpy_of(f), f.points, [np.ones(leaf.shape)])
        compare.nested(found[1], product[0], what=case)
    with compare.raises(RuntimeError, "should contain a single element"):
        entry(case)(partial(target.run, twice), leaf, *words)


REFUSED = {
    "strict-vectorized": ((("strict", True), ("vectorize", True)), "not supported together"),
    "unknown-strategy": ((("strategy", "sideways"),), "Expected strategy to be either"),
}


@law("functional.refused-options", docs=page("jacobian"), over=REFUSED)
@given(f=polynomials(max_leaves=1))
def test_refused_options(target, case, f):
    """jacobian refuses an unknown strategy, and strict=True together with vectorize=True."""
    options, message = case
    (leaf,) = f.leaves(target.device)
    run = partial(target.run, f)
    (expected,) = derivatives.jacobian(numpy_of(f), f.points)
    compare.nested(torch.autograd.functional.jacobian(run, leaf), expected, what="Jacobian")
    with (
        compare.raises(RuntimeError, message)
        if len(options) > 1
        else compare.raises(AssertionError, message)
    ):
        torch.autograd.functional.jacobian(run, leaf, **dict(options))
