"""Moves that pass over the graph, and what has to do with gradients: ``.grad``, hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from conformance.reference import tape_operations as operations
from conformance.reference import tape_passes
from conformance.reference.tape_passes import Options
from conformance.reference.tape_tensors import Tensor, fresh
from conformance.scenarios.programs.writer import Picks, Plan, Writer, literal, numbers
from conformance.scenarios.programs.writing import RARE

ONCE, RETAINED, RECORDED = Options(), Options(retain=True), Options(create=True)
OPTIONS = {
    "": ONCE,
    "retain_graph=True": RETAINED,
    "retain_graph=False": Options(retain=False),
    "create_graph=True": RECORDED,
    "retain_graph=False, create_graph=True": Options(retain=False, create=True),
    "retain_graph=True, create_graph=True": Options(retain=True, create=True),
}


class Root(NamedTuple):
    """A root, the gradient it is given, and their texts; ``gradient`` is empty for none."""

    name: str
    tensor: Tensor
    gradient: str
    value: Tensor | None


def _root(writer: Writer, pick: int, option: int) -> Root | None:
    """A tensor that requires grad, more often than not, and a gradient that fits, too."""
    if writer.tape.mode.inference:
        return None
    names = {n: t for n, t in writer.tensors.items() if not t.unspecified and not t.inference}
    able = [n for n, t in names.items() if t.requires_grad]
    results = [n for n in able if not names[n].is_leaf]
    able = results if results and option % 8 < 7 else able
    name = writer.pick(pick, able if able and option < RARE else names)
    if name is None:
        return None
    tensor = names[name]
    if (np.size(tensor.values) == 1 and option % 4 < 3) or option % 32 == 31:
        return Root(name, tensor, "", None)
    shape = tensor.shape if option % 32 != 30 else (4,)
    values = numbers(option, shape)
    return Root(name, tensor, literal(values), fresh(values))


def _requiring(writer: Writer) -> list[str]:
    tensors = writer.tensors.items()
    return [n for n, t in tensors if t.requires_grad and not t.unspecified and not t.inference]


def _leaves(writer: Writer) -> list[str]:
    return [n for n in _requiring(writer) if writer.tensors[n].is_leaf]


def _called(function: str, arguments: Sequence[str]) -> str:
    return f"{function}({', '.join(argument for argument in arguments if argument)})"


def _backward(writer: Writer, picks: Picks, words: str, inputs: list[str] | None) -> Plan | None:
    root = _root(writer, picks.first, picks.option)
    if root is None:
        return None
    targets = None if inputs is None else [writer.tensors[n] for n in inputs]
    named = "" if inputs is None else f"inputs=[{', '.join(inputs)}]"

    def action() -> None:
        tape_passes.backward(writer.tape, [root.tensor], [root.value], OPTIONS[words], targets)

    return Plan(_called(f"{root.name}.backward", (root.gradient, words, named)), action)


def backward(writer: Writer, picks: Picks) -> Plan | None:
    """A pass that frees, or retains."""
    words = ("", "retain_graph=True", "", "retain_graph=True", "retain_graph=False")
    return _backward(writer, picks, words[picks.second % len(words)], None)


def backward_retained(writer: Writer, picks: Picks) -> Plan | None:
    """A pass that retains."""
    return _backward(writer, picks, "retain_graph=True", None)


def backward_recorded(writer: Writer, picks: Picks) -> Plan | None:
    """A pass with any options."""
    words = list(OPTIONS)[::-1]
    return _backward(writer, picks, words[picks.second % len(words)], None)


def backward_inputs(writer: Writer, picks: Picks) -> Plan | None:
    """A pass into some leaves only."""
    leaves = _leaves(writer)
    if not leaves:
        return None
    first = leaves[picks.second % len(leaves)]
    chosen = [first] if picks.second < 160 else sorted({first, leaves[-1]})
    words = ("retain_graph=True", "", "create_graph=True")[picks.second % 3]
    return _backward(writer, picks, words, chosen)


def backward_many(writer: Writer, picks: Picks) -> Plan | None:
    """A pass from two roots."""
    roots = [_root(writer, picks.first, picks.option), _root(writer, picks.second, picks.option)]
    if any(root is None for root in roots):
        return None
    found = [root for root in roots if root is not None]
    if any(root.value is not None and root.value.shape != root.tensor.shape for root in found):
        return None  # the second root's error has a text that tells nothing
    words = ("retain_graph=True", "", "create_graph=True")[picks.option % 3]
    gradients = ", ".join(root.gradient or "None" for root in found)
    names = ", ".join(root.name for root in found)
    text = _called("torch.autograd.backward", (f"[{names}]", f"[{gradients}]", words))

    def action() -> None:
        tensors, values = [r.tensor for r in found], [r.value for r in found]
        tape_passes.backward(writer.tape, tensors, values, OPTIONS[words])

    return Plan(text, action)


def grad(writer: Writer, picks: Picks) -> Plan | None:
    """Gradients as results, of two inputs perhaps, used or not."""
    root = _root(writer, picks.first, picks.option)
    legal = _requiring(writer)
    names = list(writer.tensors) if picks.option >= RARE else legal
    leaves = _leaves(writer)
    names = leaves if leaves and picks.option % 2 else names
    if root is None or not names:
        return None
    inputs = [names[picks.second % len(names)]]
    if picks.second >= 160 and legal[-1:] not in ([], inputs):
        inputs.append(legal[-1])
    if any(writer.tensors[n].unspecified or writer.tensors[n].inference for n in inputs):
        return None
    words = list(OPTIONS)[(3, 1, 0, 3, 5, 4)[picks.option % 6]]
    allow = "allow_unused=True" if picks.second % 3 else ""
    results = writer.new(len(inputs))
    gradient = f"grad_outputs={root.gradient}" if root.gradient else ""
    call = _called(
        "torch.autograd.grad", (root.name, f"[{', '.join(inputs)}]", gradient, words, allow)
    )

    def action() -> list[Tensor | None]:
        found = tape_passes.grad(
            writer.tape, [root.tensor], [root.value], [writer.tensors[n] for n in inputs],
            OPTIONS[words], bool(allow),
        )  # fmt: skip
        unused = [name for name, result in zip(results, found, strict=True) if result is None]
        writer.identities.update({f"{name} is None": lambda: True for name in unused})
        return found

    return Plan(f"{', '.join(results)}{',' if len(results) == 1 else ''} = {call}", action, results)


def _with_grad(writer: Writer) -> list[str]:
    return [
        name
        for name in _leaves(writer)
        if writer.tensors[name].grad is not None and writer.tensors[name].grad_known
    ]


def clear(writer: Writer, picks: Picks) -> Plan | None:
    """Forget a leaf's gradient."""
    a = writer.pick(picks.first, _leaves(writer))
    if a is None:
        return None
    tensor = writer.tensors[a]
    return Plan(f"{a}.grad = None", lambda: writer.tape.assign_grad(tensor, None))


def zero(writer: Writer, picks: Picks) -> Plan | None:
    """Set a leaf's gradient to zeros, in place."""
    a = writer.pick(picks.first, _with_grad(writer))
    gradient = writer.tensors[a].grad if a is not None else None
    if a is None or gradient is None or not gradient.owned or gradient.flag:
        return None
    operation = operations.constant(np.zeros(gradient.shape))
    return Plan(f"{a}.grad.zero_()", lambda: writer.tape.write(gradient, operation))


def assign(writer: Writer, picks: Picks) -> Plan | None:
    """Give a leaf another gradient."""
    a = writer.pick(picks.first, _leaves(writer))
    if a is None or writer.tape.mode.inference:
        return None
    tensor = writer.tensors[a]
    values = numbers(picks.option, tensor.shape)
    made = fresh(values, laid_out=True)
    return Plan(f"{a}.grad = {literal(values)}", lambda: writer.tape.assign_grad(tensor, made))


def take(writer: Writer, picks: Picks) -> Plan | None:
    """Give a leaf's gradient a name of its own."""
    a = writer.pick(picks.first, _with_grad(writer))
    if a is None or writer.tape.mode.inference:
        return None
    leaf, gradient = writer.tensors[a], writer.tensors[a].grad
    (name,) = writer.new()

    def action() -> Tensor | None:
        writer.identities[f"{name} is {a}.grad"] = lambda: leaf.grad is gradient
        return gradient

    return Plan(f"{name} = {a}.grad", action, (name,))


def retain(writer: Writer, picks: Picks) -> Plan | None:
    """Have a tensor's gradient kept."""
    names = [n for n, t in writer.tensors.items() if t.owned and not t.unspecified]
    a = writer.pick(picks.first, [n for n in names if not writer.tensors[n].multiple])
    if a is None or writer.tensors[a].inference:
        return None
    tensor = writer.tensors[a]
    return Plan(f"{a}.retain_grad()", lambda: writer.tape.retain_grad(tensor))


def hook(writer: Writer, picks: Picks) -> Plan | None:
    """Register a function that notes a gradient, and may multiply it."""
    names = [n for n, t in writer.tensors.items() if t.owned and not t.unspecified]
    a = writer.pick(picks.first, [n for n in names if not writer.tensors[n].multiple])
    if a is None or writer.tensors[a].inference:
        return None
    tensor, number = writer.tensors[a], len(writer.hooks)
    factor = (None, 2.0, -1.0)[picks.option % 3]
    result = "" if factor is None else f" or g * {factor}"
    text = f"seen{number} = []; handle{number} = {a}.register_hook("

    def action() -> None:
        writer.hooks[f"seen{number}"] = writer.tape.hook(tensor, factor)

    return Plan(f"{text}lambda g: seen{number}.append(g.tolist()){result})", action)


def unhook(writer: Writer, picks: Picks) -> Plan | None:
    """Remove a hook."""
    name = writer.pick(picks.first, writer.hooks)
    if name is None:
        return None
    found = writer.hooks[name]

    def action() -> None:
        found.removed = True

    return Plan(f"{name.replace('seen', 'handle')}.remove()", action)
