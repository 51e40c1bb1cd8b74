"""Losses: of elements, of labels and classes, of vectors, of alignments; weighed and reduced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from conformance.operators.losses_arguments import (
    ANY,
    BETWEEN,
    LOGITS,
    NEAR,
    POSITIVE,
    PROBABILITIES,
    SIGNS,
    TRUTHS,
    WHOLE,
    alignment_calls,
    at_most_row,
    broadcast,
    class_calls,
    cosine_calls,
    distribution_calls,
    elementwise,
    gaussian_calls,
    labels_calls,
    margin_calls,
    of_classes,
    row_shape,
    same_shape,
    triplet_calls,
)
from conformance.operators.operator import Calls, Operator, Reference, Rejection
from conformance.operators.special import in_double
from conformance.reference import alignments, class_losses, losses

_F = "torch.nn.functional."
_PAIR = {"x": (torch.float32, (2, 3)), "y": (torch.float32, (2, 3))}
_CLASSES = {"x": (torch.float32, (2, 3)), "y": (torch.int64, (2,))}
_LABELS = {"x": (torch.float32, (2, 3)), "y": (torch.int64, (2, 3))}

NO_META = "torch has no implementation for the meta device, or one that reads the values"
ONCE = {
    "jvp": "torch has no forward mode of it",
    "second-derivative": "torch does not differentiate it twice",
}
WITHOUT_META = {"meta": NO_META}


def rejecting(name: str, *cases: tuple[str, str, str, str, str], **tensors: Any) -> dict[str, Any]:
    """Return rejections from rows of what is wrong, legal and illegal arguments, error, message."""
    return {
        what: Rejection(f"{_F}{name}({legal})", f"{_F}{name}({illegal})", error, message, tensors)
        for what, legal, illegal, error, message in cases
    }


def _reduction(operands: str = "x, y", error: str = "is not a valid value for reduction") -> Any:
    return (
        "reduction",
        f"{operands}, reduction='sum'",
        f"{operands}, reduction='average'",
        "ValueError",
        error,
    )


def _loss(name: str, calls: Calls, reference: Reference, **changes: Any) -> Operator:
    rejections: Mapping[str, Rejection] = rejecting(
        name, *changes.pop("rejected", ()), **changes.pop("tensors", _PAIR)
    )
    given: dict[str, Any] = {
        "name": f"nn.functional.{name}",
        "calls": calls,
        "reference": reference,
        "analytic": reference,
        "kind": "dyadic",
        "ulps": 8,
        "derivative_ulps": 64,
        "rejections": rejections,
    }
    return Operator(**{**given, **changes})


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
    return _loss(name, calls, reference, magnitude=magnitude, **changes)


_SHAPES = ("shapes", "x, y", "x, y[:, :2]", "RuntimeError", "must match the size")
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
        rejected=(_reduction(), _SHAPES, _WEIGHT),
    ),
    _pointwise(
        "mse_loss", elementwise(ANY, ANY, always=_UNAVERAGED, weights={"weight": same_shape}),
        losses.squared_error, variant="weighted",
    ),
    _pointwise(
        "l1_loss", elementwise(BETWEEN, WHOLE), losses.absolute_error,
        rejected=(_reduction(), _SHAPES, _WEIGHT),
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
            _reduction(), _SHAPES,
            ("negative", "x, y, beta=0.5", "x, y, beta=-0.5", "RuntimeError",
             "does not support negative values for beta"),
        ),
    ),
    _pointwise(
        "huber_loss",
        elementwise(BETWEEN, WHOLE, **_DELTAS), losses.huber_error,
        rejected=(
            _reduction(), _SHAPES, _WEIGHT,
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
            _reduction(_SIGMOIDS),
            ("above", _SIGMOIDS, "x.sigmoid() + 1.5, y.sigmoid()", "RuntimeError",
             "all elements of input should be between 0 and 1"),
            ("below", _SIGMOIDS, "x.sigmoid() - 1.5, y.sigmoid()", "RuntimeError",
             "all elements of input should be between 0 and 1"),
            ("shapes", _SIGMOIDS, "x.sigmoid(), y[0].sigmoid()", "ValueError",
             "Please ensure they have the same size"),
            ("weight-shape", f"{_SIGMOIDS}, weight=x[0]", f"{_SIGMOIDS}, weight=x[0, :2]",
             "RuntimeError", "broadcast"),
        ),
    ), derivative_ulps=2.0**15),  # its denominators are not below 1e-12, or are raised by it
    _pointwise(
        "binary_cross_entropy_with_logits",
        elementwise(LOGITS, PROBABILITIES, weights={"weight": broadcast, "pos_weight": broadcast}),
        losses.binary_entropy_of_logits, losses.binary_entropy_of_logits_size,
        constants=(2, 3), derivative_ulps=256,
        rejected=(
            _reduction(),
            ("shapes", "x, y", "x, y[0]", "ValueError", "must be the same as input size"),
            ("pos-weight-shape", "x, y, pos_weight=x[0]", "x, y, pos_weight=x[0, :2]",
             "RuntimeError", "must match the size"),
        ),
    ),
    _pointwise(
        "kl_div", elementwise(ANY, POSITIVE, options={"reduction": (
            "none", "mean", "sum", "batchmean")}),
        losses.divergence, losses.divergence_size, derivative_ulps=64, slope=2,
        rejected=(_reduction(), _SHAPES),
    ),
    _pointwise(
        "kl_div",
        elementwise(ANY, ANY, options={"reduction": ("none", "mean", "sum", "batchmean")},
                    always={"log_target": (True,)}),
        losses.divergence, losses.divergence_size, variant="log", derivative_ulps=256, slope=2,
    ),
    _pointwise(
        "poisson_nll_loss",
        elementwise(ANY, POSITIVE, options={"full": (True,), "eps": (0.5,)}),
        losses.poisson_error, losses.poisson_error_size, derivative_ulps=256,
        rejected=(_reduction(), _SHAPES),
    ),
    _pointwise(
        "poisson_nll_loss",
        elementwise(POSITIVE, POSITIVE, options={"full": (True,), "eps": (0.5,)},
                    always={"log_input": (False,)}),
        losses.poisson_error, losses.poisson_error_size, variant="rates", derivative_ulps=256,
    ),
    _pointwise(
        "gaussian_nll_loss", gaussian_calls, losses.gaussian_error, losses.gaussian_error_size,
        derivative_ulps=256,
        excused={"meta": NO_META, "vmap": "torch looks for negative variances, value by value"},
        rejected=(
            _reduction("x, y, y * y", "average is not valid"),
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
        rejected=(_reduction(), _SHAPES),
    ),
    _pointwise(
        "soft_margin_loss", elementwise(NEAR, SIGNS),
        losses.soft_margin_error, losses.soft_margin_error_size, constants=(1,),
        derivative_ulps=256, rejected=(_reduction(), _SHAPES),
    ),
    _pointwise(
        "margin_ranking_loss",
        elementwise(BETWEEN, WHOLE, SIGNS, options={"margin": (0.5, 2.0, -1.0)},
                    smooth_options={"margin": (2.0, -1.0)}, shape=at_most_row),
        losses.ranking_error, losses.ranking_error_size, constants=(2,),
        tensors={**_PAIR, "z": (torch.float32, (2, 3))},
        rejected=(
            _reduction("x[0], y[0], z[0]"),
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
        tensors={**_PAIR, "z": (torch.float32, (2,))},
        rejected=(
            _reduction("x, y, z"),
            ("target-rank", "x, y, z", "x, y, z[:, None]", "RuntimeError",
             "0D or 1D target tensor expected, multi-target not supported"),
            ("no-batch", "x[0], y[0], z[0]", "x, y, z[0]", "RuntimeError",
             "0D target tensor expects 1D input tensors"),
        ),
    ), ulps=2.0**14, derivative_ulps=2.0**16),  # squares of lengths are raised by 1e-12
    _triplet(
        "triplet_margin_loss", triplet_calls({"p": (1, 2), "eps": (2.0**-6,)}),
        rejected=(
            _reduction("a, p, n"),
            ("margin", "a, p, n, margin=0.5", "a, p, n, margin=0.0", "ValueError",
             "margin must be greater than 0"),
            ("ranks", "a, p, n", "a, p, n[0]", "RuntimeError", "same number of dimensions"),
        ),
    ),
    _triplet(
        "triplet_margin_with_distance_loss", triplet_calls({}),
        rejected=(
            _reduction("a, p, n"),
            ("margin", "a, p, n, margin=0.5", "a, p, n, margin=-0.5", "ValueError",
             "margin must be greater than 0"),
            ("ranks", "a, p, n", "a, p, n[0]", "RuntimeError", "same number of dimensions"),
        ),
    ),
)  # fmt: skip

_OUT_OF_RANGE = ("class", "x, y + 2", "x, y + 3", "IndexError", "Target 3 is out of bounds")
_BATCHES = (
    "batch", "x, y", "x, y[:1]", "ValueError", "batch_size .2. to match target batch_size .1.",
)  # fmt: skip
_CLASS_WEIGHT = (
    "weight-shape", "x, y, weight=x[0]", "x, y, weight=x[0, :2]", "RuntimeError",
    "weight tensor should be defined either for all 3 classes or no classes",
)  # fmt: skip

_LIKELIHOOD = _loss(
    "nll_loss", class_calls(ANY, ranks=(1, 2, 3, 5)), class_losses.likelihood_loss,
    magnitude=class_losses.likelihood_loss_size, constants=(1,), tensors=_CLASSES,
    rejected=(_reduction(), _OUT_OF_RANGE, _BATCHES, _CLASS_WEIGHT),
)  # fmt: skip

_CLASSIFIED = (
    _LIKELIHOOD,
    replace(_LIKELIHOOD, variant="images", calls=class_calls(ANY, ranks=(4,)), rejections={}),
    _loss(
        "cross_entropy", class_calls(LOGITS, {"label_smoothing": (0.25, 1.0, 0.0)}),
        class_losses.entropy_loss, magnitude=class_losses.entropy_loss_size, constants=(1,),
        analytic=class_losses.entropy_loss_raised, derivative_ulps=64, slope=1, tensors=_CLASSES,
        rejected=(
            _reduction(), _OUT_OF_RANGE, _BATCHES, _CLASS_WEIGHT,
            ("smoothing-above", "x, y, label_smoothing=1.0", "x, y, label_smoothing=1.5",
             "RuntimeError", "label_smoothing must be between 0.0 and 1.0"),
            ("smoothing-below", "x, y, label_smoothing=0.0", "x, y, label_smoothing=-0.5",
             "RuntimeError", "label_smoothing must be between 0.0 and 1.0"),
        ),
    ),
    _loss(
        "cross_entropy", distribution_calls(LOGITS, {"label_smoothing": (0.25, 1.0)}),
        class_losses.entropy_loss, variant="probabilities",
        magnitude=class_losses.entropy_loss_size, analytic=class_losses.entropy_loss_raised,
        derivative_ulps=64, slope=1, tensors={**_PAIR, "z": (torch.int64, (2, 3))},
        rejected=(
            ("integers", "x, z.to(x.dtype)", "x, z", "RuntimeError",
             "Expected floating point type for target with class probabilities"),
        ),
    ),
    _loss(
        "multi_margin_loss", margin_calls, class_losses.margin_loss, dtypes=("split",),
        magnitude=class_losses.margin_loss_size, constants=(1,), tensors=_CLASSES,
        excused={**WITHOUT_META, **ONCE},
        rejected=(
            _reduction(),
            ("p", "x, y, p=2", "x, y, p=3", "ValueError", "only p == 1 and p == 2 supported"),
            ("class", "x, y + 2", "x, y + 3", "RuntimeError", "target out of range"),
            ("batch", "x, y", "x, y[:1]", "RuntimeError", "inconsistent target size|target tensor"),
            ("weight-rank", "x, y, weight=x[0]", "x, y, weight=x[:1]", "ValueError",
             "weight must be one-dimensional"),
            ("weight-shape", "x, y, weight=x[0]", "x, y, weight=x[0, :2]", "RuntimeError",
             "inconsistent weight size"),
        ),
    ),
    _loss(
        "multilabel_margin_loss", labels_calls, class_losses.labels_margin_loss,
        dtypes=("split",), magnitude=class_losses.labels_margin_loss_size, tensors=_LABELS,
        excused={**WITHOUT_META, **ONCE},
        rejected=(
            _reduction(),
            ("class", "x, y + 2", "x, y + 3", "RuntimeError", "target.* out of range"),
            ("shapes", "x, y", "x, y[:, :2]", "RuntimeError", "inconsistent target size"),
        ),
    ),
    _loss(
        "multilabel_soft_margin_loss",
        elementwise(LOGITS, TRUTHS, weights={"weight": of_classes}, shape=row_shape),
        class_losses.labels_entropy_loss, magnitude=class_losses.labels_entropy_loss_size,
        constants=(1, 2), derivative_ulps=256,
        rejected=(_reduction(error="average is not valid"), _SHAPES),
    ),
)  # fmt: skip

_ALIGNED = {"x": (torch.float32, (4, 2, 3)), "y": (torch.int64, (2, 2))}
_LOGS = "x.log_softmax(-1), y + 1"

_ALIGNED_ROWS = (
    _loss(
        "ctc_loss", alignment_calls(joined=False), alignments.alignment_loss, dtypes=("split",),
        magnitude=alignments.alignment_loss_size, analytic=None, tensors=_ALIGNED,
        excused={
            **WITHOUT_META,
            "constant": "it is differentiable; see the chapter on losses",
            "vmap": "lengths are read value by value",
        },
        rejected=(
            _reduction(f"{_LOGS}, (4, 4), (2, 2)"),
            ("blank", f"{_LOGS}, (4, 4), (2, 2), blank=0", f"{_LOGS}, (4, 4), (2, 2), blank=3",
             "RuntimeError", "blank must be in label range"),
            ("steps", f"{_LOGS}, (4, 4), (2, 2)", f"{_LOGS}, (5, 4), (2, 2)", "RuntimeError",
             "Expected input_lengths to have value at most 4"),
            ("targets", f"{_LOGS}, (4, 4), (2, 2)", f"{_LOGS}, (4, 4), (2, 3)", "RuntimeError",
             "Expected tensor to have size at least 3"),
            ("lengths", f"{_LOGS}, (4, 4), (2, 2)", f"{_LOGS}, (4,), (2, 2)", "RuntimeError",
             "input_lengths must be of size batch_size"),
            ("target-lengths", f"{_LOGS}, (4, 4), (2, 2)", f"{_LOGS}, (4, 4), (2,)",
             "RuntimeError", "target_lengths must be of size batch_size"),
        ),
    ),
)  # fmt: skip

_ALIGNMENTS = (
    *_ALIGNED_ROWS,
    replace(_ALIGNED_ROWS[0], variant="joined", calls=alignment_calls(joined=True), rejections={}),
)

OPERATORS = (
    *_DISTANCES, *_PROBABILITIES, *_SIGNED, *_VECTORS, *_CLASSIFIED, *_ALIGNMENTS,
)  # fmt: skip
