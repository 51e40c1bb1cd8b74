"""Hooks over several tensors at once: when all of their gradients, or any, are there."""

from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PAGE = "torch.autograd.graph.register_multi_grad_hook"
PROBLEMS = with_cotangent(polynomials(significant_bits=24), result=result_kind)


def copies(gradients):
    """Copies of gradients as they are, None where there is none."""
    return [None if gradient is None else gradient.clone() for gradient in gradients]


def same_gradients(got, expected):
    """Check gradients against arrays, or None, exactly."""
    present = [gradient is not None for gradient in expected]
    compare.fact([g is not None for g in got], present, "gradients that are not None")
    for gradient, want in zip(got, expected, strict=True):
        if want is not None:
            compare.close(gradient, want, bound=0.0, dtype=torch.float64, what="gradient")


@law("hooks.multi-grad-all", docs=PAGE)
@given(
    problem=PROBLEMS,
    factors=hooks.lists_of_factors(max_size=2),
    order=st.permutations(range(4)),
    chosen=st.booleans(),
)
def test_multi_grad_all(target, problem, factors, order, chosen):
    """In mode all the hook runs once a pass, with every gradient in the order of the tensors.

    None stands for a tensor beyond the graph, or not needed for the inputs of this pass. What
    hooks registered before have made of a gradient is what the hook sees.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    for factor in factors:
        middle.register_hook(hooks.watching([], 0, factor))
    seen = []
    tensors = [(middle, *leaves)[place] for place in order if place <= len(leaves)]
    torch.autograd.graph.register_multi_grad_hook(tensors, lambda g: seen.append(copies(g)))
    root = middle * 1
    only = f.reaches.index(True)
    root.backward(cotangent, inputs=[leaves[only]] if chosen else None, retain_graph=True)
    _, last = hooks.chain(compare.to_numpy(cotangent), factors)
    gradients = derivatives.vjp(numpy_of(f), f.points, last)
    needed = [r and (not chosen or n == only) for n, r in enumerate(f.reaches)]
    given_out = [last, *(g if n else None for g, n in zip(gradients, needed, strict=True))]
    expected = [given_out[place] for place in order if place <= len(leaves)]
    compare.fact(len(seen), 1, "calls in a pass")
    same_gradients(seen[0], expected)
    root.backward(cotangent)
    whole = [last, *(g if r else None for g, r in zip(gradients, f.reaches, strict=True))]
    compare.fact(len(seen), 2, "calls in two passes")
    same_gradients(seen[1], [whole[place] for place in order if place <= len(leaves)])


@law("hooks.multi-grad-any", docs=PAGE)
@given(problem=PROBLEMS, order=st.permutations(range(4)))
def test_multi_grad_any(target, problem, order):
    """In mode any the hook runs once a pass, with the first gradient that is computed.

    That of the result, since those of the leaves come out of it, wherever it is in the list.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    tensors = [(middle, *leaves)[place] for place in order if place <= len(leaves)]
    seen = []
    torch.autograd.graph.register_multi_grad_hook(
        tensors, lambda gradient: seen.append(gradient.clone()), mode="any"
    )
    root = middle * 1
    for passes in (1, 2):
        root.backward(cotangent, retain_graph=True)
        compare.fact(len(seen), passes, "calls")
    same_gradients(seen, [compare.to_numpy(cotangent)] * 2)


MODES = {"all": "all", "any": "any"}


@law("hooks.multi-grad-removal", docs=PAGE, over=MODES)
@given(f=polynomials(scalar=True))
def test_multi_grad_removal(target, case, f):
    """The handle's remove() removes a hook over several tensors from all of them.

    Other hooks of the same tensors stay.
    """
    leaves = f.leaves(target.device)
    calls: list[Any] = []
    others: hooks.Calls = []
    for number, x in enumerate(leaves):
        x.register_hook(hooks.watching(others, number))
    handle = torch.autograd.graph.register_multi_grad_hook(leaves, calls.append, mode=case)
    target.run(f, *leaves).backward()
    compare.fact(len(calls), 1, "calls before the removal")
    handle.remove()
    target.run(f, *leaves).backward()
    compare.fact(len(calls), 1, "calls after the removal")
    reached = [number for number, reaches in enumerate(f.reaches) if reaches]
    compare.fact(sorted(n for n, _ in others), sorted(2 * reached), "calls of other hooks")


@law("hooks.multi-grad-mode", docs=PAGE, level="should")
@given(f=polynomials(scalar=True))
def test_multi_grad_mode(target, f):
    """A mode other than all and any raises, and registers nothing."""
    leaves = f.leaves(target.device)
    calls: list[Any] = []
    torch.autograd.graph.register_multi_grad_hook(leaves, calls.append, mode="any")
    unknown: Any = "every"
    with compare.raises(ValueError, "Expects mode to be one of"):
        torch.autograd.graph.register_multi_grad_hook(leaves, calls.append, mode=unknown)
    target.run(f, *leaves).backward()
    compare.fact(len(calls), 1, "calls")
