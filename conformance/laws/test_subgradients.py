"""Gradients at kinks, ties and the ends of domains, by the rules of the autograd note."""

import numpy as np
import torch

from conformance import compare
from conformance.law import given, law
from conformance.reference import subgradients
from conformance.scenarios import cotangents
from strategies.kinks import kink_problems

NOTE = "notes/autograd.html#gradients-for-non-differentiable-functions"


def prelu(x, weight):
    return torch.nn.functional.prelu(x, torch.full((1,), weight, dtype=x.dtype, device=x.device))


def power_of_zero(exponent):
    return torch.pow(0.0, exponent)


def xlogy_of_zero(y):
    return torch.xlogy(torch.zeros_like(y), y)


# Name in the reference's table, operation, and its other arguments.
ELEMENTWISE = {
    "abs": ("abs", "torch.abs", ()),
    "sign": ("sign", "torch.sign", ()),
    "sgn": ("sgn", "torch.sgn", ()),
    "relu": ("relu", "torch.relu", ()),
    "relu6": ("relu6", "torch.nn.functional.relu6", ()),
    "leaky_relu": ("leaky_relu", "torch.nn.functional.leaky_relu", (0.25,)),
    "leaky_relu-steep": ("leaky_relu-steep", "torch.nn.functional.leaky_relu", (2.0,)),
    "leaky_relu-falling": ("leaky_relu-falling", "torch.nn.functional.leaky_relu", (-0.5,)),
    "prelu": ("prelu", prelu, (0.25,)),
    "prelu-steep": ("prelu-steep", prelu, (2.0,)),
    "hardtanh": ("hardtanh", "torch.nn.functional.hardtanh", ()),
    "hardsigmoid": ("hardsigmoid", "torch.nn.functional.hardsigmoid", ()),
    "hardswish": ("hardswish", "torch.nn.functional.hardswish", ()),
    "elu": ("elu", "torch.nn.functional.elu", (1.0,)),
    "elu-flat": ("elu-flat", "torch.nn.functional.elu", (0.5,)),
    "celu": ("celu", "torch.nn.functional.celu", (2.0,)),
    "softshrink": ("softshrink", "torch.nn.functional.softshrink", (0.5,)),
    "hardshrink": ("hardshrink", "torch.nn.functional.hardshrink", (0.5,)),
    "threshold": ("threshold", "torch.nn.functional.threshold", (1.0, 1.0)),
    "threshold-jump": ("threshold-jump", "torch.nn.functional.threshold", (1.0, 0.0)),
    "softsign": ("softsign", "torch.nn.functional.softsign", ()),
    "clamp": ("clamp", "torch.clamp", (-1.0, 1.0)),
    "clamp-inside": ("clamp-inside", "torch.clamp", (-1.0, 1.0)),
    "clamp_min": ("clamp_min", "torch.clamp_min", (0.0,)),
    "clamp_max": ("clamp_max", "torch.clamp_max", (0.0,)),
    "frac": ("frac", "torch.frac", ()),
    "floor": ("floor", "torch.floor", ()),
    "ceil": ("ceil", "torch.ceil", ()),
    "round": ("round", "torch.round", ()),
    "trunc": ("trunc", "torch.trunc", ()),
    "fmod": ("fmod", "torch.fmod", (2.0,)),
    "remainder": ("remainder", "torch.remainder", (2.0,)),
    "copysign": ("copysign", "torch.copysign", (1.0,)),
    "copysign-negative": ("copysign-negative", "torch.copysign", (-1.0,)),
    "sqrt": ("sqrt", "torch.sqrt", ()),
    "asin": ("asin", "torch.asin", ()),
    "acos": ("acos", "torch.acos", ()),
    "acosh": ("acosh", "torch.acosh", ()),
    "sinc": ("sinc", "torch.sinc", ()),
    "angle": ("angle", "torch.angle", ()),
    "pow-0": ("pow-0", "torch.pow", (0.0,)),
    "pow-half": ("pow-half", "torch.pow", (0.5,)),
    "pow-1": ("pow-1", "torch.pow", (1.0,)),
    "pow-3halves": ("pow-3halves", "torch.pow", (1.5,)),
    "pow-2": ("pow-2", "torch.pow", (2.0,)),
    "power-of-zero": ("power-of-zero", power_of_zero, ()),
    "xlogy-of-zero": ("xlogy-of-zero", xlogy_of_zero, ()),
}
REPLACED = {"nan_to_num": ("nan_to_num", "torch.nan_to_num", ())}
BINARY = {
    "maximum": ("maximum", "torch.maximum", {}),
    "minimum": ("minimum", "torch.minimum", {}),
    "fmax": ("fmax", "torch.fmax", {}),
    "fmin": ("fmin", "torch.fmin", {}),
    "fmax-nan": ("fmax-nan", "torch.fmax", {}),
    "fmin-nan": ("fmin-nan", "torch.fmin", {}),
    "clamp_min": ("clamp_min", "torch.clamp_min", {}),
    "clamp_max": ("clamp_max", "torch.clamp_max", {}),
    "clamp_min-apart": ("clamp_min-apart", "torch.clamp_min", {}),
    "clamp_max-apart": ("clamp_max-apart", "torch.clamp_max", {}),
    "hypot": ("hypot", "torch.hypot", {}),
    "hypot-apart": ("hypot-apart", "torch.hypot", {}),
    "logaddexp": ("logaddexp", "torch.logaddexp", {}),
    "l1_loss": ("l1_loss", "torch.nn.functional.l1_loss", {"reduction": "none"}),
    "smooth_l1_loss": (
        "smooth_l1_loss", "torch.nn.functional.smooth_l1_loss", {"reduction": "none"},
    ),
    "smooth_l1_loss-absolute": (
        "smooth_l1_loss-absolute", "torch.nn.functional.smooth_l1_loss",
        {"reduction": "none", "beta": 0.0},
    ),
    "huber_loss": (
        "huber_loss", "torch.nn.functional.huber_loss", {"reduction": "none", "delta": 2.0},
    ),
}  # fmt: skip


ENDS = (1.0, 0.0, float("inf"), float("-inf"), float("nan"))
ONE_SIDED = ("sqrt", "pow-half", "pow-3halves")  # where the end of the domain is +0.0


def points_of(case):
    points = subgradients.SLOPES[case[0]]
    zero = [-0.0] if 0.0 in points and case[0] not in ONE_SIDED else []
    return kink_problems([*points, *zero])


def pairs_of(case):
    return kink_problems(subgradients.PAIR_SLOPES[case[0]])


def check_elementwise(target, case, problem):
    name, operation, arguments = case
    (x,), cotangent = problem
    leaf = cotangents.leaf_of(x)
    target.run(operation, leaf, *arguments).backward(cotangent)
    points, upstream = subgradients.SLOPES[name], compare.to_numpy(cotangent)
    slopes = subgradients.candidates(points, compare.to_numpy(x))
    first, second = (upstream * slope for slope in slopes)
    gradient = leaf.grad
    if isinstance(gradient, torch.Tensor):
        first = np.where(compare.to_numpy(gradient) == second, second, first)
    compare.close(gradient, first, bound=0, dtype=x.dtype, what="gradient")


@law("subgradients.elementwise", docs=NOTE, over=ELEMENTWISE)
@given(problem=points_of)
def test_elementwise(target, case, problem):
    """At kinks and at ends of domains gradients are those of minimum norm, or by continuity.

    The first of these that applies: the derivative; the subgradient of minimum norm where the
    function is convex near the point; the supergradient of minimum norm where it is concave;
    a limit of derivatives, infinities included.
    """
    check_elementwise(target, case, problem)


@law("subgradients.replaced", docs="torch.nan_to_num", level="should", over=REPLACED)
@given(problem=points_of)
def test_replaced(target, case, problem):
    """No gradient flows to nan and infinities that nan_to_num replaced."""
    check_elementwise(target, case, problem)


@law("subgradients.binary", docs=NOTE, over=BINARY)
@given(problem=pairs_of)
def test_binary(target, case, problem):
    """Of two arguments that tie each gets the part of the gradient that has the minimum norm.

    Halves for a maximum or minimum; zero where distances and losses have their minimum.
    """
    name, operation, keywords = case
    inputs, cotangent = problem
    leaves = [cotangents.leaf_of(x) for x in inputs]
    target.run(operation, *leaves, **keywords).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    points = subgradients.PAIR_SLOPES[name]
    slopes = subgradients.pair_slopes(points, *(compare.to_numpy(x) for x in inputs))
    for which, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
        what = f"gradient to argument {which}"
        compare.close(leaf.grad, upstream * slope, bound=0, dtype=leaf.dtype, what=what)


@law("subgradients.where", docs="torch.where")
@given(problem=kink_problems([(c, x, y) for c in (0.0, 1.0) for x in ENDS for y in ENDS]))
def test_where(target, problem):
    """where passes the gradient to what it selects, and exactly 0 to the rest, nan or not."""
    (choice, x, y), cotangent = problem
    leaves = [cotangents.leaf_of(x), cotangents.leaf_of(y)]
    target.run("torch.where", choice > 0, *leaves).backward(cotangent)
    upstream, chosen = compare.to_numpy(cotangent), compare.to_numpy(choice) > 0
    expected = np.where(chosen, upstream, 0), np.where(chosen, 0, upstream)
    compare.gradients(leaves, expected, (True, True))


COMPLEX = {"abs": "torch.abs", "vector_norm": "torch.linalg.vector_norm"}
AXES = [(0.0, 0.0), (-0.0, 0.0), (2.0, 0.0), (-1.0, 0.0), (0.0, 3.0), (0.0, -2.0)]


@law("subgradients.complex-zero", docs=NOTE, over=COMPLEX)
@given(problem=kink_problems(AXES, dtype="split"))
def test_complex_zero(target, case, problem):
    """The gradient of an absolute value at complex 0 is 0, and elsewhere z / abs(z).

    The absolute value is convex and has its minimum there; vector_norm of each element alone.
    """
    (real, imaginary), cotangent = problem
    leaf = torch.complex(real, imaginary).unsqueeze(-1).detach().requires_grad_()
    if case == "torch.abs":
        target.run(case, leaf).backward(cotangent.unsqueeze(-1))
    else:
        target.run(case, leaf, dim=-1).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    signs = np.sign(compare.to_numpy(real)) + 1j * np.sign(compare.to_numpy(imaginary))
    expected = (upstream * signs)[..., None]
    compare.close(leaf.grad, expected, bound=0, dtype=leaf.dtype, what="gradient")
