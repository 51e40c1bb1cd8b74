"""Losses at their limits: logits that saturate, logarithms and variances that are clamped, margins.

And what the losses of vectors, of weights and of alignments promise beside their values.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators import judge
from conformance.operators.losses_arguments import (
    LOGITS,
    SIGNS,
    TRUTHS,
    alignment_problems,
    elementwise,
    row_shape,
)
from conformance.reference import alignments, class_losses, derivatives
from strategies import tensors
from strategies.dtypes import FAMILIES


def loss_page(case):
    return f"torch.{case[0]}"


def saturated_binary(x, y):
    return 1 / (1 + np.exp(-x)) - y


def saturated_labels(x, y):
    return saturated_binary(x, y) / x.shape[1]


def saturated_soft(x, y):
    return -y / (1 + np.exp(y * x))


def saturated_entropy(x, y):
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return y.sum(axis=1, keepdims=True) * raised / raised.sum(axis=1, keepdims=True) - y


SATURATED = {
    "binary_cross_entropy_with_logits": (
        "nn.functional.binary_cross_entropy_with_logits",
        saturated_binary,
    ),
    "multilabel_soft_margin_loss": ("nn.functional.multilabel_soft_margin_loss", saturated_labels),
    "cross_entropy": ("nn.functional.cross_entropy", saturated_entropy),
    "soft_margin_loss": ("nn.functional.soft_margin_loss", saturated_soft),
}


def saturated_calls(case):
    labels = SIGNS if case[1] is saturated_soft else TRUTHS
    calls = elementwise(LOGITS, labels, shape=row_shape)
    return st.sampled_from(FAMILIES["split"]).flatmap(lambda dtype: calls(dtype, "dyadic"))


@law("losses.saturated", docs=loss_page, over=SATURATED)
@given(call=saturated_calls)
def test_saturated(target, case, call):
    """The gradient to logits is that of the loss however large they are, and so are the losses.

    No exponential overflows on the way to a number that does not.
    """
    function, derivative = case
    x, y = (tensor.nan_to_num(1000.0) for tensor in call.arguments)
    leaf = x.requires_grad_()
    loss = target.run(function, leaf, y, reduction="sum")
    compare.every(np.isfinite(compare.to_numpy(loss)), loss, "a finite loss")
    (gradient,) = torch.autograd.grad(loss, leaf)
    with np.errstate(over="ignore"):
        expected = derivative(judge.wide(x), judge.wide(y))
    bound = 16 * torch.finfo(x.dtype).eps * max(1, x.shape[1])
    compare.close(gradient, expected, bound=bound, dtype=x.dtype, what="gradient to logits")


@law("losses.certain", docs="torch.nn.BCELoss")
@given(
    call=st.sampled_from(FAMILIES["split"]).flatmap(
        lambda dtype: elementwise(TRUTHS, TRUTHS)(dtype, "dyadic")
    )
)
def test_certain(target, call):
    """Of probabilities 0 and 1, binary_cross_entropy is 0 or 100, and its gradient finite.

    Logarithms are clamped to -100, "to have a finite loss value and a linear backward method".
    """
    x, y = call.arguments
    leaf = x.detach().clone().requires_grad_()
    loss = target.run("nn.functional.binary_cross_entropy", leaf, y, reduction="none")
    wrong = judge.wide(x) != judge.wide(y)
    compare.close(loss, np.where(wrong, 100.0, 0.0), bound=0, dtype=x.dtype, what="loss")
    (gradient,) = torch.autograd.grad(loss.sum(), leaf)
    compare.every(np.isfinite(compare.to_numpy(gradient)), gradient, "finite")


@law("losses.clamped-variance", docs="torch.nn.GaussianNLLLoss")
@given(
    x=tensors(dtype=torch.float64, shape=(2, 3)),
    y=tensors(dtype=torch.float64, shape=(2, 3)),
    small=tensors(dtype=torch.float64, shape=(2, 3), values="probability"),
)
def test_clamped_variance(target, x, y, small):
    """A variance below eps counts as eps, and its gradient is the one at eps, unaffected.

    "The clamping of var is ignored with respect to autograd, and so the gradients are unaffected
    by it."
    """
    variance = (small / 4).requires_grad_()
    loss = target.run("nn.functional.gaussian_nll_loss", x, y, variance, eps=0.25, reduction="sum")
    squares = (judge.wide(x) - judge.wide(y)) ** 2
    expected = np.array((np.log(0.25) + squares / 0.25).sum() / 2)
    bound = 64 * torch.finfo(torch.float64).eps * (1 + squares.sum())
    compare.close(loss, expected, bound=bound, dtype=torch.float64, what="loss")
    loss.backward()
    slopes = (1 / 0.25 - squares / 0.25**2) / 2
    compare.close(
        variance.grad, slopes, bound=bound, dtype=torch.float64, what="gradient to the variance"
    )


@law(
    "losses.number-as-variance",
    docs="torch.nn.GaussianNLLLoss",
    over={"float": 1.0, "integer": 1},
)
@given(x=tensors(dtype=torch.float64))
def test_number_as_variance(target, case, x):
    """The variance of the Gaussian loss may be a number: "or a scalar value"."""
    loss = target.run(
        "nn.functional.gaussian_nll_loss", x, torch.zeros_like(x), case, reduction="none"
    )
    compare.close(loss, judge.wide(x) ** 2 / 2, bound=0, dtype=torch.float64, what="loss")


def ranked(x):
    return x, x - 8, torch.ones_like(x)


def dissimilar(x):
    return x.abs() + 8, -torch.ones_like(x)


def opposed(x):
    rows = x[:, None] + 8
    return rows, -rows, -torch.ones_like(x)


def told_apart(x):
    return x, x, x + 8


def told_apart_in_rows(x):
    return tuple(part[:, None] for part in told_apart(x))


def first_of_two(x):
    classes = torch.zeros(x.shape, dtype=torch.int64, device=x.device)
    return torch.stack((x + 8, x), dim=1), classes


def labelled_first(x):
    rows, classes = first_of_two(x)
    return rows, torch.stack((classes, classes - 1), dim=1)


SATISFIED = {
    "margin_ranking_loss": ("nn.functional.margin_ranking_loss", ranked),
    "hinge_embedding_loss": ("nn.functional.hinge_embedding_loss", dissimilar),
    "cosine_embedding_loss": ("nn.functional.cosine_embedding_loss", opposed),
    "triplet_margin_loss": ("nn.functional.triplet_margin_loss", told_apart_in_rows),
    "triplet_margin_with_distance_loss": (
        "nn.functional.triplet_margin_with_distance_loss",
        told_apart_in_rows,
    ),
    "multi_margin_loss": ("nn.functional.multi_margin_loss", first_of_two),
    "multilabel_margin_loss": ("nn.functional.multilabel_margin_loss", labelled_first),
}


@law("losses.satisfied", docs=loss_page, over=SATISFIED)
@given(
    x=tensors(dtype=st.sampled_from(FAMILIES["split"]), shape=st.sampled_from([(3,), (1,), (5,)]))
)
def test_satisfied(target, case, x):
    """Where the margin is kept, the loss is 0 and so is every gradient."""
    function, operands_of = case
    operands = [part.detach().clone() for part in operands_of(x)]
    count = {ranked: 2, opposed: 2, told_apart_in_rows: 3}.get(operands_of, 1)
    leaves = [part.requires_grad_() for part in operands[:count]]
    loss = target.run(function, *operands, reduction="none")
    compare.close(loss, np.zeros(len(x)), bound=0, dtype=x.dtype, what="loss")
    for number, gradient in enumerate(torch.autograd.grad(loss.sum(), leaves)):
        zeros = np.zeros(tuple(gradient.shape))
        compare.close(gradient, zeros, bound=0, dtype=x.dtype, what=f"gradient to leaf {number}")


@law("losses.distance-function", docs="torch.nn.TripletMarginWithDistanceLoss")
@given(
    vectors=st.tuples(*(tensors(dtype=torch.float64, shape=(3, 2)) for _ in range(3))),
    swap=st.booleans(),
)
def test_distance_function(target, vectors, swap):
    """The loss of triplets asks any distance of anchor and positive, then of both and negative.

    In this order of pairs and within them: of positive and negative only to swap.
    """
    asked = []

    def weighted(one, other):
        asked.append((one, other))
        return ((one - 2 * other) ** 2).sum(dim=1)

    anchor, positive, negative = vectors
    words = {"distance_function": weighted, "swap": swap, "margin": 4.0, "reduction": "none"}
    loss = target.run("nn.functional.triplet_margin_with_distance_loss", *vectors, **words)
    pairs = [(anchor, positive), (anchor, negative), *([(positive, negative)] if swap else [])]
    compare.fact(len(asked), len(pairs), "number of distances")
    for pair, expected in zip(asked, pairs, strict=True):
        for one, other in zip(pair, expected, strict=True):
            compare.equal(one, compare.to_numpy(other), dtype=torch.float64, what="asked of")
    a, p, n = (judge.wide(vector) for vector in vectors)
    near, far = ((a - 2 * p) ** 2).sum(1), ((a - 2 * n) ** 2).sum(1)
    far = np.minimum(far, ((p - 2 * n) ** 2).sum(1)) if swap else far
    expected = np.maximum(near - far + 4, 0)
    compare.close(loss, expected, bound=0, dtype=torch.float64, what="loss")


AVERAGED = {
    "mse_loss": ("nn.functional.mse_loss",),
    "l1_loss": ("nn.functional.l1_loss",),
    "huber_loss": ("nn.functional.huber_loss",),
}


@law("losses.weighted-mean", docs=loss_page, over=AVERAGED)
@given(
    x=tensors(dtype=torch.float64, shape=(4,)),
    weight=tensors(dtype=torch.float64, shape=(4,), values="positive"),
)
def test_weighted_mean(target, case, x, weight):
    """The mean of weighed losses is their sum over their number: "the mean of the output is taken".

    Where a mean divides by the weights' sum, as that of nll_loss, its documentation says so.
    """
    (function,) = case
    y = torch.zeros_like(x)
    losses = judge.wide(target.run(function, x, y, weight=weight, reduction="none"))
    mean = target.run(function, x, y, weight=weight, reduction="mean")
    bound = 8 * torch.finfo(torch.float64).eps * losses.sum()
    compare.close(mean, losses.mean(), bound=bound, dtype=torch.float64, what="mean")


def in_numpy(parts):
    return [part if isinstance(part, tuple) else compare.to_numpy(part) for part in parts]


def aligned(logits, call):
    """The loss of a call on logits, in NumPy."""
    logs = class_losses.log_softmax_of_rows(logits)
    return alignments.alignment_loss(logs, *in_numpy(call.arguments[1:]), **call.keywords)


@law("losses.alignment-gradient", docs="torch.nn.CTCLoss")
@given(call=alignment_problems)
def test_alignment_gradient(target, call):
    """The gradient of the CTC loss through a log_softmax is exact, and 0 where zero_infinity acts.

    "Whether to zero infinite losses and the associated gradients."
    """
    logits, *rest = call.arguments
    leaf = logits.detach().requires_grad_()
    logs = torch.log_softmax(leaf, -1)
    loss = target.run("nn.functional.ctc_loss", logs, *rest, **call.keywords)
    (gradient,) = torch.autograd.grad(loss, leaf, torch.ones_like(loss))
    (jacobian,) = derivatives.jacobian(lambda z: aligned(z, call), [judge.wide(logits)])
    expected = jacobian.reshape(-1, *logits.shape).sum(axis=0)
    bound = 256 * torch.finfo(logits.dtype).eps
    compare.close(gradient, expected, bound=bound, dtype=logits.dtype, what="gradient to logits")


@law("losses.alignment-derivative", docs="torch.nn.CTCLoss")
@given(call=alignment_problems)
def test_alignment_derivative(target, call):
    """The gradient of the CTC loss to log-probabilities is its derivative by each of them.

    "A loss value which is differentiable with respect to each input node."
    """
    logits, *rest = call.arguments
    logs = torch.log_softmax(logits, -1).detach().requires_grad_()
    loss = target.run("nn.functional.ctc_loss", logs, *rest, **call.keywords)
    (gradient,) = torch.autograd.grad(loss, logs, torch.ones_like(loss))
    others = in_numpy(rest)
    (jacobian,) = derivatives.jacobian(
        lambda z: alignments.alignment_loss(z, *others, **call.keywords), [judge.wide(logs)]
    )
    expected = jacobian.reshape(-1, *logits.shape).sum(axis=0)
    bound = 256 * torch.finfo(logits.dtype).eps
    compare.close(gradient, expected, bound=bound, dtype=logits.dtype, what="gradient")
