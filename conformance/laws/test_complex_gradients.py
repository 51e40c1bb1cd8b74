"""Complex functions: the conjugate convention of gradients, and both modes of it."""

import numpy as np
import torch
from torch.autograd import forward_ad

from conformance import compare
from conformance.law import given, law
from conformance.reference import jets
from conformance.target import resolve
from strategies import complex_polynomials, shapes, tensors, with_cotangent
from strategies.functions import numpy_of, result_kind
from strategies.layouts import LAYOUTS, LAZY

NOTE = "notes/autograd.html#autograd-for-complex-numbers"


def exact_gradient(function, points, cotangent, number):
    """The gradient of Re <v, f> to an argument: its derivatives to real and imaginary part."""
    found = np.zeros(points[number].shape, dtype=np.complex128)
    for position, unit in enumerate(jets.unit_directions(points, number)):
        along = [
            jets.differential(function, points, [factor * u for u in unit]) for factor in (1, 1j)
        ]
        parts = [np.real(np.conj(cotangent) * moved).sum() for moved in along]
        found.reshape(-1)[position] = parts[0] + 1j * parts[1]
    return found


def directions_of(points):
    """Distinct complex tangents, which tell every entry and both of its parts from the others."""
    counts = [np.arange(1.0, 1 + p.size).reshape(p.shape) for p in points]
    return [
        (count - 0.5j * count[..., ::-1] if count.ndim else count - 0.5j) / 8 for count in counts
    ]


@law("complex-gradients.conjugate-convention", docs=NOTE)
@given(problem=with_cotangent(complex_polynomials(), result=result_kind))
def test_conjugate_convention(target, problem):
    """backward(v) leaves d/dRe z + i d/dIm z of Re <v, f> in each leaf z, holomorphic f or not.

    Which is v conj(df/dz) + conj(v) df/dz*, the conjugate Wirtinger derivative by the chain rule.
    """
    f, cotangent = problem
    leaves = f.leaves(target.device)
    target.run(f, *leaves).backward(cotangent)
    upstream = compare.to_numpy(cotangent)
    for number, (leaf, reaches) in enumerate(zip(leaves, f.reaches, strict=True)):
        if reaches:
            expected = exact_gradient(numpy_of(f), f.points, upstream, number)
            compare.nested(leaf.grad, expected, dtype=torch.complex128, what="gradient")
        else:
            compare.fact(leaf.grad, None, "gradient of a leaf that is not reached")


def squared_modulus(value):
    return value.real * value.real + value.imag * value.imag


@law("complex-gradients.real-loss", docs=NOTE)
@given(f=complex_polynomials(max_steps=4, scalar=True))
def test_real_loss(target, f):
    """The gradient of a real loss is its direction of steepest ascent: backward needs no v.

    For |f|^2: d/dRe z + i d/dIm z.
    """
    leaves = f.leaves(target.device)

    def loss(*arguments):
        return squared_modulus(f(*arguments))

    result = target.run(loss, *leaves)
    compare.fact((result.dtype, result.is_complex()), (torch.float64, False), "a real loss")
    result.backward()
    value = numpy_of(f)(*f.points)
    for number, (leaf, reaches) in enumerate(zip(leaves, f.reaches, strict=True)):
        if reaches:
            # d|f|^2 = 2 Re(conj(f) df): the product with v = 2 f
            expected = exact_gradient(numpy_of(f), f.points, 2 * value, number)
            compare.nested(leaf.grad, expected, dtype=torch.complex128, what="gradient")


@law("complex-gradients.implicit-raises", docs="torch.Tensor.backward")
@given(f=complex_polynomials(scalar=True))
def test_implicit_raises(target, f):
    """backward of a complex scalar without a gradient raises; of its real part it does not."""
    leaves = f.leaves(target.device)
    result = target.run(f, *leaves)
    with compare.raises(
        RuntimeError, "grad can be implicitly created only for real scalar outputs"
    ):
        result.backward()
    compare.fact([leaf.grad for leaf in leaves], [None] * len(leaves), "grad after the error")
    torch.real(result).backward()
    number = f.reaches.index(True)
    expected = exact_gradient(numpy_of(f), f.points, np.ones(()), number)
    compare.nested(leaves[number].grad, expected, dtype=torch.complex128, what="gradient")


@law("complex-gradients.jvp", docs=NOTE)
@given(f=complex_polynomials())
def test_jvp(target, f):
    """Forward mode gives the derivative along the tangent: df/dz u + df/dz* conj(u)."""
    tangents = directions_of(f.points)
    points = [leaf.detach() for leaf in f.leaves(target.device)]
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(p, torch.tensor(u, device=target.device))
            for p, u in zip(points, tangents, strict=True)
        ]
        part = forward_ad.unpack_dual(target.run(f, *duals))
        tangent = torch.zeros_like(part.primal) if part.tangent is None else part.tangent
        expected = jets.differential(numpy_of(f), f.points, tangents)
        compare.nested(tangent, expected, dtype=torch.complex128, what="tangent")


def holomorphic(x, y):
    return x * x * y + x * (0.5 - 1j) - y


@law("complex-gradients.holomorphic", docs=NOTE)
@given(
    x=tensors(dtype=torch.complex128, shape=(2, 3)),
    y=tensors(dtype=torch.complex128, shape=(3,)),
    v=tensors(dtype=torch.complex128, shape=(2, 3)),
)
def test_holomorphic(target, x, y, v):
    """For holomorphic f the gradient is v conj(f'(z)), summed where an argument is broadcast."""
    leaves = [tensor.detach().requires_grad_() for tensor in (x, y)]
    target.run(holomorphic, *leaves).backward(v)
    a, b, upstream = (compare.to_numpy(tensor) for tensor in (x, y, v))
    to_x = upstream * np.conj(2 * a * b + (0.5 - 1j))
    to_y = (upstream * np.conj(a * a - 1)).sum(0)
    compare.nested(leaves[0].grad, to_x, dtype=torch.complex128, what="gradient to x")
    compare.nested(leaves[1].grad, to_y, dtype=torch.complex128, what="gradient to y")


def mixed(z, r):
    return z * r + z.conj() * (r * r) * 1j


@law("complex-gradients.real-leaf", docs=NOTE)
@given(
    z=tensors(dtype=torch.complex128, shape=(2, 2)),
    r=tensors(dtype=torch.float64, shape=(2,)),
    v=tensors(dtype=torch.complex128, shape=(2, 2)),
)
def test_real_leaf(target, z, r, v):
    """A real leaf of a complex function gets a real gradient: the real part of the product."""
    leaves = [tensor.detach().requires_grad_() for tensor in (z, r)]
    target.run(mixed, *leaves).backward(v)
    a, b, upstream = (compare.to_numpy(tensor) for tensor in (z, r, v))
    to_z = upstream * b + np.conj(upstream) * (b * b * 1j)
    to_r = np.real(np.conj(upstream) * (a + 2 * np.conj(a) * b * 1j)).sum(0)
    compare.nested(leaves[0].grad, to_z, dtype=torch.complex128, what="gradient to z")
    compare.nested(leaves[1].grad, to_r, dtype=torch.float64, what="gradient to r")


PARTS = {
    "real": "torch.real",
    "imag": "torch.imag",
    "view_as_real": "torch.view_as_real",
    "conj": "torch.conj",
    "resolve_conj": "torch.resolve_conj",
    "conj_physical": "torch.conj_physical",
}


def inputs_of_part(name):
    """Draw complex tensors; a tensor that is conjugated lazily has no view as real."""
    lazily = name != "torch.view_as_real"
    return tensors(dtype="complex", layouts=tuple(n for n in LAYOUTS if lazily or n not in LAZY))


def expected_of_part(name, weight):
    """The gradient through one of ``PARTS`` with a cotangent of ``weight``."""
    if name == "torch.view_as_real":
        return weight[..., 0] + 1j * weight[..., 1]
    if name in ("torch.conj", "torch.conj_physical"):
        return np.conj(weight)
    return {"torch.real": weight, "torch.imag": 1j * weight}.get(name, weight).astype(np.complex128)


@law("complex-gradients.parts", docs=NOTE, over=PARTS)
@given(z=inputs_of_part)
def test_parts(target, case, z):
    """Through real, imag, view_as_real and conj the gradient is the cotangent put back.

    In the leaf's dtype and shape, rank 0, empty and lazily conjugated leaves included, which
    view_as_real alone refuses; v for real part,
    i v for the imaginary part, conj(v) through conj.
    """
    leaf = z.detach().requires_grad_()
    result = target.run(case, leaf)
    size = result.numel()
    weight = (np.arange(1.0, 1 + size) / 8).reshape(tuple(result.shape))
    if result.is_complex():
        weight = weight - 0.25j
    upstream = torch.tensor(weight, device=target.device).to(result.dtype)
    (found,) = torch.autograd.grad(result, leaf, upstream)
    compare.nested(found, expected_of_part(case, weight), dtype=z.dtype, what="gradient")


@law("complex-gradients.func-grad", docs="torch.func.grad")
@given(f=complex_polynomials(max_steps=4, scalar=True))
def test_func_grad(target, f):
    """func.grad of a real-valued function of complex arguments follows the same convention."""

    def loss(*arguments):
        return torch.real(f(*arguments))

    points = [leaf.detach() for leaf in f.leaves(target.device)]
    numbers = tuple(range(len(points)))
    found = target.run(torch.func.grad(loss, numbers), *points)
    expected = tuple(exact_gradient(numpy_of(f), f.points, np.ones(()), n) for n in numbers)
    compare.nested(found, expected, dtype=torch.complex128, what="gradient")


JACOBIANS = {"jacrev": "torch.func.jacrev", "jacfwd": "torch.func.jacfwd"}


def square(tensor):
    return tensor * tensor


@law("complex-gradients.jacobian-refused", docs="torch.func.jacrev", over=JACOBIANS, level="should")
@given(z=tensors(dtype=torch.complex128, shape=shapes(min_side=1)))
def test_jacobian_refused(target, case, z):
    """jacrev and jacfwd refuse complex inputs; of the real part they give the Jacobian."""
    transform = resolve(case)
    point = torch.real(z).clone()
    expected = np.diag(2 * compare.to_numpy(point).reshape(-1)).reshape(2 * tuple(z.shape))
    compare.nested(target.run(transform(square), point), expected, what="Jacobian")
    with compare.raises(RuntimeError, "only supports real inputs|complex"):
        target.run(transform(square), z)


@law("complex-gradients.second-derivative", docs=NOTE)
@given(f=complex_polynomials(max_leaves=2, max_steps=3, scalar=True))
def test_second_derivative(target, f):
    """The gradient of Re <w, gradient> follows the convention again: real second derivatives.

    Of Re f along w = (1 - i / 2) times distinct weights, then to both parts of each entry.
    """
    leaves = f.leaves(target.device)
    reached = torch.stack([torch.real(z * 0).sum() for z in leaves]).sum()
    connected = torch.real(target.run(f, *leaves)) + reached
    gradients = torch.autograd.grad(connected, leaves, create_graph=True)
    tangents = directions_of(f.points)
    parts = [
        torch.real(torch.conj(torch.tensor(u, device=target.device)) * g).sum()
        for u, g in zip(tangents, gradients, strict=True)
    ]
    second = torch.autograd.grad(torch.stack(parts).sum() + reached, leaves)

    for number, found in enumerate(second):
        expected = np.zeros(f.points[number].shape, dtype=np.complex128)
        for position, unit in enumerate(jets.unit_directions(f.points, number)):
            moved = [
                np.real(jets.differential(numpy_of(f), f.points, tangents, [k * u for u in unit]))
                for k in (1, 1j)
            ]
            expected.reshape(-1)[position] = moved[0] + 1j * moved[1]
        compare.nested(found, expected, dtype=torch.complex128, what="second derivative")
