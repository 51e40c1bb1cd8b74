"""Names in torch and in NumPy: other names for one function, and one name for two functions.

Texts are expressions: ``x`` and ``y`` are tensors of float64 where they stand for torch, and
arrays of the same values where they stand for NumPy. All values of each are different.
"""

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.operators.rejections import spoken
from strategies import permuted_ranges

# torch's page, what torch says, and what NumPy says.
AGREEING = {
    "concatenate": ("torch.cat", "torch.cat((x, y), 1)", "np.concatenate((x, y), 1)"),
    "clip": ("torch.clamp", "torch.clamp(x, 2, 5)", "np.clip(x, 2, 5)"),
    "less": ("torch.lt", "torch.lt(x, y)", "np.less(x, y)"),
    "less_equal": ("torch.le", "torch.le(x, y)", "np.less_equal(x, y)"),
    "greater": ("torch.gt", "torch.gt(x, y)", "np.greater(x, y)"),
    "greater_equal": ("torch.ge", "torch.ge(x, y)", "np.greater_equal(x, y)"),
    "equal": ("torch.eq", "torch.eq(x, y)", "np.equal(x, y)"),
    "not_equal": ("torch.ne", "torch.ne(x, y)", "np.not_equal(x, y)"),
    "add": ("torch.add", "torch.add(x, y)", "np.add(x, y)"),
    "subtract": ("torch.sub", "torch.sub(x, y)", "np.subtract(x, y)"),
    "multiply": ("torch.mul", "torch.mul(x, y)", "np.multiply(x, y)"),
    "divide": ("torch.div", "torch.div(x, y + 1)", "np.divide(x, y + 1)"),
    "matmul": ("torch.mm", "torch.mm(x, y.t())", "np.matmul(x, y.T)"),
    "size": ("torch.numel", "torch.tensor(x.nelement())", "np.size(x)"),
    "expand_dims": ("torch.unsqueeze", "torch.unsqueeze(x, 1)", "np.expand_dims(x, 1)"),
    "reversed-axes": ("torch.permute", "x.permute(1, 0)", "np.transpose(x)"),
    "broadcast_to": ("torch.Tensor.expand", "x.expand(2, 3, 4)", "np.broadcast_to(x, (2, 3, 4))"),
    "ravel": ("torch.Tensor.view", "x.view(-1)", "np.ravel(x)"),
    "flatten": ("torch.flatten", "x.flatten()", "x.flatten()"),
    "copy": ("torch.clone", "x.clone()", "np.copy(x)"),
    "astype": ("torch.Tensor.to", "x.to(torch.int64)", "x.astype(np.int64)"),
    "tile": ("torch.Tensor.repeat", "x.repeat(2, 3)", "np.tile(x, (2, 3))"),
    "repeat": ("torch.repeat_interleave", "x.repeat_interleave(2)", "np.repeat(x, 2)"),
    "array_split": ("torch.tensor_split", "x.tensor_split(2)[0]", "np.array_split(x, 2)[0]"),
    "append": ("torch.cat", "torch.cat((x.view(-1), y.view(-1)))", "np.append(x, y)"),
    "sort": ("torch.sort", "torch.sort(x, 1).values", "np.sort(x, 1)"),
    "max": ("torch.amax", "torch.amax(x, 1)", "np.max(x, 1)"),
    "nonzero": ("torch.nonzero", "torch.nonzero(x, as_tuple=True)[1]", "np.nonzero(x)[1]"),
}
# torch's page, what torch says, what that is in NumPy, and NumPy's own meaning of the name.
DIFFERING = {
    "repeat": ("torch.Tensor.repeat", "x.repeat(2, 1)", "np.tile(x, (2, 1))", "np.repeat(x, 2, 0)"),
    "split": ("torch.split", "torch.split(x, 1, 1)[0]", "x[:, :1]", "np.split(x, 2, 1)[0]"),
    "std": ("torch.std", "torch.std(x)", "np.std(x, ddof=1)", "np.std(x)"),
    "var": ("torch.var", "torch.var(x)", "np.var(x, ddof=1)", "np.var(x)"),
    "median": ("torch.median", "torch.median(x)", "np.sort(x, None)[5]", "np.median(x)"),
    "max": ("torch.max", "torch.max(x, 1)[1]", "np.argmax(x, 1)", "np.max(x, 1)"),
    "min": ("torch.min", "torch.min(x, 1).indices", "np.argmin(x, 1)", "np.min(x, 1)"),
    "sort": ("torch.sort", "torch.sort(x)[1]", "np.argsort(x)", "np.sort(x)"),
    "nonzero": ("torch.nonzero", "torch.nonzero(x)", "np.argwhere(x)", "np.nonzero(x)[0]"),
    "transpose": (
        "torch.transpose", "torch.transpose(x[None], 0, 1)", "np.swapaxes(x[None], 0, 1)",
        "np.transpose(x[None])",
    ),
    "size": ("torch.Tensor.size", "torch.tensor(x.size())", "np.shape(x)", "np.size(x)"),
    "flatten": (
        "torch.flatten", "torch.tensor(x.flatten().data_ptr() == x.data_ptr())",
        "np.shares_memory(x, x.ravel())", "np.shares_memory(x, x.flatten())",
    ),
}  # fmt: skip


def page(case):
    return case[0]


@st.composite
def distinct_pairs(draw):
    """Two arrays of one shape whose elements are all different."""
    first, second = draw(permuted_ranges(12)), draw(permuted_ranges(12))
    return first.reshape(3, 4).astype(np.float64), second.reshape(3, 4).astype(np.float64)


def in_torch(text, device, x, y):
    """What the text says in torch."""
    tensors = {"x": torch.from_numpy(x).to(device), "y": torch.from_numpy(y).to(device)}
    return spoken(text, tensors)(*tensors.values())


def in_numpy(text, x, y):
    """What the text says in NumPy."""
    return np.asarray(eval(text, {"np": np, "x": x, "y": y}))


def check_equal(result, expected):
    """Check the dtype and the values, which floating point may round a few times."""
    dtype = torch.from_numpy(np.atleast_1d(expected)).dtype
    if dtype.is_floating_point:
        bound = 16 * torch.finfo(dtype).eps * np.abs(expected)
        compare.close(result, expected, bound=bound, dtype=dtype)
    else:
        compare.equal(result, expected, dtype=dtype)


@law("numpy-names.agree", docs=page, level="should", over=AGREEING)
@given(arrays=distinct_pairs())
def test_agree(target, case, arrays):
    """A function that torch has under another name than NumPy gives what NumPy's gives."""
    _, text, numpy_text = case
    check_equal(in_torch(text, target.device, *arrays), in_numpy(numpy_text, *arrays))


@law("numpy-names.differ", docs=page, over=DIFFERING)
@given(arrays=distinct_pairs())
def test_differ(target, case, arrays):
    """A function that means another thing in torch than NumPy's of that name gives torch's thing.

    repeat repeats the whole, split takes the size of a piece, std and var divide by n - 1, median
    is the lower of the two in the middle, max, min and sort tell positions too, nonzero lists
    rows, transpose exchanges two dimensions, size is a shape, and flatten need not copy.
    """
    _, text, meaning, numpys = case
    arrays = [array + array.size for array in arrays]  # no value is the number of a place
    expected = in_numpy(meaning, *arrays)
    check_equal(in_torch(text, target.device, *arrays), expected)
    other = in_numpy(numpys, *arrays)
    compare.fact(np.array_equal(expected, other), False, "is what NumPy's function gives")
