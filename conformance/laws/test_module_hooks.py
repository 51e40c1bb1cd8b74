"""Hooks of modules: their order, what they change around forward, hooks of all modules."""

from contextlib import ExitStack
from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios import hooks
from conformance.target import resolve
from strategies import dyadics, polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

PROBLEMS = with_cotangent(polynomials(significant_bits=24), result=result_kind)


class Affine(torch.nn.Module):
    """``x * scale + shift``, with a positional argument and one by keyword."""

    def forward(self, x, scale, *, shift=0.0):
        """Compute it."""
        return x * scale + shift


class Failing(torch.nn.Module):
    """A module that cannot compute."""

    def forward(self, x):
        """Raise."""
        raise KeyError("forward fails")


KINDS = {
    "forward_pre": "forward_pre_hook",
    "forward": "forward_hook",
    "full_backward_pre": "full_backward_pre_hook",
    "full_backward": "full_backward_hook",
}


@law("module-hooks.order", docs=lambda kind: f"{hooks.MODULE}register_{kind}", over=KINDS)
@given(
    program=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=5),
    shared=st.integers(0, 2),
    value=dyadics(),
)
def test_order(target, case, program, shared, value):
    """Hooks of a module run in order of registration, one with prepend=True before all of them.

    Hooks of all modules come first of all, whenever they were registered. A removed hook doesn't
    run. Each is called once, with the module.
    """
    module = Affine()
    called: list[Any] = []
    expected: list[Any] = []
    handles: list[Any] = []

    def noting(number):
        def hook(subject, *arguments):
            called.append((number, subject is module))

        return hook

    for number, (prepend, _) in enumerate(program):
        register = getattr(module, f"register_{case}")
        handles.append(register(noting(number), prepend=prepend))
        expected.insert(0 if prepend else len(expected), number)
    with ExitStack() as registered:
        for number in range(shared):
            everywhere = resolve(f"torch.nn.modules.module.register_module_{case}")
            registered.enter_context(everywhere(noting(-1 - number)))
        for number, (_, removed) in enumerate(program):
            if removed:
                handles[number].remove()
                expected.remove(number)
        x = torch.full((2,), value, device=target.device, requires_grad=True)
        module(x, 2.0).sum().backward()
    everyone = [(number, True) for number in (*range(-1, -1 - shared, -1), *expected)]
    compare.fact(called, everyone, "hooks called, by number, with the module")
    called.clear()
    module(x, 2.0).sum().backward()
    own = [(number, True) for number in expected]
    compare.fact(called, own, "hooks called once those of all modules are removed")


@law("module-hooks.forward-pre", docs=f"{hooks.MODULE}register_forward_pre_hook")
@given(
    start=dyadics(),
    replacements=st.lists(
        st.tuples(st.sampled_from(["none", "tuple", "kwargs", "kwargs-none"]), dyadics())
    ),
)
def test_forward_pre(target, start, replacements):
    """What a hook before forward returns takes the place of forward's arguments.

    A tuple is all positional arguments; with with_kwargs=True a hook gets and returns keyword
    arguments too. Later hooks see what earlier ones returned; None changes nothing.
    """
    module = Affine()
    seen = []

    def register(kind, number):
        def hook(_, arguments):
            seen.append((arguments[1], None))
            return None if kind == "none" else (arguments[0], number)

        def with_keywords(_, arguments, keywords):
            seen.append((arguments[1], keywords["shift"]))
            if kind == "kwargs-none":
                return None
            return (arguments[0], arguments[1]), {"shift": number}

        if kind.startswith("kwargs"):
            module.register_forward_pre_hook(with_keywords, with_kwargs=True)
        else:
            module.register_forward_pre_hook(hook)

    for kind, number in replacements:
        register(kind, number)
    x = torch.full((2,), start, device=target.device, dtype=torch.float64)
    got = module(x, 2.0, shift=1.0)
    scale, shift, expected = 2.0, 1.0, []
    for kind, number in replacements:
        expected.append((scale, shift if kind.startswith("kwargs") else None))
        scale = number if kind == "tuple" else scale
        shift = number if kind == "kwargs" else shift
    compare.fact(seen, expected, "arguments that the hooks got")
    want = compare.to_numpy(x) * scale + shift
    compare.close(got, want, bound=0.0, dtype=torch.float64)


@law("module-hooks.forward-pre-wraps", docs=f"{hooks.MODULE}register_forward_pre_hook")
@given(f=polynomials(max_leaves=1), value=dyadics())
def test_forward_pre_wraps(target, f, value):
    """A single value that a hook before forward returns stands for a tuple of it."""
    (leaf,) = f.leaves(target.device)
    module = hooks.Applied(lambda *leaves: target.run(f, *leaves))
    module.register_forward_pre_hook(lambda _, arguments: torch.full_like(leaf, value))
    lengths = []
    module.register_forward_pre_hook(lambda _, arguments: lengths.append(len(arguments)))
    got = module(leaf)
    compare.fact(lengths, [1], "arguments that the next hook got")
    expected = numpy_of(f)(0 * f.points[0] + value)
    compare.close(got, expected, bound=0.0, dtype=torch.float64)


@law("module-hooks.forward", docs=f"{hooks.MODULE}register_forward_hook")
@given(problem=PROBLEMS, factors=hooks.lists_of_factors(), keywords=st.booleans())
def test_forward(target, problem, factors, keywords):
    """What a hook after forward returns takes the place of the output, in value and gradient.

    Each hook gets the arguments, with with_kwargs=True those by keyword, and the output as
    earlier hooks left it; None changes nothing.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    middle = target.run(f, *leaves)
    module = Affine()
    seen = []

    def register(factor):
        def hook(_, arguments, output):
            seen.append((arguments[0] is middle, arguments[1:], None, output.detach()))
            return None if factor is None else output * factor

        def with_keywords(_, arguments, words, output):
            seen.append((arguments[0] is middle, arguments[1:], words, output.detach()))
            return None if factor is None else output * factor

        if keywords:
            module.register_forward_hook(with_keywords, with_kwargs=True)
        else:
            module.register_forward_hook(hook)

    for factor in factors:
        register(factor)
    result = module(middle, 2.0, shift=0.5)
    arguments = (True, (2.0,), {"shift": 0.5} if keywords else None)
    compare.fact([got[:3] for got in seen], [arguments] * len(factors), "arguments of the hooks")
    outputs, last = hooks.chain(2.0 * numpy_of(f)(*f.points) + 0.5, factors)
    for got, want in zip(seen, outputs, strict=True):
        compare.close(got[3], want, bound=0.0, dtype=torch.float64, what="output that a hook got")
    compare.close(result, last, bound=0.0, dtype=torch.float64)
    result.backward(cotangent)
    _, gradient = hooks.chain(2.0 * compare.to_numpy(cotangent), factors)
    compare.gradients(leaves, derivatives.vjp(numpy_of(f), f.points, gradient), f.reaches)


@law("module-hooks.always-call", docs=f"{hooks.MODULE}register_forward_hook")
@given(
    always=st.lists(st.booleans(), min_size=1, max_size=4),
    everywhere=st.booleans(),
    failing=st.booleans(),
)
def test_always_call(target, always, everywhere, failing):
    """If forward raises, hooks with always_call=True run all the same, and no others.

    The exception reaches the caller. Where forward does not raise, every hook runs, once.
    """
    module = Failing() if failing else hooks.Applied(torch.neg)
    x = torch.ones(2, device=target.device)
    called = []

    def noting(number):
        return lambda subject, arguments, output: called.append((number, output is None))

    with ExitStack() as registered:
        if everywhere:
            shared = torch.nn.modules.module.register_module_forward_hook
            registered.enter_context(shared(noting(-1), always_call=True))
        for number, call in enumerate(always):
            module.register_forward_hook(noting(number), always_call=call)
        if failing:
            with compare.raises(KeyError, "forward fails"):
                module(x)
        else:
            module(x)
    ran = [number for number, call in enumerate(always) if call or not failing]
    expected = [(number, failing) for number in [*([-1] if everywhere else []), *ran]]
    compare.fact(called, expected, "hooks called, and whether there was no output")


@law("module-hooks.forward-alone", docs=f"{hooks.MODULE}forward")
@given(value=dyadics())
def test_forward_alone(target, value):
    """Calling a module's forward itself runs none of its hooks, nor those of all modules."""
    module = Affine()
    called = []

    def hook(*_):
        called.append(True)

    x = torch.full((2,), value, device=target.device, dtype=torch.float64, requires_grad=True)
    with ExitStack() as registered:
        for kind in KINDS.values():
            registered.enter_context(getattr(module, f"register_{kind}")(hook))
            everywhere = resolve(f"torch.nn.modules.module.register_module_{kind}")
            registered.enter_context(everywhere(hook))
        module(x, 2.0).sum().backward()
        compare.fact(len(called), 8, "hooks that a call runs")
        called.clear()
        x.grad = None
        module.forward(x, 2.0).sum().backward()
        compare.fact(len(called), 0, "hooks that forward runs")
    compare.equal(x.grad, 0 * compare.to_numpy(x) + 2, dtype=torch.float64, what="grad")


@law("module-hooks.every-module", docs="torch.nn.modules.module.register_module_forward_hook")
@given(value=dyadics(), count=st.integers(1, 3))
def test_every_module(target, value, count):
    """Hooks of all modules run for each module that is called, from outside inwards and back.

    Before forward and around backward alike; a removed one runs no more.
    """
    parts = [hooks.Applied(torch.neg) for _ in range(count)]
    whole = torch.nn.Sequential(*parts)
    names = {module: number for number, module in enumerate((whole, *parts))}
    called = []

    def noting(kind):
        def hook(module, *_):
            called.append((kind, names[module]))

        return hook

    x = torch.full((2,), value, device=target.device, requires_grad=True)
    with ExitStack() as registered:
        for kind, name in KINDS.items():
            everywhere = resolve(f"torch.nn.modules.module.register_module_{name}")
            registered.enter_context(everywhere(noting(kind)))
        result = whole(x)
        inner = [(kind, n + 1) for n in range(count) for kind in ("forward_pre", "forward")]
        expected = [("forward_pre", 0), *inner, ("forward", 0)]
        compare.fact(called, expected, "hooks called around forward")
        called.clear()
        result.sum().backward()
        kinds = ("full_backward_pre", "full_backward")
        inner = [(kind, n) for n in range(count, 0, -1) for kind in kinds]
        expected = [("full_backward_pre", 0), *inner, ("full_backward", 0)]
        compare.fact(called, expected, "hooks called around backward")
        called.clear()
    whole(x).sum().backward()
    compare.fact(called, [], "hooks called once they are removed")
