"""Parameter groups: options of their own, defaults, later additions, changes between steps."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference.optimizers import CLOSED_FORMS, follow
from conformance.scenarios.histories import (
    Case,
    advance,
    check_equal,
    check_parameter,
    check_state,
    give,
    histories_of,
    no_loss,
    optimizer_of,
    options_of,
    page,
    paths_of,
    run_through,
    seen,
)
from strategies.optimizer_tables import OPTIONS
from strategies.optimizers import GradientHistory

ADDING = "torch.optim.Optimizer.add_param_group"
OPTIMIZERS: dict[str, Case] = {name: (name, {}) for name in CLOSED_FORMS}
# torch 2.13 takes Adagrad's first accumulator from the constructor, for every group.
ALIKE = {**OPTIMIZERS, "Adagrad": ("Adagrad", {"initial_accumulator_value": 0.0})}
GROUPED = {**ALIKE, "Adagrad-accumulator": ("Adagrad", {"initial_accumulator_value": 0.5})}
IMPLEMENTED = {
    **GROUPED,
    **{
        f"{name}-{variant}": (name, {**ALIKE[name][1], variant: True})
        for variant, names in (
            ("foreach", [n for n in OPTIMIZERS if n not in ("SparseAdam", "Muon")]),
            ("fused", ["SGD", "Adam", "AdamW", "Adagrad"]),
        )
        for name in names
    },
}
MIXED = {
    **{label: case for label, case in IMPLEMENTED.items() if label != "Adagrad-accumulator"},
    "Adafactor": ("Adafactor", {"eps": (1e-3, 1e-3)}),
    "Adafactor-foreach": ("Adafactor", {"eps": (1e-3, 1e-3), "foreach": True}),
    "Adafactor-own-epsilon": ("Adafactor", {"eps": (None, 1e-3)}),
}
SCHEDULED = ("lr", "weight_decay", "eps", "maximize")


def many_histories_of(case):
    return histories_of(case, max_parameters=4)


def faint(history):
    """Return a history whose gradients are times 2**-30: a dtype's epsilon shows."""
    steps = (tuple(None if g is None else g * 2.0**-30 for g in step) for step in history.steps)
    return GradientHistory(history.start, tuple(steps))


def mixed_histories_of(case):
    drawn = many_histories_of(case)
    return drawn.map(faint) if case == MIXED["Adafactor-own-epsilon"] else drawn


def groups_of(case):
    return st.lists(options_of(case), min_size=1, max_size=3)


def kept_options_of(case):
    """Names of options that a group leaves out."""
    return st.lists(st.sampled_from(list(OPTIONS[case[0]])), unique=True, max_size=3)


def schedules_of(case):
    """Options for each of six steps: those change that a schedule may change."""
    changing = [name for name in SCHEDULED if name in OPTIONS[case[0]]]
    if case[0] == "Adafactor":
        changing = [name for name in changing if name != "eps"]

    def merge(drawn):
        first, rest = drawn[0], drawn[1:]
        return [first, *({**first, **{k: other[k] for k in changing}} for other in rest)]

    return st.lists(options_of(case), min_size=6, max_size=6).map(merge)


def check_groups(name, parameters, history, chosen, optimizer):
    """Follow a history: each parameter with the options of its group.

    Muon's momentum is no sum in torch 2.13, as a law of its own shows.
    """
    paths = []
    for number, options in enumerate(chosen):
        alone = GradientHistory((history.start[number],), tuple((g,) for g in history.of(number)))
        paths += paths_of(name, alone, options, torch.float64)
    for step in advance(name, optimizer, parameters, history.steps):
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            what = f"parameter {number} after step {step + 1}"
            check_parameter(parameter, path[step], what)
            if name != "Muon" and any(g is not None for g in history.of(number)[: step + 1]):
                check_state(optimizer.state.get(parameter, {}), path[step], parameter, what)


def grouped(parameters, count):
    """Deal parameters out to groups in turn; some groups may stay empty."""
    return [parameters[number::count] for number in range(count)]


@law("optimizer.groups-independent", docs=page, over=IMPLEMENTED)
@given(groups=groups_of, history=many_histories_of)
def test_groups_independent(target, case, groups, history):
    """Each parameter follows the options of its own group, whatever the others have.

    A group may be empty, and the parameters of one group may lie between those of another.
    """
    name, changed = case
    variant = {key: on for key, on in changed.items() if key in ("foreach", "fused")}
    parameters = history.parameters(torch.float64, target.device)
    dealt = grouped(parameters, len(groups))
    options = [{k: v for k, v in group.items() if k not in variant} for group in groups]
    pairs = [{"params": own, **each} for own, each in zip(dealt, options, strict=True)]
    optimizer = optimizer_of(name, pairs, **variant)
    chosen = [groups[number % len(groups)] for number in range(len(parameters))]
    check_groups(name, parameters, history, chosen, optimizer)


@law("optimizer.group-defaults", docs="optim.html#per-parameter-options", over=ALIKE)
@given(
    defaults=options_of,
    options=options_of,
    left_out=kept_options_of,
    history=many_histories_of,
)
def test_group_defaults(target, case, defaults, options, left_out, history):
    """An option that a group leaves out is the constructor's argument.

    "This is useful when you only want to vary a single option, while keeping all others
    consistent between parameter groups."
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    first, second = grouped(parameters, 2)
    own = {key: value for key, value in options.items() if key not in left_out}
    pairs = [{"params": first}, {"params": second, **own}]
    optimizer = optimizer_of(name, pairs, **defaults)
    merged = {**defaults, **own}
    for group, expected in zip(optimizer.param_groups, (defaults, merged), strict=True):
        for key, value in expected.items():
            compare.fact(group[key], value, f"{key} of a group")
    chosen = [(defaults, merged)[number % 2] for number in range(len(parameters))]
    check_groups(name, parameters, history, chosen, optimizer)


@law("optimizer.added-group", docs=ADDING, over=ALIKE)
@given(defaults=options_of, options=options_of, history=many_histories_of, when=st.integers(0, 3))
def test_added_group(target, case, defaults, options, history, when):
    """A group added between steps begins its own history there, and disturbs no other's.

    Its parameters had gradients before, which moved nothing.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    first, second = grouped(parameters, 2)
    optimizer = optimizer_of(name, first, **defaults)
    run_through(name, optimizer, parameters, history.steps[:when])
    for parameter, start in zip(parameters[1::2], history.start[1::2], strict=True):
        compare.unchanged(parameter, start, "parameter that is not optimized yet")
    optimizer.add_param_group({"params": second, **options})
    run_through(name, optimizer, parameters, history.steps[when:])
    for number, parameter in enumerate(parameters):
        chosen = options if number % 2 else defaults
        gradients = history.of(number)[when if number % 2 else 0 :]
        start = history.start[number]
        unit = 2.0**-53
        path = follow(CLOSED_FORMS[name], start, seen(name, gradients), chosen, unit)
        if path:
            check_parameter(parameter, path[-1], f"parameter {number}")
        else:
            compare.unchanged(parameter, start, f"parameter {number}")
    compare.fact([len(g["params"]) for g in optimizer.param_groups], [len(first), len(second)],
                 "parameters in each group")  # fmt: skip


@law("optimizer.changed-option", docs="optim.html#how-to-adjust-learning-rate", over=ALIKE)
@given(schedule=schedules_of, history=many_histories_of)
def test_changed_option(target, case, schedule, history):
    """A value written to ``param_groups`` between steps holds from the next step on.

    For the learning rate, weight decay, epsilon and the sense of the search, at every step.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    optimizer = optimizer_of(name, parameters, **schedule[0])
    unit, steps = 2.0**-53, len(history.steps)
    paths = [
        follow(CLOSED_FORMS[name], start, seen(name, history.of(n)), schedule[:steps], unit)
        for n, start in enumerate(history.start)
    ]
    for step, gradients in enumerate(history.steps):
        optimizer.param_groups[0].update(schedule[step])
        give(name, parameters, gradients)
        optimizer.step(no_loss)
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")


@law("optimizer.named-parameters", docs="torch.optim.Optimizer", over=OPTIMIZERS)
@given(options=options_of, history=many_histories_of)
def test_named_parameters(target, case, options, history):
    """Parameters given with names move as without, and the names are kept in order.

    The state_dict holds them as ``param_names`` of the group.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    plain = history.parameters(torch.float64, target.device)
    names = [f"layer.{number}" for number in range(len(parameters))]
    optimizer = optimizer_of(name, zip(names, parameters, strict=True), **options)
    other = optimizer_of(name, plain, **options)
    run_through(name, optimizer, parameters, history.steps)
    run_through(name, other, plain, history.steps)
    check_equal(parameters, plain, "with a name")
    for groups in (optimizer.param_groups, optimizer.state_dict()["param_groups"]):
        compare.fact([group["param_names"] for group in groups], [names], "param_names")
    compare.fact("param_names" in other.param_groups[0], False, "names of nameless parameters")


@law("optimizer.parameters-taken", docs="torch.optim.Optimizer", over=OPTIMIZERS)
@given(history=many_histories_of)
def test_parameters_taken(target, case, history):
    """An iterator of parameters, or a lone tensor in a group, is taken as the list of them.

    The tensors themselves are kept, in their order.
    """
    name, _ = case
    parameters = history.parameters(torch.float64, target.device)
    for given_ones in (iter(parameters), tuple(parameters), [{"params": iter(parameters)}]):
        kept = optimizer_of(name, given_ones).param_groups[0]["params"]
        compare.fact([id(p) for p in kept], [id(p) for p in parameters], "kept parameters")
    lone = optimizer_of(name, [{"params": parameters[0]}]).param_groups[0]["params"]
    compare.fact([id(p) for p in lone], [id(parameters[0])], "a lone tensor")
    for parameter, start in zip(parameters, history.start, strict=True):
        compare.equal(parameter, np.asarray(start), dtype=torch.float64, what="parameter")


@law("optimizer.mixed-dtypes", docs=page, over=MIXED)
@given(options=options_of, history=mixed_histories_of)
def test_mixed_dtypes(target, case, options, history):
    """Parameters of several dtypes in one group each follow the formula in their own dtype."""
    name, _ = case
    held = [history.parameters(dtype, target.device) for dtype in (torch.float32, torch.float64)]
    parameters = [held[number % 2][number] for number in range(len(history.start))]
    optimizer = optimizer_of(name, parameters, **options)
    paths = []
    for number, parameter in enumerate(parameters):
        gradients = seen(name, history.of(number))
        unit = torch.finfo(parameter.dtype).eps / 2
        start = history.start[number]
        paths.append(follow(CLOSED_FORMS[name], start, gradients, options, unit))
    for step in advance(name, optimizer, parameters, history.steps):
        for number, (parameter, path) in enumerate(zip(parameters, paths, strict=True)):
            check_parameter(parameter, path[step], f"parameter {number} after step {step + 1}")
