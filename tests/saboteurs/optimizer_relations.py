"""Faults that relations between optimizers, layouts and derivatives show."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import adagrad, adam, rmsprop, sgd

from tests.saboteurs.saboteur import Patch, Saboteur, replacing
from tests.saboteurs.update_faults import (
    Lists,
    afterwards,
    all_of,
    around_step,
    beforehand,
    changing,
    each,
    parameters_of,
    second,
    times,
)

Tensor = torch.Tensor
Options = dict[str, Any]

AFTER = "after step"


def _couples(original: Any) -> Any:
    def construct(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        if type(self) is torch.optim.Adam:
            for group in self.param_groups:
                group["decoupled_weight_decay"] = False

    return construct


def _detached_complex(lists: Lists, keywords: Options) -> None:
    if lists[0][0].is_complex():
        lists[0][0].imag.mul_(1.0001)


def _strided_wrong(lists: Lists, keywords: Options) -> None:
    if not lists[0][0].is_contiguous():
        lists[0][0].mul_(1.0001)


def _expanded_wrong(lists: Lists, keywords: Options) -> None:
    if 0 in lists[1][0].stride() and lists[1][0].numel() > 1:
        lists[0][0].mul_(1.0001)


def _rate_consumed(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    rate = keywords["lr"]
    if isinstance(rate, Tensor) and rate.dim() == 1:
        keywords = {**keywords, "lr": rate.item() * 1.0001}
    original(*lists, **keywords)


def _first_beta_rounded(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    if isinstance(keywords["beta1"], Tensor):
        keywords = {**keywords, "beta1": keywords["beta1"] * 0.999}
    original(*lists, **keywords)


def _cuts_graph(lists: Lists, keywords: Options) -> None:
    if keywords.get("differentiable"):
        lists[2][0] = lists[2][0].detach()


def _differentiable_always(cls: type) -> Patch:
    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            result = original(self, closure)
            for parameter, state in self.state.items():
                if parameter.grad is not None and "exp_avg" in state:
                    state["exp_avg"] = state["exp_avg"] + 0 * parameter.grad
            return result

        return step

    return replacing(cls, "step", make)


def _writes_sparse(original: Any) -> Any:
    def update(params: Any, grads: Any, *rest: Any, **keywords: Any) -> None:
        original(params, grads, *rest, **keywords)
        for gradient in grads:
            if gradient.is_sparse and gradient._values().shape[0] > 1:
                gradient._values().mul_(0.5)

    return update


def _batch_counted(self: Any) -> None:
    for parameter in parameters_of(self):
        if parameter.grad is not None and parameter.grad._version > 0:
            parameter.mul_(1.0001)


def _order_matters(lists: Lists, keywords: Options) -> None:
    lists[0][0].mul_(1.0001)


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


SABOTEURS = (
    Saboteur(
        "unrolled-momentum", "SGD's momentum is 1e-9 off for the last of three numbers",
        _all("sgd-momentum-unrolls", "plain", "for-loop"), AFTER,
        each(sgd, "_single_tensor_sgd", changing(momentum=times(1 + 1e-9))),
    ),
    Saboteur(
        "adam-without-mean", "Adam's beta1 is at least 1e-9",
        _all("adam-and-rmsprop", "plain"), AFTER,
        each(adam, "_single_tensor_adam", changing(beta1=lambda value: max(value, 1e-9))),
    ),
    Saboteur(
        "decoupled-adam", "Adam's own decoupled decay is coupled",
        _all("adam-decoupled", "plain", "foreach"), "decoupled Adam",
        replacing(torch.optim.Adam, "__init__", _couples),
    ),
    Saboteur(
        "least-scale", "Adam's second moment is at least 1e-12",
        _all("scaled-gradients", "Adam", "Adam-foreach"), "scaled gradients",
        all_of(*(
            each(adam, name, changing(eps=lambda value: value + 1e-9))
            for name in ("_single_tensor_adam", "_multi_tensor_adam")
        )),
    ),
    Saboteur(
        "order-of-parameters", "foreach RMSprop moves all parameters but the first further",
        _all("parameter-order", "RMSprop-foreach"), "reverse order",
        each(rmsprop, "_multi_tensor_rmsprop", afterwards(_order_matters, second)),
    ),
    Saboteur(
        "complex-parts", "RMSprop moves imaginary parts further",
        _all("complex-is-pairs", "RMSprop"), AFTER,
        each(rmsprop, "_single_tensor_rmsprop", afterwards(_detached_complex)),
    ),
    Saboteur(
        "strided-parameters", "Adagrad moves parameters that are not contiguous further",
        _all("layouts", "Adagrad"), AFTER,
        each(adagrad, "_single_tensor_adagrad", afterwards(_strided_wrong)),
    ),
    Saboteur(
        "expanded-gradients", "Adagrad moves further for expanded gradients",
        _all("expanded-gradient", "Adagrad"), AFTER,
        each(adagrad, "_single_tensor_adagrad", afterwards(_expanded_wrong)),
    ),
    Saboteur(
        "dampening-without-momentum", "SGD dampens its rate also without momentum",
        _all("unused-option", "SGD-dampening"), "dampening",
        each(sgd, "_single_tensor_sgd", lambda original, index, lists, keywords: original(
            *lists, **{**keywords, "lr": keywords["lr"] * (1 - keywords["dampening"] / 2)})),
    ),
    Saboteur(
        "tensor-rate", "RMSprop's rate is off where it is a tensor of one dimension",
        _all("tensor-rate", "RMSprop"), AFTER,
        each(rmsprop, "_single_tensor_rmsprop", _rate_consumed),
    ),
    Saboteur(
        "tensor-betas", "Adam's first beta is off where it is a tensor",
        _all("tensor-betas", "plain", "for-loop"), AFTER,
        each(adam, "_single_tensor_adam", _first_beta_rounded),
    ),
    Saboteur(
        "accumulated-gradients", "Adam moves further by a gradient that was added to",
        _all("batches-agree", "Adam"), "weights",
        around_step(torch.optim.Adam, _batch_counted),
    ),
    Saboteur(
        "differentiable-detached", "a differentiable step of Adagrad detaches its sum",
        _all("differentiable", "Adagrad"), "gradient",
        each(adagrad, "_single_tensor_adagrad", beforehand(_cuts_graph)),
    ),
    Saboteur(
        "rate-detached", "SGD takes the number of a rate that is a leaf",
        _all("differentiable-rate", "SGD"), "",
        each(sgd, "_single_tensor_sgd", changing(
            lr=lambda rate: rate.detach() if isinstance(rate, Tensor) else rate)),
    ),
    Saboteur(
        "state-records", "NAdam's mean of gradients keeps the graph of the gradient",
        _all("not-differentiable", "NAdam"), "require grad",
        _differentiable_always(torch.optim.NAdam),
    ),
    Saboteur(
        "sparse-values-halved", "SGD writes to sparse gradients with repeated rows",
        _all("sparse-gradient-unchanged", "SGD"), "gradient after the step",
        replacing(sgd, "_single_tensor_sgd", _writes_sparse),
    ),
    Saboteur(
        "sparse-adam-second-beta", "SparseAdam's beta2 is 1e-6 off",
        ("optimizer.sparse-agrees-with-adam",), AFTER,
        replacing(torch.optim._functional, "sparse_adam", lambda original: (
            lambda *lists, **keywords: original(
                *lists, **{**keywords, "beta2": keywords["beta2"] * (1 - 1e-6)}))),
    ),
)  # fmt: skip
