"""Losses: what entries of the catalogue do not say of them: modules, ends, targets that ignore."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.evidence import tensors_in
from conformance.law import given, law
from conformance.operators import OPERATORS, judge
from conformance.operators.losses_arguments import (
    BETWEEN,
    PROBABILITIES,
    SIGNS,
    WHOLE,
    elementwise,
    ignoring_calls,
    index_calls,
)
from conformance.operators.problems import value_calls
from conformance.reference import class_losses
from strategies import tensors
from strategies.dtypes import FAMILIES

NAMES = {
    "mse_loss": "MSELoss",
    "l1_loss": "L1Loss",
    "smooth_l1_loss": "SmoothL1Loss",
    "huber_loss": "HuberLoss",
    "cross_entropy": "CrossEntropyLoss",
    "cross_entropy-smoothed": "CrossEntropyLoss",
    "cross_entropy-probabilities": "CrossEntropyLoss",
    "nll_loss": "NLLLoss",
    "nll_loss-images": "NLLLoss",
    "binary_cross_entropy": "BCELoss",
    "binary_cross_entropy_with_logits": "BCEWithLogitsLoss",
    "kl_div": "KLDivLoss",
    "kl_div-log": "KLDivLoss",
    "poisson_nll_loss": "PoissonNLLLoss",
    "poisson_nll_loss-rates": "PoissonNLLLoss",
    "gaussian_nll_loss": "GaussianNLLLoss",
    "hinge_embedding_loss": "HingeEmbeddingLoss",
    "soft_margin_loss": "SoftMarginLoss",
    "margin_ranking_loss": "MarginRankingLoss",
    "cosine_embedding_loss": "CosineEmbeddingLoss",
    "triplet_margin_loss": "TripletMarginLoss",
    "triplet_margin_with_distance_loss": "TripletMarginWithDistanceLoss",
    "multi_margin_loss": "MultiMarginLoss",
    "multilabel_margin_loss": "MultiLabelMarginLoss",
    "multilabel_soft_margin_loss": "MultiLabelSoftMarginLoss",
    "ctc_loss": "CTCLoss",
}
MODULES = {key: (OPERATORS[key].name, module, key) for key, module in NAMES.items()}
"""The function and the module of each loss, and the entry that draws calls of both."""


def called_by(case):
    return value_calls(OPERATORS[case[2]])


def module_page(case):
    return f"torch.nn.{case[1]}"


@law("losses.module", docs=module_page, over=MODULES)
@given(call=called_by)
def test_module(target, case, call):
    """A loss module built with some options gives what the function gives with the same ones.

    Weights are options of the module. Left out, both have the same defaults.
    """
    function, module, _ = case
    criterion = getattr(torch.nn, module)(**call.keywords)
    found = target.run(criterion, *call.arguments)
    expected = target.run(function, *call.arguments, **call.keywords)
    compare.equal(found, compare.to_numpy(expected), dtype=expected.dtype)


NEWER = ("huber_loss", "gaussian_nll_loss", "triplet_margin_with_distance_loss", "ctc_loss")
OVERRIDABLE = {key: case for key, case in MODULES.items() if key not in NEWER}
AVERAGES = st.sampled_from(
    [
        *((average, reduce) for average in (False, True, None) for reduce in (False, True)),
        *((average, None) for average in (False, True)),
    ]
)


@law("losses.deprecated-options", docs=module_page, over=OVERRIDABLE)
@given(call=called_by, deprecated=AVERAGES)
def test_deprecated_options(target, case, call, deprecated):
    """size_average and reduce override reduction: none where reduce is False, else sum or mean.

    Each counts as True where only the other one is given; function and module agree.
    """
    function, module, _ = case
    average, reduce = deprecated
    reduction = "none" if reduce is False else "sum" if average is False else "mean"
    given_words = {**call.keywords, "size_average": average, "reduce": reduce}
    expected = target.run(function, *call.arguments, **{**call.keywords, "reduction": reduction})
    values = compare.to_numpy(expected)
    criterion = getattr(torch.nn, module)(**given_words)
    for run in (target.run(function, *call.arguments, **given_words), criterion(*call.arguments)):
        compare.equal(run, values, dtype=expected.dtype, what=f"reduction {reduction}")


WEIGHTED = {
    "cross_entropy": ("CrossEntropyLoss", "weight"),
    "nll_loss": ("NLLLoss", "weight"),
    "binary_cross_entropy": ("BCELoss", "weight"),
    "binary_cross_entropy_with_logits": ("BCEWithLogitsLoss", "weight"),
    "positive": ("BCEWithLogitsLoss", "pos_weight"),
    "multi_margin_loss": ("MultiMarginLoss", "weight"),
    "multilabel_soft_margin_loss": ("MultiLabelSoftMarginLoss", "weight"),
}


def weighted_page(case):
    return f"torch.nn.{case[0]}"


@law("losses.weight-buffers", docs=weighted_page, level="should", over=WEIGHTED)
@given(weight=tensors(dtype=torch.float32, shape=(3,)))
def test_weight_buffers(target, case, weight):
    """The weights of a loss module are buffers: they are saved, and cast with the module."""
    module, name = case
    criterion = getattr(torch.nn, module)(**{name: weight})
    compare.fact(list(criterion.state_dict()), [name], "names in the state")
    compare.fact([n for n, _ in criterion.named_parameters()], [], "parameters")
    values = compare.to_numpy(weight)
    compare.equal(criterion.state_dict()[name], values, dtype=torch.float32, what="weight")
    criterion.to(torch.float64)
    compare.equal(getattr(criterion, name), values, dtype=torch.float64, what="weight once cast")


PARTS_OF = {
    "mse_loss": ("rows", "rows"),
    "l1_loss": ("rows", "rows"),
    "smooth_l1_loss": ("rows", "rows"),
    "huber_loss": ("rows", "rows"),
    "cross_entropy": ("rows", "classes"),
    "nll_loss": ("rows", "classes"),
    "binary_cross_entropy": ("rows", "rows"),
    "binary_cross_entropy_with_logits": ("rows", "rows"),
    "kl_div": ("rows", "rows"),
    "poisson_nll_loss": ("rows", "rows"),
    "gaussian_nll_loss": ("rows", "rows", "rows"),
    "hinge_embedding_loss": ("rows", "rows"),
    "soft_margin_loss": ("rows", "rows"),
    "margin_ranking_loss": ("numbers", "numbers", "numbers"),
    "cosine_embedding_loss": ("rows", "rows", "numbers"),
    "triplet_margin_loss": ("rows", "rows", "rows"),
    "triplet_margin_with_distance_loss": ("rows", "rows", "rows"),
    "multi_margin_loss": ("rows", "classes"),
    "multilabel_margin_loss": ("rows", "labels"),
    "multilabel_soft_margin_loss": ("rows", "rows"),
}
EMPTY = {name: (f"nn.functional.{name}", parts) for name, parts in PARTS_OF.items()}
PARTS = {
    "rows": ((0, 3), None),
    "numbers": ((0,), None),
    "classes": ((0,), torch.int64),
    "labels": ((0, 3), torch.int64),
}


def loss_page(case):
    return f"torch.{case[0]}"


@law("losses.empty", docs=loss_page, level="should", over=EMPTY)
@given(dtype=st.sampled_from(FAMILIES["split"]))
def test_empty(target, case, dtype):
    """The mean over an empty batch is nan, its sum is 0, and the gradients are empty.

    The formulas divide by a length of 0.
    """
    function, parts = case
    operands = [
        torch.zeros(shape, dtype=own or dtype, device=target.device)
        for shape, own in (PARTS[part] for part in parts)
    ]
    operands[0].requires_grad_()
    for reduction, value in (("mean", np.nan), ("sum", 0.0)):
        loss = target.run(function, *operands, reduction=reduction)
        compare.close(loss, np.array(value), bound=0, dtype=dtype, what=reduction)
        (gradient,) = torch.autograd.grad(loss, operands[0])
        compare.fact(tuple(gradient.shape), tuple(operands[0].shape), "shape of the gradient")


IGNORING = {
    "nll_loss": ("nn.functional.nll_loss", {}),
    "cross_entropy": ("nn.functional.cross_entropy", {}),
    "smoothed": ("nn.functional.cross_entropy", {"label_smoothing": 0.25}),
}


@law("losses.ignored", docs=loss_page, over=IGNORING)
@given(call=ignoring_calls)
def test_ignored(target, case, call):
    """A target that is ignored changes neither loss nor mean, and its input's gradient is 0.

    Whatever its input is, the loss is that of the other targets, whose gradients stay the same.
    """
    function, smoothing = case
    x, classes = call.arguments
    words = {**call.keywords, **smoothing}
    ignored = (classes == words.get("ignore_index", -100)).unsqueeze(1).expand(x.shape)
    found = []
    for other in (x, torch.where(ignored, 3 - x, x)):
        leaf = other.clone(memory_format=torch.contiguous_format).requires_grad_()
        loss = target.run(function, leaf, classes, **words)
        (gradient,) = torch.autograd.grad(loss, leaf, torch.ones_like(loss))
        found += [loss, gradient]
    compare.equal(found[2], compare.to_numpy(found[0]), dtype=x.dtype, what="loss")
    compare.close(
        found[3], compare.to_numpy(found[1]), bound=0, dtype=x.dtype, what="gradient to the others"
    )
    zeros = compare.to_numpy(torch.where(ignored, found[1], 0))
    compare.every(zeros == 0, found[1], "0 where the target is ignored")


@law("losses.one-hot", docs="torch.nn.CrossEntropyLoss")
@given(call=index_calls, reduction=st.sampled_from(("none", "sum")))
def test_one_hot(target, call, reduction):
    """The cross entropy of classes is that of the probabilities that are 1 for them, 0 elsewhere.

    Weighed and smoothed alike, unless it is averaged.
    """
    x, classes = call.arguments
    words = {**call.keywords, "reduction": reduction}
    sides = [*x.shape]
    number = torch.arange(sides.pop(1 if x.dim() > 1 else 0), device=x.device)
    places = number.reshape(-1, *[1] * (len(sides) - 1))
    certain = (classes.unsqueeze(1 if x.dim() > 1 else 0) == places).to(x.dtype)
    found = target.run("nn.functional.cross_entropy", x, certain, **words)
    expected = target.run("nn.functional.cross_entropy", x, classes, **words)
    arrays = [judge.wide(tensor) for tensor in tensors_in(call)]
    options = {**words, "weight": arrays[2]} if "weight" in words else words
    size = class_losses.entropy_loss_size(arrays[0], arrays[1], **options)
    bound = 16 * judge.spacing(size, x.dtype)
    wanted = compare.to_numpy(expected)
    compare.close(found, wanted, bound=bound, dtype=x.dtype, what="loss of probabilities")


@law("losses.huber-and-smooth", docs="torch.nn.HuberLoss")
@given(
    call=elementwise(BETWEEN, WHOLE)(torch.float64, "dyadic"),
    delta=st.sampled_from((1.0, 0.5, 2.0, 4.0)),
)
def test_huber_and_smooth(target, call, delta):
    """The Huber loss is delta times the smooth L1 loss with beta = delta."""
    huber = target.run("nn.functional.huber_loss", *call.arguments, delta=delta, reduction="none")
    smooth = target.run(
        "nn.functional.smooth_l1_loss", *call.arguments, beta=delta, reduction="none"
    )
    expected = delta * compare.to_numpy(smooth)
    compare.close(huber, expected, bound=0, dtype=torch.float64, what="Huber loss")


@law("losses.of-logits", docs="torch.nn.BCEWithLogitsLoss")
@given(call=elementwise(SIGNS, PROBABILITIES)(torch.float64, "dyadic"), size=st.integers(0, 8))
def test_of_logits(target, call, size):
    """binary_cross_entropy_with_logits is a sigmoid and binary_cross_entropy in one."""
    x, y = call.arguments
    words = {"reduction": "none"}
    found = target.run("nn.functional.binary_cross_entropy_with_logits", size * x, y, **words)
    expected = target.run("nn.functional.binary_cross_entropy", torch.sigmoid(size * x), y, **words)
    bound = 8 * np.exp(size) * torch.finfo(torch.float64).eps  # of 1 - sigmoid, which cancels
    values = compare.to_numpy(expected)
    compare.close(found, values, bound=bound, dtype=torch.float64, what="loss of logits")


@law("losses.impossible-event", docs="torch.nn.KLDivLoss", level="should")
@given(x=tensors(dtype="floating"), reduction=st.sampled_from(("none", "sum")))
def test_impossible_event(target, x, reduction):
    """An event of probability 0 adds nothing to the Kullback-Leibler divergence: 0 log 0 is 0."""
    found = target.run("nn.functional.kl_div", x, torch.zeros_like(x), reduction=reduction)
    zeros = np.zeros(tuple(x.shape) if reduction == "none" else ())
    compare.close(found, zeros, bound=0, dtype=x.dtype, what="divergence")
