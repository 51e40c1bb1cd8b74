"""Faults in max pooling of infinities and nan."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Saboteur, replacing

functional = torch.nn.functional


def _pools(change: Any) -> Any:
    """Make a pooling whose values, or values and places, are changed."""

    def make(original: Any) -> Any:
        def pool(x: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
            result = original(x, *arguments, **keywords)
            if isinstance(result, tuple):
                return change(x, *result)
            return change(x, result, None)[0]

        return pool

    return make


def _finite(x: torch.Tensor, values: torch.Tensor, places: Any) -> tuple[torch.Tensor, Any]:
    """The least number stands for -inf."""
    return values.nan_to_num(float("nan"), float("inf"), None), places


def _drops_nan(x: torch.Tensor, values: torch.Tensor, places: Any) -> tuple[torch.Tensor, Any]:
    return values.nan_to_num(0.0, float("inf"), -float("inf")), places


def _outside(x: torch.Tensor, values: torch.Tensor, places: Any) -> tuple[torch.Tensor, Any]:
    """The place of -inf is -1, as of a window in which nothing was found."""
    return values, places.masked_fill(values.isneginf(), -1)


def _first(x: torch.Tensor, values: torch.Tensor, places: Any) -> tuple[torch.Tensor, Any]:
    """The place of -inf is the first of the input."""
    return values, places.masked_fill(values.isneginf(), 0)


def _fault(name: str, breaks: str, law: str, symptom: str, pool: str, change: Any) -> Saboteur:
    patch = replacing(functional, pool, _pools(change))
    return Saboteur(name, breaks, (f"selection.{law}",), symptom, patch)


SABOTEURS = (
    _fault("pooled-finite", "max_pool1d of -inf gives the least number",
           "pooled:max_pool1d", "values", "max_pool1d", _finite),
    _fault("pooled-outside", "max_pool1d of -inf gives place -1",
           "pooled:max_pool1d-places", "indices", "max_pool1d", _outside),
    _fault("pooled-first", "max_pool2d of -inf gives place 0",
           "pooled:max_pool2d-places", "values at the indices", "max_pool2d", _first),
    _fault("pooled-3d-nan", "max_pool3d gives 0 for nan",
           "pooled:max_pool3d", "values", "max_pool3d", _drops_nan),
    _fault("pooled-adaptive-nan", "adaptive_max_pool1d gives 0 for nan",
           "pooled:adaptive_max_pool1d", "values", "adaptive_max_pool1d", _drops_nan),
    _fault("pooled-adaptive-finite", "adaptive_max_pool2d of -inf gives the least number",
           "pooled:adaptive_max_pool2d", "values", "adaptive_max_pool2d", _finite),
    _fault("pooled-nothing-1d", "max_pool1d of -inf alone gives place -1",
           "pooled-nothing:max_pool1d", "indices", "max_pool1d", _outside),
    _fault("pooled-nothing-2d", "max_pool2d of -inf alone gives place 0",
           "pooled-nothing:max_pool2d", "dimension", "max_pool2d", _first),
    _fault("pooled-nothing-3d", "max_pool3d of -inf alone gives place 0",
           "pooled-nothing:max_pool3d", "dimension", "max_pool3d", _first),
    _fault("pooled-nothing-2d-channels-last", "max_pool2d of -inf gives the least number",
           "pooled-nothing:max_pool2d-channels-last", "values", "max_pool2d", _finite),
)  # fmt: skip
