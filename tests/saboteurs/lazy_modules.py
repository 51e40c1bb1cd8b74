"""Faults in lazy modules: shapes, classes, dtypes, states that are lost at the first call."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.lazy import LazyModuleMixin

from tests.saboteurs.saboteur import Saboteur, replacing

nn = torch.nn
UninitializedTensorMixin: Any = getattr(torch.nn.parameter, "UninitializedTensorMixin")  # noqa: B009 (not in its stubs)


def _stays_lazy(original: Any) -> Any:
    """A lazy convolution of three dimensions keeps its class."""

    def infer(self: Any, module: Any, arguments: Any, keywords: Any = None) -> Any:
        kind = self.cls_to_become
        if kind is nn.Conv3d:
            self.cls_to_become = None
        return original(self, module, arguments, keywords)

    return infer


def _in_single(original: Any) -> Any:
    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> Any:
        if len(shape) == 1 and dtype is None:
            dtype = torch.get_default_dtype()
        return original(self, shape, device, dtype)

    return materialize


def _requires_grad(original: Any) -> Any:
    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> Any:
        result = original(self, shape, device, dtype)
        if isinstance(self, nn.Parameter):
            self.requires_grad_(True)
        return result

    return materialize


def _uninitialized(original: Any) -> Any:
    """A lazy linear layer is not initialized where it has more than one output."""

    def initialize(self: Any, x: Any) -> Any:
        original(self, x)
        if self.out_features > 2:
            nn.init.zeros_(self.bias)

    return initialize


def _again(original: Any) -> Any:
    """A loaded state is initialized anew at the first call."""

    def infer(self: Any, module: Any, arguments: Any, keywords: Any = None) -> Any:
        loaded = not self.has_uninitialized_params()
        result = original(self, module, arguments, keywords)
        if loaded and isinstance(self, nn.Linear):
            self.reset_parameters()
        return result

    return infer


def _first_block(original: Any) -> Any:
    """The second call of a lazy layer's forward hook does not remove it: it infers again."""

    def infer(self: Any, module: Any, arguments: Any, keywords: Any = None) -> Any:
        result = original(self, module, arguments, keywords)
        if isinstance(module, nn.Linear) and module.in_features == module.out_features:
            module.bias = nn.Parameter(module.bias.detach().clone())
            module.weight.requires_grad_(False)
        return result

    return infer


def _accepts_rank(original: Any) -> Any:
    def channels(self: Any, x: Any) -> Any:
        return x.shape[1]

    return channels


def _channels_of_batch(original: Any) -> Any:
    """Without a batch the channels are taken from the second dimension, too."""

    def channels(self: Any, x: Any) -> Any:
        found = original(self, x)
        return x.shape[1] if x.dim() < len(self.kernel_size) + 2 else found

    return channels


def _zero_padded(original: Any) -> Any:
    def made(self: Any, *arguments: Any, **words: Any) -> None:
        original(self, *arguments, **{**words, "padding_mode": "zeros"})

    return made


def _learns(original: Any) -> Any:
    """A copy of an uninitialized parameter requires grad."""

    def copied(self: Any, memo: Any) -> Any:
        return type(self)(True, self.data.device, self.data.dtype)

    return copied


def _shared(original: Any) -> Any:
    """A copy of an uninitialized parameter is the same."""

    def copied(self: Any, memo: Any) -> Any:
        return self

    return copied


SABOTEURS = (
    Saboteur("lazy-channels", "without a batch a lazy convolution takes its channels from a side",
             ("lazy.unbatched:LazyConv2d",), "",
             replacing(nn.modules.conv._LazyConvXdMixin, "_get_in_channels", _channels_of_batch)),
    Saboteur("lazy-padding", "a lazy convolution pads by zeros whatever it is told",
             ("lazy.options:LazyConv2d-padded",), "result",
             replacing(nn.LazyConv2d, "__init__", _zero_padded)),
    Saboteur("lazy-learns", "a copy of a frozen uninitialized parameter requires grad",
             ("lazy.uninitialized",), "lazy, requires_grad, dtype of a copy",
             replacing(nn.parameter.UninitializedParameter, "__deepcopy__", _learns)),
    Saboteur("lazy-shared", "a copy of a lazy module shares its parameters",
             ("lazy.copied:LazyLinear",), "whether the first is uninitialized",
             replacing(nn.parameter.UninitializedParameter, "__deepcopy__", _shared)),
    Saboteur("lazy-class", "a lazy convolution of three dimensions keeps its class",
             ("lazy.becomes:LazyConv3d",), "class",
             replacing(LazyModuleMixin, "_infer_parameters", _stays_lazy)),
    Saboteur("lazy-dtype", "lazy vectors have the default dtype",
             ("lazy.becomes:LazyBatchNorm1d",), "dtype",
             replacing(UninitializedTensorMixin, "materialize", _in_single)),
    Saboteur("lazy-flag", "what is materialized requires grad",
             ("lazy.uninitialized",), "flag",
             replacing(UninitializedTensorMixin, "materialize", _requires_grad)),
    Saboteur("lazy-bias", "the bias of a lazy linear layer is 0",
             ("lazy.becomes:LazyLinear",), "", replacing(nn.LazyLinear, "initialize_parameters",
                                                         _uninitialized)),
    Saboteur("lazy-again", "a lazy layer forgets what it loaded at its first call",
             ("lazy.state:LazyLinear",), "",
             replacing(LazyModuleMixin, "_infer_parameters", _again)),
    Saboteur("lazy-frozen", "a square lazy layer has a frozen weight",
             ("lazy.network",), "", replacing(LazyModuleMixin, "_infer_parameters", _first_block)),
    Saboteur("lazy-rank", "a lazy convolution takes its channels from an input of any rank",
             ("lazy.refused:LazyConv2d",), "",
             replacing(nn.LazyConv2d, "_get_in_channels", _accepts_rank)),
)  # fmt: skip
