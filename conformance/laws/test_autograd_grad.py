"""torch.autograd.grad: gradients that are returned, for inputs anywhere in the graph."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import functions, polynomials, squares, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind

GRAD = "torch.autograd.grad"


def reached_of(f):
    """Numbers of the leaves that the result depends on."""
    return [n for n, reaches in enumerate(f.reaches) if reaches]


@law("autograd-grad.one-for-each-input", docs=GRAD)
@given(
    problem=with_cotangent(polynomials(), result=result_kind),
    picks=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    as_tuple=st.booleans(),
)
def test_one_for_each_input(target, problem, picks, as_tuple):
    """grad returns a tuple with the gradient of each input, in the order of the inputs.

    An input that is given twice has its gradient twice.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    reached = reached_of(f)
    chosen = [reached[pick % len(reached)] for pick in picks]
    inputs = [leaves[number] for number in chosen]
    found = torch.autograd.grad(
        target.run(f, *leaves), tuple(inputs) if as_tuple else inputs, cotangent
    )
    compare.fact((type(found).__name__, len(found)), ("tuple", len(chosen)), "what is returned")
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    for number, gradient in zip(chosen, found, strict=True):
        compare.close(gradient, expected[number], bound=0.0, dtype=torch.float64, what="gradient")
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad of the leaves")


@law("autograd-grad.single-input", docs=GRAD)
@given(problem=with_cotangent(functions(in_place=True), result=result_kind))
def test_single_input(target, problem):
    """One tensor for outputs, inputs and grad_outputs stands for a list of it.

    The result is a tuple of one gradient, as near to the true one as rounding allows.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    found = torch.autograd.grad(target.run(f, *leaves), leaves[chosen], cotangent)
    compare.fact(type(found), tuple, "what is returned")
    compare.fact(len(found), 1, "gradients returned")
    upstream = compare.to_numpy(cotangent)
    bound = 4 * (f.rounding + 1) * np.finfo(np.float64).eps * np.abs(upstream).sum()
    expected = derivatives.vjp(numpy_of(f), f.points, upstream)[chosen]
    compare.close(found[0], expected, bound=bound, dtype=torch.float64, what="gradient")


@law("autograd-grad.results-as-inputs", docs=GRAD)
@given(problem=with_cotangent(polynomials(significant_bits=18), result=result_kind))
def test_results_as_inputs(target, problem):
    """Inputs may be results: grad gives the gradient to each of the points of a chain at once.

    Of leaf, result, its square, and the output itself, whose gradient is the cotangent. That an
    input lies on the way to another cuts nothing.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    value = target.run(f, *leaves)
    square = value * value
    output = square * 3
    found = torch.autograd.grad(output, [output, leaves[chosen], value, square], cotangent)
    last = compare.to_numpy(cotangent)
    middle = 6 * last * numpy_of(f)(*f.points)
    first = derivatives.vjp(numpy_of(f), f.points, middle)[chosen]
    for place, gradient, expected in zip(
        ("output", "leaf", "result", "square"), found, (last, first, middle, 3 * last), strict=True
    ):
        what = f"gradient to the {place}"
        compare.close(gradient, expected, bound=0.0, dtype=torch.float64, what=what)


@law("autograd-grad.unused-raises", docs=GRAD)
@given(f=squares(), place=st.integers(0, 1), said=st.booleans())
def test_unused_raises(target, f, place, said):
    """An input that the outputs do not depend on raises, which is the default.

    "If False, specifying inputs that were not used when computing outputs is an error."
    """
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    unused = torch.ones(2, dtype=torch.float64, device=target.device, requires_grad=True) * 1
    inputs = [leaves[chosen], unused] if place else [unused, leaves[chosen]]
    allowed = False if said else None
    with compare.raises(RuntimeError, "appears to not have been used in the graph"):
        torch.autograd.grad(target.run(f, *leaves), inputs, allow_unused=allowed)
    (found,) = torch.autograd.grad(target.run(f, *leaves), [leaves[chosen]], allow_unused=allowed)
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")


UNUSED = {
    "allowed": {"allow_unused": True},
    "materialized": {"materialize_grads": True},
    "materialized-and-allowed": {"materialize_grads": True, "allow_unused": True},
}


@law("autograd-grad.unused", docs=GRAD, over=UNUSED)
@given(
    f=squares(),
    unused=tensors(dtype="differentiable", requires_grad=True),
    create_graph=st.booleans(),
)
def test_unused(target, case, f, unused, create_graph):
    """The gradient of an unused input is None with allow_unused, zeros with materialize_grads.

    Zeros of the input's shape, dtype and device. The other gradients are as ever.
    """
    leaves = f.leaves(target.device)
    gradients = torch.autograd.grad(
        target.run(f, *leaves), [unused, *leaves], create_graph=create_graph, **case
    )
    expected = derivatives.gradient(numpy_of(f), f.points)
    triples = [(unused, np.zeros(tuple(unused.shape)), False)]
    triples += zip(leaves, expected, f.reaches, strict=True)
    for gradient, (tensor, value, reached) in zip(gradients, triples, strict=True):
        if reached or "materialize_grads" in case:
            compare.close(gradient, value, bound=0.0, dtype=tensor.dtype, what="gradient")
            compare.fact(gradient.device, tensor.device, "device of the gradient")
        else:
            compare.fact(gradient, None, "gradient of an unused input")


@law("autograd-grad.materialize-conflict", docs=GRAD)
@given(f=squares())
def test_materialize_conflict(target, f):
    """materialize_grads=True with allow_unused=False raises, even where every input is used."""
    leaves = f.leaves(target.device)
    chosen = leaves[f.reaches.index(True)]
    value = target.run(f, *leaves)
    with compare.raises(ValueError, "allow_unused to be True or not passed"):
        torch.autograd.grad(value, [chosen], materialize_grads=True, allow_unused=False)
    (found,) = torch.autograd.grad(value, [chosen], materialize_grads=True)
    expected = derivatives.gradient(numpy_of(f), f.points)[f.reaches.index(True)]
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")


@law("autograd-grad.constant-input", docs=GRAD, level="should")
@given(f=squares(), place=st.integers(0, 1), allow=st.booleans())
def test_constant_input(target, f, place, allow):
    """An input that does not require grad raises, with allow_unused too."""
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    inputs = [leaves[chosen], leaves[chosen].detach()]
    with compare.raises(RuntimeError, "does not require grad"):
        torch.autograd.grad(
            target.run(f, *leaves), inputs if place else inputs[::-1], allow_unused=allow
        )
    (found,) = torch.autograd.grad(target.run(f, *leaves), inputs[:1], allow_unused=allow)
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")


@law("autograd-grad.leaves-untouched", docs=GRAD)
@given(f=squares(), filled=st.booleans(), create_graph=st.booleans())
def test_leaves_untouched(target, f, filled, create_graph):
    """grad leaves .grad of every leaf the object that it was, None or not, inputs or not.

    Gradients are "returned (and not accumulated into .grad)". Only the first leaf that the
    result depends on is an input.
    """
    leaves = f.leaves(target.device)
    before = [torch.full_like(leaf, 2.0).detach() if filled else None for leaf in leaves]
    for leaf, gradient in zip(leaves, before, strict=True):
        leaf.grad = gradient
    chosen = f.reaches.index(True)
    (found,) = torch.autograd.grad(
        target.run(f, *leaves), leaves[chosen], create_graph=create_graph
    )
    same = [leaf.grad is gradient for leaf, gradient in zip(leaves, before, strict=True)]
    compare.fact(same, [True] * len(leaves), "grad is the object it was")
    for leaf, point in zip(leaves, f.points, strict=True):
        if filled:
            compare.close(leaf.grad, point * 0 + 2, bound=0.0, dtype=torch.float64, what="grad")
    expected = derivatives.gradient(numpy_of(f), f.points)[chosen]
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")


def batch_of(cotangent, weights):
    """Multiples of a cotangent, stacked in a first dimension."""
    return torch.stack([cotangent * weight for weight in weights])


@law("autograd-grad.batched", docs=GRAD)
@given(
    problem=with_cotangent(polynomials(), result=result_kind),
    weights=st.lists(st.integers(-2, 2), min_size=1, max_size=3),
    roots=st.integers(1, 2),
)
def test_batched(target, problem, weights, roots):
    """With is_grads_batched each slice of the results is the gradient for that slice given.

    "The first dimension of each tensor in grad_outputs will be interpreted as the batch
    dimension." Several outputs have batches of their own; here the second is given the first's
    reversed.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    value = target.run(f, *leaves)
    outputs = [value, value * 2][:roots]
    weight = [w + (2 * v if roots > 1 else 0) for w, v in zip(weights, weights[::-1], strict=True)]
    batches = [batch_of(cotangent, weights), batch_of(cotangent, weights[::-1])][:roots]
    reached = reached_of(f)
    found = torch.autograd.grad(
        outputs, [leaves[n] for n in reached], batches, is_grads_batched=True
    )
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    for number, gradient in zip(reached, found, strict=True):
        each = np.stack([w * expected[number] for w in weight])
        compare.close(gradient, each, bound=0.0, dtype=torch.float64, what="gradient")


BATCHED_UNUSED = {"allowed": "allow_unused", "materialized": "materialize_grads"}


@law("autograd-grad.batched-unused", docs=GRAD, over=BATCHED_UNUSED)
@given(f=squares(), count=st.integers(1, 3), unused=tensors(dtype=torch.float64))
def test_batched_unused(target, case, f, count, unused):
    """An unused input of a batch has None with allow_unused, a batch of zeros if materialized.

    "Instead of computing a single vector-Jacobian product, we compute a batch": zeros as well.
    """
    leaves = f.leaves(target.device)
    chosen = f.reaches.index(True)
    unused.requires_grad_()
    value = target.run(f, *leaves)
    batch = torch.ones((count, *value.shape), dtype=value.dtype, device=target.device)
    inputs = [leaves[chosen], unused]
    options = {case: True}
    found, none = torch.autograd.grad(value, inputs, batch, is_grads_batched=True, **options)
    each = np.stack([derivatives.gradient(numpy_of(f), f.points)[chosen]] * count)
    compare.close(found, each, bound=0.0, dtype=torch.float64, what="gradient")
    if case == "allow_unused":
        compare.fact(none, None, "gradient of an unused input")
    else:
        zeros = np.zeros((count, *unused.shape))
        compare.close(none, zeros, bound=0.0, dtype=torch.float64, what="zeros")


@law("autograd-grad.batched-shape", docs=GRAD)
@given(f=polynomials(), count=st.integers(1, 3))
def test_batched_shape(target, f, count):
    """The gradients of a batch must have the output's shape after the batch dimension."""
    leaves = f.leaves(target.device)
    chosen = leaves[f.reaches.index(True)]
    value = target.run(f, *leaves)
    zeros = torch.zeros((count, *f.shape), dtype=torch.float64, device=target.device)
    with compare.raises(RuntimeError, "is_grads_batched=True.*first dimension"):
        torch.autograd.grad(value, [chosen], zeros[:, None], is_grads_batched=True)
    (found,) = torch.autograd.grad(value, [chosen], zeros, is_grads_batched=True)
    expected = np.zeros((count, *chosen.shape))
    compare.close(found, expected, bound=0.0, dtype=torch.float64, what="gradient")
