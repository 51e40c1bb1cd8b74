"""Hooks of tensors where torch.autograd.grad asks for gradients: which run, and what comes back."""

from typing import Any

import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

INPUTS = {"alone": False, "with-another-upstream": True}


@law("hooks.grad-function", docs=hooks.EXECUTION, over=INPUTS)
@given(
    problem=with_cotangent(polynomials(significant_bits=24), result=result_kind),
    factors=hooks.lists_of_factors(),
)
def test_grad_function(target, case, problem, factors):
    """torch.autograd.grad runs the hooks of an input and returns what they made of its gradient.

    Whether the input's grad_fn is executed, as it is for another input upstream, or not. The
    hooks of a tensor that is no input and lies beyond one don't run.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    middle = target.run(f, *leaves)
    calls: hooks.Calls = []
    beyond: hooks.Calls = []
    for number, factor in enumerate(factors):
        middle.register_hook(hooks.watching(calls, number, factor))
    x.register_hook(hooks.watching(beyond, 0))
    got = torch.autograd.grad(middle * 1, [middle, x] if case else [middle], cotangent)
    seen, last = hooks.chain(compare.to_numpy(cotangent), factors)
    hooks.same_calls(calls, list(enumerate(seen)))
    compare.fact(len(beyond), int(case), "calls of the hook of the tensor upstream")
    if case:
        gradient = derivatives.vjp(numpy_of(f), f.points, last)[f.reaches.index(True)]
        compare.close(got[1], gradient, bound=0.0, dtype=torch.float64, what="gradient upstream")
    compare.close(got[0], last, bound=0.0, dtype=torch.float64, what="gradient of the input")


@law("hooks.grad-function-leaves", docs=hooks.EXECUTION)
@given(f=polynomials(scalar=True), factors=hooks.lists_of_factors())
def test_grad_function_leaves(target, f, factors):
    """torch.autograd.grad runs the hooks of leaves, and none of those after accumulation.

    It returns what the hooks made of the gradients, and leaves .grad alone.
    """
    leaves = f.leaves(target.device)
    reached = [x for x, reaches in zip(leaves, f.reaches, strict=True) if reaches]
    accumulated: list[Any] = []
    calls: list[hooks.Calls] = [[] for _ in reached]
    for x, noted in zip(reached, calls, strict=True):
        x.register_post_accumulate_grad_hook(accumulated.append)
        for number, factor in enumerate(factors):
            x.register_hook(hooks.watching(noted, number, factor))
    got = torch.autograd.grad(target.run(f, *leaves), reached)
    gradients = derivatives.gradient(numpy_of(f), f.points)
    wanted = [g for g, reaches in zip(gradients, f.reaches, strict=True) if reaches]
    for tensor, noted, gradient in zip(got, calls, wanted, strict=True):
        seen, last = hooks.chain(gradient, factors)
        hooks.same_calls(noted, list(enumerate(seen)))
        compare.close(tensor, last, bound=0.0, dtype=torch.float64, what="returned gradient")
    compare.fact(([x.grad for x in leaves], accumulated), ([None] * len(leaves), []), "grad")
