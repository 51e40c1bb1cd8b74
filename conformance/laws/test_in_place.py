"""In-place operations and autograd: leaves, saved tensors, version counters."""

from math import prod

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.scenarios.writes import RANDOM, WRITES, operands, write, written
from conformance.target import resolve
from strategies import current_device, shapes, tensors
from strategies.layouts import WRITABLE
from strategies.values import raw_bytes

IN_PLACE = "notes/autograd.html#in-place-operations-with-autograd"
CHECKS = "notes/autograd.html#in-place-correctness-checks"
PERMITTING = {
    "no_grad": ("leaf", ("torch.no_grad", ())),
    "set_grad_enabled": ("leaf", ("torch.set_grad_enabled", (False,))),
    "detach": ("leaf.detach()", ("torch.enable_grad", ())),
}

METHODS = {
    "add_": ("torch.Tensor.add_", (1.0,)),
    "mul_": ("torch.Tensor.mul_", (2.0,)),
    "zero_": ("torch.Tensor.zero_", ()),
    "fill_": ("torch.Tensor.fill_", (3.0,)),
}


@law(
    "in-place.leaf-raises",
    docs="notes/autograd.html#in-place-operations-with-autograd",
    over=METHODS,
)
@given(leaf=tensors(dtype="floating", layouts=WRITABLE, requires_grad=True))
def test_leaf_raises(target, case, leaf):
    """An in-place operation on a leaf that requires grad raises and leaves the tensor unchanged.

    The same call is legal under no_grad, where the leaf stays a leaf.
    """
    method, arguments = case
    before = compare.to_numpy(leaf)
    with compare.raises(RuntimeError, "leaf Variable that requires grad"):
        resolve(method)(leaf, *arguments)
    compare.unchanged(leaf, before, "leaf")
    with torch.no_grad():
        resolve(method)(leaf, *arguments)
    compare.fact((leaf.is_leaf, leaf.requires_grad), (True, True), "is_leaf and requires_grad")


@law(
    "in-place.version-counter", docs="notes/autograd.html#in-place-correctness-checks", over=METHODS
)
@given(tensor=tensors(dtype="floating", layouts=WRITABLE))
def test_version_counter(target, case, tensor):
    """Every in-place operation increments the version counter, which views share with the base."""
    method, arguments = case
    view = tensor.view(tensor.shape)
    before = tensor._version
    resolve(method)(view, *arguments)
    compare.fact(tensor._version > before, True, "version of the base increased")
    compare.fact(view._version, tensor._version, "version of the view")


@law("in-place.saved-tensor-modified", docs="notes/autograd.html#in-place-correctness-checks")
@given(leaf=tensors(dtype="floating", shape=shapes(min_side=1), requires_grad=True))
def test_saved_tensor_modified(target, leaf):
    """backward raises if a tensor saved for it was modified in place since.

    The same backward pass without the modification goes through.
    """
    intermediate = leaf * 2
    (intermediate * intermediate).sum().backward(retain_graph=True)
    gradient = compare.to_numpy(leaf.grad)
    compare.equal(leaf.grad, 8 * compare.to_numpy(leaf), dtype=leaf.dtype, what="gradient")
    loss = (intermediate * intermediate).sum()
    intermediate.add_(1.0)
    with compare.raises(RuntimeError, "modified by an inplace operation"):
        loss.backward()
    compare.unchanged(leaf.grad, gradient, "gradient")


VIEWS = (
    "leaf",
    "leaf[...]",
    "leaf.unsqueeze(0)",
    "leaf.reshape(-1)",
    "leaf[:1]",
    "leaf[...].transpose(0, -1)",
    "leaf[-1:].unsqueeze(1)",
    "leaf.expand(2, *leaf.shape)",
)
SHAPE_WRITES = {
    "unsqueeze_": "x.unsqueeze_(0)",
    "squeeze_": "x.squeeze_()",
    "transpose_": "x.transpose_(0, -1)",
    "swapdims_": "x.swapdims_(0, -1)",
    "as_strided_": "x.as_strided_(x.shape, x.stride())",
    "set_": "x.set_(torch.ones_like(x))",
}
STATEMENTS = {name: torch_text for name, (torch_text, _) in WRITES.items()}
SHAPES = ((1,), (2,), (3,), (1, 2), (2, 1), (2, 3), (3, 2), (2, 1, 2))


@st.composite
def pairs(draw):
    """Two packed float64 tensors of one shape, of values k / 4."""
    shape = draw(st.sampled_from(SHAPES))
    numbers = np.frombuffer(draw(raw_bytes(12)), dtype=np.int8)[: 2 * prod(shape)] % 32 / 4.0 - 4.0
    both = torch.tensor(numbers.reshape((2, *shape)), device=current_device())
    return both[0].clone(), both[1].clone()


@law("in-place.leaf-rejected", docs=IN_PLACE, over={**STATEMENTS, **SHAPE_WRITES, **RANDOM})
@given(pair=pairs(), view=st.sampled_from(VIEWS))
def test_leaf_rejected(target, case, pair, view):
    """No spelling of a write gets past a leaf that requires grad, nor past a view of one.

    It raises before anything changes: values, shape, version, flags, other tensors of the call.
    Detached, the same tensor is written to.
    """
    leaf = pair[0].clone().requires_grad_()
    x = eval(view, {"leaf": leaf})
    names = operands(x, torch.full_like(x, 0.5))
    legal = x.detach().clone()
    write(case, {**names, "x": legal})
    compare.fact(legal.requires_grad, False, "requires_grad of a plain tensor, written to")

    def observed():
        flags = (leaf.requires_grad, leaf.is_leaf, leaf.grad, leaf._version)
        return flags, tuple(x.shape), x.stride(), x.requires_grad, x.data_ptr()

    before, others = observed(), [compare.to_numpy(names[name]) for name in "yz"]
    with compare.raises(RuntimeError, "leaf Variable that requires grad"):
        write(case, names)
    compare.fact(observed(), before, "flags, version and geometry afterwards")
    compare.unchanged(leaf, compare.to_numpy(pair[0]), "leaf")
    for name, values in zip("yz", others, strict=True):
        compare.unchanged(names[name], values, f"operand {name}")


@law("in-place.leaf-message", docs=IN_PLACE, level="should", over=METHODS)
@given(drawn=tensors(dtype="floating"), view=st.booleans())
def test_leaf_message(target, case, drawn, view):
    """The error says that the leaf, or a view of it, is being used in an in-place operation.

    Not that it has been: nothing was written, and the version is what it was.
    """
    method, arguments = case
    leaf = drawn.clone().requires_grad_()
    version = leaf._version
    resolve(method)(drawn.clone(), *arguments)
    start = "^a view of a leaf" if view else "^a leaf"
    told = f"{start} Variable that requires grad is being used in an in-place operation"
    with compare.raises(RuntimeError, told):
        resolve(method)(leaf[...] if view else leaf, *arguments)
    compare.fact(leaf._version, version, "version afterwards")


@law("in-place.leaf-written", docs="torch.no_grad", over=WRITES)
@given(pair=pairs(), view=st.sampled_from(VIEWS[:-1]), by=st.sampled_from(tuple(PERMITTING)))
def test_leaf_written(target, case, pair, view, by):
    """Under no_grad, or detached, a leaf that requires grad is written to, by any spelling.

    It stays a leaf that requires grad, keeps its .grad, and later passes use the new values.
    """
    statement, in_numpy = case
    leaf = pair[0].clone().requires_grad_()
    leaf.grad = torch.ones_like(leaf)
    gradient, version = leaf.grad, leaf._version
    source, enter = PERMITTING[by]
    with resolve(enter[0])(*enter[1]):
        x = eval(view, {"leaf": eval(source, {"leaf": leaf})})
        y = torch.full_like(x, -1.5)
        write(statement, operands(x, y))
    values = compare.to_numpy(pair[0])
    seen = eval(view, {"leaf": torch.from_numpy(values)})
    seen.copy_(torch.from_numpy(written(in_numpy, seen.numpy(), np.full(tuple(x.shape), -1.5))))
    compare.close(leaf, values, bound=0.0, dtype=torch.float64, what="leaf")
    compare.fact((leaf.requires_grad, leaf.is_leaf), (True, True), "requires_grad, is_leaf")
    compare.fact(leaf.grad is gradient, True, "the same .grad")
    compare.fact(leaf._version > version, True, "version increased")
    (leaf * leaf).sum().backward()
    compare.close(leaf.grad, 2 * values + 1, bound=0.0, dtype=torch.float64, what="gradient")


REQUIRING = ((True, True), (True, False), (False, True))


@law("in-place.gradient", docs=IN_PLACE, over=WRITES)
@given(pair=pairs(), weights=pairs(), requiring=st.sampled_from(REQUIRING), twice=st.booleans())
def test_gradient(target, case, pair, weights, requiring, twice):
    """A write to a result is recorded: gradients to what was there and to what came are exact.

    Written once or twice. A tensor that did not require grad does if what is written to it does.
    """
    statement, in_numpy = case
    uses = "y" in statement
    # relu_ saves what it wrote, for its backward: it may not be written to again.
    times = 1 if "relu" in statement else 1 + twice

    def forward(first, second):
        x = first * 1
        for _ in range(times):
            write(statement, operands(x, second))
        return x

    def reference(first, second):
        for _ in range(times):
            first = written(in_numpy, first, second)
        return first

    leaves = [t.clone().requires_grad_(flag) for t, flag in zip(pair, requiring, strict=True)]
    points = [compare.to_numpy(t) for t in pair]
    result = target.run(forward, *leaves)
    value = reference(*points)
    compare.close(result, value, bound=0.0, dtype=torch.float64)
    required = requiring[0] or uses
    compare.fact((result.requires_grad, result.is_leaf), (required, not required), "flags")
    for leaf, point in zip(leaves, points, strict=True):
        compare.unchanged(leaf, point, "leaf")
    if required:
        cotangent = np.resize(compare.to_numpy(weights[0]), value.shape)
        result.backward(torch.from_numpy(cotangent).to(target.device))
        expected = derivatives.vjp(reference, points, cotangent)
        reached = (requiring[0], requiring[1] and uses)
        compare.gradients(leaves, expected, reached)


OUT = {
    "add": ("torch.add(x, 1.5, out=o)", "x + 1.5"),
    "mul": ("torch.mul(x, y, out=o)", "x * y"),
    "neg": ("torch.neg(x, out=o)", "-x"),
    "square": ("torch.square(x, out=o)", "x * x"),
    "maximum": ("torch.maximum(x, y, out=o)", "np.maximum(x, y)"),
    "cumsum": ("torch.cumsum(x, 0, out=o)", "np.cumsum(x, 0)"),
    "cat": ("torch.cat([x[:1], y[1:]], out=o)", "np.concatenate([x[:1], y[1:]])"),
    "index_select": ("torch.index_select(x, 0, i, out=o)", "x[:1]"),
    "sum": ("torch.sum(x, 0, out=o)", "x.sum(0)"),
    "stack": ("torch.stack([x, y], out=o)", "np.stack([x, y])"),
    "where": ("torch.where(m, x, y, out=o)", "np.where(m, x, y)"),
}


@law("in-place.out-rejected", docs=IN_PLACE, level="should", over=OUT)
@given(pair=pairs(), requiring=st.sampled_from(("x", "y", "o")), leaf=st.booleans())
def test_out_rejected(target, case, pair, requiring, leaf):
    """out= is not differentiable: it raises where an input or the output requires grad.

    Nothing is written. Under no_grad, and where nothing requires grad, it is legal.
    """
    statement, in_numpy = case
    x, y = (tensor.clone() for tensor in pair)
    arrays = {"np": np, "x": x.numpy(), "y": y.numpy(), "m": compare.to_numpy(operands(x, y)["m"])}
    expected = np.asarray(eval(in_numpy, arrays)).copy()
    names = {**operands(x, y), "o": torch.zeros(expected.shape, dtype=torch.float64)}
    write(statement, names)
    compare.close(names["o"], expected, bound=0.0, dtype=torch.float64, what="output")
    # An output of another shape would be resized first; one operand is enough to be rejected.
    name = requiring if requiring in ("x", "o") or "y" in statement else "x"
    tensor = names[name].requires_grad_()
    names[name] = tensor if leaf else tensor * 1
    names["o"].detach().fill_(-7.0)
    version = names["o"]._version
    with compare.raises(RuntimeError, r"out=... arguments don't support automatic differentiation"):
        write(statement, names)
    sevens = np.full(expected.shape, -7.0)
    compare.close(names["o"], sevens, bound=0.0, dtype=torch.float64, what="output afterwards")
    compare.fact(names["o"]._version, version, "version of the output")
    if name != "o":
        with torch.no_grad():
            write(statement, names)
        compare.close(names["o"], expected, bound=0.0, dtype=torch.float64, what="under no_grad")
        compare.fact(names["o"].requires_grad, False, "requires_grad of the output")


SAVING = {
    "mul": ("x * x", "input"),
    "pow": ("x ** 3", "input"),
    "sin": ("x.sin()", "input"),
    "log": ("x.log()", "input"),
    "abs": ("x.abs()", "input"),
    "clamp": ("x.clamp(0.0, 1.0)", "input"),
    "matmul": ("x @ x.mT", "input"),
    "matmul-first": ("x @ w", "input"),
    "matmul-second": ("w @ x", "input"),
    "bmm-first": ("torch.bmm(x[None], w[None])", "input"),
    "addmm-third": ("torch.addmm(w, w, x)", "input"),
    "mv-first": ("x.mv(w[0])", "input"),
    "linear-weight": ("torch.nn.functional.linear(w, x)", "input"),
    "mul-first": ("x * w", "input"),
    "mul-second": ("w * x", "input"),
    "div-second": ("w / x", "input"),
    "maximum": ("torch.maximum(x, y)", "input"),
    "var": ("x.var()", "input"),
    "exp": ("x.exp()", "result"),
    "tanh": ("x.tanh()", "result"),
    "sigmoid": ("x.sigmoid()", "result"),
    "sqrt": ("x.sqrt()", "result"),
    "rsqrt": ("x.rsqrt()", "result"),
    "reciprocal": ("x.reciprocal()", "result"),
    "relu": ("x.relu()", "result"),
    "softmax": ("x.softmax(-1)", "result"),
    "log_softmax": ("x.log_softmax(-1)", "result"),
    "add": ("x + y", "neither"),
    "sub": ("y - x", "neither"),
    "scaled": ("x * 1.5", "neither"),
    "divided": ("x / 2.0", "neither"),
    "neg": ("-x", "neither"),
    "sum": ("x.sum(0)", "neither"),
    "mean": ("x.mean()", "neither"),
    "cumsum": ("x.cumsum(0)", "neither"),
    "clone": ("x.clone()", "neither"),
    "index": ("x[[0]]", "neither"),
    "cat": ("torch.cat([x, y])", "neither"),
    "stack": ("torch.stack([x, y])", "neither"),
    "flip": ("x.flip(0)", "neither"),
    "roll": ("x.roll(1)", "neither"),
    "repeat": ("x.repeat(2, 1)", "neither"),
    "tril": ("x.tril()", "neither"),
    "where": ("torch.where(m, x, y)", "neither"),
    "masked_fill": ("x.masked_fill(m, 0.0)", "neither"),
}
ROUTES = ("t", "t[...]", "t[:1]", "t.detach()", "t.mT")
OPERANDS = ("t", "t[...]", "t.mT")


@law("in-place.saved-or-not", docs=CHECKS, level="should", over=SAVING)
@given(
    changes=st.sampled_from(("input", "result")),
    operand=st.sampled_from(OPERANDS),
    route=st.sampled_from(ROUTES),
    through_base=st.booleans(),
    no_grad=st.booleans(),
)
def test_saved_or_not(target, case, changes, operand, route, through_base, no_grad):
    """A write makes backward raise if the operation saved what was written to, and only then.

    Which one it saved, input or result, is what its derivative is written in. Where backward does
    not raise, its gradient is the one without the write. An input may be a view, and be written
    to through its base.
    """
    expression, saved = case
    leaf = torch.tensor([[0.5, 1.5], [2.5, 0.25]], dtype=torch.float64, device=target.device)
    leaf.requires_grad_()

    def passed():
        x = eval(operand, {"t": leaf * 1})
        return x, eval(expression, {**operands(x, torch.ones_like(leaf)), "w": leaf})

    _, result = passed()
    cotangent = torch.ones_like(result)
    (expected,) = torch.autograd.grad(result, leaf, cotangent)
    x, result = passed()
    changed = {"input": x, "result": result}[changes]
    if changes == "input" and through_base and changed._is_view():
        changed = changed._base
    if changed.dim() < 2:
        route = "t"
    with torch.set_grad_enabled(not no_grad):
        eval(route, {"t": changed}).add_(3.0)
    if changes == saved:
        with compare.raises(RuntimeError, "modified by an inplace operation"):
            torch.autograd.grad(result, leaf, cotangent)
    else:
        (gradient,) = torch.autograd.grad(result, leaf, cotangent)
        compare.equal(gradient, compare.to_numpy(expected), dtype=torch.float64, what="gradient")


STEPS = (0.5, -0.25)


@law("in-place.update-loop", docs="torch.no_grad")
@given(pair=pairs(), steps=st.integers(1, 4), step=st.sampled_from(STEPS), zeroed=st.booleans())
def test_update_loop(target, pair, steps, step, zeroed):
    """A leaf that is updated in place under no_grad, pass after pass, follows gradient descent.

    It stays the same leaf; ``x -= step * x.grad`` is exact here for the loss sum((x - y)^2 / 2).
    """
    leaf, goal = pair[0].clone().requires_grad_(), pair[1]
    place = leaf.data_ptr()
    x, y = compare.to_numpy(pair[0]), compare.to_numpy(goal)
    gradient = np.zeros_like(x)
    for number in range(steps):
        (target.run("torch.square", leaf - goal) * 0.5).sum().backward()
        gradient = gradient * (not zeroed) + (x - y)
        compare.close(leaf.grad, gradient, bound=0.0, dtype=torch.float64, what=f"grad {number}")
        with torch.no_grad():
            leaf -= step * leaf.grad
            if zeroed:
                leaf.grad.zero_()
        x = x - step * gradient
        compare.close(leaf, x, bound=0.0, dtype=torch.float64, what=f"leaf after step {number}")
        flags = (leaf.is_leaf, leaf.requires_grad, leaf.data_ptr() == place)
        compare.fact(flags, (True, True, True), "is_leaf, requires_grad, same memory")
