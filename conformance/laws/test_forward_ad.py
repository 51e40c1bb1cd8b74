"""Forward mode: dual numbers, and the level within which they live."""

from functools import partial

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import jets
from strategies import functions, polynomials, tensors, with_cotangent
from strategies.functions import numpy_of, weights
from strategies.layouts import WRITABLE

DUAL = "torch.autograd.forward_ad.dual_level"
MAKE = "torch.autograd.forward_ad.make_dual"
UNPACK = "torch.autograd.forward_ad.unpack_dual"


def values_of(f, device):
    return [leaf.detach() for leaf in f.leaves(device)]


def kind_of(tensor):
    return tuple(tensor.shape), tensor.dtype


def tangent_or_zeros(part):
    return torch.zeros_like(part.primal) if part.tangent is None else part.tangent


@law("forward-ad.jvp", docs=MAKE)
@given(f=polynomials(in_place=True))
def test_jvp(target, f):
    """The result's tangent is J u for tangents u of the arguments; its primal is the value."""
    points = values_of(f, target.device)
    tangents = [weights(point.shape, target.device) for point in points]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(points, tangents, strict=True)]
        part = forward_ad.unpack_dual(target.run(f, *duals))
        expected = jets.differential(numpy_of(f), f.points, [compare.to_numpy(u) for u in tangents])
        compare.nested(tangent_or_zeros(part), expected, what="tangent")
        compare.nested(part.primal, numpy_of(f)(*f.points), what="primal")


@law("forward-ad.jvp-smooth", docs=MAKE)
@given(f=functions(max_steps=10))
def test_jvp_smooth(target, f):
    """The tangent of a smooth function's result is J u as far as rounding allows."""
    points = values_of(f, target.device)
    tangents = [weights(point.shape, target.device) for point in points]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(points, tangents, strict=True)]
        part = forward_ad.unpack_dual(target.run(f, *duals))
        expected = jets.differential(numpy_of(f), f.points, [compare.to_numpy(u) for u in tangents])
        bound = jets.rounding(numpy_of(f), f.points, 1)
        compare.nested(tangent_or_zeros(part), expected, bound=bound, what="tangent")


@law("forward-ad.columns", docs=MAKE)
@given(f=polynomials(), choice=st.integers(0, 2))
def test_columns(target, f, choice):
    """One-hot tangents of one argument give the columns of its Jacobian; others are constants."""
    points = values_of(f, target.device)
    number = choice % len(points)
    columns = []
    for position in range(points[number].numel()):
        unit = torch.zeros(points[number].numel(), dtype=torch.float64, device=target.device)
        unit[position] = 1.0
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(points[number], unit.reshape(points[number].shape))
            arguments = [*points[:number], dual, *points[number + 1 :]]
            part = forward_ad.unpack_dual(target.run(f, *arguments))
            columns.append(tangent_or_zeros(part))
    expected = jets.derivative(numpy_of(f), f.points, number)
    found = torch.stack(columns, -1).reshape(expected.shape)
    compare.nested(found, expected, what="Jacobian")


@law("forward-ad.no-tangent", docs=UNPACK)
@given(f=polynomials())
def test_no_tangent(target, f):
    """Tensors without a tangent give None, and so do results of such alone."""
    points = values_of(f, target.device)
    with forward_ad.dual_level():
        result = target.run(f, *points)
        parts = [forward_ad.unpack_dual(tensor) for tensor in (*points, result)]
        compare.fact([part.tangent for part in parts], [None] * len(parts), "tangents")
        compare.nested(parts[-1].primal, numpy_of(f)(*f.points), what="primal")
        dual = forward_ad.make_dual(points[0], torch.ones_like(points[0]))
        compare.nested(forward_ad.unpack_dual(dual).tangent, np.ones(points[0].shape))


@law("forward-ad.unpack-as-made", docs=MAKE)
@given(pair=with_cotangent(tensors(dtype="differentiable", layouts=WRITABLE), result=kind_of))
def test_unpack_as_made(target, pair):
    """unpack_dual gives back primal and tangent as given; the dual shares the primal's memory."""
    primal, tangent = pair
    before = [compare.to_numpy(tensor) for tensor in (primal, tangent)]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(primal, tangent)
        part = forward_ad.unpack_dual(dual)
        for tensor in (dual, part.primal):
            compare.equal(tensor, before[0], dtype=primal.dtype, what="primal")
        compare.equal(part.tangent, before[1], dtype=primal.dtype, what="tangent")
        compare.fact(dual.data_ptr(), primal.data_ptr(), "memory of the dual")
        compare.fact(forward_ad.unpack_dual(part.primal).tangent, None, "tangent of the primal")
        compare.fact(forward_ad.unpack_dual(primal).tangent, None, "tangent of what was given")
    compare.unchanged(primal, before[0], "primal")
    compare.unchanged(tangent, before[1], "tangent")


@law("forward-ad.ends-with-level", docs=DUAL)
@given(f=polynomials(), fails=st.booleans())
def test_ends_with_level(target, f, fails):
    """Tangents are gone when the level is left, also by an exception, and a new one starts clean.

    Outside of a level no dual tensor can be made.
    """
    points = values_of(f, target.device)
    duals = []
    try:
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(p, torch.ones_like(p)) for p in points]
            compare.fact(forward_ad.unpack_dual(duals[0]).tangent is None, False, "no tangent")
            if fails:
                raise KeyError("out of the level")
    except KeyError:
        pass
    with compare.raises(RuntimeError, "not possible to.*outside|Trying to create a dual"):
        forward_ad.make_dual(points[0], torch.ones_like(points[0]))
    with forward_ad.dual_level():
        again = forward_ad.unpack_dual(target.run(f, *duals))
        compare.fact(again.tangent, None, "tangent in a new level")
        compare.nested(again.primal, numpy_of(f)(*f.points), what="primal")


@law("forward-ad.single-level", docs=DUAL)
@given(point=tensors(dtype=torch.float64, layouts=WRITABLE))
def test_single_level(target, point):
    """A second level within the first is refused; the first goes on."""
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(point, torch.ones_like(point))
        message = "[Nn]ested forward mode AD is not supported"
        with compare.raises(RuntimeError, message), forward_ad.dual_level():
            pass
        tangent = forward_ad.unpack_dual(target.run(torch.neg, dual)).tangent
        compare.nested(tangent, -np.ones(tuple(point.shape)), what="tangent")


@law("forward-ad.refused-tangents", docs=MAKE)
@given(point=tensors(dtype=torch.float64, layouts=WRITABLE))
def test_refused_tangents(target, point):
    """A tangent must have the primal's shape, and both must be floating or complex."""
    with forward_ad.dual_level():
        right = torch.ones_like(point)
        part = forward_ad.unpack_dual(forward_ad.make_dual(point, right))
        compare.nested(part.tangent, np.ones(tuple(point.shape)), what="tangent")
        with compare.raises(RuntimeError, "different size"):
            forward_ad.make_dual(point, right[None])
        with compare.raises(ValueError, "Expected primal to be floating point or complex"):
            forward_ad.make_dual(point.to(torch.int64), right)
        with compare.raises(ValueError, "Expected tangent to be floating point or complex"):
            forward_ad.make_dual(point, right.to(torch.int64))


@law("forward-ad.not-disabled-by-no-grad", docs="torch.no_grad")
@given(f=polynomials())
def test_not_disabled_by_no_grad(target, f):
    """torch.no_grad does not apply to forward mode: tangents are computed under it."""
    points = values_of(f, target.device)
    tangents = [weights(point.shape, target.device) for point in points]
    with forward_ad.dual_level(), torch.no_grad():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(points, tangents, strict=True)]
        part = forward_ad.unpack_dual(target.run(f, *duals))
        expected = jets.differential(numpy_of(f), f.points, [compare.to_numpy(u) for u in tangents])
        compare.nested(tangent_or_zeros(part), expected, what="tangent")


@law("forward-ad.linear-in-tangent", docs=MAKE)
@given(f=polynomials(), factor=st.sampled_from([0.0, -1.0, 0.5, 4.0]))
def test_linear_in_tangent(target, f, factor):
    """J (a u + w) is a J u + J w, for the same arguments again and again."""
    points = values_of(f, target.device)
    first = [weights(point.shape, target.device) for point in points]
    second = [torch.ones_like(point) for point in points]
    both = [factor * u + w for u, w in zip(first, second, strict=True)]
    found = [partial(pushed, target, f, points)(tangents) for tangents in (first, second, both)]
    u, w, sum_of_both = (compare.to_numpy(tangent) for tangent in found)
    compare.nested(found[2], factor * u + w, what="J (a u + w)")
    expected = jets.differential(numpy_of(f), f.points, [np.ones(p.shape) for p in f.points])
    compare.nested(found[1], expected, what="J w")
    compare.fact(sum_of_both.shape, f.shape, "shape of the tangent")


def pushed(target, f, points, tangents):
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, u) for p, u in zip(points, tangents, strict=True)]
        return tangent_or_zeros(forward_ad.unpack_dual(target.run(f, *duals)))


@law("forward-ad.in-place", docs=MAKE)
@given(
    problem=tensors(dtype=torch.float64, layouts=WRITABLE),
    factor=st.sampled_from([0.5, -2.0]),
    write=st.sampled_from(["add_", "copy_", "setitem"]),
)
def test_in_place(target, problem, factor, write):
    """Writing to a tensor in place writes its tangent too, and that of a view's base."""

    def function(dual):
        base = torch.zeros((2, *dual.shape), dtype=dual.dtype, device=dual.device)
        if write == "setitem":
            base[1] = dual
        else:
            getattr(base[1], write)(dual)
        base.mul_(factor)
        return base

    tangent = weights(problem.shape, target.device)
    with forward_ad.dual_level():
        part = forward_ad.unpack_dual(target.run(function, forward_ad.make_dual(problem, tangent)))
        moved = factor * compare.to_numpy(tangent)
        expected = np.stack((0 * moved, moved))
        compare.nested(tangent_or_zeros(part), expected, what="tangent")


@law("forward-ad.expanded-primal", docs=MAKE)
@given(point=tensors(dtype=torch.float64, layouts=WRITABLE))
def test_expanded_primal(target, point):
    """A primal whose elements share memory takes any tangent of its shape, as every primal."""
    point = point.expand(2, *point.shape)
    tangent = weights(point.shape, target.device)
    with forward_ad.dual_level():
        part = forward_ad.unpack_dual(forward_ad.make_dual(point, tangent))
        compare.nested(part.tangent, compare.to_numpy(tangent), what="tangent")
