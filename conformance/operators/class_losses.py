"""Losses of classes and labels, given by index or probability, and of alignments."""

from __future__ import annotations

from dataclasses import replace

import torch

from conformance.operators.losses import BAD_SHAPES, NO_META, PAIR, bad_reduction, loss_entry
from conformance.operators.losses_arguments import (
    ANY,
    LOGITS,
    TRUTHS,
    alignment_calls,
    class_calls,
    distribution_calls,
    elementwise,
    labels_calls,
    margin_calls,
    of_classes,
    row_shape,
)
from conformance.reference import alignments, class_losses

_CLASSES = {"x": (torch.float32, (2, 3)), "y": (torch.int64, (2,))}
_LABELS = {"x": (torch.float32, (2, 3)), "y": (torch.int64, (2, 3))}
ONCE = {
    "jvp": "torch has no forward mode of it",
    "second-derivative": "torch does not differentiate it twice",
}
WITHOUT_META = {"meta": NO_META}


_OUT_OF_RANGE = ("class", "x, y + 2", "x, y + 3", "IndexError", "Target 3 is out of bounds")
_BATCHES = (
    "batch", "x, y", "x, y[:1]", "ValueError", "batch_size .2. to match target batch_size .1.",
)  # fmt: skip
_CLASS_WEIGHT = (
    "weight-shape", "x, y, weight=x[0]", "x, y, weight=x[0, :2]", "RuntimeError",
    "weight tensor should be defined either for all 3 classes or no classes",
)  # fmt: skip

_LIKELIHOOD = loss_entry(
    "nll_loss", class_calls(ANY, ranks=(1, 2, 3, 5)), class_losses.likelihood_loss,
    magnitude=class_losses.likelihood_loss_size, constants=(1,), tensors=_CLASSES,
    rejected=(bad_reduction(), _OUT_OF_RANGE, _BATCHES, _CLASS_WEIGHT),
)  # fmt: skip

_ENTROPY = loss_entry(
    "cross_entropy", class_calls(LOGITS),
    class_losses.entropy_loss, magnitude=class_losses.entropy_loss_size, constants=(1,),
    analytic=class_losses.entropy_loss_raised, derivative_ulps=64, slope=1, tensors=_CLASSES,
    rejected=(
        bad_reduction(), _OUT_OF_RANGE, _BATCHES, _CLASS_WEIGHT,
        ("smoothing-above", "x, y, label_smoothing=1.0", "x, y, label_smoothing=1.5",
         "RuntimeError", "label_smoothing must be between 0.0 and 1.0"),
        ("smoothing-below", "x, y, label_smoothing=0.0", "x, y, label_smoothing=-0.5",
         "RuntimeError", "label_smoothing must be between 0.0 and 1.0"),
    ),
)  # fmt: skip

_CLASSIFIED = (
    _LIKELIHOOD,
    replace(_LIKELIHOOD, variant="images", calls=class_calls(ANY, ranks=(4,)), rejections={}),
    _ENTROPY,
    replace(
        _ENTROPY, variant="smoothed", rejections={},
        calls=class_calls(LOGITS, always={"label_smoothing": (0.25, 1.0)}),
    ),
    loss_entry(
        "cross_entropy", distribution_calls(LOGITS, {"label_smoothing": (0.25, 1.0)}),
        class_losses.entropy_loss, variant="probabilities",
        magnitude=class_losses.entropy_loss_size, analytic=class_losses.entropy_loss_raised,
        derivative_ulps=64, slope=1, tensors={**PAIR, "z": (torch.int64, (2, 3))},
        rejected=(
            ("integers", "x, z.to(x.dtype)", "x, z", "RuntimeError",
             "Expected floating point type for target with class probabilities"),
        ),
    ),
    loss_entry(
        "multi_margin_loss", margin_calls, class_losses.margin_loss, dtypes=("split",),
        magnitude=class_losses.margin_loss_size, constants=(1,), tensors=_CLASSES,
        excused={**WITHOUT_META, **ONCE},
        rejected=(
            bad_reduction(),
            ("p", "x, y, p=2", "x, y, p=3", "ValueError", "only p == 1 and p == 2 supported"),
            ("class", "x, y + 2", "x, y + 3", "RuntimeError", "target out of range"),
            ("batch", "x, y", "x, y[:1]", "RuntimeError", "inconsistent target size|target tensor"),
            ("weight-rank", "x, y, weight=x[0]", "x, y, weight=x[:1]", "ValueError",
             "weight must be one-dimensional"),
            ("weight-shape", "x, y, weight=x[0]", "x, y, weight=x[0, :2]", "RuntimeError",
             "inconsistent weight size"),
        ),
    ),
    loss_entry(
        "multilabel_margin_loss", labels_calls, class_losses.labels_margin_loss,
        dtypes=("split",), magnitude=class_losses.labels_margin_loss_size, tensors=_LABELS,
        excused={**WITHOUT_META, **ONCE},
        rejected=(
            bad_reduction(),
            ("class", "x, y + 2", "x, y + 3", "RuntimeError", "target.* out of range"),
            ("shapes", "x, y", "x, y[:, :2]", "RuntimeError", "inconsistent target size"),
        ),
    ),
    loss_entry(
        "multilabel_soft_margin_loss",
        elementwise(LOGITS, TRUTHS, weights={"weight": of_classes}, shape=row_shape),
        class_losses.labels_entropy_loss, magnitude=class_losses.labels_entropy_loss_size,
        constants=(1, 2), derivative_ulps=256,
        rejected=(bad_reduction(error="average is not valid"), BAD_SHAPES),
    ),
)  # fmt: skip

_ALIGNED = {"x": (torch.float32, (4, 2, 3)), "y": (torch.int64, (2, 2))}
_LOGS = "x.log_softmax(-1), y + 1"

_ALIGNED_ROWS = (
    loss_entry(
        "ctc_loss", alignment_calls(joined=False), alignments.alignment_loss, dtypes=("split",),
        magnitude=alignments.alignment_loss_size, analytic=None, tensors=_ALIGNED,
        excused={
            **WITHOUT_META,
            "constant": "it is differentiable; see the chapter on losses",
            "vmap": "lengths are read value by value",
        },
        rejected=(
            bad_reduction(f"{_LOGS}, (4, 4), (2, 2)"),
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

OPERATORS = (*_CLASSIFIED, *_ALIGNMENTS)
