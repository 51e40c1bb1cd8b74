"""Grad mode: when operations are recorded, and when recording comes back."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from conformance.target import resolve
from strategies import graph_tensors, polynomials, shapes, squares, tensors
from strategies.functions import numpy_of

DISABLING = {
    "no_grad": ("torch.no_grad", ()),
    "inference_mode": ("torch.inference_mode", ()),
    "set_grad_enabled": ("torch.set_grad_enabled", (False,)),
}


@law("grad-mode.records-nothing", docs="torch.no_grad", over=DISABLING)
@given(f=polynomials())
def test_records_nothing(target, case, f):
    """Under a disabled grad mode results do not require grad, whatever their inputs; values stay.

    Results that are computed, not views of an input. Recording goes on where the block ends.
    """

    def computed(*leaves):
        return f(*leaves) * 2

    context, arguments = case
    leaves = f.leaves(target.device)
    with resolve(context)(*arguments):
        result = target.run(computed, *leaves)
        compare.fact(torch.is_grad_enabled(), False, "is_grad_enabled inside")
    compare.fact((result.requires_grad, result.grad_fn is None), (False, True), "no history")
    compare.close(result, 2 * numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    compare.fact(target.run(computed, *leaves).requires_grad, True, "requires_grad afterwards")


@law("grad-mode.views", docs="torch.no_grad", over=DISABLING)
@given(leaf=tensors(dtype="floating", requires_grad=True))
def test_views(target, case, leaf):
    """Under a disabled grad mode a view of a tensor that requires grad does not require grad.

    torch.no_grad: "the result of every computation will have requires_grad=False, even when
    the inputs have requires_grad=True".
    """
    context, arguments = case
    with resolve(context)(*arguments):
        view = target.run("torch.unsqueeze", leaf, 0)
    compare.fact((view.requires_grad, view.grad_fn is None), (False, True), "no history")


@law("grad-mode.restored-after-exception", docs="torch.no_grad", over=DISABLING)
@given(f=polynomials())
def test_restored_after_exception(target, case, f):
    """An exception that leaves the block restores the grad mode from before it."""
    context, arguments = case
    leaves = f.leaves(target.device)
    try:
        with resolve(context)(*arguments):
            raise KeyError("out of the block")
    except KeyError:
        pass
    compare.fact(torch.is_grad_enabled(), True, "is_grad_enabled after the exception")
    compare.fact(target.run(f, *leaves).requires_grad, True, "requires_grad after the exception")


@law("grad-mode.enable-grad-nested", docs="torch.enable_grad")
@given(f=polynomials())
def test_enable_grad_nested(target, f):
    """enable_grad inside no_grad records again, and leaving it disables again."""
    leaves = f.leaves(target.device)
    with torch.no_grad():
        with torch.enable_grad():
            recorded = target.run(f, *leaves)
        unrecorded = target.run(f, *leaves) * 2
    compare.fact((recorded.requires_grad, unrecorded.requires_grad), (True, False), "recorded")


@law("grad-mode.decorator", docs="torch.no_grad")
@given(f=polynomials())
def test_decorator(target, f):
    """no_grad works as a decorator: the function's results do not require grad."""
    leaves = f.leaves(target.device)

    @torch.no_grad()
    def computed(*leaves):
        return f(*leaves) * 2

    result = computed(*leaves)
    compare.fact((result.requires_grad, result.grad_fn is None), (False, True), "no history")
    compare.close(result, 2 * numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    compare.fact(torch.is_grad_enabled(), True, "is_grad_enabled after the call")


FACTORIES = {
    "ones": "torch.ones(shape, device=device, requires_grad=True)",
    "zeros": "torch.zeros(shape, device=device, requires_grad=True)",
    "full": "torch.full(shape, 2.5, device=device, requires_grad=True)",
    "empty": "torch.empty(shape, device=device, requires_grad=True)",
    "randn": "torch.randn(shape, device=device, requires_grad=True)",
    "rand": "torch.rand(shape, device=device, requires_grad=True)",
    "tensor": "torch.tensor([[0.5], [2.0]], device=device, requires_grad=True)",
    "arange": "torch.arange(4.0, device=device, requires_grad=True)",
    "linspace": "torch.linspace(0, 1, 5, device=device, requires_grad=True)",
    "eye": "torch.eye(2, 3, device=device, requires_grad=True)",
    "asarray": "torch.asarray([1.0, 3.0], device=device, copy=True, requires_grad=True)",
    "ones_like": "torch.ones_like(model, requires_grad=True)",
    "empty_like": "torch.empty_like(model, requires_grad=True)",
    "randn_like": "torch.randn_like(model, requires_grad=True)",
    "new_ones": "model.new_ones(shape, requires_grad=True)",
    "new_tensor": "model.new_tensor([1.0, 2.0], requires_grad=True)",
    "Parameter": "torch.nn.Parameter(torch.ones(shape, device=device))",
    "Linear": "torch.nn.Linear(2, 3, device=device).weight",
    "requires_grad_": "torch.ones(shape, device=device).requires_grad_()",
}
KEPT_GRAPHS = {kind: case for kind, case in DISABLING.items() if kind != "inference_mode"}


@law("grad-mode.factories", docs="torch.no_grad", over=FACTORIES)
@given(shape=shapes(), disabled=st.sampled_from(list(KEPT_GRAPHS)))
def test_factories(target, case, shape, disabled):
    """What is created under no_grad to require grad does require it, and gets its gradient.

    torch.no_grad: "All factory functions, or functions that create a new Tensor and take a
    requires_grad kwarg, will NOT be affected by this mode". Parameters are created so too.
    """
    context, arguments = DISABLING[disabled]
    model = torch.zeros(shape, device=target.device)
    with resolve(context)(*arguments):
        names = {"torch": torch, "shape": shape, "model": model, "device": target.device}
        created = eval(case, names)
        flags = (created.requires_grad, created.is_leaf, created.grad_fn is None)
        compare.fact(flags, (True, True, True), "requires_grad, is_leaf, no grad_fn")
        compare.fact((created * 3).requires_grad, False, "result inside requires grad")
    (created * 3).backward(torch.ones_like(created))
    threes = np.full(tuple(created.shape), 3.0)
    compare.equal(created.grad, threes, dtype=created.dtype, what="gradient")


@law("grad-mode.flags-kept", docs="torch.no_grad", over=DISABLING)
@given(drawn=graph_tensors())
def test_flags_kept(target, case, drawn):
    """Disabling grad mode changes no flag of existing tensors, within the block or after it.

    requires_grad, is_leaf and grad_fn stay, and requires_grad_ still sets the flag of a leaf.
    """
    context, arguments = case
    tensor, other = drawn.tensor, torch.ones(2, device=target.device)

    def flags():
        return tensor.requires_grad, tensor.is_leaf, tensor.retains_grad

    before, node = flags(), tensor.grad_fn
    with resolve(context)(*arguments):
        compare.fact(flags(), before, "requires_grad, is_leaf, retains_grad inside")
        compare.fact(tensor.grad_fn is node, True, "the same grad_fn inside")
        other.requires_grad_()
        compare.fact((other * 1).requires_grad, False, "result inside requires grad")
    compare.fact(flags(), before, "requires_grad, is_leaf, retains_grad afterwards")
    compare.fact(tensor.grad_fn is node, True, "the same grad_fn afterwards")
    compare.fact((other * 1).requires_grad, True, "result of the leaf of inside, afterwards")


@law("grad-mode.constants", docs="torch.no_grad", over=KEPT_GRAPHS)
@given(f=polynomials(scalar=True, significant_bits=18), first=st.booleans())
def test_constants(target, case, f, first):
    """What is computed under a disabled grad mode counts as a constant in what is recorded.

    "In other words: computations in no-grad mode are never recorded in the backward graph even
    if there are inputs that have requires_grad=True."
    """
    context, arguments = case

    def product(*leaves):
        recorded = f(*leaves) if first else None
        with resolve(context)(*arguments):
            constant = f(*leaves) * 1
        return (recorded if first else f(*leaves)) * constant

    leaves = f.leaves(target.device)
    target.run(product, *leaves).backward()
    f_numpy = numpy_of(f)
    value = f_numpy(*f.points)
    expected = derivatives.gradient(lambda *x: f_numpy(*x) * value, f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("grad-mode.backward-inside", docs="torch.no_grad", level="should", over=KEPT_GRAPHS)
@given(f=squares(), twice=st.booleans())
def test_backward_inside(target, case, f, twice):
    """A graph that was recorded can be differentiated where grad mode is disabled.

    The mode at the time of the forward pass counts. Gradients do not require grad.
    """
    context, arguments = case
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    with resolve(context)(*arguments):
        if twice:
            result.backward(retain_graph=True)
        result.backward()
        compare.fact(torch.is_grad_enabled(), False, "is_grad_enabled after backward")
    expected = derivatives.gradient(numpy_of(f), f.points)
    compare.gradients(leaves, [value * (1 + twice) for value in expected], f.reaches)
    flags = {leaf.grad.requires_grad for leaf in leaves if leaf.grad is not None}
    compare.fact(flags - {False}, set(), "requires_grad of gradients")


@law("grad-mode.in-place", docs="notes/autograd.html#no-grad-mode", over=KEPT_GRAPHS)
@given(f=polynomials(), scale=st.sampled_from((-2.0, 0.5, 4.0)), through_view=st.booleans())
def test_in_place(target, case, f, scale, through_view):
    """A write under a disabled grad mode is not recorded: the values change, the graph does not.

    The tensor written to keeps requires_grad and its grad_fn, and gradients ignore the write.
    """
    context, arguments = case
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves) * 1
    node = result.grad_fn
    with resolve(context)(*arguments):
        written = result[...] if through_view else result
        written.mul_(scale)
    value = numpy_of(f)(*f.points) * scale
    compare.close(result, value, bound=0.0, dtype=torch.float64)
    compare.fact(result.requires_grad, True, "requires_grad")
    compare.fact(result.grad_fn is node, True, "the same grad_fn")
    result.sum().backward()
    f_numpy = numpy_of(f)
    expected = derivatives.gradient(lambda *x: np.sum(f_numpy(*x)), f.points)
    compare.gradients(leaves, expected, f.reaches)


@law("grad-mode.forward-mode", docs="torch.no_grad", over=KEPT_GRAPHS)
@given(f=polynomials(significant_bits=18))
def test_forward_mode(target, case, f):
    """A disabled grad mode leaves forward mode on: dual numbers keep their exact tangents.

    torch.no_grad: "This API does not apply to forward-mode AD".
    """
    context, arguments = case
    points = [leaf.detach() for leaf in f.leaves(target.device)]
    with forward_ad.dual_level(), resolve(context)(*arguments):
        duals = [forward_ad.make_dual(point, torch.ones_like(point)) for point in points]
        result, tangent = forward_ad.unpack_dual(target.run(f, *duals))
        compare.fact(torch.is_grad_enabled(), False, "is_grad_enabled")
    expected = sum(
        jacobian.reshape((*f.shape, -1)).sum(-1)
        for jacobian in derivatives.jacobian(numpy_of(f), f.points)
    )
    compare.close(result, numpy_of(f)(*f.points), bound=0.0, dtype=torch.float64)
    compare.close(tangent, expected, bound=0.0, dtype=torch.float64, what="tangent")


ENCODER = "torch.nn.TransformerEncoder"


@law("grad-mode.fast-path", docs=ENCODER, level="should", over=KEPT_GRAPHS, needs=("nested",))
@given(seed=st.integers(0, 999), lengths=st.lists(st.integers(1, 3), min_size=1, max_size=2))
def test_fast_path(target, case, seed, lengths):
    """Where grad mode is disabled an evaluated encoder pads its result with zeros.

    "If True, input will automatically convert to nested tensor (and convert back on output)": in
    evaluation, "autograd is disabled" being one condition. Elsewhere the numbers are those that
    are recorded, but for rounding; so are those of padded places with nested tensors disabled.
    """
    context, arguments = case
    length = 3
    padding = torch.tensor([[n >= k for n in range(length)] for k in [*lengths, length]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = torch.nn.TransformerEncoderLayer(4, 2, dim_feedforward=8, batch_first=True)
        x = torch.randn(len(padding), length, 4, dtype=torch.float64).to(target.device)
    layer = layer.to(target.device, torch.float64).eval()
    for nested in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nested tensors are called a prototype
            encoder = resolve(ENCODER)(layer, num_layers=1, enable_nested_tensor=nested).eval()
            mask = padding.to(target.device)
            recorded = encoder(x, src_key_padding_mask=mask)
            with resolve(context)(*arguments):
                plain = encoder(x, src_key_padding_mask=mask)
        compare.fact((recorded.requires_grad, plain.requires_grad), (True, False), "requires_grad")
        expected = compare.to_numpy(recorded)
        expected[padding.numpy()] *= not nested
        compare.close(plain, expected, bound=1e-6, dtype=torch.float64, what="result unrecorded")


INITIALIZERS = {
    "ones_": ("torch.nn.init.ones_", ()),
    "zeros_": ("torch.nn.init.zeros_", ()),
    "constant_": ("torch.nn.init.constant_", (2.5,)),
    "eye_": ("torch.nn.init.eye_", ()),
    "uniform_": ("torch.nn.init.uniform_", (4.0, 5.0)),
    "normal_": ("torch.nn.init.normal_", (4.0, 0.1)),
    "trunc_normal_": ("torch.nn.init.trunc_normal_", (4.0, 0.1)),
    "xavier_uniform_": ("torch.nn.init.xavier_uniform_", ()),
    "kaiming_normal_": ("torch.nn.init.kaiming_normal_", ()),
    "orthogonal_": ("torch.nn.init.orthogonal_", ()),
    "sparse_": ("torch.nn.init.sparse_", (0.5,)),
}


@law("grad-mode.initializers", docs="nn.init.html", over=INITIALIZERS)
@given(enabled=st.booleans())
def test_initializers(target, case, enabled):
    """The functions of torch.nn.init write to a leaf that requires grad, which stays one.

    "they all run in torch.no_grad() mode and will not be taken into account by autograd". The
    caller's grad mode is as before.
    """
    name, arguments = case
    leaf = torch.full((3, 2), -7.0, device=target.device, requires_grad=True)
    with torch.set_grad_enabled(enabled):
        result = resolve(name)(leaf, *arguments)
        compare.fact(torch.is_grad_enabled(), enabled, "is_grad_enabled afterwards")
    compare.fact(result is leaf, True, "returns its tensor")
    flags = (leaf.requires_grad, leaf.is_leaf, leaf.grad_fn is None)
    compare.fact(flags, (True, True, True), "requires_grad, is_leaf, no grad_fn")
    compare.every(compare.to_numpy(leaf) != -7.0, leaf, "a new value")
