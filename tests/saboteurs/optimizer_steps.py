"""Faults in steps: rates, closures, gradients, hooks, what is written to."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer, adadelta, adagrad, adam, sgd

from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.update_faults import (
    Lists,
    afterwards,
    all_of,
    around_step,
    beforehand,
    changing,
    each,
    from_step,
    parameters_of,
    times,
)

Tensor = torch.Tensor
Options = dict[str, Any]

AFTER = "after step"


def _zero_is_none(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        hidden = [p for p in parameters_of(self) if p.grad is not None and not p.grad.any()]
        gradients = [p.grad for p in hidden]
        for parameter in hidden:
            parameter.grad = None
        try:
            return original(self, closure)
        finally:
            for parameter, gradient in zip(hidden, gradients, strict=True):
                parameter.grad = gradient

    return step


def _keeps_graphs_of_later_groups(original: Any) -> Any:
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        later = [p for group in self.param_groups[1:] for p in group["params"]]
        kept = [(p, p.grad) for p in later if p.grad is not None and p.grad.requires_grad]
        for parameter, _ in kept:
            parameter.grad = None
        original(self, set_to_none)
        for parameter, gradient in kept:
            parameter.grad = None if set_to_none else gradient

    return zero_grad


def _keeps_graph(original: Any) -> Any:
    def zero(self: Any, set_to_none: bool = True) -> None:
        if set_to_none:
            return original(self, set_to_none)
        for parameter in parameters_of(self):
            if parameter.grad is not None:
                parameter.grad = parameter.grad * 0.0
        return None

    return zero


def _closure_twice(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        if closure is not None:
            with torch.enable_grad():
                closure()
        return original(self, closure)

    return step


def _negates_gradients(lists: Lists, keywords: Options) -> None:
    if keywords["maximize"]:
        lists[1][0].neg_()


def _moves_data(self: Any) -> None:
    for parameter in parameters_of(self):
        if parameter.dim() == 1 and parameter.numel() > 1:
            parameter.data = parameter.data.clone()


def _buffer_is_gradient(lists: Lists, keywords: Options) -> None:
    started = lists[2] and lists[2][0] is not None
    if started and not keywords["nesterov"] and keywords["weight_decay"] == 0:
        plain = not keywords["maximize"] and keywords["dampening"] == 0
        if plain and torch.equal(lists[2][0], lists[1][0]):
            lists[2][0] = lists[1][0]


_SHARED: dict[type, Any] = {}


def _state_of_the_class(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        result = original(self, closure)
        for state in self.state.values():
            if "exp_avg" in state:
                known = _SHARED.setdefault(type(self), state["exp_avg"])
                if known.shape == state["exp_avg"].shape and known.dtype == state["exp_avg"].dtype:
                    state["exp_avg"] = known
        return result

    return step


def _post_hooks_first(original: Any) -> Any:
    def register(self: Any, hook: Any) -> Any:
        handle = original(self, hook)
        self._optimizer_step_post_hooks.move_to_end(handle.id, last=False)
        return handle

    return register


def _pre_hooks_return_nothing(original: Any) -> Any:
    def register(self: Any, hook: Any) -> Any:
        return original(self, lambda *arguments: (hook(*arguments), None)[1])

    return register


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


def _times_zero(original: Any) -> Any:
    """Zero gradients by a product: nan and infinity become nan."""

    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        if set_to_none:
            original(self)
            return
        for parameter in parameters_of(self):
            if parameter.grad is not None:
                parameter.grad.detach_().mul_(0.0)

    return zero_grad


SABOTEURS = (
    Saboteur(
        "late-rate", "Adam's rate is 1e-10 off from step 30 on",
        _all("long-history", "Adam"), AFTER,
        each(adam, "_single_tensor_adam", changing(from_step(30), lr=times(1 + 1e-10))),
    ),
    Saboteur(
        "differentiable-rate-in-double", "a differentiable step of Adam has a rate 1e-9 off",
        _all("long-history-in-double", "Adam-differentiable")
        + _all("drawn-variant", "Adam"), AFTER,
        each(adam, "_single_tensor_adam", changing(
            lambda index, lists, keywords: bool(keywords["differentiable"]), lr=times(1.0001))),
    ),
    Saboteur(
        "bfloat16-momentum", "SGD's momentum of bfloat16 parameters is a tenth off",
        _all("low-precision", "SGD"), AFTER,
        each(sgd, "_single_tensor_sgd", changing(
            lambda index, lists, keywords: lists[0][0].dtype == torch.bfloat16,
            momentum=times(0.7))),
    ),
    Saboteur(
        "zero-rate-decays", "SGD decays at least at a rate of 1e-3",
        _all("zero-rate", "SGD", "SGD-for-loop"), AFTER,
        each(sgd, "_single_tensor_sgd", beforehand(
            lambda lists, keywords: lists[0][0].mul_(1 - 1e-3 * keywords["weight_decay"]))),
    ),
    Saboteur(
        "zero-gradient-skipped", "RMSprop skips gradients of zeros",
        _all("zero-gradient-steps", "RMSprop", "Adam"), "",
        all_of(*(
            replacing(cls, "step", _zero_is_none)
            for cls in (torch.optim.RMSprop, torch.optim.Adam)
        )),
    ),
    Saboteur(
        "zero-grad-keeps-graph", "zero_grad with set_to_none=False keeps the graph",
        _all("zero-grad-detaches", "SGD", "SGD-foreach"), "requires grad",
        replacing(Optimizer, "zero_grad", _keeps_graph),
    ),
    Saboteur(
        "zero-grad-keeps-later-graphs", "zero_grad leaves recorded gradients of later groups alone",
        _all("zero-grad-detaches", "SGD"), "",
        replacing(Optimizer, "zero_grad", _keeps_graphs_of_later_groups),
    ),
    Saboteur(
        "closure-runs-twice", "Adagrad runs its closure twice",
        _all("closure-comes-first", "Adagrad"), "calls of the closure",
        replacing(torch.optim.Adagrad, "step", _closure_twice),
    ),
    Saboteur(
        "maximize-negates-gradients", "Adadelta negates gradients themselves to maximize",
        _all("gradients-unchanged", "Adadelta"), "grad of parameter",
        each(adadelta, "_single_tensor_adadelta", afterwards(_negates_gradients)),
    ),
    Saboteur(
        "parameter-reallocated", "RMSprop gives vectors new memory",
        _all("in-place", "RMSprop"), "view of parameter",
        around_step(torch.optim.RMSprop, _moves_data),
    ),
    Saboteur(
        "foreach-maximize-off", "foreach Adagrad's rate is off where it maximizes",
        _all("maximize-mirrors", "Adagrad-foreach"), AFTER,
        each(adagrad, "_multi_tensor_adagrad", changing(
            lambda index, lists, keywords: keywords["maximize"], lr=times(1 + 1e-12))),
    ),
    Saboteur(
        "post-hooks-reversed", "post hooks run in reverse",
        _all("step-hooks", "SGD", "LBFGS"), "order of the hooks",
        replacing(Optimizer, "register_step_post_hook", _post_hooks_first),
    ),
    Saboteur(
        "pre-hook-result-ignored", "what a pre hook returns is ignored",
        _all("pre-hook-replaces-arguments", "SGD", "LBFGS"), "",
        replacing(Optimizer, "register_step_pre_hook", _pre_hooks_return_nothing),
    ),
    Saboteur(
        "moments-of-the-class", "instances of Adamax share a mean of gradients",
        _all("two-instances", "Adamax"), "of two",
        replacing(torch.optim.Adamax, "step", _state_of_the_class),
    ),
    Saboteur(
        "buffer-is-gradient", "SGD's first momentum buffer is the gradient itself",
        _all("gradients-between-steps", "SGD"), "overwritten",
        each(sgd, "_single_tensor_sgd", afterwards(_buffer_is_gradient)),
    ),
    Saboteur(
        "zero-by-product", "zero_grad multiplies by zero: nan stays",
        _all("zero-grad", "SGD", "LBFGS"), "grad", replacing(Optimizer, "zero_grad", _times_zero),
    ),
)  # fmt: skip
