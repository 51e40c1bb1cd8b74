"""What a node has saved, hooks on one of its tensors, and what hooks may not be or do."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import arrays, functions, tensors

HOOKS = "torch.autograd.graph.saved_tensors_hooks"
DISABLE = "torch.autograd.graph.disable_saved_tensors_hooks"
NOTES = "notes/autograd.html#saved-tensors"
RAW = "notes/autograd.html#registering-hooks-for-a-saved-tensor"
LEAVES = tensors(dtype="floating", values="dyadic", requires_grad=True)


def as_itself(tensor):
    return tensor.detach()


@law("saved-tensors.input-of-node", docs=NOTES)
@given(leaf=LEAVES, of_leaf=st.booleans())
def test_input_of_node(target, leaf, of_leaf):
    """A node's saved input is the tensor that was given: the same values, memory and history.

    "y.grad_fn._saved_self": for pow, whose derivative needs its input.
    """
    x = leaf if of_leaf else leaf * 1
    result = target.run("torch.pow", x, 2)
    saved = result.grad_fn._saved_self
    compare.unchanged(saved, compare.to_numpy(x), "saved input")
    compare.fact(saved.data_ptr(), x.data_ptr(), "data_ptr")
    compare.fact(saved.requires_grad, True, "requires_grad")
    compare.fact(saved.grad_fn is x.grad_fn, True, "the same grad_fn")
    compare.fact(result.grad_fn._saved_exponent, 2, "exponent")


OUTPUTS = {"exp": "torch.exp", "tanh": "torch.tanh", "sigmoid": "torch.sigmoid"}


@law("saved-tensors.output-of-node", docs=NOTES, over=OUTPUTS)
@given(leaf=LEAVES)
def test_output_of_node(target, case, leaf):
    """A node's saved output is a new tensor with the output's values, memory and history.

    "PyTorch has to ... create a new tensor on unpacking", which avoids a reference cycle.
    """
    result = target.run(case, leaf)
    saved = result.grad_fn._saved_result
    compare.unchanged(saved, compare.to_numpy(result), "saved output")
    compare.fact(saved.data_ptr(), result.data_ptr(), "data_ptr")
    compare.fact(saved is result, False, "the output itself")
    compare.fact(saved.grad_fn is result.grad_fn, True, "the same grad_fn")


@law("saved-tensors.freed", docs=NOTES, over={**OUTPUTS, "pow": "torch.square"})
@given(leaf=LEAVES, retained=st.booleans())
def test_freed(target, case, leaf, retained):
    """Saved tensors cannot be accessed after a backward pass that does not retain the graph."""
    result = target.run(case, leaf)
    name = "_saved_self" if case == "torch.square" else "_saved_result"
    before = compare.to_numpy(getattr(result.grad_fn, name))
    if retained:
        result.backward(torch.ones_like(result), retain_graph=True)
    compare.unchanged(getattr(result.grad_fn, name), before, "saved tensor")
    result.backward(torch.ones_like(result))
    with compare.raises(RuntimeError, "after they have already been freed"):
        getattr(result.grad_fn, name)


@law("saved-tensors.raw-hooks", docs=RAW)
@given(x=arrays(shape=(3,)), factor=st.sampled_from((2.0, -0.5)), reads=st.integers(0, 2))
def test_raw_hooks(target, x, factor, reads):
    """Hooks on one saved tensor: pack is called at once, unpack whenever the tensor is accessed.

    "The pack_hook method is called as soon as the hooks are registered. The unpack_hook method is
    called each time the saved tensor needs to be accessed". Other saved tensors have none.
    """
    calls = []

    def pack(tensor):
        calls.append("pack")
        return tensor.detach() * factor

    def unpack(packed):
        calls.append("unpack")
        return packed

    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    result, other = target.run("torch.pow", leaf, 2), target.run("torch.pow", leaf, 2)
    result.grad_fn._raw_saved_self.register_hooks(pack, unpack)
    compare.fact(calls, ["pack"], "calls at registration")
    for _ in range(reads):
        saved = result.grad_fn._saved_self
        compare.close(saved, factor * x, bound=0.0, dtype=torch.float64, what="saved")
    compare.fact(calls, ["pack", *["unpack"] * reads], "calls after reading")
    result.sum().backward()
    compare.fact(calls, ["pack", *["unpack"] * (reads + 1)], "calls after backward")
    other.sum().backward()
    expected = 2 * x * (factor + 1)
    compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.raw-hooks-once", docs=RAW, level="should")
@given(x=arrays(shape=(3,)), by_default=st.booleans())
def test_raw_hooks_once(target, x, by_default):
    """A saved tensor takes one pair of hooks: a second one is rejected, and the first stays.

    Also where its pair comes from saved_tensors_hooks.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)

    def doubled(tensor):
        return tensor.detach() * 2

    if by_default:
        with torch.autograd.graph.saved_tensors_hooks(doubled, as_itself):
            result = target.run("torch.pow", leaf, 2)
    else:
        result = target.run("torch.pow", leaf, 2)
        result.grad_fn._raw_saved_self.register_hooks(doubled, as_itself)
    with compare.raises(RuntimeError, "hooks have already been set"):
        result.grad_fn._raw_saved_self.register_hooks(as_itself, as_itself)
    result.sum().backward()
    compare.close(leaf.grad, 4 * x, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.on-cpu", docs="torch.autograd.graph.save_on_cpu")
@given(f=functions(scalar=True), nested=st.booleans())
def test_on_cpu(target, f, nested):
    """save_on_cpu changes no gradient, not by a bit, and no device, nested in itself as well."""
    plain, leaves = f.leaves(target.device), f.leaves(target.device)
    target.run(f, *plain).backward()
    save_on_cpu = torch.autograd.graph.save_on_cpu
    with save_on_cpu():
        if nested:
            with save_on_cpu():
                result = target.run(f, *leaves)
        else:
            result = target.run(f, *leaves)
    result.backward()
    expected = [np.zeros(0) if p.grad is None else compare.to_numpy(p.grad) for p in plain]
    compare.gradients(leaves, expected, f.reaches)
    compare.fact(result.device.type, target.device.type, "device of the result")
    for leaf in leaves:
        if leaf.grad is not None:
            compare.fact(leaf.grad.device.type, target.device.type, "device of a gradient")


UNPACKED = {
    "nothing": (None, "NoneType"),
    "number": (2.0, "float"),
    "text": ("packed", "str"),
    "tuple": ((1, 2), "tuple"),
}


@law("saved-tensors.unpack-type", docs=HOOKS, over=UNPACKED)
@given(x=arrays(shape=(2,)), node=st.booleans())
def test_unpack_type(target, case, x, node):
    """unpack must return a tensor: backward, or whoever reads the saved tensor, raises TypeError.

    "unpack_hook(Any) -> Tensor". Nothing is accumulated, and another graph still works.
    """
    returned, name = case
    leaf = torch.tensor(x, device=target.device, requires_grad=True)

    def unpack(packed):
        return returned

    with torch.autograd.graph.saved_tensors_hooks(as_itself, as_itself):
        legal = target.run("torch.square", leaf)
    with torch.autograd.graph.saved_tensors_hooks(as_itself, unpack):
        illegal = target.run("torch.square", leaf)
    with compare.raises(TypeError, f"expected to be a Tensor but got result of type {name}"):
        if node:
            _ = illegal.grad_fn._saved_self
        else:
            illegal.sum().backward()
    compare.fact(leaf.grad, None, "grad afterwards")
    legal.sum().backward()
    compare.close(leaf.grad, 2 * x, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.pack-in-place", docs=HOOKS, level="should")
@given(x=arrays(shape=(2,)))
def test_pack_in_place(target, x):
    """A pack hook that writes to its input is rejected.

    "Performing an inplace operation on the input to either hooks may lead to undefined behavior."
    One that writes to a copy is not.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)

    def copying(tensor):
        return tensor.detach().clone().mul_(3.0)

    def writing(tensor):
        with torch.no_grad():
            return tensor.mul_(1.0)

    with torch.autograd.graph.saved_tensors_hooks(copying, as_itself):
        target.run("torch.square", leaf * 1).sum().backward()
    compare.close(leaf.grad, 6 * x, bound=0.0, dtype=torch.float64, what="gradient")
    message = "pack hook is modifying its input in place"
    hooks = torch.autograd.graph.saved_tensors_hooks(writing, as_itself)
    with hooks, compare.raises(RuntimeError, message):
        target.run("torch.square", leaf * 1)


class Refused(Exception):
    """What a hook raises."""


@law("saved-tensors.hook-raises", docs=HOOKS)
@given(x=arrays(shape=(2,)), packing=st.booleans(), times=st.integers(1, 2))
def test_hook_raises(target, x, packing, times):
    """An exception of a hook reaches the caller: of pack in forward, of unpack in backward.

    Afterwards there are no hooks, and nothing was accumulated.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)

    def refuse(_):
        raise Refused("no")

    hooks = (refuse, as_itself) if packing else (as_itself, refuse)
    for _ in range(times):
        with compare.raises(Refused, "no"):
            with torch.autograd.graph.saved_tensors_hooks(*hooks):
                result = target.run("torch.square", leaf)
                compare.fact(packing, False, "pack was to raise")
            result.sum().backward()
        compare.fact(leaf.grad, None, "grad afterwards")
    target.run("torch.square", leaf).sum().backward()
    compare.close(leaf.grad, 2 * x, bound=0.0, dtype=torch.float64, what="gradient")


@law("saved-tensors.disabled", docs=DISABLE)
@given(
    messages=st.lists(st.sampled_from(("no hooks", "not here", "never")), min_size=1, max_size=3),
    failing=st.booleans(),
    on_cpu=st.booleans(),
    x=arrays(shape=(2,)),
)
def test_disabled(target, messages, failing, on_cpu, x):
    """Where default hooks are disabled, entering a pair of them raises the message that was given.

    Of nested blocks the innermost one's; at the end of all, by an exception too, hooks work again.
    Operations without hooks are not touched.
    """
    leaf = torch.tensor(x, device=target.device, requires_grad=True)

    def hooks():
        if on_cpu:
            return torch.autograd.graph.save_on_cpu()
        return torch.autograd.graph.saved_tensors_hooks(as_itself, as_itself)

    def differentiate(expected):
        leaf.grad = None
        target.run("torch.square", leaf).sum().backward()
        compare.close(leaf.grad, expected, bound=0.0, dtype=torch.float64, what="gradient")

    def enter(level):
        with torch.autograd.graph.disable_saved_tensors_hooks(messages[level]):
            with compare.raises(RuntimeError, messages[level]), hooks():
                pass
            differentiate(2 * x)
            if level + 1 < len(messages):
                try:
                    enter(level + 1)
                except KeyError:
                    compare.fact(failing, True, "it was to raise")
                with compare.raises(RuntimeError, messages[level]), hooks():
                    pass
            if failing:
                raise KeyError("out of the block")

    try:
        enter(0)
    except KeyError:
        compare.fact(failing, True, "it was to raise")
    with hooks():
        differentiate(2 * x)
