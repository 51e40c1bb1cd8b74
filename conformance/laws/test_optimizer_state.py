"""The state of an optimizer: checkpoints in the middle of a history, and hooks around them."""

import copy

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.histories import (
    IMPLEMENTED,
    OPTIMIZERS,
    advance,
    check_equal,
    give,
    histories_of,
    no_loss,
    optimizer_of,
    options_of,
    page,
    run_through,
)
from conformance.scenarios.memory import check_shares
from conformance.scenarios.transports import through_file
from strategies.optimizer_tables import OPTIONS

SAVING = "torch.optim.Optimizer.state_dict"
LOADING = "torch.optim.Optimizer.load_state_dict"
KEPT = {
    "SGD": "momentum_buffer", "Adam": "exp_avg", "Adagrad": "sum", "Rprop": "step_size",
    "RMSprop": "square_avg", "Adadelta": "acc_delta",
}  # fmt: skip
# torch 2.13 loads numbers of the state into the parameter's dtype, as a law of its own shows.
DTYPES = {"NAdam": torch.float32, "ASGD": torch.float32}
HOOKS = {
    "state-dict-pre": ("register_state_dict_pre_hook", "save"),
    "state-dict-post": ("register_state_dict_post_hook", "save"),
    "load-state-dict-pre": ("register_load_state_dict_pre_hook", "load"),
    "load-state-dict-post": ("register_load_state_dict_post_hook", "load"),
}


def without_a_group(saved):
    return {**saved, "param_groups": saved["param_groups"][:1]}


def without_a_parameter(saved):
    first, second = saved["param_groups"]
    return {**saved, "param_groups": [first, {**second, "params": second["params"][1:]}]}


MISMATCHES = {
    "fewer-groups": (without_a_group, "different number of parameter groups"),
    "fewer-parameters": (without_a_parameter, "doesn't match the size of optimizer's group"),
}


def check_continues(name, optimizer, parameters, other, copies, steps):
    """Take the same steps with an optimizer and one that took over its state."""
    pairs = zip(
        advance(name, optimizer, parameters, steps),
        advance(name, other, copies, steps),
        strict=True,
    )
    for step, _ in pairs:
        check_equal(copies, parameters, f"{step + 1} steps after the checkpoint")


def copies_of(parameters):
    return [parameter.detach().clone().requires_grad_() for parameter in parameters]


@law("optimizer.state-dict-continues", docs=LOADING, over=IMPLEMENTED)
@given(options=options_of, history=histories_of, when=st.integers(0, 5))
def test_state_dict_continues(target, case, options, history, when):
    """An optimizer that loads another's state_dict goes on exactly as the other does.

    At any step, whatever options it was constructed with, and after the load as before it.
    """
    name, variant = case
    parameters = history.parameters(DTYPES.get(name, torch.float64), target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps[:when])
    copies = copies_of(parameters)
    other = optimizer_of(name, copies, lr=0.375, **variant)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    check_continues(name, optimizer, parameters, other, copies, history.steps[when:])
    check_continues(name, optimizer, parameters, other, copies, history.steps[:1])


@law("optimizer.saved-state-continues", docs=LOADING, over=OPTIMIZERS)
@given(options=options_of, history=histories_of, when=st.integers(0, 5))
def test_saved_state_continues(target, case, options, history, when):
    """A state_dict that went through torch.save and torch.load(weights_only=True) goes on alike.

    The optimizer that loads it has taken steps of its own before, which count no more.
    """
    name, _ = case
    parameters = history.parameters(DTYPES.get(name, torch.float64), target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps[:when])
    copies = copies_of(parameters)
    other = optimizer_of(name, copies, **options)
    run_through(name, other, copies, history.steps)
    with torch.no_grad():
        for one, value in zip(copies, parameters, strict=True):
            one.copy_(value)
    other.load_state_dict(through_file(optimizer.state_dict()))
    check_continues(name, optimizer, parameters, other, copies, history.steps[when:])
    check_continues(name, optimizer, parameters, other, copies, history.steps[:1])


@law("optimizer.state-continues-in-bfloat16", docs=LOADING, over=OPTIMIZERS)
@given(options=options_of, history=histories_of, when=st.integers(0, 5))
def test_state_continues_in_bfloat16(target, case, options, history, when):
    """An optimizer of bfloat16 parameters goes on exactly as the one whose state_dict it loads."""
    name, _ = case
    parameters = history.parameters(torch.bfloat16, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps[:when])
    copies = copies_of(parameters)
    other = optimizer_of(name, copies)
    other.load_state_dict(through_file(optimizer.state_dict()))
    check_continues(name, optimizer, parameters, other, copies, history.steps[when:])
    check_continues(name, optimizer, parameters, other, copies, history.steps[:1])


@law("optimizer.copy-continues", docs="torch.optim.Optimizer", level="should", over=OPTIMIZERS)
@given(options=options_of, history=histories_of, when=st.integers(0, 5))
def test_copy_continues(target, case, options, history, when):
    """A deep copy of an optimizer and its parameters goes on by itself, exactly alike."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps[:when])
    copies, other = copy.deepcopy((parameters, optimizer))
    kept = [p for group in other.param_groups for p in group["params"]]
    compare.fact([id(p) for p in kept], [id(p) for p in copies], "parameters of the copy")
    check_continues(name, optimizer, parameters, other, copies, history.steps[when:])


@law("optimizer.state-dict-contents", docs=SAVING, over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_state_dict_contents(target, case, options, history):
    """A state_dict has the state by parameter id, and the groups with their options and ids.

    "the parameter itself is NOT saved"; ids that occur in the state are among the groups'.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps)
    saved = optimizer.state_dict()
    compare.fact(sorted(saved), ["param_groups", "state"], "entries")
    (group,) = saved["param_groups"]
    compare.fact(group["params"], list(range(len(parameters))), "ids")
    for option, value in options.items():
        if value is not None:
            compare.fact(group[option], value, option)
    for number, parameter in enumerate(parameters):
        held, found = optimizer.state.get(parameter, {}), saved["state"].get(number, {})
        compare.fact(sorted(found), sorted(held), f"state of parameter {number}")
        for entry, value in held.items():
            if isinstance(value, torch.Tensor):
                what = f"{entry} of parameter {number}"
                compare.equal(found[entry], compare.to_numpy(value), dtype=value.dtype, what=what)
                check_shares(found[entry], parameter, False, what)


@law("optimizer.load-restores-options", docs=LOADING, over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_load_restores_options(target, case, options, history):
    """load_state_dict brings the options of every group back, and keeps the own parameters.

    What was loaded is what state_dict then returns.
    """
    name, _ = case
    parameters = history.parameters(DTYPES.get(name, torch.float64), target.device)
    optimizer = optimizer_of(name, parameters, **options)
    run_through(name, optimizer, parameters, history.steps)
    saved = copy.deepcopy(optimizer.state_dict())
    copies = copies_of(parameters)
    other = optimizer_of(name, copies, lr=0.375)
    other.load_state_dict(saved)
    (group,) = other.param_groups
    compare.fact([id(p) for p in group["params"]], [id(p) for p in copies], "own parameters")
    for option, value in optimizer.param_groups[0].items():
        if option != "params":
            compare.fact(group[option], value, option)
    again = other.state_dict()
    compare.fact(again["param_groups"], saved["param_groups"], "groups saved again")
    for number, held in saved["state"].items():
        for entry, value in held.items():
            if isinstance(value, torch.Tensor):
                what = f"{entry} of parameter {number} saved again"
                expected = compare.to_numpy(value)
                got = again["state"][number][entry]
                compare.equal(got, expected, dtype=value.dtype, what=what)
    for parameter, one in zip(parameters, copies, strict=True):
        compare.unchanged(one, compare.to_numpy(parameter), "parameter after the load")


@law(
    "optimizer.loaded-is-separate",
    docs=LOADING,
    level="should",
    over={
        **{f"{name}-options": (name, {}) for name in OPTIONS},
        **{f"{name}-state": (name, {"entry": entry}) for name, entry in KEPT.items()},
    },
)
@given(history=histories_of)
def test_loaded_is_separate(target, case, history):
    """What was loaded is a copy: a change of it changes nothing of the state_dict it is from."""
    name, corner = case
    momentum = {"momentum": 0.5} if name == "SGD" else {}
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, lr=0.5, **momentum)
    ones = [np.ones_like(start) for start in history.start]
    run_through(name, optimizer, parameters, [ones])
    saved = optimizer.state_dict()
    other = optimizer_of(name, copies_of(parameters), lr=0.375, **momentum)
    other.load_state_dict(saved)
    compare.fact(other.param_groups[0]["lr"], 0.5, "loaded lr")
    other.param_groups[0]["lr"] = 0.125
    compare.fact(saved["param_groups"][0]["lr"], 0.5, "lr in the state_dict")
    compare.fact(optimizer.param_groups[0]["lr"], 0.5, "lr of the optimizer that saved")
    if "entry" in corner:
        entry = corner["entry"]
        for number, held in enumerate(other.state.values()):
            shared = saved["state"][number][entry]
            check_shares(held[entry], shared, False, f"{entry} of parameter {number}")


@law("optimizer.loaded-state-dtype", docs=LOADING, level="should", over=KEPT)
@given(history=histories_of(("SGD", {}), late_starts=False))
def test_loaded_state_dtype(target, case, history):
    """State of float64 parameters, loaded for float32 ones, is rounded to float32; counts are kept.

    Of three steps, whose number bfloat16 and float32 hold alike.
    """
    name = {entry: name for name, entry in KEPT.items()}[case]
    momentum = {"momentum": 0.5} if name == "SGD" else {}
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **momentum)
    thirds = [np.ones_like(start) / 3 for start in history.start]
    run_through(name, optimizer, parameters, [thirds] * 3)
    for dtype in (torch.float32, torch.bfloat16):
        copies = history.parameters(dtype, target.device)
        other = optimizer_of(name, copies, **momentum)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for parameter, one in zip(parameters, copies, strict=True):
            expected = optimizer.state[parameter][case].to(dtype)
            what = f"{case} in {dtype}"
            held = other.state[one]
            compare.equal(held[case], compare.to_numpy(expected), dtype=dtype, what=what)
            if "step" in held:
                compare.equal(held["step"], np.array(3.0), dtype=torch.float32, what="step")


@law("optimizer.load-mismatch-raises", docs=LOADING, over=MISMATCHES)
@given(history=histories_of(("Adam", {}), late_starts=False))
def test_load_mismatch_raises(target, case, history):
    """A state_dict whose groups do not fit is refused with ValueError, and nothing is changed."""
    spoil, message = case
    first = history.parameters(torch.float64, target.device)
    second = history.parameters(torch.float64, target.device)
    groups = [{"params": first, "lr": 0.5}, {"params": second}]
    optimizer = optimizer_of("Adam", groups, lr=0.25)
    run_through("Adam", optimizer, [*first, *second], [(*s, *s) for s in history.steps])
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(saved)
    optimizer.param_groups[0]["lr"] = 0.125
    with compare.raises(ValueError, message):
        optimizer.load_state_dict(spoil(saved))
    lrs = [group["lr"] for group in optimizer.param_groups]
    compare.fact(lrs, [0.125, 0.25], "lr after the refusal")
    for number, parameter in enumerate([*first, *second]):
        for entry, value in saved["state"].get(number, {}).items():
            held = optimizer.state[parameter][entry]
            compare.unchanged(held, compare.to_numpy(value), f"{entry} of parameter {number}")


@law("optimizer.state-dict-hooks", docs=page, over={k: ("Optimizer", {"hook": k}) for k in HOOKS})
@given(history=histories_of(("Muon", {})), name=st.sampled_from(list(OPTIMIZERS)))
def test_state_dict_hooks(target, case, history, name):
    """Hooks around state_dict and load_state_dict run in order, ``prepend`` ones first.

    Each gets the optimizer; removed, it runs no more. Pre hooks run before, post hooks after.
    """
    register, action = HOOKS[case[1]["hook"]]
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, lr=0.5)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 0.25
    calls = []

    def hook(label):
        def called(which, *rest):
            calls.append((label, which is optimizer, which.param_groups[0]["lr"], len(rest)))

        return called

    handles = [getattr(optimizer, register)(hook(label)) for label in ("first", "second")]
    handles.append(getattr(optimizer, register)(hook("prepended"), prepend=True))
    act = optimizer.state_dict if action == "save" else lambda: optimizer.load_state_dict(saved)
    act()
    labels = ["prepended", "first", "second"]
    compare.fact([label for label, *_ in calls], labels, "order of the hooks")
    lr = 0.25 if register == "register_load_state_dict_post_hook" else 0.5
    handed = 1 if register in (
        "register_state_dict_post_hook", "register_load_state_dict_pre_hook"
    ) else 0  # fmt: skip
    seen = [rest for _, *rest in calls]
    compare.fact(seen, [[True, lr, handed]] * 3, "optimizer, its lr, and what else hooks get")
    calls.clear()
    for handle in handles:
        handle.remove()
    act()
    compare.fact(calls, [], "calls of removed hooks")


@law("optimizer.hooks-replace-state-dict", docs=page, over={"both": ("Optimizer", {})})
@given(history=histories_of(("Muon", {})), name=st.sampled_from(list(OPTIMIZERS)))
def test_hooks_replace_state_dict(target, case, history, name):
    """A dict that a hook returns is used instead: by state_dict's post hook, by load's pre hook.

    Of several hooks each gets what the one before it returned.
    """
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, lr=0.5)

    def scaled(factor):
        def hook(which, state):
            groups = [{**group, "lr": group["lr"] * factor} for group in state["param_groups"]]
            return {**state, "param_groups": groups}

        return hook

    for factor in (0.5, 0.25):
        optimizer.register_state_dict_post_hook(scaled(factor))
    compare.fact(optimizer.state_dict()["param_groups"][0]["lr"], 0.0625, "lr in the state_dict")
    compare.fact(optimizer.param_groups[0]["lr"], 0.5, "lr of the optimizer")
    for factor in (2.0, 8.0):
        optimizer.register_load_state_dict_pre_hook(scaled(factor))
    handed = optimizer.state_dict()
    optimizer.load_state_dict(handed)
    compare.fact(optimizer.param_groups[0]["lr"], 1.0, "lr after the load")
    compare.fact(handed["param_groups"][0]["lr"], 0.0625, "lr in the dict that was handed in")


@law("optimizer.state-untouched", docs="torch.optim.Optimizer.zero_grad", over=OPTIMIZERS)
@given(options=options_of, history=histories_of)
def test_state_untouched(target, case, options, history):
    """zero_grad, state_dict and repr leave parameters and state as they are."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    plain = history.parameters(torch.float64, target.device)
    optimizer, other = (optimizer_of(name, group, **options) for group in (parameters, plain))
    for gradients in history.steps:
        give(name, parameters, gradients)
        optimizer.step(no_loss)
        optimizer.state_dict()
        compare.fact(repr(optimizer).partition(" (")[0], name, "beginning of repr")
        optimizer.zero_grad(set_to_none=bool(len(parameters) % 2))
    run_through(name, other, plain, history.steps)
    check_equal(parameters, plain, "of an optimizer that was looked at")
