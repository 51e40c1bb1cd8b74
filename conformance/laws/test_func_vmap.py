"""torch.func.vmap: a function mapped over a dimension, and derivatives mapped with it."""

import re
from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives, jets
from strategies import functions, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of

PAGE = "torch.func.vmap"


def without_moveaxis(f):
    """Return the function with moveaxis, which has a law of its own, written as a stack."""
    return replace(
        f, body=re.sub(r"xp\.moveaxis\((\w+), 0, -1\)", r"xp.stack(tuple(\1), -1)", f.body)
    )


FACTORS = (1.0, -0.5, 2.0)
"""What tells the elements of a batch from each other: the function's points times these."""


def elements(f):
    """The arguments of each element of a batch."""
    return [[point * factor for point in f.points] for factor in FACTORS]


def batch_of(f, dims, device):
    """Stack the elements' arguments along each dim; where it is None, take the first's."""
    batch = []
    for number, dim in enumerate(dims):
        parts = [torch.tensor(each[number], device=device) for each in elements(f)]
        batch.append(parts[0] if dim is None else torch.stack(parts, dim))
    return batch


def arguments_of(f, dims, index):
    """What element ``index`` of that batch gets."""
    each = elements(f)
    return [each[0 if dim is None else index][n] for n, dim in enumerate(dims)]


@st.composite
def mapped(draw, drawn):
    """Draw a function and the dim of each argument to map over, None for some, not for all."""
    f = draw(drawn.map(without_moveaxis))
    dims = [draw(st.sampled_from([0, None, *range(-1 - p.ndim, 1 + p.ndim)])) for p in f.points]
    if all(dim is None for dim in dims):
        dims[-1] = 0
    return f, tuple(dims)


@law("func-vmap.equals-loop", docs=PAGE)
@given(problem=mapped(polynomials()))
def test_equals_loop(target, problem):
    """vmap gives, stacked, what the function gives for each element of the batch.

    Over any dimension of each argument, counted from either end; an argument with None is the
    same for all.
    """
    f, dims = problem
    found = target.run(torch.func.vmap(f, in_dims=dims), *batch_of(f, dims, target.device))
    expected = [numpy_of(f)(*arguments_of(f, dims, index)) for index in range(len(FACTORS))]
    compare.nested(found, np.stack(expected), what="result")


@law("func-vmap.out-dims", docs=PAGE)
@given(f=polynomials().map(without_moveaxis), place=st.integers(0, 9))
def test_out_dims(target, f, place):
    """out_dims says where the mapped dimension is in each result, counted from either end."""

    def results(*arguments):
        value = f(*arguments)
        return value, value * 2.0

    rank = len(f.shape) + 1
    dims = (place % rank, -1 - place // 2 % rank)
    zeros = (0,) * len(f.points)
    mapping = torch.func.vmap(results, in_dims=zeros, out_dims=dims)
    found = target.run(mapping, *batch_of(f, zeros, target.device))
    each = [numpy_of(f)(*arguments) for arguments in elements(f)]
    expected = tuple(factor * np.stack(each, dim) for factor, dim in zip((1, 2), dims, strict=True))
    compare.nested(found, expected, what="result")


PLACES = {"front": False, "last": True}


@law("func-vmap.independent-result", docs=PAGE, over=PLACES)
@given(shared=tensors(dtype=torch.float64, shape=shapes(min_rank=1)))
def test_independent_result(target, case, shared):
    """A result that is the same for all elements is repeated along the dimension of out_dims."""
    out = shared.dim() if case else 0

    def function(_, tensor):
        return tensor * 2.0

    batch = torch.zeros(3, dtype=torch.float64, device=target.device)
    mapping = torch.func.vmap(function, in_dims=(0, None), out_dims=out)
    expected = np.stack(3 * [2 * compare.to_numpy(shared)], out)
    compare.nested(target.run(mapping, batch, shared), expected, what="result")


@law("func-vmap.one-in-dim", docs=PAGE)
@given(f=polynomials().map(without_moveaxis), place=st.sampled_from([0, -1]))
def test_one_in_dim(target, f, place):
    """One number for in_dims holds for every argument, counted from either end of each."""
    batch = batch_of(f, (place,) * len(f.points), target.device)
    found = target.run(torch.func.vmap(f, in_dims=place), *batch)
    expected = [numpy_of(f)(*arguments) for arguments in elements(f)]
    compare.nested(found, np.stack(expected), what="result")


@law("func-vmap.chunks", docs=PAGE)
@given(problem=mapped(polynomials()), size=st.integers(1, 4), out=st.sampled_from([0, -1]))
def test_chunks(target, problem, size, out):
    """chunk_size changes nothing in the result, whether it divides the batch or exceeds it."""
    f, dims = problem
    # pytorch/pytorch#178425: with out_dims=-1 what is the same for all corrupts memory.
    dims = tuple(0 if out and dim is None else dim for dim in dims)
    mapping = torch.func.vmap(f, in_dims=dims, out_dims=out, chunk_size=size)
    found = target.run(mapping, *batch_of(f, dims, target.device))
    expected = [numpy_of(f)(*arguments_of(f, dims, index)) for index in range(len(FACTORS))]
    compare.nested(found, np.stack(expected, out), what="result")


@law("func-vmap.nested", docs=PAGE)
@given(f=polynomials().map(without_moveaxis))
def test_nested(target, f):
    """A vmap in a vmap maps over two dimensions, the outer one first."""
    batches = [
        torch.stack([torch.stack([torch.tensor(p * a * b) for b in FACTORS]) for a in FACTORS[:2]])
        for p in f.points
    ]
    nested = torch.func.vmap(torch.func.vmap(f))
    found = target.run(nested, *(batch.to(target.device) for batch in batches))
    expected = np.stack(
        [
            np.stack([numpy_of(f)(*(p * a * b for p in f.points)) for b in FACTORS])
            for a in FACTORS[:2]
        ]
    )
    compare.nested(found, expected, what="result")


@law("func-vmap.structures", docs=PAGE)
@given(
    f=polynomials(max_leaves=2).map(without_moveaxis),
    scale=st.sampled_from([1.0, -3.0]),
    among=st.booleans(),
)
def test_structures(target, f, scale, among):
    """Arguments and results may be dictionaries, lists and tuples; in_dims has their structure.

    Keyword arguments are not mapped over, be they as long as the batch.
    """

    def function(arguments, *, scale):
        value = f(*arguments["points"]) * (scale[0] if among else scale)
        return {"value": value, "shifted": (value + arguments["shift"],)}

    zeros = (0,) * len(f.points)
    arguments = {
        "points": batch_of(f, zeros, target.device),
        "shift": torch.tensor(0.5, dtype=torch.float64, device=target.device),
    }
    dims = ({"points": list(zeros), "shift": None},)
    numbers = [scale, 5.0, 7.0] if among else scale
    given_scale = torch.tensor(numbers, dtype=torch.float64, device=target.device)
    found = target.run(torch.func.vmap(function, in_dims=dims), arguments, scale=given_scale)
    value = scale * np.stack([numpy_of(f)(*each) for each in elements(f)])
    compare.nested(found, {"value": value, "shifted": (value + 0.5,)}, what="result")


def grad_of(f, numbers):
    return torch.func.grad(f, numbers)


def jacrev_of(f, numbers):
    return torch.func.jacrev(f, numbers)


def jacfwd_of(f, numbers):
    return torch.func.jacfwd(f, numbers)


def vjp_of(f, numbers):
    """The product with one, as a function of the arguments."""

    def product(*points):
        value, back, *_ = torch.func.vjp(f, *points)
        return back(torch.ones_like(value))

    return product


DERIVATIVES = {"grad": grad_of, "jacrev": jacrev_of, "jacfwd": jacfwd_of, "vjp": vjp_of}


@law("func-vmap.of-derivatives", docs=PAGE, over=DERIVATIVES)
@given(problem=mapped(functions(scalar=True, max_steps=8)))
def test_of_derivatives(target, case, problem):
    """vmap of grad, jacrev, jacfwd or vjp gives each element's own derivatives, as far as
    rounding allows.

    Also to arguments that are the same for all elements.
    """
    f, dims = problem
    numbers = tuple(range(len(f.points)))
    mapping = torch.func.vmap(case(f, numbers), in_dims=dims)
    found = target.run(mapping, *batch_of(f, dims, target.device))
    arguments = [arguments_of(f, dims, index) for index in range(len(FACTORS))]
    each = [derivatives.gradient(numpy_of(f), points) for points in arguments]
    bound = max(jets.rounding(numpy_of(f), points, 1) for points in arguments)
    expected = tuple(np.stack([gradients[n] for gradients in each]) for n in numbers)
    compare.nested(found, expected, bound=bound, what="derivative")


@law("func-vmap.of-jvp", docs=PAGE)
@given(f=functions(max_steps=8).map(without_moveaxis))
def test_of_jvp(target, f):
    """vmap of jvp over the tangents gives J u for each of them, at one point.

    Over both, each element's own J u.
    """
    points = [torch.tensor(p, device=target.device) for p in f.points]
    tangents = [torch.stack([(k + 1) * torch.ones_like(p) for k in range(2)]) for p in points]

    def push(*tangents):
        return torch.func.jvp(f, tuple(points), tangents)[1]

    found = target.run(torch.func.vmap(push), *tangents)
    one = jets.differential(numpy_of(f), f.points, [np.ones(p.shape) for p in f.points])
    bound = 2 * jets.rounding(numpy_of(f), f.points, 1)
    compare.nested(found, np.stack((one, 2 * one)), bound=bound, what="jvp")


@law("func-vmap.of-hessian", docs=PAGE)
@given(f=squares(max_leaves=1, max_steps=3).map(without_moveaxis))
def test_of_hessian(target, f):
    """vmap of hessian gives each element's own Hessian."""
    found = target.run(torch.func.vmap(torch.func.hessian(f)), *batch_of(f, (0,), target.device))
    each = [jets.hessian(numpy_of(f), points)[0][0] for points in elements(f)]
    compare.nested(found, np.stack(each), what="Hessian")


@law("func-vmap.differentiated", docs=PAGE)
@given(problem=mapped(polynomials()))
def test_differentiated(target, problem):
    """A mapped function is differentiable: backward sums over elements what they share."""
    f, dims = problem
    batch = [tensor.requires_grad_() for tensor in batch_of(f, dims, target.device)]
    result = target.run(torch.func.vmap(f, in_dims=dims), *batch)
    size = int(np.prod(f.shape))
    cotangent = np.arange(1.0, 1 + size * len(FACTORS)).reshape(len(FACTORS), *f.shape) / 8
    connected = sum((tensor * 0).sum() for tensor in batch)
    ((result * torch.tensor(cotangent, device=target.device)).sum() + connected).backward()
    each = [
        derivatives.vjp(numpy_of(f), arguments_of(f, dims, index), cotangent[index])
        for index in range(len(FACTORS))
    ]
    for number, (dim, tensor) in enumerate(zip(dims, batch, strict=True)):
        parts = [gradients[number] for gradients in each]
        expected = sum(parts) if dim is None else np.stack(parts, dim)
        compare.nested(tensor.grad, expected, what="gradient")


SCALAR_CALLS = {
    "roll": "roll",
    "flip": "flip",
    "cumsum": "cumsum",
    "sum": "sum",
    "mean": "mean",
    "flatten": "flatten",
}


def on_scalar(name, x):
    """An operation that leaves the value of a tensor without dimensions alone."""
    calls = {
        "roll": lambda: torch.roll(x, 1),
        "flip": lambda: torch.flip(x, (0,)),
        "cumsum": lambda: torch.cumsum(x, 0),
        "sum": lambda: torch.sum(x, 0),
        "mean": lambda: torch.mean(x),
        "flatten": lambda: torch.flatten(x)[0],
    }
    return calls[name]()


@law("func-vmap.elements-without-dimensions", docs=PAGE, over=SCALAR_CALLS)
@given(batch=tensors(dtype=torch.float64, shape=(3,)))
def test_elements_without_dimensions(target, case, batch):
    """Elements without dimensions do not mix: what leaves each as it is leaves the batch so."""

    def function(x):
        return on_scalar(case, x)

    values = compare.to_numpy(batch)
    alone = [function(element) for element in batch]
    compare.nested(torch.stack(alone), values, what="result for each alone")
    compare.nested(target.run(torch.func.vmap(function), batch), values, what="result")


MOVES = {"moveaxis": "torch.moveaxis", "movedim": "torch.movedim"}


@law("func-vmap.moved-dimension", docs=PAGE, over=MOVES)
@given(batch=tensors(dtype=torch.float64, shape=(2, 3, 1)))
def test_moved_dimension(target, case, batch):
    """moveaxis and movedim of one dimension can be mapped, as other operators can."""

    def function(x):
        return target.run(case, x, 0, -1)

    values = compare.to_numpy(batch)
    compare.nested(function(batch), np.moveaxis(values, 0, -1), what="result for one")
    found = torch.func.vmap(function)(batch)
    compare.nested(found, np.swapaxes(values, 1, 2), what="result")
