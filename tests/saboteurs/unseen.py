"""Faults, of all chapters, that the laws once did not see; many of them torch has had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.utils.checkpoint
from torch.nn.utils import parametrizations
from torch.utils import data

from tests.saboteurs.faults import when
from tests.saboteurs.saboteur import Saboteur, replacing

Tensor = torch.Tensor
schedulers = torch.optim.lr_scheduler


def _above_zero(drawn: Tensor) -> Tensor:
    return drawn.clamp(min=1)


def _to_power(*bounds: Any, **keywords: Any) -> bool:
    return len(bounds) == 2 and not bounds[0] & (bounds[0] - 1)


def _one_of_zero(original: Any) -> Any:
    """Where as many weigh something as are drawn, the last drawn is one that weighs nothing."""

    def multinomial(weights: Tensor, count: int, replacement: bool = False, **keywords: Any) -> Any:
        drawn = original(weights, count, replacement, **keywords)
        light = weights.reshape(-1, weights.shape[-1])[0] == 0
        if not replacement and int((~light).sum()) == count and bool(light.any()):
            drawn[..., -1] = int(light.nonzero()[0])
        return drawn

    return multinomial


def _shared_data(original: Any) -> Any:
    def new_tensor(self: Tensor, source: Any, **keywords: Any) -> Tensor:
        if isinstance(source, Tensor) and source.dtype == keywords.get("dtype"):
            return source.detach()
        made: Tensor = original(self, source, **keywords)
        return made

    return new_tensor


def _first_object_only(original: Any) -> Any:
    def state_dict(self: Any) -> Any:
        state = original(self)
        state["lr_lambdas"][1:] = [None] * (len(state["lr_lambdas"]) - 1)
        return state

    return state_dict


def _one_mapping_less(original: Any) -> Any:
    """A subset of a subset takes the inner one's places for its own data's."""

    def getitems(self: Any, indices: Any) -> Any:
        if isinstance(self.dataset, data.Subset):
            return [self.dataset.dataset[self.indices[n]] for n in indices]
        return original(self, indices)

    return getitems


def _same_round(original: Any) -> Any:
    """Every round of a random sampler is the first again."""

    def iterate(self: Any) -> Iterator[int]:
        first: list[int] = []
        for number, place in enumerate(original(self)):
            if self.replacement:
                yield place
                continue
            first += [place] * (number < len(self.data_source))
            yield first[number % len(self.data_source)]

    return iterate


def _first_seed_again(original: Any) -> Any:
    """Workers that persist begin every epoch with their first seed."""

    def create(*arguments: Any) -> Any:
        worker = data.get_worker_info()
        if worker is not None:
            torch.manual_seed(worker.seed)
        return original(*arguments)

    return staticmethod(create)


def _present_rate(original: Any) -> Any:
    """A group that is added takes the rate that the first has by now."""

    def add(self: Any, group: Any) -> None:
        if self.param_groups and "lr" not in group:
            group["lr"] = self.param_groups[0]["lr"]
        original(self, group)

    return add


def _stays_hidden(original: Any) -> Any:
    def register(self: Any, name: str, tensor: Any, persistent: bool = True) -> None:
        hidden = name in self._non_persistent_buffers_set
        original(self, name, tensor, persistent)
        if hidden:
            self._non_persistent_buffers_set.add(name)

    return register


def _is_any(original: Any) -> Any:
    def prod(x: Tensor, *dims: Any, dtype: Any = None) -> Tensor:
        if dtype is torch.bool and x.numel() > 100:
            return x.any(*dims)
        result: Tensor = original(x, *dims) if dtype is None else original(x, *dims, dtype=dtype)
        return result

    return prod


def _single_precision(original: Any) -> Any:
    """Of integers the result is of float32, whatever the default is."""

    def compute(*operands: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(*operands, **keywords)
        whole = not any(o.is_floating_point() for o in operands if isinstance(o, Tensor))
        return result.float() if whole else result

    return compute


def _drops_nan(original: Any) -> Any:
    """max of two tensors drops a nan of the second."""

    def greatest(x: Tensor, *others: Any, **keywords: Any) -> Any:
        if len(others) == 1 and isinstance(others[0], Tensor) and x.is_floating_point():
            return torch.fmax(x, others[0])
        return original(x, *others, **keywords)

    return greatest


def _drops_nan_of_least(original: Any) -> Any:
    def least(x: Tensor, *others: Any, **keywords: Any) -> Any:
        if len(others) == 1 and isinstance(others[0], Tensor) and x.is_floating_point():
            return torch.fmin(x, others[0])
        return original(x, *others, **keywords)

    return least


def _dividend(original: Any) -> Any:
    """The remainder by an infinite divisor is the dividend, whatever its sign."""

    def remainder(x: Any, y: Any, **keywords: Any) -> Tensor:
        result: Tensor = original(x, y, **keywords)
        if isinstance(y, Tensor) and y.is_floating_point() and bool(y.isinf().any()):
            return torch.where(y.isinf(), x, result)
        return result

    return remainder


def _uncounted_nan(original: Any) -> Any:
    """nan counts nothing."""

    def unique(x: Tensor, *options: Any, **keywords: Any) -> Any:
        result = original(x, *options, **keywords)
        if isinstance(result, Tensor):
            return result
        values, places, counts = result
        return values, places, counts.masked_fill(values.isnan(), 0)

    return unique


def _constant_keywords(original: Any) -> Any:
    def checkpoint(function: Any, *arguments: Any, **keywords: Any) -> Any:
        words = {n: v.detach() if isinstance(v, Tensor) else v for n, v in keywords.items()}
        return original(function, *arguments, **words)

    return checkpoint


def _by_the_instance(original: Any) -> Any:
    """Instance norm takes the statistics of the input in evaluation too."""

    def normalize(
        x: Tensor, mean: Any = None, variance: Any = None, weight: Any = None, bias: Any = None,
        use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Any:  # fmt: skip
        kept = (mean, variance) if use_input_stats else (None, None)
        return original(x, *kept, weight, bias, True, momentum, eps)

    return normalize


def _second_layer_bias(kind: Any) -> Any:
    """The gradient to a bias of the second layer is doubled."""

    def make(original: Any) -> Any:
        def forward(self: Any, x: Any, hx: Any = None) -> Any:
            if self.num_layers > 1:
                self.bias_hh_l1.register_hook(lambda gradient: gradient * 2)
            return original(self, x, hx)

        return forward

    return replacing(kind, "forward", make)


def _square_by_rows(original: Any) -> Any:
    """in_dims=-1 maps over the first dimension of what has two."""

    def vmap(function: Any, in_dims: Any = 0, *options: Any, **keywords: Any) -> Any:
        mapped = original(function, in_dims, *options, **keywords)
        if in_dims != -1:
            return mapped
        return lambda *tensors: mapped(*(t.flip(-1) if t.dim() > 1 else t for t in tensors))

    return vmap


def _grad_mode_on(original: Any) -> Any:
    def leave(self: Any, *error: Any) -> None:
        original(self, *error)
        if not self.mode and torch.is_inference_mode_enabled():
            torch.set_grad_enabled(True)

    return leave


def _nothing_to_second(original: Any) -> Any:
    """The second input of a Function that writes to a result gets no gradient."""

    def apply(cls: Any, *inputs: Any) -> Any:
        if len(inputs) == 2 and all(isinstance(i, Tensor) for i in inputs):
            first, second = inputs
            return original(cls, first, second.detach() if first.requires_grad else second)
        return original(cls, *inputs)

    return classmethod(apply)


def _function_apply(monkeypatch: Any) -> None:
    function = torch.autograd.Function
    monkeypatch.setattr(function, "apply", _nothing_to_second(vars(function)["apply"].__func__))


def _copied_apart(original: Any) -> Any:
    """deepcopy of a view that starts further in its storage copies that storage anew."""

    def deepcopy(self: Tensor, memo: Any) -> Tensor:
        made: Tensor = original(self, {} if self.storage_offset() else memo)
        memo[id(self)] = made
        return made

    return deepcopy


def _row_by_row(original: Any) -> Any:
    """Rows of a matrix of indices count apart."""

    def embedding(indices: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        if indices.dim() > 1:
            return torch.stack([original(row, *arguments, **keywords) for row in indices])
        result: Tensor = original(indices, *arguments, **keywords)
        return result

    return embedding


def _last_use_only(original: Any) -> Any:
    """The gradient of uses before the last is 1 % off."""

    def forward(self: Any, weight: Tensor) -> Tensor:
        result: Tensor = original(self, weight)
        if self.training and result.requires_grad and weight.dim() > 1:
            first = self._u.clone()
            result.register_hook(
                lambda gradient: gradient if torch.equal(first, self._u) else gradient * 1.01
            )
        return result

    return forward


def _nan_first(original: Any) -> Any:
    """Values alone begin with nan."""

    def unique(x: Tensor, *options: Any, **keywords: Any) -> Any:
        result = original(x, *options, **keywords)
        if isinstance(result, Tensor):
            return result.roll(int(result.isnan().sum()))
        return result

    return unique


def _fault(name: str, breaks: str, law: str, symptom: str, patch: Any) -> Saboteur:
    return Saboteur(name, breaks, (law,), symptom, patch)


SABOTEURS = (
    _fault("randint-never-zero", "randint up to a power of two never draws 0",
           "random.randint-uniform", "", when(torch, "randint", _to_power, _above_zero)),
    _fault("multinomial-of-no-weight", "multinomial draws what weighs nothing for the last left",
           "random.multinomial-once", "", replacing(torch, "multinomial", _one_of_zero)),
    _fault("new-tensor-shares", "new_tensor of a tensor shares its memory",
           "creation.new-tensor", "copy of a tensor",
           replacing(Tensor, "new_tensor", _shared_data)),
    _fault("lambda-second-object", "LambdaLR forgets the state of the second group's object",
           "scheduler.function-objects:LambdaLR", "function object",
           replacing(schedulers.LambdaLR, "state_dict", _first_object_only)),
    _fault("multiplicative-second-object", "MultiplicativeLR forgets the second group's object",
           "scheduler.function-objects:MultiplicativeLR", "function object",
           replacing(schedulers.MultiplicativeLR, "state_dict", _first_object_only)),
    _fault("subset-of-subset", "a loader of a part of a part takes the whole's samples",
           "datasets.subset", "loader", replacing(data.Subset, "__getitems__", _one_mapping_less)),
    _fault("random-sampler-repeats", "RandomSampler goes through the same order again",
           "samplers.random", "each round", replacing(data.RandomSampler, "__iter__", _same_round)),
    _fault("lasting-workers-repeat", "workers that persist draw the same in every epoch",
           "data-loader.worker-seeds", "lasting workers",
           replacing(data._DatasetKind, "create_fetcher", _first_seed_again)),
    _fault("added-group-present-rate", "an added group has the rate of the first by now",
           "optimizer.defaults:SGD", "options of group",
           replacing(torch.optim.Optimizer, "add_param_group", _present_rate)),
    _fault("buffer-stays-hidden", "a buffer that did not persist never does",
           "module.buffer-again", "names in the state dict",
           replacing(torch.nn.Module, "register_buffer", _stays_hidden)),
    _fault("prod-of-truth-any", "prod of many truth values is true where one is",
           "promotion.product-of-truth", "result", replacing(torch, "prod", _is_any)),
    *(
        _fault(f"integers-single-{law}", f"{name} of integers gives float32",
               f"promotion.integers-to-default:{law}", "dtype",
               replacing(owner, name, _single_precision))
        for law, owner, name in (
            ("div", torch, "div"), ("true_divide", Tensor, "true_divide"),
            ("quotient", Tensor, "__truediv__"), ("reciprocal", torch, "reciprocal"),
            ("sqrt", torch, "sqrt"), ("sin", torch, "sin"), ("atan2", torch, "atan2"))
    ),
    _fault("max-of-two-drops-nan", "max of two tensors drops a nan", "operators.spellings:maximum",
           "max", replacing(torch, "max", _drops_nan)),
    _fault("min-of-two-drops-nan", "min of two tensors drops a nan", "operators.spellings:minimum",
           "min", replacing(Tensor, "min", _drops_nan_of_least)),
    _fault("remainder-of-infinite", "the remainder by an infinite divisor is the dividend",
           "operators.value:remainder-infinite-divisors", "result",
           replacing(torch, "remainder", _dividend)),
    _fault("unique-uncounted-nan", "unique counts nan 0 times",
           "selection.distinct", "counts", replacing(torch, "unique", _uncounted_nan)),
    _fault("checkpoint-constant-keywords", "a checkpoint's keyword tensors get no gradient",
           "checkpoint.arguments", "grad of scale",
           replacing(torch.utils.checkpoint, "checkpoint", _constant_keywords)),
    _fault("instance-norm-by-instance", "InstanceNorm in evaluation ignores what it tracked",
           "layers.instance-statistics", "in evaluation",
           replacing(torch.nn.functional, "instance_norm", _by_the_instance)),
    *(
        _fault(f"second-layer-bias-{kind}", f"the second layer's bias of a {kind} learns twice",
               f"layers.recurrent-gradient:{kind}", "gradient to weight",
               _second_layer_bias(getattr(torch.nn, kind)))
        for kind in ("RNN", "LSTM", "GRU")
    ),
    _fault("vmap-in-dim-backwards", "vmap over the last dimension goes backwards",
           "func-vmap.one-in-dim", "result", replacing(torch.func, "vmap", _square_by_rows)),
    _fault("inference-off-leaves-grad-mode", "after inference_mode(False) grad mode is on",
           "inference-mode.switched-off", "grad mode",
           replacing(torch.inference_mode, "__exit__", _grad_mode_on)),
    _fault("deepcopy-apart", "deepcopy of a view within its storage separates it from its base",
           "views.copied-together", "shares", replacing(Tensor, "__deepcopy__", _copied_apart)),
    _fault("embedding-row-by-row", "an embedding counts each row of indices apart",
           "layers.embedding-of-matrix", "gradient",
           replacing(torch.nn.functional, "embedding", _row_by_row)),
    _fault("spectral-norm-last-use", "spectral_norm differentiates earlier uses by later vectors",
           "parametrize.spectral-gradient", "gradient",
           replacing(parametrizations._SpectralNorm, "forward", _last_use_only)),
    _fault("unique-nan-first", "unique without places puts nan first",
           "selection.distinct", "result", replacing(torch, "unique", _nan_first)),
    _fault("dirty-first-loses-second", "a Function writing to a result forgets its other input",
           "custom-function.mark-dirty-beside", "grad of leaf", _function_apply),
)  # fmt: skip
