"""Operators transformed: mapped over a batch, and run without data on the meta device."""

import torch

from conformance import compare
from conformance.evidence import judgeable
from conformance.law import given, law
from conformance.operators import batches, excluding, judge
from conformance.operators.problems import batched_calls, value_calls


@law("operators.vmap", docs="torch.vmap", over=excluding("vmap"), dear=True)
@given(batch=batched_calls)
def test_vmap(target, case, batch):
    """vmap of an operator gives what the operator gives on each element of the batch, stacked.

    Wherever in the inputs the batch's dimension is, and whichever inputs have one.
    """
    function, tensors, places = batches.function_of(target.run, case, batch)
    mapped = judge.listed(torch.func.vmap(function, in_dims=places)(*tensors))
    for number in range(batches.SIZE):
        each = [result[number] for result in mapped]
        judge.check(case, batches.element(batch, number), each, f"result for element {number}")


@law("operators.meta", docs="torch.Tensor.is_meta", level="should", over=excluding("meta"))
@given(call=value_calls)
def test_meta(target, case, call):
    """On the meta device an operator gives the shape, dtype and strides that the device gives.

    Inputs without data suffice to know them (https://docs.pytorch.org/docs/stable/meta.html).
    Strides are compared where the inputs do not differ in shape or strides: how those of inputs
    that lie differently are weighed is nowhere said.
    """
    real = judge.listed(target.run(case.name, *call.arguments, **call.keywords))
    bare = batches.without_data(call)
    meta = judge.listed(target.run(case.name, *bare.arguments, **bare.keywords))
    alike = batches.lie_alike(call) and judgeable("strides")
    described = [
        [(r.shape, r.dtype, batches.strides(r) if alike else ()) for r in part]
        for part in (meta, real)
    ]
    compare.fact(described[0], described[1], "shape, dtype and strides on meta")
    compare.fact([r.device.type for r in meta], ["meta"] * len(meta), "device of the results")
