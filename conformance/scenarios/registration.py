"""Programs that register members of modules, run on torch's modules and on their model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.reference import modules as model

NAMES = ("a", "b", "c")
MODULES = 4
PARAMETERS = (
    ((2,), torch.float32), ((), torch.float64), ((1, 2), torch.complex64), ((0,), torch.float16),
    ((3,), torch.int64),
)  # fmt: skip
BUFFERS = (
    ((2,), torch.float64), ((), torch.int64), ((2, 1), torch.bool), ((1,), torch.bfloat16),
)  # fmt: skip
ACTIONS = (
    "parameter", "module", "buffer", "transient", "parameter", "module", "delete", "none",
    "register", "assign",
)  # fmt: skip

Step = tuple[str, int, str, int]
"""An action, the module that it is done to, the member's name, and the number of the member."""


class Built(NamedTuple):
    """Modules with their models, root first, and what is held, by label."""

    modules: list[Any]
    nodes: list[model.Node]
    held: dict[str, Any]

    def label(self, member: Any) -> str:
        """Return the label of a member by its identity, or say that it has none."""
        return next((k for k, v in self.held.items() if v is member), f"unknown {member!r}")

    def labels(self, named: Any) -> list[tuple[str, str]]:
        """Return names with labels for names with members."""
        return [(name, self.label(member)) for name, member in named]


def programs(*, max_size: int = 24) -> st.SearchStrategy[list[Step]]:
    """Draw the steps of a program; modules hold only later ones, so that there is no cycle.

    The first modules and members come most often, so that members are shared.
    """
    step = st.tuples(
        st.sampled_from(ACTIONS),
        st.sampled_from((0, 1, 0, 1, 2, 3)),
        st.sampled_from(NAMES),
        st.sampled_from((0, 1, 0, 1, 2, 3, 4)),
    )
    return st.lists(step, max_size=max_size, min_size=10)


def built(steps: list[Step], device: torch.device) -> Built:
    """Run a program on modules and on their models."""
    held: dict[str, Any] = {}
    for number, (shape, dtype) in enumerate(PARAMETERS):
        data = torch.full(shape, number + 1, dtype=dtype, device=device)
        floating = dtype.is_floating_point or dtype.is_complex
        held[f"p{number}"] = torch.nn.Parameter(data, requires_grad=floating)
    for number, (shape, dtype) in enumerate(BUFFERS):
        held[f"b{number}"] = torch.full(shape, number + 1, dtype=dtype, device=device)
    modules = [torch.nn.Module() for _ in range(MODULES)]
    held.update({f"m{number}": module for number, module in enumerate(modules)})
    nodes = [model.Node(f"m{number}") for number in range(MODULES)]
    result = Built(modules, nodes, held)
    for step in steps:
        _do(result, step)
    return result


def _do(state: Built, step: Step) -> None:
    action, where, name, what = step
    module, node = state.modules[where], state.nodes[where]
    if action in ("delete", "none"):
        if node.has(name) and action == "delete":
            delattr(module, name)
            node.delete(name)
        elif node.has(name):
            setattr(module, name, None)
            node.clear(name)
    elif action == "parameter":
        setattr(module, name, state.held[f"p{what}"])
        node.assign("parameters", name, f"p{what}")
    elif action == "module" and where + 1 < MODULES:
        if name in node.parameters:  # only a parameter takes the place of one
            delattr(module, name)
            node.delete(name)
        child = where + 1 + what % (MODULES - 1 - where)
        setattr(module, name, state.modules[child])
        node.assign("children", name, state.nodes[child])
    elif action in ("buffer", "transient"):
        _buffer(state, where, name, what % len(BUFFERS), action == "transient")
    elif action == "register" and not node.has(name):
        module.register_parameter(name, state.held[f"p{what}"] if what else None)
        node.assign("parameters", name, f"p{what}" if what else None)
    elif action == "assign" and node.buffers.get(name) is not None:
        setattr(module, name, state.held[f"b{what % len(BUFFERS)}"])
        node.assign("buffers", name, f"b{what % len(BUFFERS)}")


def _buffer(state: Built, where: int, name: str, what: int, transient: bool) -> None:
    module, node = state.modules[where], state.nodes[where]
    if node.has(name) and name not in node.buffers:
        delattr(module, name)
        node.delete(name)
    module.register_buffer(name, state.held[f"b{what}"], persistent=not transient)
    node.assign("buffers", name, f"b{what}")
    (node.transient.add if transient else node.transient.discard)(name)


def values_of(state: Built) -> dict[str, Any]:
    """Return the values of every tensor that a program may hold, by label."""
    return {k: compare.to_numpy(v) for k, v in state.held.items() if isinstance(v, torch.Tensor)}


def full(tensor: torch.Tensor, value: Any) -> np.ndarray[Any, Any]:
    """Return an array of a tensor's shape filled with a number."""
    return np.full(tuple(tensor.shape), value)
