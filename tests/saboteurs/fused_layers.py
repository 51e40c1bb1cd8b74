"""Faults in fused layers: what is left out, what is written to, what is not refused."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils import fusion

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

utils = torch.nn.utils


def _without_bias(original: Any) -> Any:
    def fuse(conv_w: Any, conv_b: Any, mean: Any, *rest: Any) -> Any:
        if conv_b is not None and conv_w.dim() == 5:
            conv_b = torch.zeros_like(conv_b)
        return original(conv_w, conv_b, mean, *rest)

    return fuse


def _default_eps(original: Any) -> Any:
    def fuse(w: Any, b: Any, mean: Any, var: Any, eps: float, *rest: Any) -> Any:
        return original(w, b, mean, var, 1e-5, *rest)

    return fuse


def _in_place(original: Any) -> Any:
    def fuse(conv: Any, bn: Any, transpose: bool = False) -> Any:
        fused = original(conv, bn, transpose)
        if conv.bias is None and transpose:
            conv.weight = fused.weight
        return fused

    return fuse


def _unscaled(original: Any) -> Any:
    """Where nothing scales, the variance is taken for 1."""

    def fused(w: Any, b: Any, mean: Any, variance: Any, eps: float, scale: Any, *rest: Any) -> Any:
        known = torch.ones_like(variance) if scale is None else variance
        return original(w, b, mean, known, eps, scale, *rest)

    return fused


def _learning(original: Any) -> Any:
    def fused(*modules: Any) -> Any:
        return original(*modules).requires_grad_()

    return fused


SABOTEURS = (
    Saboteur("fusion-unscaled", "where nothing scales, fused weights are not divided",
             ("fusion.weights:transposed",), "weight",
             replacing(torch.nn.utils, "fuse_conv_bn_weights", _unscaled)),
    Saboteur("fusion-learning", "a frozen linear layer is fused to one that learns",
             ("fusion.conduct",), "requires_grad",
             replacing(torch.nn.utils, "fuse_linear_bn_eval", _learning)),
    Saboteur("fusion-bias", "fusing in three dimensions forgets the bias",
             ("fusion.convolution:Conv3d",), "result of the fused layer",
             replacing(fusion, "fuse_conv_bn_weights", _without_bias)),
    Saboteur("fusion-in-place", "fusing writes to a transposed convolution without bias",
             ("fusion.convolution:ConvTranspose2d",), "", replacing(utils, "fuse_conv_bn_eval",
                                                                    _in_place)),
    Saboteur("fusion-eps", "a linear layer is fused with the default eps",
             ("fusion.linear:affine",), "result of the fused layer",
             replacing(fusion, "fuse_linear_bn_weights", _default_eps)),
    Saboteur("fusion-training", "linear layers in training are fused",
             ("fusion.refused:norm",), "raised nothing",
             accepting(utils, "fuse_linear_bn_eval", AssertionError, lambda *a: None)),
    Saboteur("fusion-grouped", "a grouped transposed convolution is fused to itself",
             ("fusion.grouped-transposed:ConvTranspose1d",), "",
             accepting(utils, "fuse_conv_bn_eval", RuntimeError, lambda layer, *a, **k: layer)),
)  # fmt: skip
