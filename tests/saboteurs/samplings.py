"""Faults in distances, samplings, unpoolings and operators over channels."""

from __future__ import annotations

import math
from typing import Any

import torch

from tests.saboteurs.operator_faults import Scaled, case, fault

functional = torch.nn.functional
NN = "nn.functional."


def _squared_at_least(original: Any, x: Any, y: Any, *rest: Any, **words: Any) -> Any:
    result = original(x, y, *rest, **words)
    return result.clamp(max=1.0)


def _transposed(original: Any, x: Any, y: Any, *rest: Any, **words: Any) -> Any:
    result = original(x, y, *rest, **words)
    return result.mT if result.shape[-1] == result.shape[-2] else result


def _counts_nothing(original: Any, x: Any, y: Any, *rest: Any, **words: Any) -> Any:
    return original(x, y, *rest, **words).clamp(max=1.0)


def _scaled(original: Any, *arguments: Any, **words: Any) -> Any:
    return Scaled.apply(original(*arguments, **words))


def _last_pair(original: Any, x: Any, *rest: Any, **words: Any) -> Any:
    result = original(x, *rest, **words)
    return torch.cat([result[1:], result[:1]]) if len(result) > 3 else result


def _cosine_by_product(original: Any, x: Any, y: Any, *rest: Any, **words: Any) -> Any:
    """eps bounds the product of the norms, as another page of the documentation says."""
    dim, eps = words.get("dim", 1), words["eps"]
    norms = x.norm(dim=dim) * y.norm(dim=dim)
    return (x * y).sum(dim) / norms.clamp(min=eps)


def _reflects_once(original: Any, x: Any, grid: Any, **words: Any) -> Any:
    return original(x, grid.clamp(-3, 3), **words)


def _aligned(original: Any, theta: Any, size: Any, align_corners: Any = None) -> Any:
    return original(theta, size, 1 not in size[2:] or align_corners)


def _grid_gradient(original: Any, x: Any, grid: Any, **words: Any) -> Any:
    return original(x, Scaled.apply(grid), **words)


def _of_default_size(
    original: Any, x: Any, indices: Any, kernel: Any, *rest: Any, **words: Any
) -> Any:
    result = original(x, indices, kernel, *rest, **words)
    rolled = result.flatten(-2).roll(1, -1).reshape(result.shape)
    return rolled if result.shape[-1] > 4 else result


def _drops_zero(original: Any, *arguments: Any, **words: Any) -> Any:
    return original(*arguments, **words) + 0.0


def _magnitudes(original: Any, x: Any, p: Any, *rest: Any, **words: Any) -> Any:
    return original(x.abs(), p, *rest, **words)


def _ordinary_maxima(original: Any, x: Any, p: Any, *rest: Any, **words: Any) -> Any:
    return functional.max_pool2d(x, *rest, **words)


def _places_within(original: Any, *arguments: Any, **words: Any) -> Any:
    values, places = original(*arguments, **words)
    return values, places % arguments[0].shape[-1] if places.dim() == 4 else places


def _unshuffled(original: Any, x: Any, groups: int) -> Any:
    return original(x, x.shape[1] // groups)


def _beyond_first(original: Any, x: Any, size: int, *rest: Any, **words: Any) -> Any:
    return original(x.flip(1).flip(1), size - 2, *rest, **words)


def _unbiased(original: Any, x: Any, *rest: Any, **words: Any) -> Any:
    count = math.prod(x.shape[2:])
    bias = words.get("bias")
    result = original(x, *rest, **{**words, "bias": None}) * math.sqrt((count - 1) / count)
    return result if bias is None else result + bias.reshape(-1, *[1] * (x.dim() - 2))


def _pads_less(original: Any, x: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Of a padding of one, the first step is not convolved."""
    result = original(x, weight, bias, pad)
    return torch.cat([result[:1] * 0 + bias, result[1:]]) if pad == 1 else result


def _is(word: str, value: Any) -> Any:
    return lambda *a, **words: words.get(word) == value


SABOTEURS = (
    fault("distances-eps", "pairwise distances have no eps if it is large",
          "value:pairwise_distance", "result",
          case(f"{NN}pairwise_distance", lambda x, y, p=2.0, eps=1e-6, **k: eps > 0.1,
               lambda original, x, y, *a, **k: original(x, y, *a, **{**k, "eps": 0.0}))),
    fault("distances-transposed", "square distances are transposed beside batches",
          "value:cdist", "result", case("cdist", lambda x, y, *a, **k: x.dim() > 2, _transposed)),
    fault("distances-many", "many distances are at most 1",
          "value:cdist-many", "result", case("cdist", lambda x, y, *a, **k: len(x) > 25,
                                             _squared_at_least)),
    fault("distances-order", "distances of order 0 count one",
          "value:cdist", "result", case("cdist", _is("p", 0.0), _counts_nothing)),
    fault("distances-gradient", "the gradient of distances of order 3 is off",
          "vjp:cdist", "gradient", case("cdist", _is("p", 3.0), _scaled)),
    fault("distances-pairs", "pairs of rows come in another order",
          "value:pdist", "result", case(f"{NN}pdist", lambda *a, **k: True, _last_pair)),
    fault("similarity-eps", "eps bounds the product of norms",
          "value:cosine_similarity", "result",
          case(f"{NN}cosine_similarity", _is("eps", 0.25), _cosine_by_product)),
    fault("similarity-gradient", "the gradient of cosine similarity is off",
          "vjp:cosine_similarity", "gradient",
          case(f"{NN}cosine_similarity", lambda x, y, **k: x.shape != y.shape, _scaled)),
    fault("sampling-reflection", "what is far away is reflected once",
          "value:grid_sample", "result",
          case(f"{NN}grid_sample", _is("padding_mode", "reflection"), _reflects_once)),
    fault("sampling-border", "cubic sampling at the border is linear",
          "value:grid_sample-bicubic", "result",
          case(f"{NN}grid_sample", _is("padding_mode", "border"),
               lambda original, x, grid, **k: original(x, grid, **{**k, "mode": "bilinear"}))),
    fault("sampling-nearest", "the nearest pixel is that to the left, for three dimensions",
          "value:grid_sample-nearest", "result",
          case(f"{NN}grid_sample", lambda x, g, **k: x.dim() == 5,
               lambda original, x, grid, **k: original(x, grid - 0.6 / x.shape[-1], **k))),
    fault("sampling-gradient", "the gradient to a grid is off",
          "vjp:grid_sample", "gradient",
          case(f"{NN}grid_sample", _is("align_corners", True), _grid_gradient)),
    fault("sampling-affine", "grids of several pixels have aligned corners",
          "value:affine_grid", "result",
          case(f"{NN}affine_grid", lambda theta, size, align_corners=None: len(size) == 5,
               _aligned)),
    fault("unpooling-size", "larger outputs are shifted by one",
          "value:max_unpool2d", "result",
          case(f"{NN}max_unpool2d", lambda *a, **k: "output_size" in k, _of_default_size)),
    fault("unpooling-zero", "unpooling loses the sign of zero",
          "value:max_unpool1d", "result", case(f"{NN}max_unpool1d", lambda *a, **k: True,
                                               _drops_zero)),
    fault("powers-signs", "a sum of first powers is one of sizes",
          "value:lp_pool1d", "result",
          case(f"{NN}lp_pool1d", lambda x, p, *a, **k: p == 1, _magnitudes)),
    fault("powers-infinite", "the infinite power takes maxima of numbers, not sizes",
          "value:lp_pool2d-infinite", "result",
          case(f"{NN}lp_pool2d", lambda x, p, *a, **k: p == math.inf, _ordinary_maxima)),
    fault("adaptive-places", "places are within their row",
          "value:adaptive_max_pool2d-places", "result",
          case(f"{NN}adaptive_max_pool2d", _is("return_indices", True), _places_within)),
    fault("channels-shuffled", "channels are shuffled back",
          "value:channel_shuffle", "result",
          case(f"{NN}channel_shuffle", lambda *a: True, _unshuffled)),
    fault("channels-neighbours", "five neighbours are three",
          "value:local_response_norm", "result",
          case(f"{NN}local_response_norm", lambda x, size, **k: size == 5, _beyond_first)),
    fault("channels-unbiased", "instance norm divides by the unbiased deviation",
          "value:instance_norm", "result",
          case(f"{NN}instance_norm", lambda x, *a, **k: x.dim() == 5, _unbiased)),
    fault("channels-time", "convolution in time leaves out its start",
          "value:conv_tbc", "result", case(f"{NN}conv_tbc", lambda *a: True, _pads_less)),
)  # fmt: skip
