"""Jacobians by torch.func: with Hessians, third derivatives, by each way to compose transforms."""

from functools import partial

import numpy as np
import torch
from hypothesis import strategies as st

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
from strategies.functions import numpy_of
from strategies.layouts import WRITABLE

JACOBIANS = {
    "jacrev": ("jacrev", ()),
    "jacrev-in-rows": ("jacrev", (("chunk_size", 1),)),
    "jacrev-in-chunks": ("jacrev", (("chunk_size", 2),)),
    "jacfwd": ("jacfwd", ()),
}
HESSIANS = {
    "hessian": ("hessian",),
    "forward-over-forward": ("jacfwd", "jacfwd"),
    "reverse-over-reverse": ("jacrev", "jacrev"),
    "reverse-over-forward": ("jacrev", "jacfwd"),
    "forward-over-reverse": ("jacfwd", "jacrev"),
}


@law("func.jacobian", docs=page, over=JACOBIANS)
@given(problem=with_argnums(polynomials()))
def test_jacobian(target, case, problem):
    """jacrev, in chunks of any size, and jacfwd give the exact Jacobians to argnums."""
    f, argnums = problem
    name, options = case
    found = target.run(transform(name)(f, argnums, **dict(options)), *values_of(f, target.device))
    expected = chosen(argnums, derivatives.jacobian(numpy_of(f), f.points))
    compare.nested(found, expected, what="Jacobian")


@law("func.jacobian-smooth", docs=page, over=JACOBIANS)
@given(problem=with_argnums(functions(max_steps=8)))
def test_jacobian_smooth(target, case, problem):
    """The Jacobian of a smooth function is exact as far as rounding allows."""
    f, argnums = problem
    name, options = case
    found = target.run(transform(name)(f, argnums, **dict(options)), *values_of(f, target.device))
    expected = chosen(argnums, derivatives.jacobian(numpy_of(f), f.points))
    bound = jets.rounding(numpy_of(f), f.points, 1)
    compare.nested(found, expected, bound=bound, what="Jacobian")


def cubes(tensor):
    return tensor * tensor * tensor


@law("func.jacobian-of-tensor", docs=page, over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1), layouts=WRITABLE))
def test_jacobian_of_tensor(target, case, point):
    """The Jacobian of an elementwise function is diagonal, for every shape and layout."""
    name, options = case
    found = target.run(transform(name)(cubes, **dict(options)), point)
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("func.jacobian-of-expanded", docs=page, over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=shapes(min_side=1)))
def test_jacobian_of_expanded(target, case, point):
    """The Jacobian is the same if elements of the argument share memory."""
    name, options = case
    point = point.expand(2, *point.shape)
    found = target.run(transform(name)(cubes, **dict(options)), point)
    values = compare.to_numpy(point)
    expected = np.diag(3 * values.reshape(-1) ** 2).reshape(2 * values.shape)
    compare.nested(found, expected, what="Jacobian")


@law("func.jacobian-of-nothing", docs=page, over=JACOBIANS)
@given(point=tensors(dtype=torch.float64, shape=st.sampled_from([(0,), (0, 2), (2, 0)])))
def test_jacobian_of_nothing(target, case, point):
    """A result without elements has a Jacobian without elements, of the joined shape."""
    name, options = case
    found = target.run(transform(name)(cubes, **dict(options)), point)
    compare.nested(found, np.zeros(2 * tuple(point.shape)), what="Jacobian")
    compare.fact(tuple(found.shape), 2 * tuple(point.shape), "shape of the Jacobian")


def nested_results(f, arguments):
    """A dictionary of results, one of them in a tuple, from a dictionary of arguments."""
    value = f(*arguments["points"])
    return {"twice": value * 2.0, "parts": (value[None], value.sum() * arguments["factor"])}


@law("func.jacobian-of-structures", docs=page, over=JACOBIANS)
@given(f=polynomials(max_leaves=2, max_steps=4), factor=st.sampled_from([1.0, -0.5, 3.0]))
def test_jacobian_of_structures(target, case, f, factor):
    """Of dictionaries, lists and tuples the Jacobian has the results', in each the arguments'."""
    name, options = case
    number = torch.tensor(factor, dtype=torch.float64, device=target.device)
    arguments = {"points": values_of(f, target.device), "factor": number}
    found = target.run(transform(name)(partial(nested_results, f), **dict(options)), arguments)
    value, blocks = numpy_of(f)(*f.points), derivatives.jacobian(numpy_of(f), f.points)
    axes = tuple(range(len(f.shape)))
    zero = np.zeros(f.shape)
    expected = {
        "twice": {"points": [2 * block for block in blocks], "factor": zero},
        "parts": (
            {"points": [block[None] for block in blocks], "factor": zero[None]},
            {"points": [factor * block.sum(axes) for block in blocks], "factor": value.sum()},
        ),
    }
    compare.nested(found, expected, what="Jacobian of")


def exact_hessian(f, argnums):
    """The blocks that argnums asks for."""
    blocks = jets.hessian(numpy_of(f), f.points)
    return chosen(argnums, [chosen(argnums, row) for row in blocks])


@law("func.hessian", docs=page, over=HESSIANS)
@given(problem=with_argnums(squares(max_leaves=2, max_steps=3)))
def test_hessian(target, case, problem):
    """hessian, and each composition of jacrev and jacfwd, gives the exact Hessian.

    For argnums a tuple: a tuple of tuples of blocks, in argnums' order.
    """
    f, argnums = problem
    transformed = f
    for name in reversed(case):
        transformed = transform(name)(transformed, argnums)
    found = target.run(transformed, *values_of(f, target.device))
    compare.nested(found, exact_hessian(f, argnums), what="Hessian")


@law("func.hessian-smooth", docs=page, over=HESSIANS)
@given(f=functions(max_leaves=2, max_steps=5))
def test_hessian_smooth(target, case, f):
    """The Hessian of a smooth function is exact as far as rounding allows.

    Of a vector-valued one each result's, in front.
    """
    argnums = tuple(range(len(f.points)))
    transformed = f
    for name in reversed(case):
        transformed = transform(name)(transformed, argnums)
    found = target.run(transformed, *values_of(f, target.device))
    bound = jets.rounding(numpy_of(f), f.points, 2)
    expected = exact_hessian(f, argnums)
    compare.nested(found, expected, bound=bound, what="Hessian")


def grad_of_grad_of_grad(f):
    return torch.func.grad(torch.func.grad(torch.func.grad(f)))


def jvp_of_jvp_of_grad(f):
    """The third derivative in forward mode over forward mode over reverse mode."""

    def pushed(function):
        return lambda x: torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]

    return pushed(pushed(torch.func.grad(f)))


def grad_of_jvp_of_jvp(f):
    """The third derivative in reverse mode over forward mode, twice."""

    def pushed(function):
        return lambda x: torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]

    return torch.func.grad(pushed(pushed(f)))


def vjp_of_vjp_of_vjp(f):
    """The third derivative by products with ones."""

    def pulled(function):
        def derivative(x):
            value, back, *_ = torch.func.vjp(function, x)
            return back(torch.ones_like(value))[0]

        return derivative

    return pulled(pulled(pulled(f)))


THIRD = {
    "grad-of-grad-of-grad": grad_of_grad_of_grad,
    "jvp-of-jvp-of-grad": jvp_of_jvp_of_grad,
    "grad-of-jvp-of-jvp": grad_of_jvp_of_jvp,
    "vjp-of-vjp-of-vjp": vjp_of_vjp_of_vjp,
}


@law("func.third-derivative", docs="torch.func.grad", over=THIRD)
@given(f=functions(scalar=True, max_leaves=1, max_steps=5), number=st.integers(0, 5))
def test_third_derivative(target, case, f, number):
    """Transforms nested three deep give the exact third derivative, as far as rounding allows.

    Along a line through the function's point, in the direction of one entry.
    """
    (point,) = values_of(f, target.device)
    unit = torch.zeros(point.numel(), dtype=torch.float64, device=target.device)
    unit[number % point.numel()] = 1.0
    unit = unit.reshape(point.shape)

    def along(step):
        return f(point + step * unit)

    def along_reference(step):
        return numpy_of(f)(step * compare.to_numpy(unit) + f.points[0])

    start = torch.zeros((), dtype=torch.float64, device=target.device)
    found = target.run(case(along), start)
    direction = [compare.to_numpy(unit)]
    expected = jets.differential(numpy_of(f), f.points, direction, direction, direction)
    bound = jets.rounding(numpy_of(f), f.points, 3)
    compare.close(found, expected, bound=bound, dtype=torch.float64, what="third derivative")
