"""The version counter: what counts as a write, and what backward makes of a changed version."""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.writes import RANDOM, WITHOUT_CHANGE, WRITES, operands, write
from conformance.target import resolve
from strategies import arrays, squares
from strategies.functions import numpy_of

CHECKS = "notes/autograd.html#in-place-correctness-checks"
MODIFIED = "modified by an inplace operation"

ALIASES = ("x", "x[...]", "x.detach()", "x.transpose(0, -1)", "x.unsqueeze(0)", "x[-1]")
STATEMENTS = {name: statement for name, (statement, _) in WRITES.items()}
OUT = {
    "out-add": "torch.add(y, 1.5, out=x)",
    "out-neg": "torch.neg(y, out=x)",
    "out-cat": "torch.cat([y[:1], y[1:]], out=x)",
}
SHAPES = ((1,), (3,), (2, 3), (2, 1, 2))
ROOTS = st.sampled_from(("plain", "result", "leaf under no_grad", "result in inference mode"))


def root_of(kind, values):
    """A tensor of a kind, and the mode in which it may be written to."""
    leaf = torch.tensor(values, requires_grad=kind != "plain")
    mode = {
        "leaf under no_grad": ("torch.no_grad", ()),
        "result in inference mode": ("torch.inference_mode", ()),
    }.get(kind, ("torch.enable_grad", ()))
    return (leaf * 1 if "result" in kind else leaf), mode


@law(
    "version-counter.every-write",
    docs=CHECKS,
    over={**STATEMENTS, **RANDOM, **WITHOUT_CHANGE, **OUT},
)
@given(shape=st.sampled_from(SHAPES), alias=st.sampled_from(ALIASES), kind=ROOTS)
def test_every_write(target, case, shape, alias, kind):
    """Every spelling of a write increments the version, which base, views and detached share.

    Also where no value changes, and where it is not recorded: under no_grad, in inference mode.
    """
    values = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    kind = "plain" if case in OUT.values() else kind
    root, (mode, arguments) = root_of(kind, values)
    root = root.to(target.device)
    aliases = {text: eval(text, {"x": root}) for text in ALIASES}
    # Spellings with indices need a dimension and an element to write to.
    x = aliases[alias] if aliases[alias].dim() and case not in OUT.values() else root
    before = root._version
    with resolve(mode)(*arguments):
        write(case, operands(x, torch.ones_like(x)))
    compare.fact(root._version > before, True, "version increased")
    for text, other in aliases.items():
        compare.fact(other._version, root._version, f"version of {text}")


READING = {
    "index": "x[0]",
    "mask": "x[m]",
    "sum": "x.sum()",
    "compare": "x == y",
    "add": "x + y",
    "clone": "x.clone()",
    "detach": "x.detach()",
    "data": "x.data",
    "view": "x.view(-1)",
    "contiguous": "x.transpose(0, -1).contiguous()",
    "to": "x.to(torch.float32)",
    "repr": "repr(x)",
    "tolist": "x.tolist()",
    "item": "x.reshape(-1)[0].item()",
    "numpy": "x.detach().numpy()",
    "requires_grad_": "x.detach().requires_grad_()",
    "retain_grad": "(x.retain_grad() if x.requires_grad else None)",
    "source-of-copy": "y.copy_(x)",
    "source-of-out": "torch.neg(x.detach(), out=y)",
    "operand-in-place": "y.add_(x)",
    "source-of-setitem": "y.__setitem__(0, x[0])",
    "sort": "x.sort()",
    "gradient": "(x * x).sum().backward() if x.requires_grad else None",
    "grad-function": "torch.autograd.grad((x * x).sum(), x) if x.requires_grad else None",
    "deepcopy": "copy.deepcopy(x.detach())",
    "save": "torch.save(x.detach(), io.BytesIO())",
    "clone-written": "x.clone().mul_(2.0)",
    "foreach": "torch._foreach_add([x], 1.5)",
}


@law("version-counter.reading", docs=CHECKS, over=READING)
@given(shape=st.sampled_from(SHAPES), kind=st.sampled_from(("plain", "leaf", "result")))
def test_reading(target, case, shape, kind):
    """What only reads a tensor leaves its version, values and those of its views as they are."""
    import copy
    import io

    values = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    leaf = torch.tensor(values, device=target.device, requires_grad=kind != "plain")
    x = leaf * 1 if kind == "result" else leaf
    view = x[...]
    names = {**operands(x, torch.zeros_like(x.detach())), "copy": copy, "io": io}
    # Reading begins after a first write, or a counter that is reset would go unnoticed.
    with torch.no_grad():
        x.mul_(2.0)
    before = x._version
    eval(case, names)
    compare.fact((x._version, view._version), (before, before), "versions of x and its view")
    compare.unchanged(x, 2 * values, "x")


@law("version-counter.increment-version", docs="torch.autograd.graph.increment_version")
@given(
    kept=st.integers(0, 2),
    times=st.integers(1, 3),
    container=st.sampled_from(("tensor", "list", "tuple", "view")),
)
def test_increment_version(target, kept, times, container):
    """increment_version counts as a write to each tensor given: backward rejects what was saved.

    "Can accept either a tensor, or a list of tensors." Values stay.
    """
    leaves = [torch.tensor(float(n), device=target.device, requires_grad=True) for n in range(3)]
    tensors = [leaf * 2 for leaf in leaves]
    squares_of = [tensor * tensor for tensor in tensors]
    others = [tensor for number, tensor in enumerate(tensors) if number != kept]
    versions = [tensor._version for tensor in tensors]
    for _ in range(times):
        if container in ("tensor", "view"):
            one = others[0] if container == "tensor" else others[0][...]
            torch.autograd.graph.increment_version(one)
        else:
            several = others if container == "list" else tuple(others)
            torch.autograd.graph.increment_version(several)
    written = others if container in ("list", "tuple") else others[:1]
    for number, tensor in enumerate(tensors):
        hit = any(tensor is other for other in written)
        grown = tensor._version > versions[number]
        compare.fact(grown, hit, f"version of tensor {number} increased")
        expected = np.array(2.0 * number)
        compare.equal(tensor, expected, dtype=tensor.dtype, what=f"tensor {number}")
        if hit:
            with compare.raises(RuntimeError, MODIFIED):
                squares_of[number].backward()
        else:
            squares_of[number].backward()
            slope = np.array(8.0 * number)
            compare.equal(leaves[number].grad, slope, dtype=tensor.dtype, what="gradient")


UPDATES = {
    "no_grad": "with torch.no_grad(): w -= 0.5",
    "set_grad_enabled": "with torch.set_grad_enabled(False): w.mul_(1.0)",
    "inference_mode": "with torch.inference_mode(): w.copy_(w + 1)",
    "detached": "w.detach().add_(1.0)",
    "view-under-no_grad": "with torch.no_grad(): w.view(-1)[:1].zero_()",
    "numpy-out": "torch.add(w.detach(), 1.0, out=w.detach())",
    "initializer": "torch.nn.init.ones_(w)",
    "SGD": "torch.optim.SGD([w], lr=0.5).step()",
    "SGD-foreach": "torch.optim.SGD([w], lr=0.5, foreach=True).step()",
    "Adam": "torch.optim.Adam([w], lr=0.5).step()",
    "state-dict": "m.load_state_dict({'w': torch.zeros(3, dtype=torch.float64)})",
}


@law("version-counter.updated-leaf", docs=CHECKS, over=UPDATES)
@given(w=arrays(shape=(3,)), x=arrays(shape=(3,)), retained=st.booleans())
def test_updated_leaf(target, case, w, x, retained):
    """A parameter that is updated between forward and backward makes backward raise where saved.

    It was saved for the gradient of its partner; its own gradient, which needs only the partner,
    is exact.
    """
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(torch.tensor(w, device=target.device))
    leaf = torch.tensor(x, device=target.device, requires_grad=True)
    plain = leaf.detach()
    module.w.grad = torch.ones_like(module.w)
    both, own = module.w * leaf, module.w * plain
    if retained:
        both.sum().backward(retain_graph=True)
        compare.close(leaf.grad, w, bound=0.0, dtype=torch.float64, what="gradient before")
    exec(case, {"torch": torch, "w": module.w, "m": module})
    with compare.raises(RuntimeError, MODIFIED):
        both.sum().backward()
    module.w.grad = None
    own.sum().backward()
    compare.close(module.w.grad, x, bound=0.0, dtype=torch.float64, what="its own gradient")


@law("version-counter.between-passes", docs=CHECKS)
@given(f=squares(), scale=st.sampled_from((1.0, 2.0)), restored=st.booleans())
def test_between_passes(target, f, scale, restored):
    """A write between two passes over a retained graph makes the second raise, not the first.

    Where the old values are written back it raises too: versions count, not values.
    """
    leaves = f.leaves(target.device)
    inner = target.run(f, *leaves) * 1
    result = inner * inner
    before = inner.detach().clone()
    result.backward(retain_graph=True)
    f_numpy = numpy_of(f)
    expected = derivatives.gradient(lambda *x: f_numpy(*x) ** 2, f.points)
    size = max((float(np.abs(value).max()) for value in expected), default=0.0)
    # The root is of the fourth order in a polynomial: its gradient may be rounded.
    bound = 64 * np.finfo(np.float64).eps * size
    compare.gradients(leaves, expected, f.reaches, bound=bound)
    first = [None if leaf.grad is None else leaf.grad.clone() for leaf in leaves]
    with torch.no_grad():
        inner.mul_(scale)
        if restored:
            inner.copy_(before)
    with compare.raises(RuntimeError, MODIFIED):
        result.backward(retain_graph=True)
    for leaf, gradient in zip(leaves, first, strict=True):
        if gradient is None:
            compare.fact(leaf.grad, None, "grad of an unreached leaf")
        else:
            compare.unchanged(leaf.grad, compare.to_numpy(gradient), "grad after the second pass")


@law("version-counter.message", docs=CHECKS, level="should")
@given(writes=st.integers(1, 5), before=st.integers(0, 3), shape=st.sampled_from(SHAPES))
def test_message(target, writes, before, shape):
    """The error says the tensor's shape, its version, and the version at which it was saved."""
    leaf = torch.ones(shape, device=target.device, requires_grad=True)
    tensor = leaf * 1
    for _ in range(before):
        tensor.add_(1.0)
    result = tensor * tensor
    for _ in range(writes):
        tensor.add_(1.0)
    compare.fact(tensor._version, before + writes, "version")
    sides = ", ".join(map(str, shape))
    message = rf"\[{sides}\]\].* is at version {before + writes}; expected version {before} instead"
    with compare.raises(RuntimeError, message):
        result.sum().backward()
