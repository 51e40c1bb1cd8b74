"""What optimizers refuse: options out of range; parameters, groups, gradients of a wrong kind."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.histories import (
    Case,
    give,
    histories_of,
    no_loss,
    optimizer_of,
    page,
)
from strategies.optimizer_tables import OPTIONS

OPTIMIZERS: dict[str, Case] = {name: (name, {}) for name in OPTIONS}
SAYS = {"Adafactor": "Learning rate should be >= 0", "Muon": "Learning rate should be >= 0"}
MOMENTS = ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "SparseAdam")
DECAYING = ("SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta",
            "ASGD")  # fmt: skip
REJECTED = {
    "negative-lr": ("SGD", {"lr": -1.0}, "Invalid learning rate"),
    "negative-momentum": ("SGD", {"momentum": -0.5}, "Invalid momentum value"),
    "negative-weight-decay": ("SGD", {"weight_decay": -0.5}, "Invalid weight_decay value"),
    "nesterov-without-momentum": (
        "SGD",
        {"nesterov": True, "momentum": 0.0},
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    "beta-of-one": ("Adam", {"betas": (1.0, 0.5)}, "Invalid beta parameter at index 0"),
    "negative-eps": ("Adam", {"eps": -1.0}, "Invalid epsilon value"),
    "nesterov-with-dampening": (
        "SGD",
        {"nesterov": True, "momentum": 0.5, "dampening": 0.5},
        "Nesterov momentum requires a momentum and zero dampening",
    ),
    **{
        f"{name}-lr": (name, {"lr": -0.5}, SAYS.get(name, "Invalid learning rate: -0.5"))
        for name in OPTIMIZERS
    },
    **{
        f"{name}-lr-of-two": (name, {"lr": torch.ones(2)}, "Tensor lr must be 1-element")
        for name in OPTIMIZERS
    },
    **{
        f"{name}-beta-{number}": (
            name,
            {"betas": betas},
            f"Invalid beta parameter at index {number}: {betas[number]}",
        )
        for name in MOMENTS
        for number, betas in enumerate(((-0.25, 0.5), (0.5, 1.0)))
    },
    **{
        f"{name}-eps": (name, {"eps": -0.5}, "Invalid epsilon value: -0.5")
        for name in (*MOMENTS, "RMSprop", "Adagrad", "Adadelta")
    },
    **{
        f"{name}-weight-decay": (name, {"weight_decay": -0.5}, "Invalid weight_decay value: -0.5")
        for name in DECAYING
    },
    "SparseAdam-lr-of-zero": ("SparseAdam", {"lr": 0.0}, "Invalid learning rate: 0.0"),
    "SparseAdam-eps-of-zero": ("SparseAdam", {"eps": 0.0}, "Invalid epsilon value: 0.0"),
    "NAdam-momentum-decay": ("NAdam", {"momentum_decay": -0.5}, "Invalid momentum_decay value"),
    "RMSprop-momentum": ("RMSprop", {"momentum": -0.5}, "Invalid momentum value: -0.5"),
    "RMSprop-alpha": ("RMSprop", {"alpha": -0.5}, "Invalid alpha value: -0.5"),
    "Adagrad-lr-decay": ("Adagrad", {"lr_decay": -0.5}, "Invalid lr_decay value: -0.5"),
    "Adagrad-accumulator": (
        "Adagrad",
        {"initial_accumulator_value": -0.5},
        "Invalid initial_accumulator_value value: -0.5",
    ),
    "Adadelta-rho": ("Adadelta", {"rho": 1.5}, "Invalid rho value: 1.5"),
    "Adadelta-negative-rho": ("Adadelta", {"rho": -0.5}, "Invalid rho value: -0.5"),
    "Adafactor-decay": ("Adafactor", {"beta2_decay": 0.5}, "beta2_decay should be <= 0"),
    "Adafactor-eps-1": ("Adafactor", {"eps": (-0.5, 1e-3)}, "epsilon1 should be >= 0"),
    "Adafactor-eps-2": ("Adafactor", {"eps": (None, -0.5)}, "epsilon2 should be >= 0"),
    "Adafactor-d": ("Adafactor", {"d": 0.5}, "Clipping threshold d should be >= 1"),
    "Adafactor-weight-decay": ("Adafactor", {"weight_decay": -0.5}, "weight_decay should be >= 0"),
    "Rprop-eta-of-one": ("Rprop", {"etas": (1.0, 1.2)}, r"Invalid eta values: 1.0, 1.2"),
    "Rprop-etas-swapped": ("Rprop", {"etas": (1.2, 0.5)}, r"Invalid eta values: 1.2, 0.5"),
    "Muon-momentum": ("Muon", {"momentum": -0.5}, "momentum should be >= 0"),
    "Muon-weight-decay": ("Muon", {"weight_decay": -0.5}, "weight decay should be >= 0"),
    "Muon-adjustment": ("Muon", {"adjust_lr_fn": "other"}, "other is not supported"),
    "Adam-mixed-betas": (
        "Adam",
        {"betas": (0.5, torch.tensor(0.5))},
        "betas must be either both floats or both Tensors",
    ),
}
CONFLICTS = {
    f"{name}-{first}-{second}": (name, {first: True, second: True}, message)
    for name in ("SGD", "Adam", "AdamW", "Adagrad")
    for first, second, message in (
        ("fused", "foreach", "`fused` and `foreach` cannot be `True` together"),
        ("fused", "differentiable", "`fused` does not support `differentiable`"),
    )
}
DENSE_ONLY = ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adadelta", "Adafactor",
              "ASGD", "Rprop", "Muon")  # fmt: skip
STEPS = {
    **{f"{name}-sparse": (name, "sparse", "does not support sparse") for name in DENSE_ONLY},
    "SparseAdam-dense": ("SparseAdam", "dense", "does not support dense gradients"),
    "Adafactor-complex": ("Adafactor", "complex", "does not support complex parameters"),
    "Muon-complex": ("Muon", "complex", "does not support complex parameters"),
    "Adagrad-sparse-decay": ("Adagrad", "sparse", "not compatible with sparse gradients"),
}


def shared_between_groups(one, other):
    return [{"params": [one]}, {"params": [other, one]}]


def named_in_part(one, other):
    return [("one", one), other]


def named_in_one_group(one, other):
    return [{"params": [("one", one)]}, {"params": [other]}]


def nothing(one, other):
    return []


def lone_tensor(one, other):
    return one


def numbers(one, other):
    return [one, 1.0]


def unordered(one, other):
    return [{"params": {one, other}}]


def interior(one, other):
    return [one, other * 2]


def not_a_group(one, other):
    return [{"params": [one]}, [other]]


COLLECTIONS = {
    "shared-between-groups": (shared_between_groups, ValueError, "more than one parameter group"),
    "named-in-part": (named_in_part, ValueError, "Some param names are missing"),
    "named-in-one-group": (named_in_one_group, ValueError, "should be with/without names"),
    "nothing": (nothing, ValueError, "got an empty parameter list"),
    "lone-tensor": (lone_tensor, TypeError, "should be an iterable of Tensors or dicts"),
    "numbers": (numbers, TypeError, "can only optimize Tensors, but one of the params is float"),
    "unordered": (unordered, TypeError, "organized in ordered collections"),
    "interior": (interior, ValueError, "can't optimize a non-leaf Tensor"),
    "not-a-group": (not_a_group, TypeError, "param_group must be a dict"),
}


@law("optimizer.bad-option-raises", docs=page, over=REJECTED)
@given(history=histories_of(("Muon", {})))
def test_bad_option_raises(target, case, history):
    """An option outside its documented range is rejected with ValueError, before any change."""
    name, bad, message = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer_of(name, parameters)
    with compare.raises(ValueError, message):
        optimizer_of(name, parameters, **bad)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.unchanged(parameter, start, "parameter")
        compare.fact(parameter.grad, None, "grad")


@law("optimizer.conflict-raises", docs=page, over=CONFLICTS)
@given(history=histories_of(("SGD", {})))
def test_conflict_raises(target, case, history):
    """Implementations that exclude each other are rejected with RuntimeError."""
    name, both, message = case
    parameters = history.parameters(torch.float64, target.device)
    for option in both:
        optimizer_of(name, parameters, **{option: True})
    with compare.raises(RuntimeError, message):
        optimizer_of(name, parameters, **both)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.unchanged(parameter, start, "parameter")


@law("optimizer.bad-gradient-raises", docs=page, over=STEPS)
@given(history=histories_of(("Muon", {})))
def test_bad_gradient_raises(target, case, history):
    """A gradient that an optimizer does not take makes the step raise, and nothing moves."""
    name, kind, message = case
    dtype = torch.complex64 if kind == "complex" else torch.float64
    legal = history.parameters(torch.float64, target.device)
    ones = [np.ones_like(start) for start in history.start]
    optimizer = optimizer_of(name, legal)
    give(name, legal, ones)
    optimizer.step(no_loss)
    parameters = [
        torch.tensor(start, dtype=dtype, device=target.device, requires_grad=True)
        for start in history.start
    ]
    decay = {"weight_decay": 0.5} if name == "Adagrad" else {}
    refusing = optimizer_of(name, parameters, **decay)
    for parameter in parameters:
        gradient = torch.ones_like(parameter)
        parameter.grad = gradient.to_sparse() if kind == "sparse" else gradient
    with compare.raises(RuntimeError, message):
        refusing.step(no_loss)
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.unchanged(parameter, start.astype(compare.to_numpy(parameter).dtype), "parameter")


@law("optimizer.bad-parameter-raises", docs=page, over={
    "SparseAdam-complex": ("SparseAdam", {"dtype": torch.complex64, "shape": (2, 2)}),
    "Muon-vector": ("Muon", {"dtype": torch.float32, "shape": (3,)}),
    "Muon-batch": ("Muon", {"dtype": torch.float32, "shape": (2, 3, 2)}),
})  # fmt: skip
@given(history=histories_of(("Muon", {})))
def test_bad_parameter_raises(target, case, history):
    """A class that takes matrices or real numbers only rejects other parameters with ValueError.

    The message names what it found.
    """
    name, kind = case
    legal = history.parameters(torch.float64, target.device)
    found = torch.ones(kind["shape"], dtype=kind["dtype"], device=target.device)
    optimizer_of(name, legal)
    message = "only supports 2D" if name == "Muon" else r"Complex params at indices \[\[0, \d\]\]"
    with compare.raises(ValueError, message):
        optimizer_of(name, [*legal, found.requires_grad_()])
    for parameter, start in zip(legal, history.start, strict=True):
        compare.unchanged(parameter, start, "parameter")


@law("optimizer.bad-parameters-raise", docs="torch.optim.Optimizer", over=COLLECTIONS)
@given(
    history=histories_of(("SGD", {}), late_starts=False),
    name=st.sampled_from(["SGD", "Adam", "Adagrad", "Rprop"]),
)
def test_bad_parameters_raise(target, case, history, name):
    """Parameters that are no ordered collection of distinct leaves are rejected."""
    collect, error, message = case
    (one, *_), (other, *_) = (history.parameters(torch.float64, target.device) for _ in range(2))
    optimizer = optimizer_of(name, [one, other])
    compare.fact(len(optimizer.param_groups[0]["params"]), 2, "parameters that are taken")
    with compare.raises(error, message):
        optimizer_of(name, collect(one, other))
    compare.unchanged(one, history.start[0], "parameter")


@law(
    "optimizer.added-duplicate-raises",
    docs="torch.optim.Optimizer.add_param_group",
    over=OPTIMIZERS,
)
@given(history=histories_of)
def test_added_duplicate_raises(target, case, history):
    """A group with a parameter that another group has cannot be added, and is not.

    The optimizer steps on as before. LBFGS takes one group only, at its construction.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    fresh = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters)
    with compare.raises(ValueError, "some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [*fresh, parameters[-1]]})
    compare.fact(len(optimizer.param_groups), 1, "groups after the refusal")
    kept = [id(p) for p in optimizer.param_groups[0]["params"]]
    compare.fact(kept, [id(p) for p in parameters], "parameters after the refusal")
    optimizer.add_param_group({"params": fresh})
    compare.fact(len(optimizer.param_groups), 2, "groups after a legal addition")


@law("optimizer.duplicate-warns", docs="torch.optim.Optimizer", level="should", over=OPTIMIZERS)
@given(history=histories_of)
def test_duplicate_warns(target, case, history):
    """A parameter that occurs twice in a group is warned of; distinct ones are not."""
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer_of(name, parameters)
        compare.fact(len(caught), 0, "warnings without duplicates")
        optimizer_of(name, [*parameters, parameters[0]])
    found = ["parameter group with duplicate parameters" in str(w.message) for w in caught]
    compare.fact(found, [True], "warnings of duplicates")


@law("optimizer.one-group-only", docs="torch.optim.LBFGS")
@given(history=histories_of(("LBFGS", {})))
def test_one_group_only(target, history):
    """LBFGS rejects more than one parameter group with ValueError."""
    parameters = history.parameters(torch.float64, target.device)
    others = history.parameters(torch.float64, target.device)
    optimizer_of("LBFGS", [{"params": parameters}])
    with compare.raises(ValueError, "doesn't support per-parameter options"):
        optimizer_of("LBFGS", [{"params": parameters}, {"params": others}])


@law("optimizer.capturable-needs-accelerator", docs=page, over={
    name: (name, {}) for name in
    ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adadelta", "ASGD", "Rprop")
})  # fmt: skip
@given(history=histories_of, foreach=st.booleans())
def test_capturable_needs_accelerator(target, case, history, foreach):
    """A capturable step of parameters on the host raises, and none of them moves.

    "Tensors are only capturable when on supported accelerators."
    """
    name, _ = case
    host = torch.device("cpu")
    parameters = history.parameters(torch.float64, host)
    ones = [np.ones_like(start) for start in history.start]
    optimizer_of(name, parameters, foreach=foreach, lr=0.0, capturable=False)
    optimizer = optimizer_of(name, parameters, foreach=foreach, capturable=True)
    give(name, parameters, ones)
    with compare.raises(AssertionError, "must be on supported devices"):
        optimizer.step()
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.unchanged(parameter, start, "parameter")
