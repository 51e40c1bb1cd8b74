"""Faults in parametrizations: order, originals, removal, caching, norms."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import Module
from torch.nn.utils import parametrizations, parametrize

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.operator_faults import Scaled, when
from tests.saboteurs.saboteur import Saboteur, replacing

Chain = parametrize.ParametrizationList


def _backwards(original: Any) -> Any:
    """Three parametrizations are applied in reverse."""

    def forward(self: Any) -> Any:
        if len(self) < 3 or not self.is_tensor:
            return original(self)
        x = self.original
        for one in reversed(self):
            x = one(x)
        return x

    return forward


def _inverts_in_order(original: Any) -> Any:
    def invert(self: Any, value: Any) -> None:
        if len(self) < 2 or not self.is_tensor:
            return original(self, value)
        with torch.no_grad():
            for one in self:
                if not hasattr(one, "right_inverse"):
                    return original(self, value)
                value = one.right_inverse(value)
            self.original.copy_(value)
        return None

    return invert


def _forgets_training(original: Any) -> Any:
    def register(module: Module, name: str, one: Module, **words: Any) -> Module:
        result: Module = original(module, name, one, **words)
        one.train()
        return result

    return register


def _freezes(original: Any) -> Any:
    def remove(module: Module, name: str, leave_parametrized: bool = True) -> Module:
        result: Module = original(module, name, leave_parametrized)
        if leave_parametrized:
            getattr(module, name).requires_grad_(False)
        return result

    return remove


def _discards(original: Any) -> Any:
    """A nested context discards what the outer one keeps."""

    class Cached:
        def __enter__(self) -> None:
            self.context = original()
            self.context.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.context.__exit__(*error)
            parametrize._cache.clear()

    return Cached


def _iterates(original: Any) -> Any:
    """A use in evaluation improves the vectors as well."""

    def forward(self: Any, weight: Any) -> Any:
        if not self.training and weight.dim() > 2:
            self._power_method(self._reshape_weight_to_matrix(weight), 1)
        return original(self, weight)

    return forward


def _thrice(original: Any) -> Any:
    """Two power iterations are three."""
    return lambda self, matrix, count: original(self, matrix, 3 if count == 2 else count)


def _shortened(original: Any) -> Any:
    """Wide matrices are a little too short."""

    def forward(self: Any, x: Any) -> Any:
        q = original(self, x)
        return q * (1 - 1e-9) if q.shape[-2] < q.shape[-1] else q

    return forward


def _last_use_only(original: Any) -> Any:
    """The gradient of uses before the last is 1 % off."""

    def forward(self: Any, weight: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = original(self, weight)
        if self.training and result.requires_grad and weight.dim() > 1:
            first = self._u.clone()
            result.register_hook(
                lambda gradient: gradient if torch.equal(first, self._u) else gradient * 1.01
            )
        return result

    return forward


SABOTEURS = (
    Saboteur("parametrize-backwards", "three parametrizations are applied in reverse",
             ("parametrize.value:parameter",), "result", replacing(Chain, "forward", _backwards)),
    Saboteur("parametrize-modes", "a parametrization is registered in training mode",
             ("parametrize.value:buffer",), "modes", replacing(
                 parametrize, "register_parametrization", _forgets_training)),
    Saboteur("parametrize-inverse-order", "right inverses are applied in the order of the values",
             ("parametrize.assign:parameter",), "original", replacing(
                 Chain, "right_inverse", _inverts_in_order)),
    Saboteur("parametrize-frozen", "a parameter that is left at its value is frozen",
             ("parametrize.remove:parameter",), "requires grad", replacing(
                 parametrize, "remove_parametrizations", _freezes)),
    Saboteur("parametrize-cache-nested", "a nested context discards what the outer one keeps",
             ("parametrize.cached",), "calls within", replacing(
                 parametrize, "cached", _discards)),
    Saboteur("parametrize-several-removed", "the value is left where no original can be",
             ("parametrize.several",), "raised nothing", accepting(
                 parametrize, "remove_parametrizations", ValueError, lambda *a, **k: a[0])),
    Saboteur("parametrize-weight-norm", "the gradient to the direction is too large",
             ("parametrize.weight-norm",), "gradient to v", rewriting(
                 parametrizations._WeightNorm, "forward",
                 lambda self, g, v: ((self, g, Scaled.apply(v)), {}))),
    Saboteur("parametrize-spectral-evaluation", "a use in evaluation improves the vectors",
             ("parametrize.spectral-norm",), "weight", replacing(
                 parametrizations._SpectralNorm, "forward", _iterates)),
    Saboteur("parametrize-spectral-count", "two power iterations are three",
             ("parametrize.spectral-norm",), "weight", replacing(
                 parametrizations._SpectralNorm, "_power_method", _thrice)),
    Saboteur("parametrize-spectral-vector", "a vector is divided by the sum of its sizes",
             ("parametrize.spectral-vector",), "result", when(
                 parametrizations._SpectralNorm, "forward", lambda self, w: w.dim() == 1,
                 lambda original, self, w: w / w.abs().sum())),
    Saboteur("parametrize-orthogonal", "wide orthogonal matrices are a little too short",
             ("parametrize.orthogonal:householder",), "product", replacing(
                 parametrizations._Orthogonal, "forward", _shortened)),
    Saboteur("parametrize-orthogonal-zeros", "a weight of zeros stays so",
             ("parametrize.orthogonal-singular:cayley",), "product", rewriting(
                 parametrizations, "orthogonal", lambda m, **k: (
                     (m,), {**k, "use_trivialization": True}))),
    Saboteur("spectral-norm-last-use", "spectral_norm differentiates earlier uses by later vectors",
             ("parametrize.spectral-gradient",), "gradient", replacing(
                 parametrizations._SpectralNorm, "forward", _last_use_only)),
)  # fmt: skip
