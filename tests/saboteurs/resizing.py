"""Faults in interpolation: which pixels, which weights, for which sizes and factors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.saboteurs.faults import dropping, rewriting
from tests.saboteurs.operator_faults import Scaled, when
from tests.saboteurs.saboteur import Saboteur

functional = torch.nn.functional


def _has(mode: str, *needed: str) -> Any:
    def applies(x: Tensor, *_: Any, **words: Any) -> bool:
        return words.get("mode", "nearest") == mode and all(words.get(n) for n in needed)

    return applies


def _without(name: str) -> Any:
    """The call without one option."""

    def change(original: Any, x: Tensor, **words: Any) -> Tensor:
        words.pop(name, None)
        result: Tensor = original(x, **words)
        return result

    return change


def _swapped(original: Any, x: Tensor, **words: Any) -> Tensor:
    """The factors of height and width are exchanged."""
    if isinstance(words["scale_factor"], tuple) and x.shape[2] == x.shape[3]:
        swapped = words["scale_factor"][::-1]
        result: Tensor = original(x.mT, **{**words, "scale_factor": swapped})
        if result.shape[2] == result.shape[3]:
            return result
    plain: Tensor = original(x, **words)
    return plain


SABOTEURS = (
    Saboteur("resizing-aligned", "linear interpolation ignores aligned corners for one row",
             ("operators.value:interpolate-linear",), "result",
             when(functional, "interpolate", _has("linear", "align_corners"),
                  _without("align_corners"))),
    Saboteur("resizing-recomputed", "recompute_scale_factor is ignored",
             ("operators.value:interpolate-bilinear",), "result",
             dropping(functional, "interpolate", "recompute_scale_factor")),
    Saboteur("resizing-nearest", "nearest-exact is nearest for three dimensions",
             ("operators.value:interpolate-nearest-exact",), "result",
             rewriting(functional, "interpolate", lambda x, **k: (
                 (x,), {**k, "mode": "nearest"} if x.dim() == 5 else k))),
    Saboteur("resizing-cubic", "bicubic interpolation to one size is antialiased",
             ("operators.value:interpolate-bicubic",), "result",
             when(functional, "interpolate", _has("bicubic"), lambda original, x, **k: original(
                 x, **{**k, "antialias": isinstance(k.get("size"), int)}))),
    Saboteur("resizing-antialias", "antialias is ignored for batches",
             ("operators.value:interpolate-bilinear-antialiased",), "result",
             when(functional, "interpolate", lambda x, **k: len(x) > 1 and k.get("antialias"),
                  _without("antialias"))),
    Saboteur("resizing-area", "area is nearest for one column",
             ("operators.value:interpolate-area",), "result",
             when(functional, "interpolate", lambda x, **k: k.get("mode") == "area"
                  and k.get("size") == 1 and x.dim() == 3, lambda original, x, **k: x[..., :1])),
    Saboteur("resizing-gradient", "the gradient of trilinear interpolation is too large",
             ("operators.vjp:interpolate-trilinear",), "gradient",
             when(functional, "interpolate", _has("trilinear"), lambda original, x, **k: original(
                 Scaled.apply(x), **k))),
    Saboteur("resizing-transposed", "factors of height and width are exchanged",
             ("operators.value:interpolate-bicubic-antialiased",), "result",
             when(functional, "interpolate", _has("bicubic", "scale_factor"), _swapped)),
)  # fmt: skip
