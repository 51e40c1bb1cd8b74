"""Micro-batches: a batch in parts, whose passes add up to the pass of the whole batch."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors

MOST = 8
FEATURES = 2

LOSSES = {
    "mse-sum": ("torch.nn.functional.mse_loss", "sum"),
    "mse-mean": ("torch.nn.functional.mse_loss", "mean"),
    "huber-sum": ("torch.nn.functional.huber_loss", "sum"),
    "huber-mean": ("torch.nn.functional.huber_loss", "mean"),
}


def slopes(name, residuals):
    """The derivative of each sample's loss to its prediction."""
    return 2 * residuals if "mse" in name else np.clip(residuals, -1.0, 1.0)


def ending_in_two(sizes):
    """Sizes of which not all are 0."""
    return [*sizes, 2]


def batches(case):
    """Sizes of micro-batches, of which only those of a sum may be empty."""
    smallest = 0 if case[1] == "sum" else 1
    return st.lists(st.integers(smallest, 3), max_size=2).map(ending_in_two)


@law("accumulation.micro-batches", docs="torch.Tensor.backward", over=LOSSES)
@given(
    data=tensors(dtype=torch.float64, shape=(MOST, FEATURES)),
    goal=tensors(dtype=torch.float64, shape=(MOST,)),
    weights=tensors(dtype=torch.float64, shape=(FEATURES,)),
    sizes=batches,
    one_graph=st.booleans(),
)
def test_micro_batches(target, case, data, goal, weights, sizes, one_graph):
    """Passes over the parts of a batch add up to the gradient of the batch's loss.

    Of a loss that sums over samples as they are; of one that takes the mean, each part's loss is
    weighed with its share of the samples. Whether the parts are computed apart or are parts of
    ``one_graph``.
    """
    name, reduction = case
    count = sum(sizes)
    data, goal = data[:count], goal[:count]
    leaf = weights.clone().requires_grad_()
    whole = data @ leaf
    predictions = whole.split(sizes)
    for number, (part, aim) in enumerate(zip(data.split(sizes), goal.split(sizes), strict=True)):
        prediction = predictions[number] if one_graph else part @ leaf
        loss = target.run(name, prediction, aim, reduction=reduction)
        share = 1.0 if reduction == "sum" else len(aim) / count
        (loss * share).backward(retain_graph=one_graph)
    samples, point = compare.to_numpy(data), compare.to_numpy(weights)
    terms = slopes(name, samples @ point - compare.to_numpy(goal))[:, None] * samples
    terms = terms / (1 if reduction == "sum" else count)
    # Five roundings a term, for the share, the mean's division and the products, and the sums'.
    bound = (count + 8) * np.finfo(np.float64).eps * np.abs(terms).sum(axis=0)
    compare.close(leaf.grad, terms.sum(axis=0), bound=bound, dtype=leaf.dtype, what="grad")
