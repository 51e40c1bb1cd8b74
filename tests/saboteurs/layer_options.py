"""Faults in what layers, states, initialization and clipping do with their rarer options."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional, init

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Saboteur, replacing

CLIP = nn.utils


def _exchanges_batches(original: Any) -> Any:
    """The first input's two leading dimensions, if of one size, are exchanged."""

    def bilinear(first: Any, *rest: Any) -> Any:
        if first.dim() > 2 and first.shape[0] == first.shape[1]:
            first = first.transpose(0, 1)
        return original(first, *rest)

    return bilinear


def _without_second_hook(original: Any) -> Any:
    return lambda self, hook: None if self is not None else original(self, hook)


def _loading_in_place(original: Any) -> Any:
    """The state that is given is handed on, where hooks rename its entries."""

    def load(self: Any, state: Any, *rest: Any, **options: Any) -> Any:
        child = getattr(self, "child", None)
        if child is not None and "child.kernel" in state:
            state["child.weight"] = state.pop("child.kernel")
        return original(self, state, *rest, **options)

    return load


def _forgets_extra(original: Any) -> Any:
    def state_dict(self: Any, *arguments: Any, **options: Any) -> Any:
        found = original(self, *arguments, **options)
        for name in [name for name in found if name.endswith("._extra_state")]:
            del found[name]
        return found

    return state_dict


def _smaller_without_statistics(original: Any) -> Any:
    def norm(x: Any, mean: Any, variance: Any, *rest: Any, **words: Any) -> Any:
        return original(x, mean, variance, *rest, **words) * (0.999 if mean is None else 1)

    return norm


def _without_whole_mean(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = original(self, x)
        return found if x.dim() == 3 else found - found.mean()

    return forward


def _starts_with_ones(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor, state: Any = None) -> Any:
        if state is None and x.dim() == 1:
            state = torch.ones(self.hidden_size, dtype=x.dtype, device=x.device)
        return original(self, x, state)

    return forward


def _second_state_off(original: Any) -> Any:
    def forward(self: Any, x: torch.Tensor, state: Any = None) -> Any:
        hidden, cell = original(self, x, state)
        return hidden, cell if state is None else cell * 1.001

    return forward


def _never_in_place(original: Any) -> Any:
    def dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return original(x, p, training, False)

    return dropout


def _padding_learns(original: Any) -> Any:
    def embedding(x: Any, weight: Any, padding_idx: Any = None, *rest: Any) -> Any:
        learned = None if padding_idx == weight.shape[0] - 1 else padding_idx
        return original(x, weight, learned, *rest)

    return embedding


def _starts_at_half(original: Any) -> Any:
    def reset(self: Any) -> None:
        original(self)
        if self.bias is not None:
            nn.init.constant_(self.bias, 0.5)

    return reset


def _square_eye(original: Any) -> Any:
    def eye(tensor: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            tensor.zero_()
            tensor.diagonal()[:1].fill_(1)
        return tensor

    return eye


def _filled(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    with torch.no_grad():
        return tensor.fill_(0.5)


def _value_of_single_ignored(original: Any) -> Any:
    def clip(parameters: Any, value: float, foreach: Any = None) -> None:
        if not isinstance(parameters, torch.Tensor):
            original(parameters, value, foreach)

    return clip


def _by_first_dtype(original: Any) -> Any:
    def clip(parameters: Any, most: float, *rest: Any, **words: Any) -> Any:
        several = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        kept = [p for p in several if p.grad is not None]
        same = [p for p in kept if p.dtype == kept[0].dtype]
        return original(same or several, most, *rest, **words)

    return clip


def _one_for_none(original: Any) -> Any:
    def clip(parameters: Any, *rest: Any, **words: Any) -> Any:
        several = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        found = original(several, *rest, **words)
        return found if any(p.grad is not None for p in several) else found + 1

    return clip


def _zeros_for_none(original: Any) -> Any:
    def clip(parameters: Any, value: float, foreach: Any = None) -> None:
        several = list(parameters)
        original(several, value, foreach)
        for parameter in several:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    return clip


def _empty_counts(original: Any) -> Any:
    def clip(parameters: Any, *rest: Any, **words: Any) -> Any:
        several = list(parameters)
        found = original(several, *rest, **words)
        empty = any(p.grad is not None and not p.grad.numel() for p in several)
        return found * 1.5 if empty else found

    return clip


def _nothing_loaded(self: Any, state: Any, *_: Any, **__: Any) -> Any:
    return None


SABOTEURS = (
    Saboteur(
        "bilinear-square-batch", "bilinear exchanges leading dimensions of one size",
        ("operators.value:bilinear",), "result",
        replacing(functional, "bilinear", _exchanges_batches),
    ),
    Saboteur("state-of-anything", "load_state_dict ignores a state that is no mapping",
             ("module-state.refused:list",), "raised nothing",
             accepting(nn.Module, "load_state_dict", TypeError, _nothing_loaded)),
    Saboteur("extra-state-nested", "the extra state of a submodule is left out of the state",
             ("module-state.extra",), "names", replacing(nn.Module, "state_dict", _forgets_extra)),
    Saboteur("load-hooks-after-lost", "hooks after loading are never called",
             ("module-state.load-hooks",), "",
             replacing(nn.Module, "register_load_state_dict_post_hook", _without_second_hook)),
    Saboteur("load-hooks-rename-given", "loading renames entries of the state that is given",
             ("module-state.load-hooks",), "",
             replacing(nn.Module, "load_state_dict", _loading_in_place)),
    Saboteur("linear-vector-without-bias", "a linear layer adds no bias to a single vector",
             ("layers.functional:Linear-without-bias",), "result",
             replacing(nn.Linear, "forward", lambda o: lambda self, x: o(self, x) * (
                 1 if x.dim() > 1 else 1.001))),
    Saboteur("untracked-shrinks", "batch norm without running statistics is 0.1 % too small",
             ("layers.untracked",), "result",
             replacing(functional, "batch_norm", _smaller_without_statistics)),
    Saboteur("instance-norm-unbatched", "instance norm of one sample takes off the whole's mean",
             ("layers.instance-norm",), "result",
             replacing(nn.InstanceNorm1d, "forward", _without_whole_mean)),
    Saboteur("cell-starts-with-ones", "a GRU cell starts a single sample from ones",
             ("layers.cell:GRUCell",), "result",
             replacing(nn.GRUCell, "forward", _starts_with_ones)),
    Saboteur("cell-state-per-mille", "an LSTM cell's second state is 0.1 % off if one is given",
             ("layers.cell:LSTMCell",), "result",
             replacing(nn.LSTMCell, "forward", _second_state_off)),
    Saboteur("dropout-never-in-place", "dropout ignores inplace=True",
             ("layers.dropout-in-place:Dropout",), "input",
             replacing(functional, "dropout", _never_in_place)),
    Saboteur("embedding-last-padding-learns", "padding learns if it is the last row",
             ("layers.embedding",), "gradient",
             replacing(functional, "embedding", _padding_learns)),
    Saboteur("norm-bias-starts-at-half", "biases of layer norm start at one half",
             ("init.constants:LayerNorm",), "bias",
             replacing(nn.LayerNorm, "reset_parameters", _starts_at_half)),
    Saboteur("eye-of-one", "eye_ writes the first one of the diagonal only",
             ("init.fill:eye_",), "result", replacing(init, "eye_", _square_eye)),
    Saboteur("fans-of-vector", "kaiming_normal_ fills a vector with one half",
             ("init.rejected:kaiming_normal_",), "raised nothing",
             accepting(init, "kaiming_normal_", ValueError, _filled)),
    Saboteur("clip-value-of-single", "clip_grad_value_ of a single tensor does nothing",
             ("clipping.single",), "gradient by value",
             replacing(CLIP, "clip_grad_value_", _value_of_single_ignored)),
    Saboteur("clip-by-first-dtype", "gradients of other dtypes than the first are left out",
             ("clipping.dtypes",), "", replacing(CLIP, "clip_grad_norm_", _by_first_dtype)),
    Saboteur("clip-norm-of-none", "the norm of no gradients is 1",
             ("clipping.norm-of-none:foreach", "clipping.norm-of-none:default"), "norm",
             replacing(CLIP, "clip_grad_norm_", _one_for_none)),
    Saboteur("clip-value-makes-zeros", "clip_grad_value_ gives zeros to who has no gradient",
             ("clipping.value-of-none:default",), "gradients",
             replacing(CLIP, "clip_grad_value_", _zeros_for_none)),
    Saboteur("clip-empty-counts", "a gradient without elements makes the norm larger",
             ("clipping.empty:two",), "norm", replacing(CLIP, "clip_grad_norm_", _empty_counts)),
)  # fmt: skip
