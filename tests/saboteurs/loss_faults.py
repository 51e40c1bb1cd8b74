"""Ways to break a loss: formulas instead of it, and modules that forget their options."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, replacing

Tensor = torch.Tensor
F = torch.nn.functional
nn = torch.nn


def instead(name: str, formula: Callable[..., Any]) -> Patch:
    """Replace a loss by a formula, which is given the original first."""
    return replacing(F, name, lambda original: lambda *a, **k: formula(original, *a, **k))


def reduction_of(words: dict[str, Any]) -> str:
    found: str = words.get("reduction", "mean")
    return found


def averages(*_: Any, **words: Any) -> bool:
    return reduction_of(words) == "mean"


def with_gradient_of(right: Tensor, wrong: Tensor) -> Tensor:
    """The value of one loss, with the gradient of another."""
    return right.detach() + wrong - wrong.detach()


def reduced(losses: Tensor, words: dict[str, Any]) -> Tensor:
    reduction = reduction_of(words)
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()


def mean_over_batch(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if x.dim() < 2 or not x.numel() or not averages(**words):
        return original(x, y, **words)
    return original(x, y, **{**words, "reduction": "sum"}) / len(x)


def beta_of_slope(original: Any, x: Tensor, y: Tensor, beta: float = 1.0, **words: Any) -> Tensor:
    distance = (x - y).abs()
    losses = torch.where(distance < beta, distance**2 / (2 * beta or 1), distance - 0.5)
    return reduced(losses, words)


def delta_once(original: Any, x: Tensor, y: Tensor, delta: float = 1.0, **words: Any) -> Tensor:
    if "weight" in words:
        return original(x, y, delta=delta, **words)
    distance = (x - y).abs()
    losses = torch.where(distance < delta, distance**2 / 2, delta * distance - delta / 2)
    return reduced(losses, words)


def mean_by_count(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """The mean of weighed losses over the number of targets that are not ignored."""
    if "weight" not in words or not averages(**words) or y.is_floating_point():
        return original(x, y, **words)
    count = (y != words.get("ignore_index", -100)).sum()
    return original(x, y, **{**words, "reduction": "sum"}) / count


def mean_with_ignored(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if "weight" in words or not averages(**words) or y.is_floating_point():
        return original(x, y, **words)
    return original(x, y, **{**words, "reduction": "sum"}) / y.numel()


def smoothing_of_others(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """Label smoothing spread over the classes but the target's."""
    classes = x.shape[1 if x.dim() > 1 else 0]
    amount = words.get("label_smoothing", 0.0)
    if not amount or classes < 2:
        return original(x, y, **words)
    return original(x, y, **{**words, "label_smoothing": min(amount * classes / (classes - 1), 1)})


def unweighed_in_images(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if x.dim() > 3 and not y.is_floating_point():
        words.pop("weight", None)
    return original(x, y, **words)


def unweighed_probabilities(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if y.is_floating_point() and x.dim() > 1:
        words.pop("weight", None)
    return original(x, y, **words)


def mean_over_classes(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, y, **words)
    if y.is_floating_point() and averages(**words) and x.dim() > 1:
        return result / x.shape[1]
    return result


def smoothing_ignored(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """Label smoothing adds its part for ignored targets as well."""
    amount = words.get("label_smoothing", 0.0)
    if not amount or y.is_floating_point() or reduction_of(words) != "none" or x.dim() != 2:
        return original(x, y, **words)
    logs = x.log_softmax(1) * words.get("weight", torch.ones_like(x[:1]))
    ignored = y == words.get("ignore_index", -100)
    result: Tensor = original(x, y, **words)
    return torch.where(ignored, -amount * logs.mean(1), result)


def naive_entropy(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if x.dim() != 2 or y.is_floating_point() or "label_smoothing" in words:
        return original(x, y, **words)
    return F.nll_loss(x.softmax(1).log(), y, **words)


def ignoring_default(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """ignore_index 0 is taken for not given."""
    if words.get("ignore_index") == 0:
        del words["ignore_index"]
    return original(x, y, **words)


def wrapping(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """A negative class is one from the end, though it is to be ignored."""
    if words.get("ignore_index") == -1 and x.dim() == 2:
        y = torch.where(y == -1, x.shape[1] - 1, y)
    return original(x, y, **words)


def leaking_ignored(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, y, **words)
    if not x.requires_grad or y.is_floating_point():
        return result
    ignored = y == words.get("ignore_index", -100)
    leak = torch.where(ignored.unsqueeze(1 if x.dim() > 1 else 0), x, 0).sum() * 2.0**-20
    return result + (leak - leak.detach())


def unclamped(original: Any, x: Tensor, y: Tensor, weight: Any = None, **words: Any) -> Tensor:
    losses = -(torch.xlogy(y, x) + torch.xlogy(1 - y, 1 - x))
    return reduced(losses if weight is None else losses * weight, words)


def clamped_at_50(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if "weight" in words or reduction_of(words) != "none":
        return original(x, y, **words)
    result: Tensor = original(x, y, **words)
    return result.clamp(max=50)


def detached_target(original: Any, x: Tensor, y: Tensor, *rest: Any, **words: Any) -> Tensor:
    return original(x, y.detach(), *rest, **words)


def weighing_everywhere(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    weight = words.pop("pos_weight", None)
    if weight is None:
        return original(x, y, **words)
    losses = original(x, y, **{**words, "reduction": "none"}) * weight
    return reduced(losses, words)


def positive_weight_forgotten(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """Only the gradient forgets the weight of positive answers."""
    right = original(x, y, **words)
    if words.pop("pos_weight", None) is None:
        return right
    return with_gradient_of(right, original(x, y, **words))


def naive_logits(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if words.keys() - {"reduction"}:
        return original(x, y, **words)
    p = torch.sigmoid(x)
    return reduced(-(y * p.log() + (1 - y) * (1 - p).log()), words)


def log_target_in_value_only(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    right = original(x, y, **words)
    if not words.pop("log_target", False):
        return right
    return with_gradient_of(right, original(x, y.detach().exp() + y - y.detach(), **words))


def batch_of_elements(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if reduction_of(words) == "batchmean" and x.dim() == 2:
        words["reduction"] = "mean"
    return original(x, y, **words)


def swapped(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    return original(y, x, **words)


def zero_log_zero(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if words.get("log_target"):
        return original(x, y, **words)
    losses = y * (y.log() - x)
    reduction = reduction_of(words)
    if reduction == "batchmean":
        return losses.sum() / len(x)
    return reduced(losses, words)


def stirling_at_one(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, y, **words)
    if words.get("full") and reduction_of(words) == "none":
        return torch.where(y == 1, result + math.log(2 * math.pi) / 2 - 1, result)
    return result


def stirling_halved(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, y, **words)
    if words.get("full") and reduction_of(words) == "sum":
        return result - torch.where(y > 1, math.log(2) / 2, 0.0).sum().to(result.dtype)
    return result


def variance_added(original: Any, x: Tensor, y: Tensor, v: Any, **words: Any) -> Tensor:
    if isinstance(v, float) or "eps" not in words:
        return original(x, y, v, **words)
    return original(x, y, v + words["eps"], **words)


def variance_cut(original: Any, x: Tensor, y: Tensor, v: Any, **words: Any) -> Tensor:
    """The gradient of a variance that is clamped is 0."""
    if isinstance(v, Tensor):
        v = v.clamp(min=words.get("eps", 1e-6))
    return original(x, y, v, **words)


def variance_of_columns(original: Any, x: Tensor, y: Tensor, v: Any, **words: Any) -> Tensor:
    if isinstance(v, Tensor) and x.dim() == 2 and v.dim() == 1 and x.shape[0] == x.shape[1]:
        v = v.expand(x.shape)
    return original(x, y, v, **words)


def margin_on_both(original: Any, x: Tensor, z: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, z, y, **words)
    if reduction_of(words) == "none" and words.get("margin"):
        return torch.where(y > 0, result - words["margin"], result)
    return result


def farther(original: Any, a: Tensor, b: Tensor, n: Tensor, **words: Any) -> Tensor:
    """The swap takes the larger distance."""
    if not words.get("swap") or reduction_of(words) != "none":
        return original(a, b, n, **words)
    words["swap"] = False
    return torch.minimum(original(a, b, n, **words), original(b, a, n, **words))


def other_labels(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    """Labels after the first -1 count as well."""
    if x.dim() != 2:
        return original(x, y, **words)
    order = (y < 0).to(torch.int64).argsort(dim=1, stable=True)
    return original(x, y.gather(1, order), **words)


def over_other_classes(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    result: Tensor = original(x, y, **words)
    classes = x.shape[-1]
    return result * classes / (classes - 1) if classes > 2 else result


def square_of_weight(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if words.get("p") == 2 and "weight" in words:
        words["weight"] = words["weight"] ** 2
    return original(x, y, **words)


def normalized_weight(original: Any, x: Tensor, y: Tensor, **words: Any) -> Tensor:
    if "weight" not in words:
        return original(x, y, **words)
    weight = words.pop("weight")
    losses = original(x[..., None], y[..., None], reduction="none") * weight
    return reduced(losses.sum(-1) / weight.sum(), words)


def all_steps(original: Any, x: Tensor, y: Tensor, steps: Any, lengths: Any, **words: Any) -> Any:
    """The lengths of inputs are ignored where they are tuples."""
    if isinstance(steps, tuple):
        steps = (len(x),) * len(steps)
    return original(x, y, steps, lengths, **words)


def mean_of_losses(original: Any, x: Tensor, *rest: Any, **words: Any) -> Tensor:
    """The mean does not divide by the lengths of targets."""
    if not averages(**words) or x.dim() < 3:
        return original(x, *rest, **words)
    result: Tensor = original(x, *rest, **{**words, "reduction": "none"})
    return result.mean()


def order_of_reading(original: Any, x: Tensor, y: Tensor, *rest: Any, **words: Any) -> Tensor:
    """Rows of targets are read as memory has them."""
    if y.dim() == 2 and not y.is_contiguous() and y.t().is_contiguous():
        y = y.t().reshape(y.shape)
    return original(x, y, *rest, **words)


def leaking(original: Any, *operands: Any, **words: Any) -> Tensor:
    """A hinge that passes a little of the gradient where it is closed."""
    result: Tensor = original(*operands, **words)
    slope = operands[0].sum() * 2.0**-12
    return result + (slope - slope.detach())


def module(name: str, make: Callable[[Any], Any]) -> Patch:
    return replacing(getattr(nn, name), "forward", make)


def forward(name: str, attribute: str, value: Any) -> Patch:
    """The forward of a module that takes an option for another one."""

    def make(original: Any) -> Any:
        def faulty(self: Any, *operands: Any) -> Any:
            kept = getattr(self, attribute)
            setattr(self, attribute, value)
            try:
                return original(self, *operands)
            finally:
                setattr(self, attribute, kept)

        return faulty

    return module(name, make)


def plain_weight(name: str, buffer: str) -> Patch:
    """The constructor of a module that keeps a weight as a plain attribute."""

    def make(original: Any) -> Any:
        def faulty(self: Any, *arguments: Any, **words: Any) -> None:
            original(self, *arguments, **words)
            value = self._buffers.pop(buffer)
            object.__setattr__(self, buffer, value)

        return faulty

    return replacing(getattr(nn, name), "__init__", make)


def reduce_forgotten(original: Any) -> Any:
    def faulty(average: Any, reduce: Any, **words: Any) -> Any:
        return original(average, None if average is False else reduce, **words)

    return faulty


def in_other_order(original: Any, a: Tensor, p: Tensor, n: Tensor, **words: Any) -> Tensor:
    asked = words.get("distance_function")
    if asked is not None and not words.get("swap"):
        words["distance_function"] = lambda one, other: asked(other, one)
    return original(a, p, n, **words)


def as_in_float16(original: Any, x: Tensor, *rest: Any, **words: Any) -> Tensor:
    """Only float16 is computed as if it were bfloat16."""
    if x.dtype != torch.float16:
        return original(x, *rest, **words)
    result: Tensor = original(x.to(torch.bfloat16).to(x.dtype), *rest, **words)
    return result * 1.125
