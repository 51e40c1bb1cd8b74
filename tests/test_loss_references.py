"""The references of losses against mpmath, loops over elements, and all alignments."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from conformance.reference import alignments, class_losses, derivatives, losses

Array = npt.NDArray[Any]
NUMBERS = [s * n / 8 for n in (1, 3, 4, 9, 14, 26, 96, 720) for s in (1, -1)]
ABOVE = [n / 8 for n in (1, 4, 7, 8, 9, 20, 64)]
BETWEEN = [n / 8 for n in range(1, 8)]
SIGNS = [1.0, -1.0]


def logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def huber(x: Any, y: Any, delta: float) -> Any:
    distance = abs(x - y)
    return distance**2 / 2 if distance < delta else delta * (distance - delta / 2)


def smooth(x: Any, y: Any, beta: float) -> Any:
    return huber(x, y, beta) / beta if beta else abs(x - y)


def stirling(y: Any) -> Any:
    return y * mpmath.log(y) - y + mpmath.log(2 * mpmath.pi * y) / 2 if y > 1 else 0


def gaussian(x: Any, y: Any, v: Any) -> Any:
    v = max(v, mpmath.mpf(0.5))
    return (mpmath.log(v) + (x - y) ** 2 / v + mpmath.log(2 * mpmath.pi)) / 2


FORMULAS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[list[float], ...]]] = {
    "squared": (losses.squared_error, lambda x, y: (x - y) ** 2, (NUMBERS, NUMBERS)),
    "absolute": (losses.absolute_error, lambda x, y: abs(x - y), (NUMBERS, NUMBERS)),
    "smooth": (
        lambda x, y: losses.smooth_absolute_error(x, y, 0.5), lambda x, y: smooth(x, y, 0.5),
        (NUMBERS, NUMBERS),
    ),
    "smooth of 0": (
        lambda x, y: losses.smooth_absolute_error(x, y, 0.0), lambda x, y: smooth(x, y, 0.0),
        (NUMBERS, NUMBERS),
    ),
    "huber": (
        lambda x, y: losses.huber_error(x, y, 2.0), lambda x, y: huber(x, y, 2.0),
        (NUMBERS, NUMBERS),
    ),
    "binary": (
        losses.binary_entropy, lambda x, y: -y * mpmath.log(x) - (1 - y) * mpmath.log(1 - x),
        (BETWEEN, [0.0, *BETWEEN, 1.0]),
    ),
    "logits": (
        lambda x, y: losses.binary_entropy_of_logits(x, y, 3.0),
        lambda x, y: -3 * y * mpmath.log(logistic(x)) - (1 - y) * mpmath.log(logistic(-x)),
        (NUMBERS, [0.0, *BETWEEN, 1.0]),
    ),
    "divergence": (
        losses.divergence, lambda x, y: y * (mpmath.log(y) - x), (NUMBERS, ABOVE),
    ),
    "divergence of logs": (
        lambda x, y: losses.divergence(x, y, True), lambda x, y: mpmath.exp(y) * (y - x),
        (NUMBERS, NUMBERS),
    ),
    "poisson": (
        losses.poisson_error, lambda x, y: mpmath.exp(x) - y * x, (NUMBERS, ABOVE),
    ),
    "poisson of rates": (
        lambda x, y: losses.poisson_error(x, y, False, True, 0.5),
        lambda x, y: x - y * mpmath.log(x + 0.5) + stirling(y), (ABOVE, ABOVE),
    ),
    "gaussian": (
        lambda x, y, v: losses.gaussian_error(x, y, v, True, 0.5), gaussian,
        (NUMBERS[:6], NUMBERS[:6], ABOVE),
    ),
    "hinge": (
        lambda x, y: losses.hinge_of_label(x, y, 2.0),
        lambda x, y: x if y == 1 else max(0, 2 - x), (NUMBERS, SIGNS),
    ),
    "soft margin": (
        losses.soft_margin_error, lambda x, y: mpmath.log1p(mpmath.exp(-y * x)), (NUMBERS, SIGNS),
    ),
    "ranking": (
        lambda x, z, y: losses.ranking_error(x, z, y, 0.5),
        lambda x, z, y: max(0, -y * (x - z) + 0.5), (NUMBERS[:8], NUMBERS[:8], SIGNS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_losses_of_numbers(name: str) -> None:
    ours, theirs, values = FORMULAS[name]
    with mpmath.workdps(400):
        for point in itertools.product(*values):
            exact = theirs(*map(mpmath.mpf, point))
            got = mpmath.mpf(float(ours(*map(np.array, point))))
            assert abs(got - exact) <= 1e-14 * (1e-30 + abs(exact)) + 1e-14 * _cancels(point), point


def _cancels(point: tuple[float, ...]) -> float:
    """Sums of numbers of this size may cancel; the far ends of a logistic do not."""
    return min(sum(map(abs, point)), 1e3) if max(map(abs, point)) < 20 else 0.0


def test_logarithms_are_clamped() -> None:
    x, y = np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    with np.errstate(divide="ignore"):
        assert losses.binary_entropy(x, y).tolist() == [100.0, 100.0, 0.0, 0.0]


def test_reductions() -> None:
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    assert losses.reduced(values, "none").tolist() == values.tolist()
    assert losses.reduced(values, "sum") == 24
    assert losses.reduced(values, "mean") == 4
    assert losses.reduced(values, "batchmean") == 12
    assert losses.reduced(values, "mean", 3.0) == 8
    with np.errstate(invalid="ignore"):
        assert np.isnan(losses.reduced(np.zeros((0, 2)), "mean"))


def test_a_variance_for_each_row() -> None:
    x, v = np.arange(4.0).reshape(2, 2), np.array([1.0, 4.0])
    rows = [losses.gaussian_error(x[n], np.zeros(2), v[n]) for n in range(2)]
    assert np.allclose(losses.gaussian_error(x, np.zeros((2, 2)), v), rows, rtol=1e-15)


def test_a_clamped_variance_moves() -> None:
    (slope,) = derivatives.jacobian(
        lambda v: losses.gaussian_error(np.array(3.0), np.array(1.0), v, eps=0.5),
        [np.array(0.25)],
    )
    assert slope == (1 / 0.5 - 4 / 0.25) / 2


VECTORS = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75], [-2.0, 0.125, 1.0]])


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("swap", [False, True])
def test_triplets(p: int, swap: bool) -> None:
    for a, b, n in itertools.product(VECTORS, repeat=3):
        near, far, other = (
            sum(abs(s - t + 0.25) ** p for s, t in zip(u, v, strict=True)) ** (1 / p)
            for u, v in ((a, b), (a, n), (b, n))
        )
        wanted = max(near - (min(far, other) if swap else far) + 0.5, 0)
        got = losses.triplet_error(a, b, n, margin=0.5, p=p, eps=0.25, swap=swap)
        assert abs(got - wanted) < 1e-14


def test_cosines() -> None:
    for a, b in itertools.product(VECTORS, repeat=2):
        cosine = mpmath.fdot(a, b) / mpmath.sqrt(mpmath.fdot(a, a) * mpmath.fdot(b, b))
        for y, wanted in ((1.0, 1 - cosine), (-1.0, max(0, cosine - 0.25))):
            assert abs(losses.cosine_error(a, b, np.array(y), 0.25) - float(wanted)) < 1e-15


LOGITS = np.array([[0.5, -1.25, 2.0], [90.0, 0.25, -700.0], [-2.0, 0.125, 1.0]])
CLASSES = np.array([2, 0, 1])
WEIGHT = np.array([0.5, 1.5, 2.0])


def exact_entropy(row: Array, probabilities: Array) -> Any:
    total = mpmath.fsum(map(mpmath.exp, row))
    logs = [mpmath.mpf(x) - mpmath.log(total) for x in row]
    return -mpmath.fsum(w * p * g for w, p, g in zip(WEIGHT, probabilities, logs, strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("ignored", [-100, 0])
def test_entropies(smoothing: float, ignored: int) -> None:
    mixed = (1 - smoothing) * np.eye(3)[CLASSES] + smoothing / 3
    with mpmath.workdps(700):
        rows = [float(exact_entropy(*pair)) for pair in zip(LOGITS, mixed, strict=True)]
    rows = [0.0 if c == ignored else row for c, row in zip(CLASSES, rows, strict=True)]
    words: dict[str, Any] = {"weight": WEIGHT, "label_smoothing": smoothing}
    got = class_losses.entropy_loss(
        LOGITS, CLASSES, ignore_index=ignored, reduction="none", **words
    )
    assert np.allclose(got, rows, rtol=1e-14)
    total = sum(WEIGHT[c] for c in CLASSES if c != ignored)
    mean = class_losses.entropy_loss(LOGITS, CLASSES, ignore_index=ignored, **words)
    assert np.isclose(mean, sum(rows) / total, rtol=1e-14)
    if ignored < 0:
        certain = class_losses.entropy_loss(LOGITS, np.eye(3)[CLASSES], **words)
        assert np.isclose(certain, sum(rows) / 3, rtol=1e-14)


def test_classes_are_the_second_dimension() -> None:
    x = np.arange(12.0).reshape(2, 3, 2)
    y = np.array([[0, 2], [1, -100]])
    wanted = [[-x[0, 0, 0], -x[0, 2, 1]], [-x[1, 1, 0], 0.0]]
    assert class_losses.likelihood_loss(x, y, reduction="none").tolist() == wanted
    assert class_losses.likelihood_loss(x, y) == np.sum(wanted) / 3
    assert class_losses.likelihood_loss(x[0, :, 0], np.array(2), reduction="none") == -x[0, 2, 0]


@pytest.mark.parametrize("p", [1, 2])
def test_margins(p: int) -> None:
    for row, y in itertools.product(LOGITS, range(3)):
        gaps = [max(0, 0.5 - row[y] + row[i]) ** p for i in range(3) if i != y]
        got = class_losses.margin_loss(row, np.array(y), p=p, margin=0.5, weight=WEIGHT)
        assert np.isclose(got, WEIGHT[y] * sum(gaps) / 3, rtol=1e-15)


def test_margins_of_labels() -> None:
    row = np.array([0.1, 0.2, 0.4, 0.8])
    for y in ([3, 0, -1, 1], [0, 1, 2, 3], [-1, 0, 0, 0], [2, -1, -1, -1]):
        own = list(itertools.takewhile(lambda label: label >= 0, y))
        others = [i for i in range(4) if i not in own]
        wanted = sum(max(0, 1 - (row[j] - row[i])) for j in own for i in others) / 4
        assert np.isclose(class_losses.labels_margin_loss(row, np.array(y)), wanted, rtol=1e-15)


def test_entropies_of_labels() -> None:
    y = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    pairs = zip(LOGITS.ravel(), y.ravel(), np.tile(WEIGHT, 3), strict=True)
    with mpmath.workdps(700):
        wanted = sum(-w * mpmath.log(logistic(mpmath.mpf(x if t else -x))) for x, t, w in pairs)
        got = class_losses.labels_entropy_loss(LOGITS, y, weight=WEIGHT)
        assert abs(float(got) - wanted / 9) < 1e-14 * wanted


def spelled(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
def test_all_alignments(blank: int, steps: int) -> None:
    probabilities = np.arange(1.0, 1.0 + 3 * steps).reshape(steps, 3) / 16
    others = [c for c in range(3) if c != blank]
    for count in range(4):
        for labels in itertools.product(others, repeat=count):
            paths = itertools.product(range(3), repeat=steps)
            wanted = sum(
                np.prod([probabilities[t, c] for t, c in enumerate(path)])
                for path in paths
                if spelled(path, blank) == list(labels)
            )
            got = alignments.alignment_likelihood(probabilities, labels, blank)
            assert np.isclose(got, wanted, rtol=1e-14)


def test_alignments_of_a_batch() -> None:
    logs = np.log(np.arange(1.0, 25.0).reshape(4, 2, 3) / 32)
    rows, joined = np.array([[1, 2, 0], [2, 2, 1]]), np.array([1, 2, 2])
    losses_of = [
        -np.log(alignments.alignment_likelihood(np.exp(logs[:3, 0]), [1, 2], 0)),
        -np.log(alignments.alignment_likelihood(np.exp(logs[:4, 1]), [2], 0)),
    ]
    for targets in (rows, joined):
        found = alignments.alignment_loss(logs, targets, (3, 4), (2, 1), reduction="none")
        assert np.allclose(found, losses_of, rtol=1e-15)
        mean = alignments.alignment_loss(logs, targets, (3, 4), (2, 1))
        assert np.isclose(mean, (losses_of[0] / 2 + losses_of[1]) / 2, rtol=1e-15)
    with np.errstate(divide="ignore"):
        words: dict[str, Any] = {"reduction": "sum", "zero_infinity": True}
        assert alignments.alignment_loss(logs, rows, (1, 4), (2, 0), **words) == -np.log(
            alignments.alignment_likelihood(np.exp(logs[:, 1]), [], 0)
        )
