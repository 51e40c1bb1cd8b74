"""Optimizer strategies: every class, every documented option, every value, and steps that run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isclass, signature
from typing import Any

import pytest
import torch
from hypothesis import find, given, seed
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from conformance.generation import hypothesis_settings
from strategies import optimizers
from strategies.devices import Place, current_target
from strategies.optimizer_tables import MAX_GROUPS, OPTIONS, VARIANTS
from strategies.optimizers import (
    GradientHistory,
    gradient_histories,
    group_options,
    optimizer_options,
    optimizer_variants,
)
from strategies.shapes import Shape
from tests.quality import minimal

INDEPENDENT = hypothesis_settings(100, shrink=False, explain=False)
CLASSES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isclass(value)
    and issubclass(value, torch.optim.Optimizer)
    and value is not torch.optim.Optimizer
}
IMPLEMENTATION = {"foreach", "fused", "capturable", "differentiable"}
EXCLUDED = {
    ("Adam", "decoupled_weight_decay"): "documented to be AdamW, which has a table of its own",
}
SHAPES: dict[str, Sequence[Shape]] = {
    # torch 2.13 divides by the number of columns of a matrix: (2, 0) raises ZeroDivisionError.
    "Muon": ((1, 1), (2, 3), (3, 2), (0, 2)),
    # torch 2.13 divides by the number of elements, and takes the maximum of no elements.
    "Adafactor": ((), (1,), (3,), (2, 2), (1, 5)),
    "LBFGS": ((), (1,), (3,), (2, 2), (1, 5)),
}
# Nesterov momentum brings momentum with it, and a smaller draw than momentum itself.
LINKED = {("SGD", "nesterov"): "momentum", ("SGD", "momentum"): "nesterov"}
by_class = pytest.mark.parametrize("name", CLASSES)
VARIED = [name for name in CLASSES if IMPLEMENTATION & set(signature(CLASSES[name]).parameters)]


def histories(name: str) -> st.SearchStrategy[GradientHistory]:
    return gradient_histories(shapes=SHAPES.get(name))


def follow(
    optimizer: torch.optim.Optimizer, parameters: list[torch.Tensor], history: GradientHistory
) -> None:
    """Step over the history, with gradients in the layout and calls that the optimizer takes."""
    sparse = isinstance(optimizer, torch.optim.SparseAdam)
    for step in history.steps:
        for parameter, gradient in zip(parameters, step, strict=True):
            dense = None if gradient is None else torch.tensor(gradient, dtype=parameter.dtype)
            parameter.grad = dense.to_sparse() if sparse and dense is not None else dense
        optimizer.step(lambda: 0.0)


def test_every_class_has_a_table() -> None:
    assert set(CLASSES) <= set(OPTIONS)


@by_class
def test_table_holds_the_documented_options(name: str) -> None:
    documented = set(signature(CLASSES[name]).parameters) - {"params"} - IMPLEMENTATION
    assert set(OPTIONS[name]) == documented - {option for of, option in EXCLUDED if of == name}


@by_class
def test_steps_run(name: str) -> None:
    @seed(0)
    @INDEPENDENT
    @given(optimizer_options(name), histories(name))
    def run(options: dict[str, Any], history: GradientHistory) -> None:
        parameters = history.parameters(torch.float64, torch.device("cpu"))
        follow(CLASSES[name](parameters, **options), parameters, history)

    run()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("name", VARIED)
def test_steps_run_in_every_variant(name: str) -> None:
    # Fused SGD of torch 2.13 raises TypeError where a parameter starts late: a listed deviation.
    early = gradient_histories(shapes=SHAPES.get(name), late_starts=False)

    @seed(0)
    @INDEPENDENT
    @given(optimizer_options(name), optimizer_variants(name), early)
    def run(options: dict[str, Any], variant: dict[str, bool], history: GradientHistory) -> None:
        leaves = history.parameters(torch.float32, torch.device("cpu"))
        differentiable = variant.get("differentiable", False)
        parameters = [leaf.clone() for leaf in leaves] if differentiable else leaves
        follow(CLASSES[name](parameters, **options, **variant), parameters, history)

    run()


@by_class
def test_steps_run_in_groups(name: str) -> None:
    @seed(0)
    @INDEPENDENT
    @given(group_options(name), histories(name))
    def run(groups: list[dict[str, Any]], history: GradientHistory) -> None:
        leaves = [history.parameters(torch.float64, torch.device("cpu")) for _ in groups]
        pairs = [{"params": own, **options} for own, options in zip(leaves, groups, strict=True)]
        optimizer = CLASSES[name](pairs)
        for own, options, kept in zip(leaves, groups, optimizer.param_groups, strict=True):
            assert {option: kept[option] for option in options} == options
            follow(optimizer, own, history)

    run()


def values_reached(drawn: list[dict[str, Any]]) -> dict[str, set[Any]]:
    return {
        option: {options[option] for options in drawn} for options in drawn for option in options
    }


def draws(strategy: st.SearchStrategy[Any]) -> list[Any]:
    found: list[Any] = []

    @seed(0)
    @INDEPENDENT
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


@by_class
def test_every_value_is_reached(name: str) -> None:
    table = {option: set(values) for option, values in OPTIONS[name].items()}
    assert values_reached(draws(optimizer_options(name))) == table


def plain(name: str) -> dict[str, Any]:
    return {option: values[0] for option, values in OPTIONS[name].items()}


@by_class
def test_shrinks_to_the_plain_optimizer(name: str) -> None:
    given_ones = {option: value for option, value in plain(name).items() if value is not None}
    assert minimal(optimizer_options(name), lambda options: True) == plain(name)
    assert minimal(group_options(name), lambda groups: True) == [given_ones]
    assert minimal(optimizer_variants(name), lambda variant: True) == {}


@by_class
def test_shrinks_to_one_option(name: str) -> None:
    for option, values in OPTIONS[name].items():
        last = values[-1]
        found = minimal(optimizer_options(name), lambda o: o[option] == last)  # noqa: B023
        changed = {key for key, value in found.items() if value != plain(name)[key]}
        assert changed <= {option, LINKED.get((name, option))}


@by_class
def test_groups_are_as_many_as_the_class_takes(name: str) -> None:
    assert {len(groups) for groups in draws(group_options(name))} == {
        count for count in (1, 2, 3) if count <= MAX_GROUPS.get(name, 3)
    }


@by_class
def test_variants_are_what_the_class_takes_on_the_cpu(name: str) -> None:
    taken = set(signature(CLASSES[name]).parameters) - {"capturable"}
    drawn = draws(optimizer_variants(name))
    assert all(variant in drawn for variant in VARIANTS if set(variant) <= taken)
    assert all(set(variant) <= taken for variant in drawn)


def on_meta(strategy: st.SearchStrategy[Any]) -> list[Any]:
    token = current_target.set(Place(torch.device("meta")))
    try:
        return draws(strategy)
    finally:
        current_target.reset(token)


def test_variants_follow_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    sgd, adam = optimizer_variants("SGD"), optimizer_variants("Adam")
    assert {"fused": True} not in on_meta(sgd)
    optimizers._variants_on.cache_clear()
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    assert {"fused": True} in on_meta(sgd)
    assert {"capturable": True} not in on_meta(sgd)
    assert {"capturable": True} in on_meta(adam)
    optimizers._variants_on.cache_clear()


def test_a_drawn_variant_is_not_shared() -> None:
    first = find(optimizer_variants("SGD"), lambda variant: True)
    first["foreach"] = "changed"
    assert find(optimizer_variants("SGD"), lambda variant: True) == {}


def test_histories_keep_to_their_shapes() -> None:
    shapes = [(2, 3), (0, 1)]
    drawn = draws(gradient_histories(shapes=shapes))
    assert {value.shape for history in drawn for value in history.start} == set(shapes)
    simplest = minimal(gradient_histories(shapes=shapes), lambda history: True)
    assert [value.tolist() for value in simplest.start] == [[[0.0] * 3] * 2]


MISTAKES: dict[str, Callable[[], object]] = {
    "optimizer_options('Sgd'): no such table; use one of SGD, Adam": (
        lambda: optimizer_options("Sgd")),
    "group_options('Sgd'): no such table; use one of SGD, Adam": lambda: group_options("Sgd"),
    "optimizer_variants('Sgd'): no such table; use one of SGD, Adam": (
        lambda: optimizer_variants("Sgd")),
    "max_parameters=0): at least 1": lambda: gradient_histories(max_parameters=0),
    "late_starts='no'): use False or True": (
        lambda: gradient_histories(late_starts="no")),  # type: ignore[arg-type]
    "extremes='no'): use False or True": (
        lambda: gradient_histories(extremes="no")),  # type: ignore[arg-type]
    "shapes=[]): no shapes to draw from; use a sequence of tuples": (
        lambda: gradient_histories(shapes=[])),
    "shapes=(2, 3)): no shapes to draw from": (
        lambda: gradient_histories(shapes=(2, 3))),  # type: ignore[arg-type]
    "shapes=[(-1,)]): no shapes to draw from": lambda: gradient_histories(shapes=[(-1,)]),
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        MISTAKES[text]()
    assert text in str(error.value)


def test_a_class_that_this_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "RAdam")
    with pytest.raises(InvalidArgument, match=r"optimizer_variants\('RAdam'\): torch .* no such"):
        optimizer_variants("RAdam")
