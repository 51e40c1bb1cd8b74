"""torch.func: transforms of functions that take derivatives."""

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from conformance.scenarios.transforms import (
    chosen,
    page,
    transform,
    values_of,
    with_argnums,
)
from strategies import functions, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of, weights

GRADS = {"grad": "grad", "grad_and_value": "grad_and_value"}
AUXILIARY = {name: name for name in ("grad", "grad_and_value", "vjp", "jvp", "jacrev", "jacfwd")}
TRANSFORMS = {
    name: name for name in ("grad", "grad_and_value", "vjp", "jvp", "jacrev", "jacfwd", "hessian")
}


def applied(name, f, points, argnums=0):
    """Apply a transform at points; products are with distinct weights."""
    if name == "vjp":
        value, back, *_ = torch.func.vjp(f, *points)
        return value, back(weights(value.shape, value.device))
    if name == "jvp":
        tangents = tuple(weights(point.shape, point.device) for point in points)
        return torch.func.jvp(f, tuple(points), tangents)
    return transform(name)(f, argnums)(*points)


def exact(name, function, points, argnums=0):
    """What the transform of a scalar-valued function gives, from the references."""
    value = np.asarray(function(*points))
    if name == "vjp":
        return value, tuple(part * 0.125 for part in derivatives.gradient(function, points))
    if name == "jvp":
        directions = [np.arange(1.0, 1 + p.size).reshape(p.shape) / 8 for p in points]
        return value, jets.differential(function, points, directions)
    if name == "hessian":
        blocks = jets.hessian(function, points)
        return chosen(argnums, [chosen(argnums, row) for row in blocks])
    gradient = chosen(argnums, derivatives.gradient(function, points))
    return (gradient, value) if name == "grad_and_value" else gradient


@law("func.grad", docs=page, over=GRADS)
@given(problem=with_argnums(polynomials(scalar=True)))
def test_grad(target, case, problem):
    """grad gives the exact gradients to the arguments of argnums, grad_and_value the value too.

    A tensor for an int, a tuple in argnums' order for a tuple.
    """
    f, argnums = problem
    found = target.run(transform(case)(f, argnums), *values_of(f, target.device))
    expected = exact(case, numpy_of(f), f.points, argnums)
    compare.nested(found, expected, what="gradient")


@law("func.grad-smooth", docs=page, over=GRADS)
@given(problem=with_argnums(functions(scalar=True, max_steps=10)))
def test_grad_smooth(target, case, problem):
    """The gradient of a smooth function is exact as far as rounding allows."""
    f, argnums = problem
    found = target.run(transform(case)(f, argnums), *values_of(f, target.device))
    expected = exact(case, numpy_of(f), f.points, argnums)
    bound = max(jets.rounding(numpy_of(f), f.points, order) for order in (0, 1))
    compare.nested(found, expected, bound=bound, what="gradient")


@law("func.vjp", docs="torch.func.vjp")
@given(f=functions())
def test_vjp(target, f):
    """vjp gives the value and a function of cotangents that gives J^T v to every argument.

    It may be called again, with other cotangents: each call gives its own product.
    """
    value, back = target.run(torch.func.vjp, f, *values_of(f, target.device))
    noise = [jets.rounding(numpy_of(f), f.points, order) for order in (0, 1)]
    compare.nested(value, numpy_of(f)(*f.points), bound=noise[0], what="value")
    cotangent = weights(f.shape, target.device)
    for factor in (1.0, -2.0, 1.0):
        upstream = compare.to_numpy(cotangent) * factor
        expected = tuple(derivatives.vjp(numpy_of(f), f.points, upstream))
        bound = noise[1] * float(np.abs(upstream).sum())
        compare.nested(back(cotangent * factor), expected, bound=bound, what="vjp")


@law("func.jvp", docs="torch.func.jvp")
@given(f=functions())
def test_jvp(target, f):
    """jvp gives the value and J u for a tangent u of every argument."""
    points = tuple(values_of(f, target.device))
    tangents = tuple(weights(point.shape, target.device) for point in points)
    value, pushed = target.run(torch.func.jvp, f, points, tangents)
    noise = [jets.rounding(numpy_of(f), f.points, order) for order in (0, 1)]
    compare.nested(value, numpy_of(f)(*f.points), bound=noise[0], what="value")
    directions = [compare.to_numpy(tangent) for tangent in tangents]
    expected = jets.differential(numpy_of(f), f.points, directions)
    compare.nested(pushed, expected, bound=noise[1], what="jvp")


@law("func.linearize", docs="torch.func.linearize")
@given(f=squares(max_steps=3))
def test_linearize(target, f):
    """linearize gives the value and a linear function of tangents, which may be called again."""
    points = values_of(f, target.device)
    value, push = target.run(torch.func.linearize, f, *points)
    compare.nested(value, numpy_of(f)(*f.points), what="value")
    for factor in (1.0, -2.0, 3.0):
        tangents = [weights(point.shape, target.device) * factor for point in points]
        directions = [compare.to_numpy(tangent) for tangent in tangents]
        expected = jets.differential(numpy_of(f), f.points, directions)
        compare.nested(push(*tangents), expected, what="jvp")


@law("func.auxiliary", docs=page, over=AUXILIARY)
@given(f=squares(max_leaves=2, max_steps=4))
def test_auxiliary(target, case, f):
    """With has_aux=True what the function returns beside the result comes back, as it was.

    Derivatives are those of the result alone; tensors, in dictionaries too, keep their values.
    """

    def with_extra(*points):
        value = f(*points)
        return value, {"half": value * 0.5, "point": points[0]}

    points = values_of(f, target.device)
    if case == "vjp":
        value, back, extra = target.run(torch.func.vjp, with_extra, *points, has_aux=True)
        found = value, back(weights((), target.device))
    elif case == "jvp":
        tangents = tuple(weights(point.shape, target.device) for point in points)
        *found, extra = target.run(
            torch.func.jvp, with_extra, tuple(points), tangents, has_aux=True
        )
        found = tuple(found)
    else:
        found, extra = target.run(transform(case)(with_extra, has_aux=True), *points)
        if case == "grad_and_value":
            value, extra = extra
            found = found, value
    compare.nested(found, exact(case, numpy_of(f), f.points), what=case)
    expected = {"half": numpy_of(f)(*f.points) * 0.5, "point": f.points[0]}
    compare.nested(extra, expected, what="auxiliary")


@law("func.grad-mode-outside", docs=page, over=TRANSFORMS)
@given(f=squares(max_leaves=2, max_steps=3))
def test_grad_mode_outside(target, case, f):
    """Under torch.no_grad transforms give what they give elsewhere, without a graph."""
    leaves = f.leaves(target.device)
    with torch.no_grad():
        found = target.run(applied, case, f, leaves)
    compare.nested(found, exact(case, numpy_of(f), f.points), what=case)


def frozen_factor(tensor):
    with torch.no_grad():
        factor = tensor * tensor
    return (tensor - factor).sum()


@law("func.grad-mode-inside", docs=page, over={"grad": "grad", "jacrev": "jacrev", "vjp": "vjp"})
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1)))
def test_grad_mode_inside(target, case, point):
    """A torch.no_grad inside of the function is respected: what it computes is constant."""
    with torch.no_grad():
        found = target.run(applied, case, frozen_factor, [point])
    values = compare.to_numpy(point)
    if case == "vjp":
        compare.nested(found, ((values - values**2).sum(), (values * 0 + 0.125,)), what=case)
    else:
        compare.nested(found, values * 0 + 1.0, what=case)


@law("func.within-a-graph", docs=page, over=TRANSFORMS)
@given(f=squares(max_leaves=2, max_steps=3))
def test_within_a_graph(target, case, f):
    """What a transform gives is differentiable to leaves outside, and touches no .grad.

    Here by backward of what it gives, weighed with distinct numbers; derivatives are exact as
    far as rounding allows.
    """
    leaves = f.leaves(target.device)
    found = target.run(applied, case, f, leaves)
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad of the inputs")
    derivative = found[1] if case in ("vjp", "jvp") else found
    derivative = derivative[0] if case in ("vjp", "grad_and_value") else derivative
    total = sum((leaf * 0).sum() for leaf in leaves)
    (total + (derivative * weights(derivative.shape, target.device)).sum()).backward()
    directions = [np.arange(1.0, 1 + p.size).reshape(p.shape) / 8 for p in f.points]
    first = [directions[0], *(0 * part for part in directions[1:])]
    bound = 64 * jets.rounding(numpy_of(f), f.points, 3)
    for number, leaf in enumerate(leaves):
        expected = along_directions(case, numpy_of(f), f.points, number, directions, first)
        compare.close(leaf.grad, expected, bound=bound, dtype=torch.float64, what="derivative")


def along_directions(name, function, points, number, directions, first):
    """The gradient to argument ``number`` of what a transform gives, weighed."""
    if name == "jvp":
        return 0.125 * jets.derivative(function, points, number, directions)
    if name != "hessian":
        scale = 0.125 if name == "vjp" else 1.0
        return scale * jets.derivative(function, points, number, first)
    size = points[0].size
    total = np.zeros(points[number].shape)
    for row, unit in enumerate(jets.unit_directions(points, 0)):
        weight = np.arange(1.0, 1 + size) / 8 + row * size / 8
        along = [weight.reshape(points[0].shape), *first[1:]]
        total = total + jets.derivative(function, points, number, unit, along)
    return total


@law("func.demands-scalar", docs=page, over=GRADS)
@given(f=squares(max_leaves=1, max_steps=3))
def test_demands_scalar(target, case, f):
    """grad and grad_and_value demand a function that returns a tensor without dimensions."""

    def twice(point):
        return torch.stack((f(point), f(point)))

    (point,) = values_of(f, target.device)
    found = target.run(transform(case)(f), point)
    compare.nested(found, exact(case, numpy_of(f), f.points), what=case)
    with compare.raises(RuntimeError, "to return a scalar"):
        target.run(transform(case)(twice), point)


@law("func.tangent-shape", docs="torch.func.jvp")
@given(f=squares(max_leaves=1, max_steps=3))
def test_tangent_shape(target, f):
    """jvp demands tangents of the primals' shapes, and as many."""
    (point,) = values_of(f, target.device)
    tangent = weights(point.shape, target.device)
    found = torch.func.jvp(f, (point,), (tangent,))
    compare.nested(found, exact("jvp", numpy_of(f), f.points), what="jvp")
    with compare.raises(RuntimeError, "different size than that of the original"):
        torch.func.jvp(f, (point,), (tangent[None],))
    with compare.raises(RuntimeError, "same python structure"):
        torch.func.jvp(f, (point,), (tangent, tangent))


NEGATIVE = {name: name for name in ("grad", "grad_and_value", "jacrev", "jacfwd", "hessian")}


@law("func.negative-argnums", docs=page, over=NEGATIVE, level="should")
@given(f=squares(max_steps=3))
def test_negative_argnums(target, case, f):
    """Negative argnums, where they are taken, count from the last argument."""
    points = values_of(f, target.device)
    last = len(points) - 1
    found = target.run(transform(case)(f, -1), *points)
    compare.nested(found, exact(case, numpy_of(f), f.points, last), what=case)


@law("func.argnums-out-of-range", docs=page, over={n: n for n in ("grad", "jacrev", "jacfwd")})
@given(f=squares(max_steps=3))
def test_argnums_out_of_range(target, case, f):
    """argnums must name positional arguments that there are."""
    points = values_of(f, target.device)
    found = transform(case)(f)(*points)
    compare.nested(found, exact(case, numpy_of(f), f.points), what=case)
    with compare.raises(RuntimeError, "positional inputs"):
        transform(case)(f, len(points))(*points)
