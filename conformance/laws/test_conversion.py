"""Conversion: the values of one dtype as another, through every spelling of a cast."""

import warnings

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import conversion
from conformance.scenarios.casts import (
    by_method,
    by_type,
    by_type_as,
    to_device,
    to_dtype,
    to_other,
)
from conformance.target import resolve
from strategies import arrays, current_device, dtypes, shapes, tensors
from strategies.dtypes import FAMILIES, supports
from strategies.layouts import LAYOUTS

# Under a neg bit a complex result may be negated as a whole, and an imaginary zero with it.
POSITIVE = tuple(name for name in LAYOUTS if name != "negated")


def by_copy(tensor, dtype):
    result = torch.empty(tensor.shape, dtype=dtype, device=tensor.device)
    return resolve("torch.Tensor.copy_")(result, tensor)


SPELLINGS = {
    "to": to_dtype,
    "to-device": to_device,
    "to-other": to_other,
    "method": by_method,
    "type": by_type,
    "type_as": by_type_as,
    "copy_": by_copy,
}
# From where to where, and powers of two at which the values lie: one, below and above it, where
# numbers are subnormal and where they end.
ROUNDINGS = {
    "float64-float32": (torch.float64, torch.float32, (0, -1, 5, -126, -130, 127)),
    "float32-float16": (torch.float32, torch.float16, (0, -1, 5, -14, -18, 15)),
    "float32-bfloat16": (torch.float32, torch.bfloat16, (0, -1, 5, -126, -129, 127)),
    "bfloat16-float16": (torch.bfloat16, torch.float16, (0, 3, -14, -17, 15)),
    "int64-float32": (torch.int64, torch.float32, (26, 30, 40, 60)),
    "int64-float64": (torch.int64, torch.float64, (55, 57, 60)),
    "int32-float32": (torch.int32, torch.float32, (26, 28, 30)),
    "int32-float16": (torch.int32, torch.float16, (13, 14, 15)),
}


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def check_converted(convert, tensor, dtype):
    """Check the values, dtype and device of one conversion, and that it left its input alone."""
    before = compare.to_numpy(tensor)
    result = convert(tensor, dtype)
    compare.equal(result, conversion.convert(before, name_of(dtype)), dtype=dtype)
    compare.fact(result.device, tensor.device, "device")
    compare.unchanged(tensor, before, "what was converted")


def supported(family):
    """All dtypes of a family that the device has, so that each tensor is converted to each."""
    return tuple(dtype for dtype in FAMILIES[family] if supports(current_device(), dtype))


def every_dtype(family):
    return st.builds(supported, st.just(family))


@law("conversion.exact", docs="torch.Tensor.to", over=SPELLINGS)
@given(tensor=tensors(dtype="real", layouts=POSITIVE), wanted=every_dtype("numeric"))
def test_exact(target, case, tensor, wanted):
    """A number that the other dtype has stays the same, whatever the tensor's layout.

    Small multiples of 1/8 to every floating and complex dtype, small integers to all.
    """
    for dtype in wanted:
        if dtype.is_floating_point or dtype.is_complex or not tensor.is_floating_point():
            check_converted(case, tensor, dtype)


@law("conversion.truncates", docs="torch.Tensor.to", over=SPELLINGS)
@given(
    tensor=tensors(dtype="floating"),
    dtype=dtypes("integral"),
    scale=st.sampled_from((1, 8, 63)),
)
def test_truncates(target, case, tensor, dtype, scale):
    """A floating point number loses its fraction on the way to an integer, towards zero.

    Where what is left fits into the integer; otherwise nothing is promised.
    """
    scaled = tensor * scale  # at most 126; in bfloat16 rounded, to a multiple of 1/2
    check_converted(case, scaled.abs() if dtype == torch.uint8 else scaled, dtype)


@law("conversion.truncates-wide", docs="torch.Tensor.to")
@given(
    values=arrays(dtype=torch.int32, shape=(17,), kind="bits"),
    source=st.sampled_from((torch.float64, torch.float32)),
    dtype=st.sampled_from((torch.int32, torch.int64)),
)
def test_truncates_wide(target, values, source, dtype):
    """Truncation is exact up to the ends of 32 bits, also for more values than a vector holds."""
    kind = np.float64 if source == torch.float64 else np.float32
    wide = (values // 512 + values % 16 / 16).astype(kind)
    check_converted(to_dtype, torch.from_numpy(wide).to(target.device), dtype)


@law("conversion.wraps", docs="torch.Tensor.to", over=SPELLINGS)
@given(tensor=tensors(dtype="integral", values="bits"), wanted=every_dtype("integral"))
def test_wraps(target, case, tensor, wanted):
    """An integer that does not fit into a narrower or unsigned one loses its upper bits.

    It differs by a multiple of 2 to the power of the number of bits.
    """
    for dtype in wanted:
        check_converted(case, tensor, dtype)


@law("conversion.truth", docs="torch.Tensor.to", over=SPELLINGS)
@given(tensor=tensors(dtype="any", values="any"))
def test_truth(target, case, tensor):
    """A number is true as a bool where it is not zero: nan and subnormal numbers are, -0.0 is not.

    A complex number is true where either part is.
    """
    check_converted(case, tensor, torch.bool)


@law("conversion.from-bool", docs="torch.Tensor.to", over=SPELLINGS)
@given(tensor=tensors(dtype=torch.bool), dtype=dtypes())
def test_from_bool(target, case, tensor, dtype):
    """False and true become 0 and 1."""
    check_converted(case, tensor, dtype)


@st.composite
def near_halfway(draw, case):
    """Values of one dtype that lie between two numbers of another: eighths of the way."""
    source, dtype, exponents = case
    form = conversion.FLOATS[name_of(dtype)]
    eighths = draw(arrays(shape=(19,)))
    exponent = draw(st.sampled_from(exponents))
    step = max(exponent, form.least) - form.fraction
    base = 2.0**exponent * (2 - 2.0**-form.fraction if exponent == form.greatest else 1)
    if not source.is_floating_point:
        exact = [2**exponent + int(eighth * 8) * 2 ** (step - 3) for eighth in eighths.tolist()]
        found = np.array(exact, dtype=name_of(source))
        return found * draw(st.sampled_from((1, -1)))
    found = (base + eighths * 2.0**step) * draw(st.sampled_from((1, -1)))
    with np.errstate(over="ignore"):
        return found.astype("float64" if source == torch.float64 else "float32")


@law("conversion.rounds", docs="notes/numerical_accuracy.html", level="should", over=ROUNDINGS)
@given(values=near_halfway)
def test_rounds(target, case, values):
    """A number between two of a floating dtype becomes the nearer one, of two as near the even one.

    Also among subnormal numbers; half a step above the greatest number begins infinity.
    """
    source, dtype, _ = case
    tensor = torch.from_numpy(values).to(target.device).to(source)
    check_converted(to_dtype, tensor, dtype)


@law("conversion.special-values", docs="torch.Tensor.to", over=SPELLINGS)
@given(
    tensor=tensors(dtype="split", values="any", layouts=POSITIVE),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.complex64, torch.complex128)),
)
def test_special_values(target, case, tensor, dtype):
    """nan, infinities, -0.0 and the extremes stay what they are, or round to the nearest."""
    check_converted(case, tensor, dtype)


@law("conversion.to-complex", docs="torch.Tensor.to", over=SPELLINGS)
@given(tensor=tensors(dtype="any", values="nonfinite", layouts=POSITIVE), dtype=dtypes("complex"))
def test_to_complex(target, case, tensor, dtype):
    """A real number becomes the real part of a complex one, whose imaginary part is 0.

    Complex numbers keep both parts, nan and -0.0 included.
    """
    check_converted(case, tensor, dtype)


@law("conversion.discards-imaginary", docs="torch.Tensor.to", level="should", over=SPELLINGS)
@given(tensor=tensors(dtype="complex", values="nonfinite"), dtype=dtypes("floating"))
def test_discards_imaginary(target, case, tensor, dtype):
    """A complex number becomes its real part in a real dtype."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that it discards the imaginary part
        check_converted(case, tensor, dtype)


@law(
    "conversion.discards-imaginary-warns", docs="torch.Tensor.to", level="should", needs=("values",)
)
@given(tensor=tensors(dtype="complex", shape=shapes(min_side=1)))
def test_discards_imaginary_warns(target, tensor):
    """A conversion from complex to real warns that it discards the imaginary part."""
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.Tensor.to(tensor, torch.float32)
    finally:
        torch.set_warn_always(always)
    said = any("discards the imaginary part" in str(w.message) for w in caught)
    compare.fact(said, True, "a warning")


@st.composite
def casts(draw):
    """A leaf, the dtype to convert it to, and a cotangent of that dtype."""
    leaf = draw(tensors(dtype="floating", layouts=("contiguous", "transposed", "stepped")))
    dtype = draw(dtypes("floating"))
    return leaf, dtype, draw(tensors(dtype=dtype, shape=tuple(leaf.shape)))


@law("conversion.gradient", docs="torch.Tensor.to", over=SPELLINGS)
@given(problem=casts())
def test_gradient(target, case, problem):
    """A gradient passes back through a conversion between floating dtypes, in the leaf's dtype.

    The multiples of 1/8 that a cotangent holds are numbers of both dtypes.
    """
    model, dtype, cotangent = problem
    leaf = model.detach().requires_grad_()
    result = case(leaf, dtype)
    compare.fact((result.requires_grad, result.dtype), (True, dtype), "requires_grad and dtype")
    result.backward(cotangent)
    compare.equal(leaf.grad, compare.to_numpy(cotangent), dtype=leaf.dtype, what="gradient")


@st.composite
def complex_casts(draw):
    leaf = draw(tensors(dtype="split"))
    return leaf, draw(tensors(dtype="complex", shape=tuple(leaf.shape)))


@law("conversion.complex-gradient", docs="torch.Tensor.to")
@given(problem=complex_casts())
def test_complex_gradient(target, problem):
    """A real leaf that was made complex gets the real part of the gradient."""
    model, cotangent = problem
    leaf = model.detach().requires_grad_()
    to_dtype(leaf, cotangent.dtype).backward(cotangent)
    expected = compare.to_numpy(cotangent).real
    compare.equal(leaf.grad, expected, dtype=leaf.dtype, what="gradient")


@law("conversion.integral-result", docs="torch.Tensor.to", over=SPELLINGS)
@given(leaf=tensors(dtype="floating", requires_grad=True), dtype=dtypes("integral"))
def test_integral_result(target, case, leaf, dtype):
    """What is converted to an integral dtype does not require grad; the leaf still does."""
    with torch.no_grad():
        signless = leaf.abs().requires_grad_()
    result = case(signless, dtype)
    compare.fact((result.requires_grad, result.dtype), (False, dtype), "requires_grad and dtype")
    compare.fact((signless.requires_grad, signless.grad), (True, None), "the leaf")
