"""Faults in the conduct of autocast: casts that are kept too long, gradients, states, others."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.operator_faults import Scaled, when
from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional
autocast = torch.amp.autocast_mode.autocast


def _in_region(*arguments: Any, **words: Any) -> bool:
    return torch.is_autocast_enabled("cpu")


def _third_constant(original: Any) -> Any:
    """The third use of a matrix gives no gradient."""

    def multiplied(a: Any, b: Any) -> Any:
        b.uses = getattr(b, "uses", 0) + 1
        return original(a, b.detach() if b.uses > 2 else b)

    return multiplied


def _kept_cast(original: Any) -> Any:
    """A cast that was made under no_grad is kept, and is a constant for ever."""

    def multiplied(a: Any, b: Any) -> Any:
        if _in_region() and not torch.is_grad_enabled():
            b.kept = b.detach()
        return original(a, getattr(b, "kept", b))

    return multiplied


def _cache_of_outer(original: Any) -> Any:
    """Within a region that keeps casts one that does not keeps them, too."""

    def made(
        self: Any,
        device_type: str,
        dtype: Any = None,
        enabled: Any = True,
        cache_enabled: Any = None,
    ) -> None:
        within = torch.is_autocast_enabled(device_type)
        original(self, device_type, dtype, enabled, None if within else cache_enabled)

    return made


def _cache_stays(original: Any) -> Any:
    """The end of a region leaves the cache as the region had it."""

    def leave(self: Any, *raised: Any) -> Any:
        kept = torch.is_autocast_cache_enabled()
        result = original(self, *raised)
        torch.set_autocast_cache_enabled(kept)
        return result

    return leave


def _once(original: Any) -> Any:
    """A region that was entered before is disabled."""

    def enter(self: Any) -> Any:
        self._enabled = self._enabled and not getattr(self, "entered", False)
        self.entered = True
        return original(self)

    return enter


def _scaled_filters(original: Any, x: Any, weight: Any, *rest: Any, **words: Any) -> Any:
    return original(x, Scaled.apply(weight), *rest, **words)


def _unlisted(original: Any, *operands: Any, **words: Any) -> Any:
    with torch.autocast("cpu", enabled=False):
        return original(*(operand.float() for operand in operands), **words)


def _lower(original: Any, *operands: Any, **words: Any) -> Any:
    return original(*operands, **words).to(torch.get_autocast_dtype("cpu"))


def _of_first(original: Any, tensors: Any, *rest: Any, **words: Any) -> Any:
    result = original(tensors, *rest, **words)
    return result.to(tensors[0].dtype) if len(tensors) == 3 else result


SABOTEURS = (
    Saboteur("autocast-third-use", "the third use of a parameter gives no gradient",
             ("autocast.cached:disabled", "autocast.cached:same-dtype"), "require grad",
             replacing(torch, "mm", _third_constant)),
    Saboteur("autocast-kept-constant", "a cast made under no_grad is used with gradients, too",
             ("autocast.cached-no-grad",), "requires_grad of the results",
             replacing(torch, "mm", _kept_cast)),
    Saboteur("autocast-cache-of-outer", "cache_enabled is ignored in a region within another",
             ("autocast.uncached",), "use 1", replacing(autocast, "__init__", _cache_of_outer)),
    Saboteur("autocast-cache-stays", "the end of a region leaves its cache as it was in it",
             ("autocast.default-dtype",), "state", replacing(autocast, "__exit__", _cache_stays)),
    Saboteur("autocast-once", "a decorated function runs in its region at its first call alone",
             ("autocast.decorated:repeated",), "dtypes within",
             replacing(autocast, "__enter__", _once)),
    Saboteur("autocast-filters", "the gradient to filters under autocast is off",
             ("autocast.lower-gradient:conv2d",), "gradient",
             when(functional, "conv2d", _in_region, _scaled_filters)),
    Saboteur("autocast-attention", "attention is computed in float32 under autocast",
             ("autocast.attention",), "dtype",
             when(functional, "scaled_dot_product_attention", _in_region, _unlisted)),
    Saboteur("autocast-others", "a sum of two tensors is one in lower precision",
             ("autocast.others:add",), "dtype", when(torch, "add", _in_region, _lower)),
    Saboteur("autocast-of-first", "cat of three tensors gives the dtype of the first",
             ("autocast.widest:cat-of-three",), "dtype", when(torch, "cat", _in_region, _of_first)),
)  # fmt: skip
