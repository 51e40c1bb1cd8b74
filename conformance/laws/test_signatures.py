"""Signatures: the names and defaults of documented arguments, and calls that lack or exceed them.

A call is written as text over ``torch``, a tensor ``x``, positions ``n`` within its last side and
of its shape, a vector ``v`` of positions within every side, and a mask ``m`` of its shape.
"""

import torch

from conformance import compare
from conformance.law import given, law
from conformance.operators.rejections import spoken
from strategies import tensors

# The page, a call by position, and the same one by documented names.
NAMED = {
    "tensor_split": ("tensor_split", "(x, 2)", "(input=x, indices_or_sections=2)"),
    "hsplit": ("hsplit", "(x, 2)", "(input=x, indices_or_sections=2)"),
    "vsplit": ("vsplit", "(x, 2)", "(input=x, indices_or_sections=2)"),
    "dsplit": ("dsplit", "(x, 3)", "(input=x, indices_or_sections=3)"),
    "split": ("split", "(x, 2, 1)", "(tensor=x, split_size_or_sections=2, dim=1)"),
    "chunk": ("chunk", "(x, 2, 1)", "(input=x, chunks=2, dim=1)"),
    "unbind": ("unbind", "(x, 1)", "(input=x, dim=1)"),
    "cat": ("cat", "((x, x), 1)", "(tensors=(x, x), dim=1)"),
    "concat": ("concat", "((x, x), 1)", "(tensors=(x, x), dim=1)"),
    "concatenate": ("concatenate", "((x, x), 1)", "(tensors=(x, x), axis=1)"),
    "stack": ("stack", "((x, x), 1)", "(tensors=(x, x), dim=1)"),
    "column_stack": ("column_stack", "((x, x),)", "(tensors=(x, x))"),
    "transpose": ("transpose", "(x, 0, 1)", "(input=x, dim0=0, dim1=1)"),
    "swapaxes": ("swapaxes", "(x, 0, 1)", "(input=x, axis0=0, axis1=1)"),
    "swapdims": ("swapdims", "(x, 0, 1)", "(input=x, dim0=0, dim1=1)"),
    "movedim": ("movedim", "(x, 0, 1)", "(input=x, source=0, destination=1)"),
    "moveaxis": ("moveaxis", "(x, 0, 1)", "(input=x, source=0, destination=1)"),
    "permute": ("permute", "(x, (1, 0, 2))", "(input=x, dims=(1, 0, 2))"),
    "reshape": ("reshape", "(x, (3, 16))", "(input=x, shape=(3, 16))"),
    "narrow": ("narrow", "(x, 1, 1, 2)", "(input=x, dim=1, start=1, length=2)"),
    "select": ("select", "(x, 1, 2)", "(input=x, dim=1, index=2)"),
    "tile": ("tile", "(x, (2,))", "(input=x, dims=(2,))"),
    "roll": ("roll", "(x, 1, 0)", "(input=x, shifts=1, dims=0)"),
    "rot90": ("rot90", "(x, 1, (0, 1))", "(input=x, k=1, dims=(0, 1))"),
    "flip": ("flip", "(x, (0,))", "(input=x, dims=(0,))"),
    "take": ("take", "(x, v)", "(input=x, index=v)"),
    "take_along_dim": ("take_along_dim", "(x, n, 2)", "(input=x, indices=n, dim=2)"),
    "gather": ("gather", "(x, 2, n)", "(input=x, dim=2, index=n)"),
    "scatter": ("scatter", "(x, 2, n[..., :1], x)", "(input=x, dim=2, index=n[..., :1], src=x)"),
    "scatter_add": ("scatter_add", "(x, 2, n, x)", "(input=x, dim=2, index=n, src=x)"),
    "index_select": ("index_select", "(x, 1, v)", "(input=x, dim=1, index=v)"),
    "masked_select": ("masked_select", "(x, m)", "(input=x, mask=m)"),
    "where": ("where", "(m, x, -x)", "(condition=m, input=x, other=-x)"),
    "clamp": ("clamp", "(x, -1, 1)", "(input=x, min=-1, max=1)"),
    "linspace": ("linspace", "(0, 1, 3)", "(start=0, end=1, steps=3)"),
    "logspace": ("logspace", "(0, 1, 3, 2)", "(start=0, end=1, steps=3, base=2)"),
    "arange": ("arange", "(0, 5, 2)", "(start=0, end=5, step=2)"),
    "full": ("full", "((2,), 1.5)", "(size=(2,), fill_value=1.5)"),
    "eye": ("eye", "(2, 3)", "(n=2, m=3)"),
    "full_like": ("full_like", "(x, 1.5)", "(input=x, fill_value=1.5)"),
    "randint": ("randint", "(1, 9, (2,))", "(low=1, high=9, size=(2,))"),
    "normal": ("normal", "(x, x.abs())", "(mean=x, std=x.abs())"),
    "multinomial": (
        "multinomial", "(m[0] + 1.0, 3, True)",
        "(input=m[0] + 1.0, num_samples=3, replacement=True)",
    ),
}  # fmt: skip
# The page, a call, and the same one with defaults as the documentation gives them.
OPTIONAL = {
    "zeros": ("zeros", "((2,))", "((2,), out=None, dtype=None, device=None, requires_grad=False)"),
    "full": ("full", "((2,), 1)", "((2,), 1, dtype=None, layout=torch.strided, device=None)"),
    "eye": ("eye", "(3)", "(3, m=None)"),
    "arange": ("arange", "(5)", "(0, 5, 1, out=None, dtype=None, device=None)"),
    "logspace": ("logspace", "(0, 1, 3)", "(0, 1, 3, base=10.0, out=None, dtype=None)"),
    "rand": ("rand", "(3)", "(3, generator=None, dtype=None, pin_memory=False)"),
    "normal-mean": ("normal", "(mean=0.0, std=x.abs())", "(std=x.abs())"),
    "normal-std": ("normal", "(mean=x)", "(mean=x, std=1.0)"),
    "randint-low": ("randint", "(9, (2,))", "(0, 9, (2,), generator=None)"),
    "randperm": ("randperm", "(9)", "(9, generator=None, dtype=torch.int64, requires_grad=False)"),
    "multinomial": (
        "multinomial", "(m[0] + 1.0, 1)", "(m[0] + 1.0, 1, replacement=False, generator=None)",
    ),
    "tensor": (
        "tensor", "([1.5])",
        "([1.5], dtype=None, device=None, requires_grad=False, pin_memory=False)",
    ),
    "as_tensor": ("as_tensor", "([1.5])", "([1.5], dtype=None, device=None)"),
    "zeros_like": (
        "zeros_like", "(x)",
        "(x, dtype=None, device=None, requires_grad=False, memory_format=torch.preserve_format)",
    ),
    "cat": ("cat", "((x, x))", "((x, x), dim=0, out=None)"),
    "roll": ("roll", "(x, 1)", "(x, 1, dims=None)"),
    "rot90": ("rot90", "(x)", "(x, k=1, dims=(0, 1))"),
    "repeat_interleave": ("repeat_interleave", "(x, 2)", "(x, 2, dim=None, output_size=None)"),
    "gather": ("gather", "(x, 2, n)", "(x, 2, n, sparse_grad=False, out=None)"),
    "nonzero": ("nonzero", "(x)", "(x, out=None, as_tuple=False)"),
    "unbind": ("unbind", "(x)", "(x, dim=0)"),
    "scatter_": (
        "Tensor.scatter_", "(x.clone(), 2, n[..., :1], x)",
        "(x.clone(), 2, n[..., :1], x, reduce=None)",
    ),
    "argmax": ("argmax", "(x)", "(x, dim=None, keepdim=False)"),
    "std": ("std", "(x)", "(x, dim=None, correction=1, keepdim=False)"),
    "quantile": ("quantile", "(x, 0.5)", "(x, 0.5, dim=None, keepdim=False)"),
    "diff": ("diff", "(x)", "(x, n=1, dim=-1, prepend=None, append=None)"),
    "unique": ("unique", "(x)", "(x, True, False, False, dim=None)"),
    "sort": ("sort", "(x)", "(x, dim=-1, descending=False, stable=False)"),
    "topk": ("topk", "(x, 2)", "(x, 2, dim=None, largest=True, sorted=True)"),
    "kthvalue": ("kthvalue", "(x, 2)", "(x, 2, dim=None, keepdim=False)"),
    "clamp": ("clamp", "(x, 0)", "(x, min=0, max=None, out=None)"),
}  # fmt: skip
# The page, the arguments of a legal call, those of the illegal one, and the telling part.
# Before torch 2.13 some functions had a second form, by names of dimensions.
NOT_A_TENSOR = "must be Tensor|invalid combination of arguments"
REJECTED = {
    "linspace-without-steps": ("linspace", "(0, 1, 5)", "(0, 1)", "steps"),
    "logspace-without-steps": ("logspace", "(0, 1, 5)", "(0, 1)", "steps"),
    "tensor-dtype-by-position": ("tensor", "([1], dtype=x.dtype)", "([1], x.dtype)", "position"),
    "legacy-number": ("Tensor", "([1.5])", "(1.5)", "must be a sequence"),
    "legacy-bool": ("Tensor", "([True])", "(True)", "must be a sequence"),
    "legacy-dtype": ("Tensor", "([1.5])", "([1.5], dtype=torch.float64)", "dtype"),
    "full-without-fill": ("full", "((2,), 1.5)", "((2,))", "fill_value"),
    "full-size-as-number": ("full", "((2,), 1.5)", "(2, 1.5)", "size"),
    "zeros_like-array": ("zeros_like", "(x)", "(x.cpu().numpy())", "must be Tensor"),
    "randint-size-as-number": ("randint", "(3, (2,))", "(3, 2)", "size"),
    "randint-size-as-numbers": ("randint", "(3, 4, (2,))", "(3, 4, 2)", "invalid combination"),
    "normal-without-size": ("normal", "(0.0, 1.0, (2,))", "(0.0, 1.0)", "invalid combination"),
    "normal-size-beside-tensor": (
        "normal", "(x, 1.0)", "(x, 1.0, (2, 4, 6))", "invalid combination",
    ),
    "normal-requires-grad": ("normal", "(x, 1.0)", "(x, 1.0, requires_grad=True)", "requires_grad"),
    "bernoulli-requires-grad": (
        "bernoulli", "(m + 0.0)", "(m + 0.0, requires_grad=True)", "requires_grad",
    ),
    "as_tensor-requires-grad": (
        "as_tensor", "([1.5])", "([1.5], requires_grad=True)", "requires_grad",
    ),
    "from_numpy-requires-grad": (
        "from_numpy", "(x.cpu().numpy())", "(x.cpu().numpy(), requires_grad=True)", "keyword",
    ),
    "scatter-number-as-src": ("scatter", "(x, 2, n, value=2.0)", "(x, 2, n, src=2.0)", "src"),
    "scatter_add-number": ("scatter_add", "(x, 2, n, x)", "(x, 2, n, 2.0)", NOT_A_TENSOR),
    "take-list": ("take", "(x, v)", "(x, v.tolist())", "must be Tensor"),
    "gather-list": ("gather", "(x, 2, n)", "(x, 2, n.tolist())", NOT_A_TENSOR),
    "masked_select-list": ("masked_select", "(x, m)", "(x, m.tolist())", "must be Tensor"),
    "where-two": ("where", "(m, x, x)", "(m, x)", "invalid combination"),
    "transpose-without-dims": ("transpose", "(x, 0, 1)", "(x)", "dim0"),
    "swapaxes-dims": ("swapaxes", "(x, axis0=0, axis1=1)", "(x, dim0=0, dim1=1)", "axis0"),
    "unsqueeze-without-dim": ("unsqueeze", "(x, 0)", "(x)", "dim"),
    "tile-number": ("tile", "(x, (2,))", "(x, 2)", "dims"),
    "flip-without-dims": ("flip", "(x, (0,))", "(x)", "dims"),
    "item-position": ("Tensor.item", "(x[0, 0, 0])", "(x[0, 0, 0], 0)", "no arguments"),
}  # fmt: skip
SPLITS = {
    "tensor_split-number": ("tensor_split", "(x, 3)", "(x, sections=3)"),
    "tensor_split-list": ("tensor_split", "(x, [1, 3], 1)", "(x, indices=[1, 3], dim=1)"),
    "hsplit-number": ("hsplit", "(x, 2)", "(x, sections=2)"),
    "hsplit-list": ("hsplit", "(x, [1, 3])", "(x, indices=[1, 3])"),
    "vsplit-number": ("vsplit", "(x, 2)", "(x, sections=2)"),
    "vsplit-list": ("vsplit", "(x, [1])", "(x, indices=[1])"),
    "dsplit-number": ("dsplit", "(x, 3)", "(x, sections=3)"),
    "dsplit-list": ("dsplit", "(x, [2, 3])", "(x, indices=[2, 3])"),
}
X = tensors(dtype=torch.float32, shape=(2, 4, 6), layouts=("contiguous", "transposed", "stepped"))


def page(case):
    return "tensors.html#torch.Tensor" if case[0] == "Tensor" else f"torch.{case[0]}"


def operands(x):
    """The tensors by the names that the calls' texts have for them."""
    n = torch.arange(48, device=x.device).reshape(2, 4, 6).remainder(6)
    return {"x": x, "n": n.flip(2), "v": torch.tensor([1, 0], device=x.device), "m": x > 0}


def called(name, arguments, named):
    """What a call returns, as a list of tensors, from a given state of the generators."""
    torch.manual_seed(1)
    found = spoken(f"torch.{name}{arguments}", named)(*named.values())
    return list(found) if isinstance(found, (tuple, list)) else [found]


def check_same(case, x):
    """Check that both calls of a case return the same."""
    name, plain, other = case
    expected = [compare.to_numpy(tensor) for tensor in called(name, plain, operands(x))]
    results = called(name, other, operands(x))
    compare.fact(len(results), len(expected), "number of results")
    for number, (result, values) in enumerate(zip(results, expected, strict=True)):
        dtype = torch.from_numpy(values.reshape(-1)[:0]).dtype
        compare.equal(result, values, dtype=dtype, what=f"result {number}")


@law("signatures.names", docs=page, over=NAMED)
@given(x=X)
def test_names(target, case, x):
    """An argument may be passed under the name that its documentation gives it."""
    check_same(case, x)


@law("signatures.split-names", docs=page, level="should", over=SPLITS)
@given(x=X)
def test_split_names(target, case, x):
    """tensor_split, hsplit, vsplit and dsplit take a number as sections, and a list as indices."""
    check_same(case, x)


@law("signatures.defaults", docs=page, over=OPTIONAL)
@given(x=X)
def test_defaults(target, case, x):
    """An optional argument given as its documented default is as good as left out."""
    check_same(case, x)


@law("signatures.rejected", docs=page, level="should", over=REJECTED)
@given(x=X)
def test_rejected(target, case, x):
    """A call that lacks an argument, or has one that the function does not take, raises TypeError.

    Whatever the documentation leaves no default for, names otherwise or takes in another form.
    """
    name, legal, illegal, message = case
    called(name, legal, operands(x))
    before = compare.to_numpy(x)
    with compare.raises(TypeError, message):
        called(name, illegal, operands(x))
    compare.unchanged(x, before, "x")
