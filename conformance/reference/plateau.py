"""ReduceLROnPlateau: a learning rate that falls when a metric has stopped improving.

Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def is_improvement(
    metric: float, best: float, mode: str, threshold: float, threshold_mode: str
) -> bool:
    """Whether a metric passes the dynamic threshold: a part of the best, or a distance from it."""
    sign = 1 if mode == "max" else -1
    bar = best * (1 + sign * threshold) if threshold_mode == "rel" else best + sign * threshold
    return metric > bar if mode == "max" else metric < bar


def reductions(
    metrics: Sequence[float],
    *,
    mode: str,
    patience: int,
    threshold: float,
    threshold_mode: str,
    cooldown: int,
) -> Iterator[bool]:
    """Tell for each epoch whether the rates are reduced at its end.

    The first epoch sets the baseline and is good. An epoch without improvement is bad; the rates
    are reduced when more than ``patience`` epochs in a row are. For ``cooldown`` epochs after
    that, bad ones are not counted, while improvements still move the baseline.
    """
    best, bad, cooling = metrics[0], 0, 0
    yield False
    for metric in metrics[1:]:
        if is_improvement(metric, best, mode, threshold, threshold_mode):
            best, bad = metric, 0
        else:
            bad += 1
        if cooling:
            cooling, bad = cooling - 1, 0
        reduced = bad > patience
        if reduced:
            bad, cooling = 0, cooldown
        yield reduced


def reduced_rate(rate: float, *, factor: float, min_lr: float, eps: float) -> float:
    """``max(rate * factor, min_lr)``, or the rate as it is if that is smaller by less than eps."""
    lower = max(rate * factor, min_lr)
    return rate if rate - lower < eps or lower > rate else lower


def plateau_rates(
    base: float,
    metrics: Sequence[float],
    *,
    factor: float,
    min_lr: float,
    eps: float,
    mode: str = "min",
    patience: int = 0,
    threshold: float = 0.0,
    threshold_mode: str = "rel",
    cooldown: int = 0,
) -> list[float]:
    """Return a group's learning rate after each metric."""
    rates = [base]
    for reduced in reductions(
        metrics,
        mode=mode,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
    ):
        lower = reduced_rate(rates[-1], factor=factor, min_lr=min_lr, eps=eps)
        rates.append(lower if reduced else rates[-1])
    return rates[1:]
