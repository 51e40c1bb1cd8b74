"""Products by torch.autograd.functional: derivatives times vectors, and what it refuses."""

from functools import partial
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from conformance.target import resolve
from strategies import functions, shapes, squares, tensors
from strategies.functions import numpy_of, weights
from strategies.layouts import LAZY, WRITABLE

PLAIN = tuple(name for name in WRITABLE if name not in LAZY)
PRODUCTS = {name: name for name in ("vjp", "jvp", "hvp", "vhp")}
ENTRIES = {
    "jacobian": "jacobian", "hessian": "hessian", "vjp": "vjp", "jvp": "jvp", "hvp": "hvp",
    "vhp": "vhp",
}  # fmt: skip


def page(case):
    return f"torch.autograd.functional.{case}"


def cubes(tensor):
    return tensor * tensor * tensor


def sum_of_cubes(tensor):
    return (tensor * tensor * tensor).sum()


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


@law("functional.products-in-v", docs=page, over=PRODUCTS, level="should")
@given(f=squares(max_leaves=2, max_steps=3))
def test_products_in_v(target, case, f):
    """With create_graph=True a product with v can be differentiated by v, in which it is linear."""
    leaves = tuple(f.leaves(target.device))
    given_v = _directions(case, leaves)
    for part in _flat(given_v):
        part.requires_grad_()
    _, product = entry(case)(partial(target.run, f), leaves, given_v, create_graph=True)
    parts = [(part * weights(part.shape, target.device)).sum() for part in _flat(product)]
    # A product of zeros is not connected to v: zeros times it are.
    connected = sum(parts) + sum((part * 0).sum() for part in _flat(given_v))
    found = torch.autograd.grad(connected, _flat(given_v))
    points, own = f.points, numpy_of(f)
    along = [compare.to_numpy(weights(p.shape, target.device)) for p in points]
    if case == "vjp":
        gradient = derivatives.gradient(own, points)
        expected = [sum(np.sum(g * w) for g, w in zip(gradient, along, strict=True))]
    elif case == "jvp":
        number = compare.to_numpy(weights((), target.device))
        expected = [number * gradient for gradient in derivatives.gradient(own, points)]
    else:
        expected = derivatives.hessian_product(own, points, along)
    bound = jets.rounding(own, points, 2)
    for got, want in zip(found, expected, strict=True):
        what = "derivative by v"
        compare.close(got, np.asarray(want), bound=bound, dtype=torch.float64, what=what)


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
