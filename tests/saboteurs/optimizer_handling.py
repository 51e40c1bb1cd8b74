"""Faults around the update: groups, closures, gradients, hooks, checkpoints, rejections."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer, adadelta, adagrad, adam, rmsprop, sgd

from tests.saboteurs.faults import accepting
from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing
from tests.saboteurs.update_faults import (
    Lists,
    afterwards,
    beforehand,
    changing,
    each,
    from_step,
    second,
    times,
)

Tensor = torch.Tensor
Options = dict[str, Any]


def _like_the_first(cls: type, option: str) -> Patch:
    """Patch a class so that the second group is stepped with an option of the first."""

    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            groups = self.param_groups
            before = [group[option] for group in groups]
            for group in groups[1:]:
                group[option] = before[0]
            try:
                return original(self, closure)
            finally:
                for group, value in zip(groups, before, strict=True):
                    group[option] = value

        return step

    return replacing(cls, "step", make)


def _around_step(cls: type, spoil: Callable[[Any], None]) -> Patch:
    """Patch a class so that something happens to the optimizer after each step."""

    def make(original: Any) -> Any:
        def step(self: Any, closure: Any = None) -> Any:
            result = original(self, closure)
            with torch.no_grad():
                spoil(self)
            return result

        return step

    return replacing(cls, "step", make)


def _parameters(self: Any) -> list[Tensor]:
    return [p for group in self.param_groups for p in group["params"]]


def _keeps_first_rate(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        group = self.param_groups[0]
        first = self.__dict__.setdefault("_first", {k: group[k] for k in ("eps", "weight_decay")})
        before = {name: group[name] for name in first}
        group.update(first)
        try:
            return original(self, closure)
        finally:
            group.update(before)

    return step


def _defaults_of_the_class(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        if self.param_groups:
            group.setdefault("weight_decay", 0.0)
        original(self, group)

    return add


def _added_group_inherits_state(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        steps = [s["step"] for s in self.state.values() if "step" in s]
        original(self, group)
        if steps and "betas" in group:
            for parameter in group["params"]:
                self.state[parameter].update(
                    step=steps[0].clone(), exp_avg=torch.zeros_like(parameter),
                    exp_avg_sq=torch.zeros_like(parameter),
                )  # fmt: skip
                if group.get("amsgrad"):
                    self.state[parameter]["max_exp_avg_sq"] = torch.zeros_like(parameter)

    return add


def _names_sorted(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        original(self, group)
        if "param_names" in group:
            group["param_names"] = group["param_names"][::-1]

    return add


def _parameters_copied(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        if not isinstance(group["params"], (list, Tensor, set)):
            group["params"] = list(group["params"])[::-1]
        original(self, group)

    return add


def _steps_empty(original: Any) -> Any:
    def update(params: Any, *rest: Any, **keywords: Any) -> None:
        if any(p.numel() == 0 for p in params):
            keywords = {**keywords, "lr": keywords["lr"] * 1.001}
        original(params, *rest, **keywords)

    return update


def _in_the_first_dtype(original: Any) -> Any:
    def update(params: Any, *rest: Any, **keywords: Any) -> None:
        original(params, *rest, **keywords)
        if params and params[0].dtype == torch.float32:
            with torch.no_grad():
                for parameter in params[1:]:
                    parameter.copy_(parameter.float())

    return update


def _zero_is_none(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        hidden = [p for p in _parameters(self) if p.grad is not None and not p.grad.any()]
        gradients = [p.grad for p in hidden]
        for parameter in hidden:
            parameter.grad = None
        try:
            return original(self, closure)
        finally:
            for parameter, gradient in zip(hidden, gradients, strict=True):
                parameter.grad = gradient

    return step


def _keeps_graph(original: Any) -> Any:
    def zero(self: Any, set_to_none: bool = True) -> None:
        if set_to_none:
            return original(self, set_to_none)
        for parameter in _parameters(self):
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
    for parameter in _parameters(self):
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


def _load_spoils(cls: type, spoil: Callable[[Any], None]) -> Patch:
    def make(original: Any) -> Any:
        def load(self: Any, state_dict: Any) -> None:
            original(self, state_dict)
            with torch.no_grad():
                spoil(self)

        return load

    return replacing(cls, "load_state_dict", make)


def _buffer_unrestored(self: Any) -> None:
    for state in self.state.values():
        if "momentum_buffer" in state:
            state["momentum_buffer"].mul_(0.999)


def _largest_unrestored(self: Any) -> None:
    for state in self.state.values():
        if "max_exp_avg_sq" in state:
            state["max_exp_avg_sq"].copy_(state["exp_avg_sq"])


def _step_unrestored(self: Any) -> None:
    for state in self.state.values():
        if float(state.get("step", 0)) >= 3:
            state["step"] -= 1


def _old_state_stays(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        before = dict(self.state)
        original(self, state_dict)
        for parameter, state in before.items():
            if parameter not in self.state and "square_avg" in state:
                self.state[parameter] = state

    return load


def _rounds_state(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for state in self.state.values():
            for name, value in state.items():
                if name != "step" and isinstance(value, Tensor) and value.dtype == torch.bfloat16:
                    state[name] = (value * 1.01).to(value.dtype)

    return load


def _step_cast(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for parameter, state in self.state.items():
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.dtype)

    return load


def _copies_share(original: Any) -> Any:
    def getstate(self: Any) -> Any:
        state = original(self)
        return {**state, "state": type(state["state"])(dict)} if len(state["state"]) else state

    return getstate


def _ids_from_one(saved: Any) -> Any:
    for group in saved["param_groups"]:
        group["params"] = [number + 1 for number in group["params"]]
    saved["state"] = {number + 1: state for number, state in saved["state"].items()}
    return saved


def _drops_options(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        before = [group.get("eps") for group in self.param_groups]
        original(self, state_dict)
        for group, value in zip(self.param_groups, before, strict=True):
            if value is not None:
                group["eps"] = value

    return load


def _groups_shared(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            saved.update({k: v for k, v in group.items() if k != "params"})
        self.param_groups = [
            _Following(saved, group)
            for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True)
        ]

    return load


class _Following(dict):  # type: ignore[type-arg]
    """A group whose options are written to the saved one as well."""

    def __init__(self, saved: Any, group: Any) -> None:
        super().__init__(group)
        self.saved = saved

    def __setitem__(self, name: Any, value: Any) -> None:
        super().__setitem__(name, value)
        if name == "lr":
            self.saved[name] = value


def _loads_before_it_refuses(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=False):
            group["lr"] = saved["lr"]
        original(self, state_dict)

    return load


def _never_prepends(original: Any) -> Any:
    def register(self: Any, hook: Any, prepend: bool = False) -> Any:
        return original(self, hook)

    return register


def _hook_result_ignored(original: Any) -> Any:
    def register(self: Any, hook: Any, prepend: bool = False) -> Any:
        return original(self, lambda *given: (hook(*given), None)[1], prepend)

    return register


def _zero_grad_decays(original: Any) -> Any:
    def zero(self: Any, set_to_none: bool = True) -> None:
        original(self, set_to_none)
        if not set_to_none:
            for state in self.state.values():
                for name in ("exp_avg", "momentum_buffer", "square_avg", "sum"):
                    if isinstance(state.get(name), Tensor):
                        state[name].mul_(0.999)

    return zero


def _without_check(name: str, value: Any) -> Any:
    """Construct with a legal value, and set the option afterwards."""

    def make(original: Any) -> Any:
        def construct(self: Any, params: Any, *rest: Any, **options: Any) -> None:
            given = options.get(name)
            try:
                original(self, params, *rest, **options)
            except ValueError:
                if name not in options:
                    raise
                original(self, params, *rest, **{**options, name: value})
                for group in self.param_groups:
                    group[name] = given

        return construct

    return make


def _touches_before_it_refuses(original: Any) -> Any:
    def construct(self: Any, params: Any, *rest: Any, **options: Any) -> None:
        kept = list(params)
        try:
            original(self, kept, *rest, **options)
        except ValueError:
            with torch.no_grad():
                for parameter in kept:
                    parameter.add_(1)
            raise

    return construct


def _couples(original: Any) -> Any:
    def construct(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        if type(self) is torch.optim.Adam:
            for group in self.param_groups:
                group["decoupled_weight_decay"] = False

    return construct


def _dense_first(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        for parameter in _parameters(self):
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        return original(self, closure)

    return step


def _ignores_capturable(original: Any) -> Any:
    def step(self: Any, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["capturable"] = False
        return original(self, closure)

    return step


def _adds_before_it_refuses(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        try:
            original(self, group)
        except ValueError as error:
            if "more than one" in str(error):
                self.param_groups.append(group)
            raise

    return add


def _silently(original: Any) -> Any:
    def add(self: Any, group: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            original(self, group)

    return add


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
    for parameter in _parameters(self):
        if parameter.grad is not None and parameter.grad._version > 0:
            parameter.mul_(1.0001)


def _order_matters(lists: Lists, keywords: Options) -> None:
    lists[0][0].mul_(1.0001)


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


AFTER = "after step"
SABOTEURS = (
    Saboteur(
        "second-group-betas", "Adam steps the second group with betas of the first",
        _all("groups-independent", "Adam") + _all("group-defaults", "Adam"), AFTER,
        _like_the_first(torch.optim.Adam, "betas"),
    ),
    Saboteur(
        "second-group-rate", "SGD steps the second group with the rate of the first",
        _all("groups-independent", "SGD", "SGD-foreach", "SGD-fused"), AFTER,
        _like_the_first(torch.optim.SGD, "lr"),
    ),
    Saboteur(
        "group-defaults-of-the-class", "a later group's decay is zero unless it is given",
        _all("group-defaults", "AdamW"), "weight_decay",
        replacing(Optimizer, "add_param_group", _defaults_of_the_class),
    ),
    Saboteur(
        "added-group-counts-on", "a group added to Adam takes over the count of steps",
        _all("added-group", "Adam"), "parameter",
        replacing(Optimizer, "add_param_group", _added_group_inherits_state),
    ),
    Saboteur(
        "options-of-the-first-step", "Adam keeps eps and decay of its first step",
        _all("changed-option", "Adam"), AFTER,
        replacing(torch.optim.Adam, "step", _keeps_first_rate),
    ),
    Saboteur(
        "names-reversed", "names of parameters are kept in reverse",
        _all("named-parameters", "SGD", "Rprop"), "param_names",
        replacing(Optimizer, "add_param_group", _names_sorted),
    ),
    Saboteur(
        "iterators-reversed", "parameters of an iterator are taken in reverse",
        _all("parameters-taken", "SGD", "Adam"), "kept parameters",
        replacing(Optimizer, "add_param_group", _parameters_copied),
    ),
    Saboteur(
        "float32-for-all", "SGD rounds to float32 what stands in a group after a float32 parameter",
        _all("mixed-dtypes", "SGD"), AFTER,
        replacing(sgd, "_single_tensor_sgd", _in_the_first_dtype),
    ),
    Saboteur(
        "empty-parameter-counts", "RMSprop's rate is off beside a parameter without elements",
        _all("empty-parameter", "RMSprop"), AFTER,
        replacing(rmsprop, "_single_tensor_rmsprop", _steps_empty),
    ),
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
        lambda monkeypatch: [
            replacing(cls, "step", _zero_is_none)(monkeypatch)
            for cls in (torch.optim.RMSprop, torch.optim.Adam)
        ] and None,
    ),
    Saboteur(
        "zero-grad-keeps-graph", "zero_grad with set_to_none=False keeps the graph",
        _all("zero-grad-detaches", "SGD", "SGD-foreach"), "requires grad",
        replacing(Optimizer, "zero_grad", _keeps_graph),
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
        _around_step(torch.optim.RMSprop, _moves_data),
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
        "momentum-not-restored", "a loaded momentum buffer is 0.1 % off",
        _all("state-dict-continues", "SGD", "RMSprop-foreach"), "after the checkpoint",
        _load_spoils(Optimizer, _buffer_unrestored),
    ),
    Saboteur(
        "largest-moment-not-restored", "Adam loads the second moment for its maximum",
        _all("state-dict-continues", "Adam", "AdamW-fused"), "after the checkpoint",
        _load_spoils(Optimizer, _largest_unrestored),
    ),
    Saboteur(
        "old-state-stays", "state of parameters that the loaded dict has none for stays",
        _all("saved-state-continues", "RMSprop", "Adadelta"), "after the checkpoint",
        replacing(Optimizer, "load_state_dict", _old_state_stays),
    ),
    Saboteur(
        "steps-not-restored", "a count of three steps or more is loaded as one less",
        _all("saved-state-continues", "Adam", "NAdam"), "after the checkpoint",
        _load_spoils(Optimizer, _step_unrestored),
    ),
    Saboteur(
        "bfloat16-state-off", "state of bfloat16 parameters is loaded 1 % off",
        _all("state-continues-in-bfloat16", "Adam"), "after the checkpoint",
        replacing(Optimizer, "load_state_dict", _rounds_state),
    ),
    Saboteur(
        "copies-start-over", "a copy of an optimizer has no state",
        _all("copy-continues", "SGD", "Adadelta"), "after the checkpoint",
        replacing(Optimizer, "__getstate__", _copies_share),
    ),
    Saboteur(
        "ids-from-one", "ids in a state_dict begin with 1",
        _all("state-dict-contents", "SGD", "LBFGS"), "ids",
        after(Optimizer, "state_dict", _ids_from_one),
    ),
    Saboteur(
        "eps-not-restored", "load_state_dict keeps the constructor's eps",
        _all("load-restores-options", "Adam", "RMSprop"), "eps",
        replacing(Optimizer, "load_state_dict", _drops_options),
    ),
    Saboteur(
        "loaded-groups-shared", "a loaded group writes its rate to the dict it is from",
        _all("loaded-is-separate", "SGD-options", "LBFGS-options"), "lr in the state_dict",
        replacing(Optimizer, "load_state_dict", _groups_shared),
    ),
    Saboteur(
        "loaded-step-cast", "load_state_dict casts counts to the parameter's dtype",
        _all("loaded-state-dtype", "Adam", "Rprop"), "step",
        replacing(Optimizer, "load_state_dict", _step_cast),
    ),
    Saboteur(
        "load-changes-before-it-refuses", "load_state_dict takes rates of a dict that it refuses",
        _all("load-mismatch-raises", "fewer-groups", "fewer-parameters"), "lr after the refusal",
        replacing(Optimizer, "load_state_dict", _loads_before_it_refuses),
    ),
    Saboteur(
        "never-prepended", "a hook on load_state_dict is never prepended",
        _all("state-dict-hooks", "load-state-dict-pre"), "order of the hooks",
        replacing(Optimizer, "register_load_state_dict_pre_hook", _never_prepends),
    ),
    Saboteur(
        "hook-result-ignored", "what a hook on load_state_dict returns is ignored",
        _all("hooks-replace-state-dict", "both"), "lr after the load",
        replacing(Optimizer, "register_load_state_dict_pre_hook", _hook_result_ignored),
    ),
    Saboteur(
        "zero-grad-decays-state", "zero_grad with set_to_none=False changes the state",
        _all("state-untouched", "Adam", "Adagrad"), "looked at",
        replacing(Optimizer, "zero_grad", _zero_grad_decays),
    ),
    Saboteur(
        "rho-unchecked", "Adadelta takes any rho",
        _all("bad-option-raises", "Adadelta-rho"), "raised nothing",
        replacing(torch.optim.Adadelta, "__init__", _without_check("rho", 0.5)),
    ),
    Saboteur(
        "eps-unchecked", "RMSprop takes a negative eps",
        _all("bad-option-raises", "RMSprop-eps"), "raised nothing",
        replacing(torch.optim.RMSprop, "__init__", _without_check("eps", 1e-8)),
    ),
    Saboteur(
        "refusal-writes", "NAdam's refusal changes the parameters",
        _all("bad-option-raises", "NAdam-beta-1"), "was modified",
        replacing(torch.optim.NAdam, "__init__", _touches_before_it_refuses),
    ),
    Saboteur(
        "fused-and-foreach", "Adam takes fused and foreach together",
        _all("conflict-raises", "Adam-fused-foreach"), "raised nothing",
        accepting(torch.optim.Adam, "__init__", RuntimeError, lambda *_, **__: None),
    ),
    Saboteur(
        "sparse-made-dense", "Rprop writes sparse gradients out",
        _all("bad-gradient-raises", "Rprop-sparse"), "raised nothing",
        replacing(torch.optim.Rprop, "step", _dense_first),
    ),
    Saboteur(
        "complex-sparse-adam", "SparseAdam takes complex parameters",
        _all("bad-parameter-raises", "SparseAdam-complex"), "raised nothing",
        accepting(torch.optim.SparseAdam, "__init__", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "shared-between-groups", "a parameter may be in two groups",
        _all("bad-parameters-raise", "shared-between-groups"), "raised nothing",
        accepting(Optimizer, "add_param_group", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "duplicate-added", "a refused group is added all the same",
        _all("added-duplicate-raises", "SGD", "LBFGS"), "groups after the refusal",
        replacing(Optimizer, "add_param_group", _adds_before_it_refuses),
    ),
    Saboteur(
        "duplicates-unheard", "a parameter that occurs twice is not warned of",
        _all("duplicate-warns", "SGD", "Muon"), "warnings of duplicates",
        replacing(Optimizer, "add_param_group", _silently),
    ),
    Saboteur(
        "lbfgs-groups", "LBFGS takes several groups",
        ("optimizer.one-group-only",), "raised nothing",
        accepting(torch.optim.LBFGS, "__init__", ValueError, lambda *_, **__: None),
    ),
    Saboteur(
        "capturable-on-the-host", "RAdam ignores capturable on the host",
        _all("capturable-needs-accelerator", "RAdam"), "raised nothing",
        replacing(torch.optim.RAdam, "step", _ignores_capturable),
    ),
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
        lambda monkeypatch: [
            each(adam, name, changing(eps=lambda value: value + 1e-9))(monkeypatch)
            for name in ("_single_tensor_adam", "_multi_tensor_adam")
        ] and None,
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
        _all("expanded-gradient", "Adagrad"), "expanded gradient",
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
        _around_step(torch.optim.Adam, _batch_counted),
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
