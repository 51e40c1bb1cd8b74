"""The engine: depth, width, threads, passes within passes, and exceptions on the way."""

import threading
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from strategies import dyadics, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=24), result=result_kind)
THREADS = "notes/autograd.html#multithreaded-autograd"
DEPTH = 100_000
WIDTH = 10_000


@law("engine.deep", docs="torch.Tensor.backward", level="should")
def test_deep(target):
    """A graph of 100,000 nodes in a row is passed through, and freed, without deep recursion."""
    leaf = torch.ones(2, dtype=torch.float64, device=target.device, requires_grad=True)
    result = leaf
    for _ in range(DEPTH):
        result = -result
    result.backward(torch.full_like(leaf, 3.0))
    del result
    compare.equal(leaf.grad, np.array([3.0, 3.0]), dtype=torch.float64, what="grad")


@law("engine.wide", docs="torch.Tensor.backward", level="should")
def test_wide(target):
    """A leaf used 10,000 times gets the sum of all gradients; so do 10,000 leaves of one node."""
    leaf = torch.ones((), dtype=torch.float64, device=target.device, requires_grad=True)
    uses = [leaf * number for number in range(WIDTH)]
    torch.stack(uses).sum().backward()
    total = np.array(WIDTH * (WIDTH - 1) / 2)
    compare.equal(leaf.grad, total, dtype=torch.float64, what="grad of the one leaf")
    leaves = [torch.ones((), device=target.device, requires_grad=True) for _ in range(WIDTH)]
    weights = torch.arange(WIDTH, dtype=torch.float32, device=target.device)
    (torch.stack(leaves) * weights).sum().backward()
    got = torch.stack([x.grad for x in leaves if x.grad is not None])
    compare.equal(got, np.arange(WIDTH), dtype=torch.float32, what="grad of the leaves")


@law("engine.many-roots", docs="torch.autograd.backward", level="should")
def test_many_roots(target):
    """A pass from 10,000 roots adds the gradients of all of them, a root given twice twice."""
    leaf = torch.ones((), dtype=torch.float64, device=target.device, requires_grad=True)
    roots = [leaf * number for number in range(WIDTH)]
    torch.autograd.backward([*roots, roots[-1]])
    total = np.array(WIDTH * (WIDTH - 1) / 2 + WIDTH - 1)
    compare.equal(leaf.grad, total, dtype=torch.float64, what="grad")


def in_threads(count, work):
    """Run ``work(number)`` in as many threads at once; return what each returned, or raised."""
    results: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


GRAPHS = {"own-graphs": False, "one-graph": True}


@law("engine.threads-grad", docs=THREADS, over=GRAPHS)
@given(problem=PROBLEMS, factors=st.lists(dyadics(), min_size=2, max_size=4))
def test_threads_grad(target, case, problem, factors):
    """torch.autograd.grad in several threads at once gives each the gradients that it asked for.

    To leaves that the threads share, from graphs of their own or from one that all retain.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    x = leaves[f.reaches.index(True)]
    shared = target.run(f, *leaves)

    def work(number):
        root = (shared if case else target.run(f, *leaves)) * factors[number]
        return torch.autograd.grad(root, [x], cotangent, retain_graph=True)[0]

    got = in_threads(len(factors), work)
    upstream = compare.to_numpy(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, upstream)[f.reaches.index(True)]
    for gradient, factor in zip(got, factors, strict=True):
        want = factor * expected
        compare.close(gradient, want, bound=0.0, dtype=torch.float64, what="gradient of a thread")
    compare.fact(x.grad, None, "grad")


@law("engine.threads-backward", docs=THREADS)
@given(problem=PROBLEMS, count=st.integers(2, 4), shared=st.booleans())
def test_threads_backward(target, problem, count, shared):
    """backward in several threads accumulates right: at once into leaves of each thread's own.

    And one thread after another into leaves that they share.
    """
    f, cotangent = problem
    own = [f.leaves(target.device) for _ in range(1 if shared else count)]
    turn = threading.Lock()

    def work(number):
        leaves = own[0 if shared else number]
        upstream = cotangent.clone()  # .grad may alias it, and later passes would write to it
        with turn if shared else nullcontext():
            target.run(f, *leaves).backward(upstream)

    in_threads(count, work)
    gradients = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    times = count if shared else 1
    for leaves in own:
        compare.gradients(leaves, [times * g for g in gradients], f.reaches)


class Reentrant(torch.autograd.Function):
    """``3 x``, whose derivative is taken by a pass within the pass, so deep as it is told."""

    @staticmethod
    def forward(context, x, depth):
        context.save_for_backward(x)
        context.depth = depth
        return x * 3

    @staticmethod
    def backward(context, cotangent):
        (x,) = context.saved_tensors
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            again = context.depth > 0
            result = Reentrant.apply(inner, context.depth - 1) if again else inner * 3
        result.backward(cotangent)
        return inner.grad, None


@law("engine.reentrant", docs="torch.Tensor.backward", level="should")
@given(problem=PROBLEMS, depth=st.sampled_from([0, 1, 2, 70]), hooked=st.booleans())
def test_reentrant(target, problem, depth, hooked):
    """A backward pass may start another one, to any depth, in a Function or in a hook.

    Both leave the right gradients, and the outer pass goes on where it was.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    other = f.leaves(target.device)

    def within(gradient):
        with torch.enable_grad():
            result = f(*other)
        result.backward(gradient)

    if hooked:
        middle.register_hook(within)
    Reentrant.apply(middle, depth).backward(cotangent)
    gradients = derivatives.vjp(numpy_of(f), f.points, 3 * compare.to_numpy(cotangent))
    compare.gradients(leaves, gradients, f.reaches)
    if hooked:
        compare.gradients(other, gradients, f.reaches)


class Stop(Exception):
    """What hooks and Functions raise here."""


class Stopping(torch.autograd.Function):
    """The identity, whose backward raises as long as it is told to."""

    armed = False

    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, cotangent):
        if Stopping.armed:
            raise Stop("on the way")
        return cotangent


def stop(*_):
    """A hook that ends the pass as long as it is told to."""
    if Stopping.armed:
        raise Stop("on the way")


def by_function(x):
    """Let a Function raise."""
    return Stopping.apply(x)


def by_hook(x):
    """Let a hook of the tensor raise."""
    x.register_hook(stop)
    return x


def by_prehook(x):
    """Let a hook before the tensor's node raise."""
    x.grad_fn.register_prehook(stop)
    return x


def by_node_hook(x):
    """Let a hook after the tensor's node raise."""
    x.grad_fn.register_hook(stop)
    return x


RAISING = {
    "Function": by_function,
    "hook": by_hook,
    "prehook": by_prehook,
    "node-hook": by_node_hook,
}


@law("engine.exceptions", docs="torch.Tensor.backward", level="should", over=RAISING)
@given(
    problem=PROBLEMS,
    old=dyadics(),
    times=st.integers(1, 2),
    create_graph=st.booleans(),
)
def test_exceptions(target, case, problem, old, times, create_graph):
    """An exception within a pass reaches the caller as it is; no .grad beyond it changes.

    Grad mode is as before, and the same retained graph then gives the right gradients.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    for x in leaves:
        x.grad = torch.full_like(x, old)
    result = case(target.run(f, *leaves) * 2) * 3
    Stopping.armed = True
    before = torch.is_grad_enabled()
    try:
        for _ in range(times):
            with compare.raises(Stop, "^on the way$"):
                result.backward(cotangent, retain_graph=True, create_graph=create_graph)
            compare.fact(torch.is_grad_enabled(), before, "grad mode after the exception")
    finally:
        Stopping.armed = False
        torch.set_grad_enabled(before)
    for x in leaves:
        untouched = 0 * compare.to_numpy(x) + old
        compare.close(x.grad, untouched, bound=0.0, dtype=torch.float64, what="grad after it")
    result.backward(cotangent)
    gradients = derivatives.vjp(numpy_of(f), f.points, 6 * compare.to_numpy(cotangent))
    for x, gradient, reached in zip(leaves, gradients, f.reaches, strict=True):
        expected = old + (gradient if reached else 0 * gradient)
        compare.close(x.grad, expected, bound=0.0, dtype=torch.float64, what="grad in the end")


@law("engine.exception-in-post-accumulate", docs="torch.Tensor.backward", level="should")
@given(f=polynomials(scalar=True))
def test_exception_in_post_accumulate(target, f):
    """Where a hook after accumulation raises, its leaf has the gradient already, once.

    The other hooks and passes that follow find everything in order.
    """
    leaves = f.leaves(target.device)
    number = f.reaches.index(True)
    x = leaves[number]
    x.register_post_accumulate_grad_hook(stop)
    calls: hooks.Calls = []
    x.register_hook(hooks.watching(calls, 0))
    root = target.run(f, *leaves)
    gradient = derivatives.gradient(numpy_of(f), f.points)[number]
    Stopping.armed = True
    try:
        with compare.raises(Stop, "on the way"):
            root.backward(inputs=[x], retain_graph=True)
    finally:
        Stopping.armed = False
    compare.close(x.grad, gradient, bound=0.0, dtype=torch.float64, what="grad after it")
    root.backward(inputs=[x])
    compare.close(x.grad, 2 * gradient, bound=0.0, dtype=torch.float64, what="grad in the end")
    hooks.same_calls(calls, [(0, gradient)] * 2)


@law(
    "engine.multithreading",
    docs="torch.autograd.grad_mode.set_multithreading_enabled",
)
@given(problem=PROBLEMS, modes=st.lists(st.booleans(), min_size=1, max_size=3), fails=st.booleans())
def test_multithreading(target, problem, modes, fails):
    """set_multithreading_enabled holds within its block and is restored after it.

    Nested, and after an exception; it is the thread's own, and gradients don't depend on it.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    enabled = torch.autograd.is_multithreading_enabled
    before = enabled()

    def entered(remaining):
        outside = enabled()
        with torch.autograd.set_multithreading_enabled(remaining[0]):
            compare.fact(enabled(), remaining[0], "multithreading within the block")
            if len(remaining) > 1:
                entered(remaining[1:])
            else:
                (elsewhere,) = in_threads(1, lambda _: enabled())
                compare.fact(elsewhere, True, "multithreading in another thread")
                target.run(f, *leaves).backward(cotangent)
                if fails:
                    raise Stop("out of the blocks")
        compare.fact(enabled(), outside, "multithreading after the block")

    try:
        entered(modes)
    except Stop:
        compare.fact(fails, True, "an exception left the blocks")
    finally:
        after = enabled()
        torch.autograd.set_multithreading_enabled(before)
    compare.fact(after, before, "multithreading after all blocks")
    gradients = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, gradients, f.reaches)
