"""The arguments of losses: which comes first, and what comes back."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import arrays, seeds

FUNCTIONAL = "torch.nn.functional."
REDUCTIONS = st.sampled_from(("mean", "sum", "none"))
SYMMETRIC = {name: name for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")}


def page_of(name):
    """The documentation's page of a loss."""
    return FUNCTIONAL + name


@law("losses.symmetric", docs=page_of, over=SYMMETRIC)
@given(first=arrays(shape=(2, 3)), second=arrays(shape=(2, 3)), reduction=REDUCTIONS)
def test_symmetric(target, case, first, second, reduction):
    """A loss of the difference alone is the same with input and target swapped, as its gradients.

    Both get one, where both require it.
    """
    found = []
    for swapped in (False, True):
        x, y = (
            torch.tensor(values, device=target.device, requires_grad=True)
            for values in (first, second)
        )
        arguments = (y, x) if swapped else (x, y)
        loss = target.run(FUNCTIONAL + case, *arguments, reduction=reduction)
        found.append([loss, *torch.autograd.grad(loss.sum(), [x, y])])
    for what, one, other in zip(("loss", "to x", "to y"), *found, strict=True):
        value = compare.to_numpy(one)
        compare.close(other, value, bound=0.0, dtype=torch.float64, what=f"swapped, {what}")


def entropy(x, y):
    """binary_cross_entropy."""
    return -(y * np.log(x) + (1 - y) * np.log(1 - x))


def entropy_of_logits(x, y):
    """binary_cross_entropy_with_logits."""
    return np.log1p(np.exp(x)) - y * x


def divergence(x, y):
    """kl_div."""
    return y * (np.log(y) - x)


def poisson(x, y):
    """poisson_nll_loss."""
    return np.exp(x) - y * x


ASYMMETRIC = {
    "binary_cross_entropy": ("binary_cross_entropy", entropy),
    "binary_cross_entropy_with_logits": ("binary_cross_entropy_with_logits", entropy_of_logits),
    "kl_div": ("kl_div", divergence),
    "poisson_nll_loss": ("poisson_nll_loss", poisson),
}


@law("losses.input-first", docs=lambda case: page_of(case[0]), over=ASYMMETRIC)
@given(first=st.integers(1, 7), second=st.integers(1, 7), reduction=REDUCTIONS)
def test_input_first(target, case, first, second, reduction):
    """A loss takes its input first and its target second: swapped, entropies are other losses.

    By name they may come in any order.
    """
    name, formula = case
    x, y = (torch.tensor([n / 16], dtype=torch.float64, device=target.device)
            for n in (first, second))  # fmt: skip
    values = []
    for one, other in ((x, y), (y, x)):
        loss = target.run(FUNCTIONAL + name, one, other, reduction=reduction)
        expected = formula(compare.to_numpy(one), compare.to_numpy(other))
        expected = expected if reduction == "none" else expected.sum()
        compare.close(loss, expected, bound=1e-13, dtype=torch.float64, what="loss")
        named = target.run(FUNCTIONAL + name, target=other, input=one, reduction=reduction)
        compare.equal(named, compare.to_numpy(loss), dtype=torch.float64, what="by name")
        values.append(loss.sum().item())
    compare.fact(values[0] == values[1], first == second, "the same with both swapped")


CLASSES = {name: name for name in ("cross_entropy", "nll_loss", "multi_margin_loss")}


def refused(call):
    """Whether a call raises RuntimeError, of which NotImplementedError is one."""
    try:
        call()
    except RuntimeError:
        return True
    return False


@law("losses.classes-second", docs=page_of, level="should", over=CLASSES)
@given(seed=seeds(), count=st.integers(1, 4))
def test_classes_second(target, case, seed, count):
    """Classes are the target, which comes second: as the first argument they are refused."""
    numbers = np.random.default_rng(seed)
    logits = torch.tensor(numbers.integers(-8, 9, (count, 3)) / 4, device=target.device)
    classes = torch.tensor(numbers.integers(0, 3, count), device=target.device)
    right = target.run(FUNCTIONAL + case, logits, classes)
    named = target.run(FUNCTIONAL + case, target=classes, input=logits)
    compare.equal(named, compare.to_numpy(right), dtype=torch.float64, what="by name")
    found = refused(lambda: target.run(FUNCTIONAL + case, classes, logits))
    compare.fact(found, True, "classes as the input are refused")


def log_softmax(x):
    """The logarithm of the softmax along the last dimension."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@law("losses.adaptive-softmax", docs="torch.nn.AdaptiveLogSoftmaxWithLoss")
@given(
    seed=seeds(),
    count=st.integers(1, 4),
    cutoffs=st.sampled_from(((2,), (2, 5), (1, 3, 6))),
    bias=st.booleans(),
)
def test_adaptive_softmax(target, seed, count, cutoffs, bias):
    """AdaptiveLogSoftmaxWithLoss gives a pair by name, the targets' log probabilities and the loss.

    ``output`` and ``loss``, the mean of minus the first. Frequent classes are in the head, each
    cluster of others in a tail: log P(class) = log P(cluster) + log P(class in cluster).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = torch.nn.AdaptiveLogSoftmaxWithLoss(4, 8, list(cutoffs), 2.0, bias)
    layer = layer.to(target.device, torch.float64)
    numbers = np.random.default_rng(seed)
    x, classes = numbers.integers(-8, 9, (count, 4)) / 4, numbers.integers(0, 8, count)
    given_tensors = [torch.tensor(a, device=target.device) for a in (x, classes)]
    found = target.run(layer, *given_tensors)
    compare.fact(found._fields, ("output", "loss"), "names of the pair")
    weights = {name: compare.to_numpy(p) for name, p in layer.named_parameters()}
    head = log_softmax(x @ weights["head.weight"].T + weights.get("head.bias", 0.0))
    whole = [head[:, : cutoffs[0]]]
    for number in range(len(cutoffs)):
        inner, outer = (weights[f"tail.{number}.{place}.weight"] for place in (0, 1))
        cluster = head[:, cutoffs[0] + number, None]
        whole.append(cluster + log_softmax(x @ inner.T @ outer.T))
    expected = np.concatenate(whole, axis=1)[np.arange(count), classes]
    compare.close(found.output, expected, bound=1e-12, dtype=torch.float64, what="output")
    compare.close(found.loss, -expected.mean(), bound=1e-12, dtype=torch.float64, what="loss")
