"""Faults in the updates of RMSprop, Adagrad, Adadelta, Adafactor, Muon and LBFGS."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import _adafactor, _muon, adadelta, adagrad, lbfgs, rmsprop

from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.update_faults import (
    Lists,
    afterwards,
    always_is,
    at_step,
    beforehand,
    changing,
    decayed_uphill,
    each,
    from_step,
    many,
    respelled,
    second,
    times,
)

Tensor = torch.Tensor
Options = dict[str, Any]
AFTER = "after step"


def _rmsprop_variance(lists: Lists, keywords: Options) -> Tensor:
    found: Tensor = lists[2][0]
    return found - lists[3][0] ** 2 if keywords["centered"] else found


def _rmsprop_eps_in_root(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    if k["momentum"]:
        moved: Tensor = p - k["lr"] * lists[4][0]
        return moved
    return p - k["lr"] * g / (_rmsprop_variance(lists, k) + k["eps"]).sqrt()


def _rate_in_buffer(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    """As other frameworks do: alike while the rate stays."""
    if keywords["momentum"] <= 0:
        return original(*lists, **keywords)
    before, buffer = lists[0][0].detach().clone(), lists[4][0].clone()
    original(*lists, **{**keywords, "lr": 1.0})
    with torch.no_grad():
        move = lists[4][0] - keywords["momentum"] * buffer
        rates = _RATES.setdefault(id(lists[4][0]), torch.zeros_like(before))
        rates.mul_(keywords["momentum"]).add_(move, alpha=keywords["lr"])
        lists[0][0].copy_(before - rates)
    return None


_RATES: dict[int, Tensor] = {}


def _adagrad_eps_in_root(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    rate = k["lr"] / (1 + (float(lists[-1][0]) - 1) * k["lr_decay"])
    moved: Tensor = p - rate * g / (lists[2][0] + k["eps"] ** 2 + k["eps"] * 1e-3).sqrt()
    return moved


def _adagrad_decays_early(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    rate = k["lr"] / (1 + float(lists[-1][0]) * k["lr_decay"])
    moved: Tensor = p - rate * g / (lists[2][0].sqrt() + k["eps"])
    return moved


def _sum_shrinks(lists: Lists, keywords: Options) -> None:
    lists[2][0].mul_(0.5)


def _adadelta_eps_apart(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    old = (lists[3][0] / k["rho"]) if k["rho"] else lists[3][0]
    return p - k["lr"] * (old.abs() + k["eps"]).sqrt() / (lists[2][0].sqrt() + k["eps"]) * g


def _rate_in_delta(lists: Lists, keywords: Options) -> None:
    lists[3][0].mul_(keywords["lr"] ** 2)


def _columns_by_rows(lists: Lists, keywords: Options) -> None:
    if lists[3][0] is not None and lists[1][0].shape[-1] != lists[1][0].shape[-2]:
        lists[3][0].mul_(lists[1][0].shape[-2] / lists[1][0].shape[-1])


def _decays_after(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    original(*lists, **{**keywords, "weight_decay": 0.0})
    with torch.no_grad():
        lists[0][0].mul_(1 - keywords["lr"] * keywords["weight_decay"])


def _fewer_iterations(original: Any) -> Any:
    def orthogonalize(grad: Tensor, coefficients: Any, steps: int, eps: float) -> Any:
        return original(grad, coefficients, max(steps - 1, 0), eps)

    return orthogonalize


def _tall_scaled(original: Any) -> Any:
    def orthogonalize(grad: Tensor, coefficients: Any, steps: int, eps: float) -> Any:
        tall = grad.size(0) > grad.size(1)
        return original(grad, coefficients, steps, eps) * (1.25 if tall else 1.0)

    return orthogonalize


def _not_normalized(original: Any) -> Any:
    def orthogonalize(grad: Tensor, coefficients: Any, steps: int, eps: float) -> Any:
        return original(grad, coefficients, steps, max(eps, 4.0))

    return orthogonalize


def _square_ratio(original: Any) -> Any:
    def adjust(lr: float, how: str | None, shape: Any) -> Any:
        adjusted = original(lr, how, shape)
        return adjusted if how == "match_rms_adamw" or shape[0] <= shape[1] else lr

    return adjust


def _batches_are_one(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    if lists[0][0].dim() > 2:
        keywords = {**keywords, "d": keywords["d"] * 1.5, "eps2": keywords["eps2"] * 2}
    original(*lists, **keywords)


def _counts_idle_steps(original: Any) -> Any:
    """A step that stops at its first gradient has made an iteration."""

    def step(self: Any, closure: Any) -> Any:
        loss = original(self, closure)
        state = self.state[self._params[0]]
        if state["n_iter"] == 0:
            zeros = torch.zeros(self._numel(), dtype=self._params[0].dtype)
            state.update(n_iter=1, d=zeros, t=0.0, prev_flat_grad=zeros.clone(), prev_loss=0.0)
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return loss

    return step


def _first_pairs_stay(original: Any) -> Any:
    def step(self: Any, closure: Any) -> Any:
        result = original(self, closure)
        state = self.state[self._params[0]]
        if len(state.get("old_dirs") or []) > 1:
            state["H_diag"] = state["H_diag"] * 1.001
            state["old_stps"][0] = state["old_stps"][0] * 1.001
        return result

    return step


def _curvature_ignored(original: Any) -> Any:
    def search(*arguments: Any, **keywords: Any) -> Any:
        return original(*arguments, **{**keywords, "c2": 100.0})

    return search


def _ends_early(original: Any) -> Any:
    def step(self: Any, closure: Any) -> Any:
        group = self.param_groups[0]
        before = group["tolerance_change"]
        group["tolerance_change"] = max(before, 1e-3)
        try:
            return original(self, closure)
        finally:
            group["tolerance_change"] = before

    return step


def _parts_reversed(original: Any) -> Any:
    def gather(self: Any) -> Tensor:
        found: Tensor = original(self)
        return found.flip(0) if len(self._params) > 1 else found

    return gather


def _memory_lost(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for state in self.state.values():
            if state.get("old_dirs"):
                state["old_dirs"], state["old_stps"], state["ro"] = [], [], []

    return load


def _ignores_gradient_tolerance(original: Any) -> Any:
    def step(self: Any, closure: Any) -> Any:
        group = self.param_groups[0]
        before = group["tolerance_grad"]
        group["tolerance_grad"] = min(before, 1e-7)
        try:
            return original(self, closure)
        finally:
            group["tolerance_grad"] = before

    return step


def _one_more_iteration(original: Any) -> Any:
    def step(self: Any, closure: Any) -> Any:
        group = self.param_groups[0]
        group["max_iter"] += 1
        group["max_eval"] += 1
        try:
            return original(self, closure)
        finally:
            group["max_iter"] -= 1
            group["max_eval"] -= 1

    return step


def _any_line_search(original: Any) -> Any:
    def step(self: Any, closure: Any) -> Any:
        group = self.param_groups[0]
        if group["line_search_fn"] is not None:
            group["line_search_fn"] = "strong_wolfe"
        return original(self, closure)

    return step


def _closed(*labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.closed-form:{label}" for label in labels)


SABOTEURS = (
    Saboteur(
        "rmsprop-eps-in-root", "RMSprop adds eps before the root, as TensorFlow does",
        _closed("RMSprop"), AFTER,
        each(rmsprop, "_single_tensor_rmsprop", respelled(_rmsprop_eps_in_root)),
    ),
    Saboteur(
        "rmsprop-rate-in-buffer", "RMSprop's momentum holds the rates of its time",
        ("optimizer.changed-option:RMSprop",), AFTER,
        each(rmsprop, "_single_tensor_rmsprop", _rate_in_buffer),
    ),
    Saboteur(
        "rmsprop-foreach-not-centered", "foreach RMSprop does not center from the third step on",
        _closed("RMSprop-foreach"), AFTER,
        each(rmsprop, "_multi_tensor_rmsprop", changing(from_step(3), centered=always_is(False))),
    ),
    Saboteur(
        "rmsprop-second-parameter", "RMSprop's alpha is off for all parameters but the first",
        _closed("RMSprop"), AFTER,
        each(rmsprop, "_single_tensor_rmsprop", changing(second, alpha=times(0.9999))),
    ),
    Saboteur(
        "adagrad-eps-in-root", "Adagrad adds eps before the root",
        _closed("Adagrad"), AFTER,
        each(adagrad, "_single_tensor_adagrad", respelled(_adagrad_eps_in_root)),
    ),
    Saboteur(
        "adagrad-decays-early", "Adagrad's rate decays a step early",
        _closed("Adagrad", "Adagrad-for-loop"), AFTER,
        each(adagrad, "_single_tensor_adagrad", respelled(_adagrad_decays_early)),
    ),
    Saboteur(
        "adagrad-sum-shrinks", "Adagrad halves its sum at the fifth step",
        ("optimizer.adagrad-slows-down:plain",), "a step no longer than before",
        each(adagrad, "_single_tensor_adagrad", beforehand(_sum_shrinks, at_step(5))),
    ),
    Saboteur(
        "adagrad-fused-decays-downhill", "fused Adagrad decays the wrong way where it maximizes",
        _closed("Adagrad-fused"), AFTER,
        each(adagrad, "_fused_adagrad", changing(decayed_uphill, weight_decay=times(-1))),
    ),
    Saboteur(
        "adadelta-eps-apart", "Adadelta adds eps after the root",
        _closed("Adadelta"), AFTER,
        each(adadelta, "_single_tensor_adadelta", respelled(_adadelta_eps_apart)),
    ),
    Saboteur(
        "adadelta-rate-in-delta", "Adadelta averages the squares of what it moved by",
        ("optimizer.state:Adadelta", *_closed("Adadelta")), "step",
        each(adadelta, "_single_tensor_adadelta", afterwards(_rate_in_delta)),
    ),
    Saboteur(
        "adadelta-foreach-rho", "foreach Adadelta's rho is off from the third step on",
        _closed("Adadelta-foreach"), AFTER,
        each(adadelta, "_multi_tensor_adadelta", changing(from_step(3), rho=times(0.999))),
    ),
    Saboteur(
        "adadelta-vectors", "Adadelta's eps is off where vectors are full",
        _closed("Adadelta-for-loop"), AFTER,
        each(adadelta, "_single_tensor_adadelta", changing(many, eps=times(1.01))),
    ),
    Saboteur(
        "adafactor-without-clipping", "Adafactor does not clip from the second step on",
        _closed("Adafactor"), AFTER,
        each(_adafactor, "_single_tensor_adafactor", changing(from_step(2), d=times(1e9))),
    ),
    Saboteur(
        "adafactor-columns-by-rows", "Adafactor divides column sums by the number of columns",
        ("optimizer.state:Adafactor", "optimizer.matrix-transposed:Adafactor"), "",
        each(_adafactor, "_single_tensor_adafactor", afterwards(_columns_by_rows)),
    ),
    Saboteur(
        "adafactor-decays-after", "Adafactor decays after the step",
        _closed("Adafactor"), AFTER,
        each(_adafactor, "_single_tensor_adafactor", _decays_after),
    ),
    Saboteur(
        "adafactor-foreach-beta", "foreach Adafactor's beta2 decays faster",
        _closed("Adafactor-foreach"), AFTER,
        each(_adafactor, "_multi_tensor_adafactor", changing(beta2_decay=times(1.01))),
    ),
    Saboteur(
        "adafactor-batches", "Adafactor clips a batch of matrices less",
        ("optimizer.adafactor-batch",), "batch of matrices",
        each(_adafactor, "_single_tensor_adafactor", _batches_are_one),
    ),
    Saboteur(
        "muon-fewer-iterations", "Muon iterates once less",
        ("optimizer.muon-equal-singular-values:Muon", "optimizer.closed-form:Muon"), "parameter",
        replacing(_muon, "_zeropower_via_newtonschulz", _fewer_iterations),
    ),
    Saboteur(
        "muon-tall-matrices", "Muon's update of a tall matrix is a quarter too large",
        ("optimizer.muon-equal-singular-values:Muon", "optimizer.matrix-transposed:Muon"), "",
        replacing(_muon, "_zeropower_via_newtonschulz", _tall_scaled),
    ),
    Saboteur(
        "muon-not-normalized", "Muon does not normalize gradients with a norm below 4",
        ("optimizer.muon-scale:Muon",), "scaled gradients",
        replacing(_muon, "_zeropower_via_newtonschulz", _not_normalized),
    ),
    Saboteur(
        "muon-factor-ignored", "Muon's factor for tall matrices is ignored",
        ("optimizer.muon-equal-singular-values:Muon",), "parameter",
        replacing(_muon, "_adjust_lr", _square_ratio),
    ),
    Saboteur(
        "lbfgs-counts-idle-steps", "LBFGS takes a step that stopped at once for its first",
        ("optimizer.lbfgs-idle-steps",), "steps later",
        replacing(lbfgs.LBFGS, "step", _counts_idle_steps),
    ),
    Saboteur(
        "lbfgs-memory-drifts", "LBFGS's oldest pair and its scale drift between steps",
        ("optimizer.lbfgs-path",), AFTER, replacing(lbfgs.LBFGS, "step", _first_pairs_stay),
    ),
    Saboteur(
        "lbfgs-ignores-curvature", "LBFGS's line search ends without the curvature condition",
        ("optimizer.lbfgs-strong-wolfe",), "decrease and curvature",
        replacing(lbfgs, "_strong_wolfe", _curvature_ignored),
    ),
    Saboteur(
        "lbfgs-ends-early", "LBFGS ends at changes below 1e-3",
        ("optimizer.lbfgs-converges:fixed", "optimizer.lbfgs-converges:strong-wolfe"), "minimum",
        replacing(lbfgs.LBFGS, "step", _ends_early),
    ),
    Saboteur(
        "lbfgs-parts-reversed", "LBFGS gathers gradients of several parameters in reverse",
        ("optimizer.lbfgs-several-parameters",), "",
        replacing(lbfgs.LBFGS, "_gather_flat_grad", _parts_reversed),
    ),
    Saboteur(
        "lbfgs-memory-lost", "LBFGS loads a state_dict without its pairs",
        ("optimizer.lbfgs-resumes",), "", replacing(lbfgs.LBFGS, "load_state_dict", _memory_lost),
    ),
    Saboteur(
        "lbfgs-ignores-tolerance", "LBFGS ignores a tolerance_grad above 1e-7",
        ("optimizer.lbfgs-stops",), "parameter",
        replacing(lbfgs.LBFGS, "step", _ignores_gradient_tolerance),
    ),
    Saboteur(
        "lbfgs-one-more", "LBFGS evaluates and iterates once more than it may",
        ("optimizer.lbfgs-limits:fixed", "optimizer.lbfgs-limits:default"), "at most",
        replacing(lbfgs.LBFGS, "step", _one_more_iteration),
    ),
    Saboteur(
        "lbfgs-any-line-search", "LBFGS takes any name for its line search",
        ("optimizer.lbfgs-line-search-raises",), "raised nothing",
        replacing(lbfgs.LBFGS, "step", _any_line_search),
    ),
)  # fmt: skip
