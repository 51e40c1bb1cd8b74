"""Where a grad mode begins and ends: nesting, exceptions, decorators, generators, threads."""

import contextlib
import threading
from typing import Any

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import polynomials

INFERENCE_MODE = "torch.autograd.grad_mode.inference_mode"
MODES = {
    "no_grad": ("torch.no_grad", ()),
    "enable_grad": ("torch.enable_grad", ()),
    "disabled": ("torch.set_grad_enabled", (False,)),
    "enabled": ("torch.set_grad_enabled", (True,)),
    "inference": ("torch.inference_mode", ()),
}
NESTED = st.lists(st.sampled_from(list(MODES)), min_size=1, max_size=6)


def entered(kind):
    context, arguments = MODES[kind]
    return resolve(context)(*arguments)


@contextlib.contextmanager
def default_modes():
    """A block in the default modes, at whose end they are as before, whatever was left behind."""
    with torch.inference_mode(False), torch.set_grad_enabled(True):
        yield


def within(kind, outer):
    """Grad mode and inference mode inside a block, by what they are around it."""
    if kind == "inference":
        return False, True
    return kind in ("enable_grad", "enabled"), outer[1]


def current_modes():
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()


def check_modes(expected, where):
    compare.fact(current_modes(), expected, f"grad mode and inference mode {where}")


def check_block(target, f, kinds, failing, outer):
    """Check the modes in nested blocks and around each; ``failing`` of them end by an exception."""
    kind, *inner = kinds
    expected = within(kind, outer)
    with entered(kind):
        check_modes(expected, f"inside {kind}")
        result = target.run(f, *f.leaves(target.device)) * 1
        # The documentation does not say what enable_grad means inside inference_mode.
        records = expected == (True, False)
        compare.fact((result.requires_grad, result.is_inference()), (records, expected[1]), kind)
        if inner:
            with contextlib.suppress(KeyError):
                check_block(target, f, inner, failing, expected)
            check_modes(expected, f"back inside {kind}")
        if failing >= len(kinds):
            raise KeyError("out of the blocks")


@law("grad-mode.nesting", docs="notes/autograd.html#locally-disable-grad-doc")
@given(f=polynomials(max_steps=2), kinds=NESTED, failing=st.integers(0, 6))
def test_nesting(target, f, kinds, failing):
    """The innermost block decides, and the end of a block, by an exception too, restores the modes.

    For no_grad, enable_grad, set_grad_enabled and inference_mode in any order and depth.
    inference_mode disables grad mode too; nothing else leaves inference mode.
    """
    with default_modes():
        outer = current_modes()
        with contextlib.suppress(KeyError):
            check_block(target, f, kinds, failing, outer)
        check_modes(outer, "after all blocks")
        compare.fact(target.run(f, *f.leaves(target.device)).requires_grad, True, "records again")


@law(
    "grad-mode.exception-through-blocks",
    docs="torch.no_grad",
    over={kind: kind for kind in MODES},
)
@given(around=NESTED)
def test_exception_through_blocks(target, case, around):
    """An exception that leaves several blocks at once restores the modes from before the first."""
    with default_modes():
        seen = []
        try:
            with contextlib.ExitStack() as stack:
                for kind in [*around, case]:
                    stack.enter_context(entered(kind))
                    seen.append(current_modes())
                raise KeyError("out of every block")
        except KeyError:
            expected, wanted = (True, False), []
            for kind in [*around, case]:
                expected = within(kind, expected)
                wanted.append(expected)
            compare.fact(seen, wanted, "modes inside the blocks")
        check_modes((True, False), "after the exception")


@law("grad-mode.set-as-function", docs="torch.set_grad_enabled")
@given(flags=st.lists(st.booleans(), min_size=1, max_size=5), around=st.sampled_from(list(MODES)))
def test_set_as_function(target, flags, around):
    """set_grad_enabled called as a function takes effect at once and lasts; a block around ends it.

    As a context manager it restores the mode from before it was called.
    """
    with default_modes():
        leaf = torch.ones((), device=target.device, requires_grad=True)
        inference = around == "inference"
        with entered(around):
            for flag in flags:
                torch.set_grad_enabled(flag)
                check_modes((flag, inference), "after set_grad_enabled as a function")
                records = (leaf * 1).requires_grad
                compare.fact(records, flag and not inference, "result requires grad")
            switch = torch.set_grad_enabled(not flags[-1])
            check_modes((not flags[-1], inference), "where the context manager is made")
            with switch:
                check_modes((not flags[-1], inference), "inside")
            check_modes((flags[-1], inference), "after the context manager")
        check_modes((True, False), "after the block around")


REUSABLE = ("no_grad", "enable_grad", "inference")


@law(
    "grad-mode.context-reused",
    docs="torch.no_grad",
    level="should",
    over={kind: kind for kind in REUSABLE},
)
@given(around=NESTED)
def test_context_reused(target, case, around):
    """A context manager may be entered again after it was left, and restores the mode of then."""
    with default_modes():
        context = entered(case)
        for kind in around:
            outer = within(kind, (True, False))
            with entered(kind):
                with context:
                    check_modes(within(case, outer), f"inside, in {kind}")
                check_modes(outer, f"afterwards, in {kind}")
        check_modes((True, False), "at last")


DECORATORS = {
    "no_grad": ("torch.no_grad()", "no_grad"),
    "no_grad-bare": ("torch.no_grad", "no_grad"),
    "enable_grad": ("torch.enable_grad()", "enable_grad"),
    "enable_grad-bare": ("torch.enable_grad", "enable_grad"),
    "set_grad_enabled-true": ("torch.set_grad_enabled(True)", "enabled"),
    "set_grad_enabled-false": ("torch.set_grad_enabled(False)", "disabled"),
    "inference_mode": ("torch.inference_mode()", "inference"),
    "inference_mode-bare": ("torch.inference_mode", "inference"),
}
CALLERS = ("enabled", "no_grad", "inference")


def decorator_page(case):
    name = case[0].partition("(")[0]
    return INFERENCE_MODE if name == "torch.inference_mode" else name


def decorated_by(case, function):
    """The function under a decorator that is written as in the table."""
    return eval(case[0], {"torch": torch})(function)


class Counter:
    """An object whose method is decorated."""

    def __init__(self):
        self.seen = []

    def step(self, value, raising=False):
        """Note the modes and return the value."""
        self.seen.append(current_modes())
        if raising:
            raise KeyError("out of the method")
        return value


@law("grad-mode.decorated", docs=decorator_page, over=DECORATORS)
@given(
    defined=st.sampled_from(CALLERS),
    calls=st.lists(st.tuples(st.sampled_from(CALLERS), st.booleans()), min_size=1, max_size=4),
)
def test_decorated(target, case, defined, calls):
    """A decorated function runs in the decorator's mode, and its caller's mode is back afterwards.

    At every call, whatever the modes where it is defined and called, after an exception too.
    Decorating changes no mode. Arguments and results pass through.
    """
    with default_modes():
        counter = Counter()
        with entered(defined):
            around = current_modes()
            function = decorated_by(case, counter.step)
            check_modes(around, "after decorating")
        for number, (caller, raising) in enumerate(calls):
            with entered(caller):
                around = current_modes()
                try:
                    compare.fact(function(number, raising=raising), number, "what it returns")
                    compare.fact(raising, False, "it was to raise")
                except KeyError:
                    compare.fact(raising, True, "it raised")
                check_modes(around, "after the call")
            inside = within(DECORATORS_MODE[case[0]], around)
            compare.fact(counter.seen[-1], inside, f"modes inside, called in {caller}")
        compare.fact(len(counter.seen), len(calls), "number of calls")


DECORATORS_MODE = dict(DECORATORS.values())


@law("grad-mode.decorated-recursion", docs=decorator_page, over=DECORATORS)
@given(kinds=st.lists(st.sampled_from(list(MODES)), min_size=1, max_size=5))
def test_decorated_recursion(target, case, kinds):
    """A decorated function that calls itself in other modes is in its own mode at every depth."""

    with default_modes():

        def descend(depth):
            inside = current_modes()
            below: list[tuple[bool, bool]] = []
            if depth < len(kinds):
                with entered(kinds[depth]):
                    around = current_modes()
                    below = decorated(depth + 1)
                    compare.fact(current_modes(), around, "modes after the inner call")
            compare.fact(current_modes(), inside, "modes back inside")
            return [inside, *below]

        decorated = decorated_by(case, descend)
        outer, expected = (True, False), []
        for kind in [*kinds, None]:
            outer = within(DECORATORS_MODE[case[0]], outer)
            expected.append(outer)
            outer = within(kind, outer)
        compare.fact(decorated(0), expected, "modes by depth")
        check_modes((True, False), "afterwards")


@law("grad-mode.decorated-name", docs=decorator_page, level="should", over=DECORATORS)
def test_decorated_name(target, case):
    """A decorated function keeps its name and documentation."""
    function = decorated_by(case, Counter.step)
    names = (function.__name__, function.__qualname__, function.__doc__)
    expected = ("step", "Counter.step", "Note the modes and return the value.")
    compare.fact(names, expected, "name and documentation")


ACTIONS = st.lists(
    st.tuples(st.sampled_from(("send", "throw")), st.sampled_from(CALLERS)), max_size=5
)


@law("grad-mode.generator", docs=decorator_page, level="should", over=DECORATORS)
@given(actions=ACTIONS, caller=st.sampled_from(CALLERS), closed=st.booleans())
def test_generator(target, case, actions, caller, closed):
    """The body of a decorated generator runs in the decorator's mode, its caller in its own.

    Whenever it is resumed, by a value sent, an exception thrown or its closing, in whatever mode
    of the caller. Values, exceptions and what it returns pass through.
    """
    with default_modes():
        seen = []

        def body(count):
            received: list[int] = []
            try:
                while len(received) < count:
                    seen.append(current_modes())
                    try:
                        got = yield len(received)
                    except KeyError as error:
                        got = error.args[0]
                    received.append(got)
            finally:
                seen.append(current_modes())
            return received

        generator = decorated_by(case, body)(len(actions) + closed)
        sent: list[int] = []
        wanted: list[tuple[bool, bool]] = []
        returned = None

        def resume(action, kind, value):
            with entered(kind):
                around = current_modes()
                wanted.append(within(DECORATORS_MODE[case[0]], around))
                try:
                    given_back = getattr(generator, action)(value)
                    compare.fact(given_back, len(sent), "what it yields")
                finally:
                    check_modes(around, f"of the caller after {action}")

        plan: list[tuple[str, str, Any]] = [("send", caller, None)]
        for number, (action, kind) in enumerate(actions):
            plan.append((action, kind, number if action == "send" else KeyError(number)))
        for number, (action, kind, value) in enumerate(plan):
            try:
                resume(action, kind, value)
            except StopIteration as stop:
                returned = (number, stop.value)
            sent.append(number)
        if closed:
            with entered(caller):
                wanted.append(within(DECORATORS_MODE[case[0]], current_modes()))
                generator.close()
        else:
            compare.fact(returned, (len(actions), sent[:-1]), "where it ends and what it returns")
        check_modes((True, False), "afterwards")
        compare.fact(seen, wanted, "modes inside the body")


@law("grad-mode.threads", docs="torch.no_grad", over={kind: kind for kind in MODES})
@given(inside=st.sampled_from(list(MODES)), flag=st.booleans())
def test_threads(target, case, inside, flag):
    """A grad mode belongs to its thread: others start in the default and change only their own.

    "This context manager is thread local; it will not affect computation in other threads."
    """
    with default_modes():
        seen, arrived, leave = [], threading.Event(), threading.Event()

        def other():
            try:
                seen.append(current_modes())
                with entered(inside):
                    seen.append(current_modes())
                    arrived.set()
                    leave.wait(60)
                seen.append(current_modes())
                torch.set_grad_enabled(flag)
            finally:
                arrived.set()

        thread = threading.Thread(target=other)
        with entered(case):
            around = current_modes()
            thread.start()
            arrived.wait(60)
            check_modes(around, "while another thread has its own")
            leave.set()
            thread.join()
            check_modes(around, "after another thread has ended")
        default = (True, False)
        compare.fact(seen, [default, within(inside, default), default], "modes of the other thread")
        check_modes(default, "afterwards")
