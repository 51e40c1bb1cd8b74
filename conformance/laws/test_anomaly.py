"""Anomaly mode: nan found where it arises, and the forward line that led to it."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import polynomials, with_cotangent
from strategies.functions import numpy_of, result_kind

DETECT = "autograd.html#torch.autograd.detect_anomaly"
SET = "autograd.html#torch.autograd.set_detect_anomaly"
PROBLEMS = with_cotangent(polynomials(), result=result_kind)


def state():
    """Whether anomaly mode is on, and whether it looks for nan."""
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


class Spoiled(torch.autograd.Function):
    """The identity, whose gradient has nan in one place."""

    @staticmethod
    def forward(context, x, place):
        context.place = place
        return x.clone()

    @staticmethod
    def backward(context, cotangent):
        spoiled = cotangent.clone(memory_format=torch.contiguous_format)
        spoiled.view(-1)[context.place % spoiled.numel()] = float("nan")
        return spoiled, None


class Raising(torch.autograd.Function):
    """The identity, whose backward raises."""

    @staticmethod
    def forward(context, x, place):
        return x.clone()

    @staticmethod
    def backward(context, cotangent):
        raise KeyError("backward fails")


def suspicious_step(function, x, place):
    """Apply a faulty Function; a traceback names this line."""
    return function.apply(x, place)


@law("anomaly.same-gradients", docs=DETECT)
@given(problem=PROBLEMS)
def test_same_gradients(target, problem):
    """In anomaly mode gradients are what they are without it, and nothing is raised."""
    f, cotangent = problem
    leaves = f.leaves(target.device)
    with torch.autograd.detect_anomaly():
        target.run(f, *leaves).backward(cotangent)
    expected = derivatives.vjp(numpy_of(f), f.points, compare.to_numpy(cotangent))
    compare.gradients(leaves, expected, f.reaches)


@law("anomaly.nan", docs=DETECT)
@given(problem=PROBLEMS, place=st.integers(0, 23), check=st.booleans(), setting=st.booleans())
def test_nan(target, problem, place, check, setting):
    """In anomaly mode a backward that generates nan raises, naming its node; no .grad changes.

    A single nan in any place; with check_nan=False, and without the mode, it goes on instead.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)

    def gradient():
        return torch.autograd.grad(result, [middle], cotangent, retain_graph=True)[0]

    with (
        torch.autograd.set_detect_anomaly(True, check_nan=check)
        if setting
        else torch.autograd.detect_anomaly(check_nan=check)
    ):
        middle = target.run(f, *leaves)
        result = suspicious_step(Spoiled, middle, place)
        if check:
            with compare.raises(RuntimeError, "'SpoiledBackward' returned nan values in its 0th"):
                result.backward(cotangent, retain_graph=True)
            compare.fact([x.grad for x in leaves], [None] * len(leaves), "grad after the error")
        else:
            compare.fact(int(np.isnan(compare.to_numpy(gradient())).sum()), 1, "nan in a gradient")
    compare.fact(int(np.isnan(compare.to_numpy(gradient())).sum()), 1, "nan without the mode")


FAULTY = {"nan": (Spoiled, RuntimeError), "exception": (Raising, KeyError)}


@law("anomaly.forward-line", docs=DETECT, over=FAULTY)
@given(problem=PROBLEMS)
def test_forward_line(target, case, problem):
    """Where backward fails, anomaly mode warns with the traceback of the failing node's forward.

    The exception itself reaches the caller as it is. Without the mode there is no traceback.
    """
    function, error = case
    f, cotangent = problem
    x = target.run(f, *f.leaves(target.device))
    with warnings.catch_warnings(record=True) as caught, torch.autograd.set_detect_anomaly(True):
        warnings.simplefilter("always")
        result = suspicious_step(function, x, 0)
        innocent = result * 2
        with compare.raises(error, "returned nan" if function is Spoiled else "backward fails"):
            innocent.backward(cotangent)
    told = [str(w.message) for w in caught if "Traceback of forward call" in str(w.message)]
    compare.fact(len(told), 1, "warnings with a traceback")
    compare.fact("suspicious_step" in told[0], True, "the traceback names the forward function")
    compare.fact(f"{function.__name__}Backward" in told[0], True, "the warning names the node")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = suspicious_step(function, x, 0)
        if function is Raising:
            with compare.raises(error, "backward fails"):
                result.backward(cotangent)
    compare.fact(len(caught), 0, "warnings without the mode")


STATES = st.tuples(st.booleans(), st.booleans())


@law("anomaly.restored", docs=SET)
@given(modes=st.lists(STATES, min_size=1, max_size=3), failing=st.booleans())
def test_restored(target, modes, failing):
    """Leaving a block of set_detect_anomaly restores mode and check_nan from before it.

    Nested, and also where an exception leaves the block.
    """
    before = state()

    def entered(remaining):
        outside = state()
        with torch.autograd.set_detect_anomaly(remaining[0][0], check_nan=remaining[0][1]):
            compare.fact(state(), remaining[0], "mode and check_nan within the block")
            if len(remaining) > 1:
                entered(remaining[1:])
            elif failing:
                raise KeyError("out of the block")
            compare.fact(state(), remaining[0], "mode and check_nan after an inner block")
        compare.fact(state(), outside, "mode and check_nan after the block")

    try:
        entered(modes)
    except KeyError:
        compare.fact(failing, True, "an exception left the blocks")
    finally:
        after = state()
        torch.autograd.set_detect_anomaly(*before)
    compare.fact(after, before, "mode and check_nan after all blocks")


@law("anomaly.detect-restores", docs=DETECT)
@given(outer=STATES, check=st.booleans(), failing=st.booleans())
def test_detect_restores(target, outer, check, failing):
    """detect_anomaly turns the mode on within its block, and restores what was before.

    It warns that it slows down; set_detect_anomaly, called as a function, lasts until changed.
    """
    before = state()
    try:
        torch.autograd.set_detect_anomaly(*outer)
        compare.fact(state(), outer, "mode and check_nan that were set")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            block = torch.autograd.detect_anomaly(check_nan=check)
        compare.fact(["Anomaly Detection" in str(w.message) for w in caught], [True], "warnings")
        try:
            with block:
                compare.fact(state(), (True, check), "mode and check_nan within the block")
                if failing:
                    raise KeyError("out of the block")
        except KeyError:
            compare.fact(failing, True, "an exception left the block")
        compare.fact(state(), outer, "mode and check_nan after the block")
    finally:
        torch.autograd.set_detect_anomaly(*before)
