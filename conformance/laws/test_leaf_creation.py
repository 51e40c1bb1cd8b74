"""Leaves as they are made: the flag that they begin with, and what becomes of it in a move."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import dtypes, shapes, tensors

FLAG = "torch.Tensor.requires_grad"
# How a tensor is made, after a model that requires grad where it takes one, and its flag.
MADE = {
    "zeros": ("torch.zeros(shape, dtype=dtype, device=device)", False),
    "full": ("torch.full(shape, 2.5, dtype=dtype, device=device)", False),
    "empty": ("torch.empty(shape, dtype=dtype, device=device)", False),
    "rand": ("torch.rand(shape, dtype=dtype, device=device)", False),
    "normal": ("torch.normal(0.0, 1.0, shape, dtype=dtype, device=device)", False),
    "tensor": ("torch.tensor([0.5, 1.5], dtype=dtype, device=device)", False),
    "arange": ("torch.arange(4, dtype=dtype, device=device)", False),
    "eye": ("torch.eye(2, 3, dtype=dtype, device=device)", False),
    "scalar_tensor": ("torch.scalar_tensor(2.0, dtype=dtype, device=device)", False),
    "hann_window": ("torch.hann_window(4, dtype=dtype, device=device)", False),
    "from_numpy": ("torch.from_numpy(model.detach().cpu().numpy())", False),
    "zeros_like": ("torch.zeros_like(model)", False),
    "empty_like": ("torch.empty_like(model)", False),
    "rand_like": ("torch.rand_like(model)", False),
    "new_zeros": ("model.new_zeros(shape)", False),
    "new_tensor": ("model.new_tensor([0.5, 1.5])", False),
    "buffer": ("torch.nn.Buffer(torch.zeros(shape, dtype=dtype, device=device))", False),
    "statistics": ("torch.nn.BatchNorm1d(2, dtype=dtype, device=device).running_mean", False),
    "parameter": ("torch.nn.Parameter(torch.zeros(shape, dtype=dtype, device=device))", True),
    "weight": ("torch.nn.Linear(2, 3, dtype=dtype, device=device).weight", True),
    "as_tensor": ("torch.as_tensor(model)", True),
}


@law("leaf.flag-by-default", docs=FLAG, over=MADE)
@given(shape=shapes(), dtype=dtypes("floating"), enabled=st.booleans())
def test_flag_by_default(target, case, shape, dtype, enabled):
    """A tensor that was made does not require grad unless asked to; a Parameter does.

    Parameter: "requires_grad (bool, optional) - Default: True". What is made like a tensor that
    requires grad does not inherit that; as_tensor returns that tensor itself.
    """
    expression, flag = case
    dtype = torch.float32 if "numpy" in expression and dtype == torch.bfloat16 else dtype
    model = torch.ones(shape, dtype=dtype, device=target.device, requires_grad=True)
    names = {"torch": torch, "shape": shape, "model": model, "dtype": dtype}
    with torch.set_grad_enabled(enabled):
        made = eval(expression, {**names, "device": target.device})
    compare.fact((made.requires_grad, made.is_leaf), (flag, True), "requires_grad, is_leaf")
    compare.fact((made.grad, made.grad_fn), (None, None), "grad, grad_fn")
    compare.fact(made.dtype, dtype, "dtype")
    compare.fact(model.requires_grad, True, "requires_grad of the model")


def flag_first(values, dtype):
    """Require grad, then move: an operation on a leaf."""
    return values.clone().requires_grad_().to(dtype)


def flag_last(values, dtype):
    """Move, then require grad."""
    return values.clone().to(dtype).requires_grad_()


def at_once(values, dtype):
    """Make it where and how it is wanted, with the flag."""
    numbers = values.tolist()
    return torch.tensor(numbers, dtype=dtype, device=values.device, requires_grad=True)


WAYS = {"flag-first": flag_first, "flag-last": flag_last, "at-once": at_once}


@law("leaf.made-elsewhere", docs="torch.Tensor.is_leaf", over=WAYS)
@given(
    values=tensors(dtype=torch.float32, shape=shapes(min_side=1)),
    dtype=st.sampled_from((torch.float32, torch.float64, torch.float16)),
)
def test_made_elsewhere(target, case, values, dtype):
    """A leaf is made by moving first and requiring grad last, or at once, not the other way round.

    "b = torch.rand(10, requires_grad=True).cuda()" is no leaf: it "was created by the operation
    that cast a cpu Tensor into a cuda Tensor". Nor does a conversion of its dtype make one, unless
    there is nothing to convert. An optimizer takes leaves only, and only they get .grad.
    """
    made = case(values, dtype)
    fit = case is not flag_first or dtype == values.dtype
    compare.fact((made.requires_grad, made.is_leaf), (True, fit), "requires_grad, is_leaf")
    compare.fact(made.dtype, dtype, "dtype")
    compare.unchanged(made.float(), compare.to_numpy(values), "what was made")
    torch.optim.SGD([made.detach().requires_grad_()], lr=0.5)
    if not fit:
        with compare.raises(ValueError, "can't optimize a non-leaf Tensor"):
            torch.optim.SGD([made], lr=0.5)
        return
    (made * 2).sum().backward()
    twos = compare.to_numpy(made) * 0 + 2
    compare.close(made.grad, twos, bound=0.0, dtype=dtype, what="gradient")
    torch.optim.SGD([made], lr=0.5).step()
    moved = compare.to_numpy(values.to(dtype)).astype(float) - 1
    compare.close(made, moved, bound=0.0, dtype=dtype, what="stepped")
