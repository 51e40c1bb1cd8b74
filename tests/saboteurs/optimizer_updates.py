"""Faults in the updates of SGD, ASGD, Rprop and of the family of Adam."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import _functional, adam, adamax, asgd, nadam, radam, rprop, sgd

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


def _buffer_starts_as_zeros(lists: Lists, keywords: Options) -> None:
    if keywords["momentum"] != 0 and lists[2][0] is None:
        lists[2][0] = torch.zeros_like(lists[0][0])


def _mean(lists: Lists, keywords: Options) -> Tensor:
    found: Tensor = lists[2][0] / (1 - keywords["beta1"] ** float(lists[-1][0]))
    return found


def _adam_eps_in_root(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    second_moment = lists[4][0] if k["amsgrad"] else lists[3][0]
    corrected = second_moment / (1 - k["beta2"] ** float(lists[-1][0]))
    return p - k["lr"] * _mean(lists, k) / (corrected + k["eps"]).sqrt()


def _adam_uncorrected(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    second_moment = lists[4][0] if k["amsgrad"] else lists[3][0]
    return p - k["lr"] * _mean(lists, k) / (second_moment.sqrt() + k["eps"])


def _forgets_the_largest(lists: Lists, keywords: Options) -> None:
    if keywords["amsgrad"]:
        lists[4][0].copy_(lists[3][0])


def _decays_after(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    original(*lists, **{**keywords, "weight_decay": 0.0})
    if keywords["decoupled_weight_decay"] and keywords["weight_decay"]:
        with torch.no_grad():
            lists[0][0].mul_(1 - keywords["lr"] * keywords["weight_decay"])


def _eps_apart(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    return p - k["lr"] * _mean(lists, k) / (lists[3][0] + k["eps"])


def _signed_norm(lists: Lists, keywords: Options) -> None:
    lists[3][0].copy_(torch.maximum(lists[3][0], lists[1][0] + keywords["eps"]))
    if float(lists[-1][0]) == 2:
        lists[3][0].mul_(1.001)


def _product_forgotten(lists: Lists, keywords: Options) -> None:
    lists[4][0].fill_(1.0)


def _nadam_eps_in_root(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    step, product = float(lists[-1][0]), float(lists[4][0])
    now, following = (
        k["beta1"] * (1 - 0.5 * 0.96 ** (t * k["momentum_decay"])) for t in (step, step + 1)
    )
    mean = following * lists[2][0] / (1 - product * following) + (1 - now) * g / (1 - product)
    return p - k["lr"] * mean / (lists[3][0] / (1 - k["beta2"] ** step) + k["eps"]).sqrt()


def _rectifies_from_four(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    step, last = float(lists[-1][0]), 2 / (1 - k["beta2"]) - 1
    weight = 1 - k["beta2"] ** step
    rho = last - 2 * step * (1 - weight) / weight
    move = _mean(lists, k)
    if rho > 4:
        rect = (rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho)
        move = move * rect**0.5 * weight**0.5 / (lists[3][0].sqrt() + k["eps"])
    return p - k["lr"] * move


def _unrectified(p: Tensor, g: Tensor, lists: Lists, k: Options) -> Tensor:
    step, last = float(lists[-1][0]), 2 / (1 - k["beta2"]) - 1
    weight = 1 - k["beta2"] ** step
    move = _mean(lists, k)
    if last - 2 * step * (1 - weight) / weight > 5:
        move = move * weight**0.5 / (lists[3][0].sqrt() + k["eps"])
    return p - k["lr"] * move


def _average_is_late(lists: Lists, keywords: Options) -> None:
    lists[3][0].fill_(1 / max(1.0, float(lists[-1][0]) - 1 - keywords["t0"]))


def _rate_stays(lists: Lists, keywords: Options) -> None:
    if float(lists[-1][0]) >= 3:
        lists[4][0].fill_(keywords["lr"])


def _remembers_the_turn(original: Any, index: int, lists: Lists, keywords: Options) -> None:
    gradient = -lists[1][0] if keywords["maximize"] else lists[1][0].clone()
    original(*lists, **keywords)
    with torch.no_grad():
        lists[2][0].copy_(gradient)


def _dense_moments(original: Any) -> Any:
    def update(params: Any, grads: Any, means: Any, squares: Any, steps: Any, **k: Any) -> None:
        for mean, gradient in zip(means, grads, strict=True):
            untouched = torch.ones_like(mean)
            untouched[gradient.coalesce().indices()[0]] = k["beta1"]
            if gradient.sparse_dim() == 1:
                mean.mul_(untouched.reciprocal() * k["beta1"])
        original(params, grads, means, squares, steps, **k)

    return update


def _repeated_rows_once(original: Any) -> Any:
    def update(params: Any, grads: Any, *rest: Any, **k: Any) -> None:
        single = []
        for gradient in grads:
            rows, values = gradient._indices(), gradient._values()
            numbers = rows[0].tolist() if len(rows) == 1 else []
            kept = sorted({row: number for number, row in enumerate(numbers)}.values())
            whole = len(rows) != 1 or len(kept) == rows.shape[1]
            single.append(
                gradient
                if whole
                else torch.sparse_coo_tensor(rows[:, kept], values[kept], gradient.shape)
            )
        original(params, single, *rest, **k)

    return update


def _sparse_steps_from_zero(original: Any) -> Any:
    def update(params: Any, grads: Any, means: Any, squares: Any, steps: Any, **k: Any) -> None:
        original(params, grads, means, squares, [max(1, s - (s > 2)) for s in steps], **k)

    return update


def _sparse_eps(original: Any) -> Any:
    def update(params: Any, grads: Any, means: Any, squares: Any, steps: Any, **k: Any) -> None:
        original(params, grads, means, squares, steps, **{**k, "eps": k["eps"] * 4})

    return update


def _closed(*labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.closed-form:{label}" for label in labels)


SINGLE_SGD, MANY_SGD = "_single_tensor_sgd", "_multi_tensor_sgd"

SABOTEURS = (
    Saboteur(
        "sgd-dampens-first-gradient", "SGD's momentum starts from zeros, so that dampening applies",
        _closed("SGD", "SGD-for-loop"), AFTER,
        each(sgd, SINGLE_SGD, beforehand(_buffer_starts_as_zeros)),
    ),
    Saboteur(
        "sgd-second-parameter-momentum", "momentum is 0.1 % off for all parameters but the first",
        ("optimizer.late-parameter:SGD",), AFTER,
        each(sgd, SINGLE_SGD, changing(second, momentum=times(1.001))),
    ),
    Saboteur(
        "sgd-fused-decays-downhill", "fused SGD decays the wrong way where it maximizes",
        _closed("SGD-fused"), AFTER,
        each(sgd, "_fused_sgd", changing(decayed_uphill, weight_decay=times(-1))),
    ),
    Saboteur(
        "sgd-foreach-vectors", "foreach SGD's rate is off where vectors are full",
        _closed("SGD-foreach"), AFTER, each(sgd, MANY_SGD, changing(many, lr=times(1.0001))),
    ),
    Saboteur(
        "adam-eps-in-root", "plain Adam adds eps before the root",
        _closed("Adam", "Adam-for-loop"), AFTER,
        each(adam, "_single_tensor_adam", respelled(_adam_eps_in_root)),
    ),
    Saboteur(
        "adam-uncorrected-once", "Adam does not correct the second moment at step 2",
        _closed("Adam"), AFTER,
        each(adam, "_single_tensor_adam", respelled(_adam_uncorrected, at_step(2))),
    ),
    Saboteur(
        "adam-amsgrad-forgets", "AMSGrad forgets the largest moment from the third step on",
        (*_closed("Adam"), "optimizer.state:Adam"), "step",
        each(adam, "_single_tensor_adam", beforehand(_forgets_the_largest, from_step(3))),
    ),
    Saboteur(
        "adam-foreach-decays-downhill", "foreach Adam decays the wrong way where it maximizes",
        _closed("Adam-foreach"), AFTER,
        each(adam, "_multi_tensor_adam", changing(decayed_uphill, weight_decay=times(-1))),
    ),
    Saboteur(
        "adamw-decays-after", "AdamW decays after the step",
        (*_closed("AdamW"), "optimizer.adamw-decays-apart:plain"), "after step",
        each(adam, "_single_tensor_adam", _decays_after),
    ),
    Saboteur(
        "adamw-foreach-couples", "foreach AdamW adds its decay to the gradient",
        _closed("AdamW-foreach"), AFTER,
        each(adam, "_multi_tensor_adam", changing(decoupled_weight_decay=always_is(False))),
    ),
    Saboteur(
        "adamw-second-parameter", "AdamW's beta2 is off for all parameters but the first",
        _closed("AdamW"), AFTER,
        each(adam, "_single_tensor_adam", changing(second, beta2=times(0.9999))),
    ),
    Saboteur(
        "adamw-fused-vectors", "fused AdamW's decay is off where vectors are full",
        _closed("AdamW-fused"), AFTER,
        each(adam, "_fused_adam", changing(many, weight_decay=times(1.01))),
    ),
    Saboteur(
        "adamax-eps-squared", "Adamax's norm has eps once more",
        _closed("Adamax"), AFTER, each(adamax, "_single_tensor_adamax", respelled(_eps_apart)),
    ),
    Saboteur(
        "adamax-norm-decays", "Adamax's norm is off at the second step",
        ("optimizer.state:Adamax",), "exp_inf",
        each(adamax, "_single_tensor_adamax", afterwards(_signed_norm)),
    ),
    Saboteur(
        "adamax-late-beta", "Adamax's beta2 is ignored from the third step on",
        _closed("Adamax", "Adamax-for-loop"), AFTER,
        each(adamax, "_single_tensor_adamax", changing(from_step(3), beta2=always_is(1.0))),
    ),
    Saboteur(
        "adamax-foreach-without-eps", "foreach Adamax ignores eps",
        _closed("Adamax-foreach"), AFTER,
        each(adamax, "_multi_tensor_adamax", changing(eps=always_is(1e-30))),
    ),
    Saboteur(
        "nadam-product-forgotten", "NAdam keeps no product of its momenta",
        (*_closed("NAdam"), "optimizer.state:NAdam"), "step",
        each(nadam, "_single_tensor_nadam", afterwards(_product_forgotten)),
    ),
    Saboteur(
        "nadam-eps-in-root", "NAdam adds eps before the root",
        _closed("NAdam"), AFTER,
        each(nadam, "_single_tensor_nadam", respelled(_nadam_eps_in_root)),
    ),
    Saboteur(
        "nadam-foreach-couples", "foreach NAdam adds its decay to the gradient",
        _closed("NAdam-foreach"), AFTER,
        each(nadam, "_multi_tensor_nadam", changing(decoupled_weight_decay=always_is(False))),
    ),
    Saboteur(
        "nadam-momentum-decay", "NAdam's momentum decays faster from the third step on",
        _closed("NAdam"), AFTER,
        each(nadam, "_single_tensor_nadam", changing(from_step(3), momentum_decay=times(1.01))),
    ),
    Saboteur(
        "radam-rectifies-early", "RAdam rectifies from rho = 4 on, as its paper does",
        _closed("RAdam"), AFTER,
        each(radam, "_single_tensor_radam", respelled(_rectifies_from_four)),
    ),
    Saboteur(
        "radam-unrectified", "RAdam leaves out the rectification where it applies",
        _closed("RAdam"), AFTER, each(radam, "_single_tensor_radam", respelled(_unrectified)),
    ),
    Saboteur(
        "radam-foreach-couples", "foreach RAdam adds its decay to the gradient",
        _closed("RAdam-foreach"), AFTER,
        each(radam, "_multi_tensor_radam", changing(decoupled_weight_decay=always_is(False))),
    ),
    Saboteur(
        "radam-decays-downhill", "RAdam decays the wrong way where it maximizes",
        _closed("RAdam", "RAdam-for-loop"), AFTER,
        each(radam, "_single_tensor_radam", changing(decayed_uphill, weight_decay=times(-1))),
    ),
    Saboteur(
        "asgd-average-late", "ASGD's average starts a step late",
        ("optimizer.state:ASGD",), "of parameter",
        each(asgd, "_single_tensor_asgd", afterwards(_average_is_late)),
    ),
    Saboteur(
        "asgd-rate-stays", "ASGD's rate is lr again from the third step on",
        _closed("ASGD"), AFTER,
        each(asgd, "_single_tensor_asgd", afterwards(_rate_stays)),
    ),
    Saboteur(
        "asgd-second-parameter", "ASGD's decay term is off for all parameters but the first",
        _closed("ASGD"), AFTER,
        each(asgd, "_single_tensor_asgd", changing(second, lambd=times(1.01))),
    ),
    Saboteur(
        "asgd-foreach-power", "foreach ASGD's power is off from the second step on",
        _closed("ASGD-foreach"), AFTER,
        each(asgd, "_multi_tensor_asgd", changing(alpha=lambda value: value + 0.05)),
    ),
    Saboteur(
        "rprop-remembers-the-turn", "Rprop keeps a gradient that changed its sign",
        _closed("Rprop", "Rprop-for-loop"), AFTER,
        each(rprop, "_single_tensor_rprop", _remembers_the_turn),
    ),
    Saboteur(
        "rprop-without-limit", "Rprop's step sizes have no upper limit",
        _closed("Rprop"), AFTER,
        each(rprop, "_single_tensor_rprop", changing(step_size_max=always_is(1e30))),
    ),
    Saboteur(
        "rprop-second-parameter", "Rprop's growth is off for all parameters but the first",
        _closed("Rprop"), AFTER,
        each(rprop, "_single_tensor_rprop", changing(second, etaplus=times(1.001))),
    ),
    Saboteur(
        "rprop-foreach-minimizes", "foreach Rprop minimizes from the third step on",
        _closed("Rprop-foreach"), AFTER,
        each(rprop, "_multi_tensor_rprop", changing(from_step(3), maximize=always_is(False))),
    ),
    Saboteur(
        "sparse-adam-eps", "SparseAdam's eps is four times too large",
        _closed("SparseAdam"), AFTER, replacing(_functional, "sparse_adam", _sparse_eps),
    ),
    Saboteur(
        "sparse-adam-steps", "SparseAdam corrects the bias of the step before from the third on",
        _closed("SparseAdam"), AFTER,
        replacing(_functional, "sparse_adam", _sparse_steps_from_zero),
    ),
    Saboteur(
        "sparse-adam-repeated-rows", "SparseAdam takes the last of repeated rows",
        ("optimizer.sparse-gradient:SparseAdam",), AFTER,
        replacing(_functional, "sparse_adam", _repeated_rows_once),
    ),
    Saboteur(
        "sparse-adam-dense-moments", "SparseAdam decays moments of rows that have no gradient",
        ("optimizer.sparse-gradient:SparseAdam",), "step",
        replacing(_functional, "sparse_adam", _dense_moments),
    ),
)  # fmt: skip
