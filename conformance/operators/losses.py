"""Losses: of elements, of labels and classes, of vectors, of alignments; weighed and reduced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from conformance.operators.functional import functional
from conformance.operators.losses_arguments import (
    ANY,
    BETWEEN,
    COUNTS,
    LOGITS,
    NEAR,
    POSITIVE,
    PROBABILITIES,
    SIGNS,
    WHOLE,
    at_most_row,
    broadcast,
    cosine_calls,
    elementwise,
    gaussian_calls,
    same_shape,
    triplet_calls,
)
from conformance.operators.operator import Calls, Operator, Reference, Rejection
from conformance.operators.special import in_double
from conformance.reference import losses

_F = "torch.nn.functional."
PAIR = {"x": (torch.float32, (2, 3)), "y": (torch.float32, (2, 3))}

NO_META = "torch has no implementation for the meta device, or one that reads the values"


def rejecting(name: str, *cases: tuple[str, str, str, str, str], **tensors: Any) -> dict[str, Any]:
    """Return rejections from rows of what is wrong, legal and illegal arguments, error, message."""
    return {
        what: Rejection(f"{_F}{name}({legal})", f"{_F}{name}({illegal})", error, message, tensors)
        for what, legal, illegal, error, message in cases
    }


def bad_reduction(
    operands: str = "x, y", error: str = "is not a valid value for reduction"
) -> tuple[str, str, str, str, str]:
    """Return the row of a reduction that does not exist."""
    return (
        "reduction",
        f"{operands}, reduction='sum'",
        f"{operands}, reduction='average'",
        "ValueError",
        error,
    )


def loss_entry(name: str, calls: Calls, reference: Reference, **changes: Any) -> Operator:
    """Return the entry of a loss; ``rejected`` are rows of :func:`rejecting` on ``tensors``."""
    rejections: Mapping[str, Rejection] = rejecting(
        name, *changes.pop("rejected", ()), **changes.pop("tensors", PAIR)
    )
    return functional(name, calls, reference, **{"rejections": rejections, **changes})


def _pointwise(
    name: str,
    calls: Calls,
    loss: Callable[..., Any],
    size: Callable[..., Any] | None = None,
    **changes: Any,
) -> Operator:
    """A loss of each element, with the size of its parts where they cancel."""
    magnitude = partial(losses.pointwise, size) if size else None
    reference = partial(losses.pointwise, loss)
    return loss_entry(name, calls, reference, magnitude=magnitude, **changes)


BAD_SHAPES = ("shapes", "x, y", "x, y[:, :2]", "RuntimeError", "must match the size")
_UNAVERAGED: Any = {"reduction": ("none", "sum")}
_DELTAS: Any = {
    "options": {"delta": (0.5, 2.0, 1.0)}, "smooth_options": {"delta": (1.0, 2.0)}
}  # fmt: skip
_WEIGHT = (
    "weight-shape", "x, y, weight=x", "x, y, weight=x[0]", "ValueError",
    "Weights and input must have the same size",
)  # fmt: skip

_DISTANCES = (
    _pointwise(
        "mse_loss", elementwise(ANY, ANY), losses.squared_error,
        rejected=(bad_reduction(), BAD_SHAPES, _WEIGHT),
    ),
    _pointwise(
        "mse_loss", elementwise(ANY, ANY, always=_UNAVERAGED, weights={"weight": same_shape}),
        losses.squared_error, variant="weighted",
    ),
    _pointwise(
        "l1_loss", elementwise(BETWEEN, WHOLE), losses.absolute_error,
        rejected=(bad_reduction(), BAD_SHAPES, _WEIGHT),
    ),
    _pointwise(
        "l1_loss", elementwise(BETWEEN, WHOLE, always=_UNAVERAGED, weights={"weight": same_shape}),
        losses.absolute_error, variant="weighted",
    ),
    _pointwise(
        "smooth_l1_loss",
        elementwise(BETWEEN, WHOLE, options={"beta": (0.5, 2.0, 0.0, 1.0)},
                    smooth_options={"beta": (1.0, 2.0, 0.0)}),
        losses.smooth_absolute_error,
        rejected=(
            bad_reduction(), BAD_SHAPES,
            ("negative", "x, y, beta=0.5", "x, y, beta=-0.5", "RuntimeError",
             "does not support negative values for beta"),
        ),
    ),
    _pointwise(
        "huber_loss",
        elementwise(BETWEEN, WHOLE, **_DELTAS), losses.huber_error,
        rejected=(
            bad_reduction(), BAD_SHAPES, _WEIGHT,
            ("zero", "x, y, delta=0.5", "x, y, delta=0.0", "RuntimeError",
             "does not support non-positive values for delta"),
            ("negative", "x, y, delta=0.5", "x, y, delta=-0.5", "RuntimeError",
             "does not support non-positive values for delta"),
        ),
    ),
    _pointwise(
        "huber_loss",
        elementwise(BETWEEN, WHOLE, **_DELTAS, always=_UNAVERAGED, weights={"weight": same_shape}),
        losses.huber_error, variant="weighted",
    ),
)  # fmt: skip

_SIGMOIDS = "x.sigmoid(), y.sigmoid()"

_PROBABILITIES = (
    *in_double(_pointwise(
        "binary_cross_entropy",
        elementwise(PROBABILITIES, PROBABILITIES, weights={"weight": broadcast}),
        losses.binary_entropy, constants=(2,), derivative_ulps=64, slope=1,
        rejected=(
            bad_reduction(_SIGMOIDS),
            ("above", _SIGMOIDS, "x.sigmoid() + 1.5, y.sigmoid()", "RuntimeError",
             "all elements of input should be between 0 and 1"),
            ("below", _SIGMOIDS, "x.sigmoid() - 1.5, y.sigmoid()", "RuntimeError",
             "all elements of input should be between 0 and 1"),
            ("shapes", _SIGMOIDS, "x.sigmoid(), y[0].sigmoid()", "ValueError",
             "Please ensure they have the same size"),
            ("weight-shape", f"{_SIGMOIDS}, weight=x[0]", f"{_SIGMOIDS}, weight=x[0, :2]",
             "RuntimeError", "broadcast|must match the size"),
        ),
    ), derivative_ulps=2.0**15),  # its denominators are not below 1e-12, or are raised by it
    _pointwise(
        "binary_cross_entropy_with_logits",
        elementwise(LOGITS, PROBABILITIES, weights={"weight": broadcast, "pos_weight": broadcast}),
        losses.binary_entropy_of_logits, losses.binary_entropy_of_logits_size,
        constants=(2, 3), derivative_ulps=64, slope=1,
        rejected=(
            bad_reduction(),
            ("shapes", "x, y", "x, y[0]", "ValueError", "must be the same as input size"),
            ("pos-weight-shape", "x, y, pos_weight=x[0]", "x, y, pos_weight=x[0, :2]",
             "RuntimeError", "must match the size"),
        ),
    ),
    _pointwise(
        "kl_div", elementwise(ANY, POSITIVE, options={"reduction": (
            "none", "mean", "sum", "batchmean")}),
        losses.divergence, losses.divergence_size, derivative_ulps=64, slope=2,
        rejected=(bad_reduction(), BAD_SHAPES),
    ),
    _pointwise(
        "kl_div",
        elementwise(ANY, ANY, options={"reduction": ("none", "mean", "sum", "batchmean")},
                    always={"log_target": (True,)}),
        losses.divergence, losses.divergence_size, variant="log", derivative_ulps=256, slope=2,
    ),
    _pointwise(
        "poisson_nll_loss",
        elementwise(ANY, COUNTS, options={"full": (True,), "eps": (0.5,)}),
        losses.poisson_error, losses.poisson_error_size, derivative_ulps=64, slope=4,
        rejected=(bad_reduction(), BAD_SHAPES),
    ),
    _pointwise(
        "poisson_nll_loss",
        elementwise(POSITIVE, COUNTS, options={"full": (True,), "eps": (0.5,)},
                    always={"log_input": (False,)}),
        losses.poisson_error, losses.poisson_error_size, variant="rates",
        derivative_ulps=64, slope=4,
    ),
    _pointwise(
        "gaussian_nll_loss", gaussian_calls, losses.gaussian_error, losses.gaussian_error_size,
        derivative_ulps=64, slope=4,
        excused={"meta": NO_META, "vmap": "torch looks for negative variances, value by value"},
        rejected=(
            bad_reduction("x, y, y * y", "average is not valid"),
            ("negative", "x, y, y * y", "x, y, -1 - y * y", "ValueError",
             "var has negative entry/entries"),
            ("negative-number", "x, y, 1.0", "x, y, -1.0", "ValueError",
             "var has negative entry/entries"),
            ("variance-shape", "x, y, y[:, 0] ** 2", "x, y, y[0] ** 2", "ValueError",
             "var is of incorrect size"),
        ),
    ),
)  # fmt: skip

_SIGNED = (
    _pointwise(
        "hinge_embedding_loss", elementwise(ANY, SIGNS, options={"margin": (0.5, 2.0, 0.0)},
                                            smooth_options={"margin": (2.0, 0.0)}),
        losses.hinge_of_label, losses.hinge_of_label_size, constants=(1,),
        rejected=(bad_reduction(), BAD_SHAPES),
    ),
    _pointwise(
        "soft_margin_loss", elementwise(NEAR, SIGNS),
        losses.soft_margin_error, losses.soft_margin_error_size, constants=(1,),
        derivative_ulps=256, rejected=(bad_reduction(), BAD_SHAPES),
    ),
    _pointwise(
        "margin_ranking_loss",
        elementwise(BETWEEN, WHOLE, SIGNS, options={"margin": (0.5, 2.0, -1.0)},
                    smooth_options={"margin": (2.0, -1.0)}, shape=at_most_row),
        losses.ranking_error, losses.ranking_error_size, constants=(2,),
        tensors={**PAIR, "z": (torch.float32, (2, 3))},
        rejected=(
            bad_reduction("x[0], y[0], z[0]"),
            ("ranks", "x[0], y[0], z[0]", "x[0], y[0], z[0, 0]", "RuntimeError",
             "All input tensors should have same dimension"),
        ),
    ),
)  # fmt: skip

_TRIPLE = dict.fromkeys(("a", "p", "n"), (torch.float32, (2, 3)))


def _triplet(name: str, calls: Calls, **changes: Any) -> Operator:
    return _pointwise(
        name, calls, losses.triplet_error, losses.triplet_error_size,
        tensors=_TRIPLE, derivative_ulps=64, slope=1, **changes,
    )  # fmt: skip


_VECTORS = (
    *in_double(_pointwise(
        "cosine_embedding_loss", cosine_calls, losses.cosine_error, losses.cosine_error_size,
        analytic=partial(losses.pointwise, losses.cosine_error_raised),
        constants=(2,), derivative_ulps=64, slope=1,
        tensors={**PAIR, "z": (torch.float32, (2,))},
        rejected=(
            bad_reduction("x, y, z"),
            ("target-rank", "x, y, z", "x, y, z[:, None]", "RuntimeError",
             "0D or 1D target tensor expected, multi-target not supported"),
            ("no-batch", "x[0], y[0], z[0]", "x, y, z[0]", "RuntimeError",
             "0D target tensor expects 1D input tensors"),
        ),
    ), ulps=2.0**14, derivative_ulps=2.0**16),  # squares of lengths are raised by 1e-12
    _triplet(
        "triplet_margin_loss", triplet_calls({"p": (1, 2), "eps": (2.0**-6,)}),
        rejected=(
            bad_reduction("a, p, n"),
            ("margin", "a, p, n, margin=0.5", "a, p, n, margin=0.0", "ValueError",
             "margin must be greater than 0"),
            ("ranks", "a, p, n", "a, p, n[0]", "RuntimeError", "same number of dimensions"),
        ),
    ),
    _triplet(
        "triplet_margin_with_distance_loss", triplet_calls({}),
        rejected=(
            bad_reduction("a, p, n"),
            ("margin", "a, p, n, margin=0.5", "a, p, n, margin=-0.5", "ValueError",
             "margin must be greater than 0"),
            ("ranks", "a, p, n", "a, p, n[0]", "RuntimeError", "same number of dimensions"),
        ),
    ),
)  # fmt: skip

OPERATORS = (*_DISTANCES, *_PROBABILITIES, *_SIGNED, *_VECTORS)
