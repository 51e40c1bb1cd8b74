"""torch.func with modules: calls with other parameters, and stacked ensembles."""

import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from strategies import tensors

CALL = "torch.func.functional_call"
STACK = "torch.func.stack_module_state"


class Affine(torch.nn.Module):
    """``x * weight + bias`` with a buffer that counts calls, and a layer within."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.inner = torch.nn.Module()
        self.inner.bias = torch.nn.Parameter(bias)
        self.calls: torch.Tensor
        self.register_buffer("calls", torch.zeros((), dtype=weight.dtype, device=weight.device))

    def forward(self, x, scale=1.0):
        self.calls.add_(1)
        return x * self.weight * scale + self.inner.bias


class Tied(torch.nn.Module):
    """``x * weight + twin`` where the twin is the same parameter."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.twin = self.weight

    def forward(self, x):
        return x * self.weight + self.twin


THREE = tensors(dtype=torch.float64, shape=(3,))


def state_of(module):
    """The module's own tensors, by identity, and what they hold."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return [(name, id(tensor), compare.to_numpy(tensor).tolist()) for name, tensor in named]


@law("func.functional-call", docs=CALL)
@given(weight=THREE, bias=THREE, x=THREE, scale=st.sampled_from([1.0, -2.0]), split=st.booleans())
def test_functional_call(target, weight, bias, x, scale, split):
    """functional_call runs the module with the given parameters and buffers, and leaves its own.

    From one dictionary or several; what it is not given is the module's own.
    """
    module = Affine(torch.ones_like(weight), bias.detach().clone())
    before = state_of(module)
    calls = torch.tensor(5.0, dtype=torch.float64, device=target.device)
    given_state = {"weight": weight, "calls": calls}
    state = ({"weight": weight}, {"calls": calls}) if split else given_state
    found = target.run(torch.func.functional_call, module, state, (x,), {"scale": scale})
    w, b, a = (compare.to_numpy(tensor) for tensor in (weight, bias, x))
    compare.nested(found, a * w * scale + b, what="result")
    compare.fact(state_of(module), before, "the module's own state")


@law("func.functional-call-buffers", docs=CALL)
@given(weight=THREE, x=THREE, count=st.integers(0, 5))
def test_functional_call_buffers(target, weight, x, count):
    """A buffer that the module writes to in place is written in the dictionary."""
    module = Affine(weight.detach().clone(), torch.zeros_like(weight))
    before = state_of(module)
    calls = torch.tensor(float(count), dtype=torch.float64, device=target.device)
    found = target.run(torch.func.functional_call, module, {"calls": calls}, (x,))
    compare.nested(found, compare.to_numpy(x) * compare.to_numpy(weight), what="result")
    compare.nested(calls, count + 1.0, what="buffer given")
    compare.fact(state_of(module), before, "the module's own state")


@law("func.functional-call-restores", docs=CALL)
@given(weight=THREE, x=THREE)
def test_functional_call_restores(target, weight, x):
    """After an error within the call the module has its own parameters again.

    Whether a given parameter does not fit, or all do and forward raises on its input.
    """
    module = Affine(torch.ones_like(weight), torch.zeros_like(weight))
    before = state_of(module)
    found = torch.func.functional_call(module, {"weight": weight, "calls": weight.sum()}, (x,))
    compare.nested(found, compare.to_numpy(x) * compare.to_numpy(weight), what="result")
    for times, entry in ((2, x), (1, x.repeat(2))):
        given_state = {"weight": weight.repeat(times), "calls": x.sum()}
        with compare.raises(RuntimeError, "must match the size of tensor"):
            torch.func.functional_call(module, given_state, (entry,))
        compare.fact(state_of(module), before, "the module's own state")


@law("func.functional-call-gradients", docs=CALL)
@given(weight=THREE, bias=THREE, x=THREE)
def test_functional_call_gradients(target, weight, bias, x):
    """grad over functional_call gives the gradients to the dictionary of parameters.

    The module's own parameters get none.
    """
    module = Affine(torch.ones_like(weight), torch.ones_like(weight))

    def loss(parameters, x):
        calls = {"calls": torch.zeros((), dtype=x.dtype, device=x.device)}
        return (torch.func.functional_call(module, (parameters, calls), (x,)) ** 2).sum()

    parameters = {"weight": weight.detach(), "inner.bias": bias.detach()}
    found = target.run(torch.func.grad(loss), parameters, x)
    w, b, a = (compare.to_numpy(tensor) for tensor in (weight, bias, x))
    residual = 2 * (a * w + b)
    compare.nested(found, {"weight": residual * a, "inner.bias": residual}, what="gradient")
    compare.fact([p.grad for p in module.parameters()], [None, None], "grad of the module's own")


@law("func.functional-call-tied", docs=CALL)
@given(weight=THREE, x=THREE)
def test_functional_call_tied(target, weight, x):
    """Tied parameters are replaced together, unless tie_weights=False says otherwise.

    Two different values for tied parameters are refused.
    """
    module = Tied(torch.ones_like(weight))
    w, a = compare.to_numpy(weight), compare.to_numpy(x)
    call = torch.func.functional_call
    state = {"weight": weight}
    compare.nested(target.run(call, module, state, (x,)), a * w + w, what="result of tied")
    loose = target.run(call, module, state, (x,), tie_weights=False)
    compare.nested(loose, a * w + 1, what="result of untied")
    with compare.raises(ValueError, "tied"):
        call(module, {"weight": weight, "twin": weight + 1}, (x,))


@law("func.functional-call-strict", docs=CALL)
@given(weight=THREE, x=THREE)
def test_functional_call_strict(target, weight, x):
    """With strict=True the given names must be exactly the module's."""
    module = Tied(torch.ones_like(weight))
    call = torch.func.functional_call
    w, a = compare.to_numpy(weight), compare.to_numpy(x)
    found = call(module, {"weight": weight, "twin": weight}, (x,), strict=True)
    compare.nested(found, a * w + w, what="result")
    with compare.raises(RuntimeError, "Unexpected key"):
        call(module, {"weight": weight, "twin": weight, "other": weight}, (x,), strict=True)
    other = Affine(torch.ones_like(weight), torch.ones_like(weight))
    with compare.raises(RuntimeError, "Missing key"):
        call(other, {"weight": weight}, (x,), strict=True)


@law("func.stack-module-state", docs=STACK)
@given(weights=tensors(dtype=torch.float64, shape=(2, 3)), x=THREE)
def test_stack_module_state(target, weights, x):
    """stack_module_state stacks parameters and buffers by name, as new leaves.

    vmap of functional_call over them gives what each module gives.
    """
    models = [Affine(row.detach().clone(), 2 * row.detach()) for row in weights]
    models[1].calls.add_(3)
    parameters, buffers = torch.func.stack_module_state(models)
    values, a = compare.to_numpy(weights), compare.to_numpy(x)
    expected = {"weight": values, "inner.bias": 2 * values}
    compare.nested(parameters, expected, what="parameter")
    compare.fact(list(buffers), ["calls"], "names of the buffers")
    compare.equal(
        buffers["calls"], 0 * values[:, 0] ** 2 + [0.0, 3.0], dtype=torch.float64, what="buffer"
    )
    flags = [(p.is_leaf, p.requires_grad) for p in parameters.values()]
    compare.fact(flags, [(True, True)] * 2, "leaves that require grad")

    def call(parameters, buffers, x):
        return torch.func.functional_call(models[0], (parameters, buffers), (x,))

    found = target.run(torch.func.vmap(call, in_dims=(0, 0, None)), parameters, buffers, x)
    compare.nested(found, a * values + 2 * values, what="result")
    found.sum().backward()
    compare.nested(parameters["weight"].grad, 0 * values + a, what="gradient")
    compare.fact(
        [p.grad for model in models for p in model.parameters()], [None] * 4, "grad of the modules"
    )


@law("func.stack-module-state-refused", docs=STACK)
@given(weights=tensors(dtype=torch.float64, shape=(2, 3)))
def test_stack_module_state_refused(target, weights):
    """Modules of different classes or modes cannot be stacked, nor can none."""
    models = [Tied(row.detach().clone()) for row in weights]
    parameters, _ = torch.func.stack_module_state(models)
    compare.nested(parameters["weight"], compare.to_numpy(weights), what="parameter")
    with compare.raises(RuntimeError, "same class"):
        torch.func.stack_module_state([models[0], Affine(weights[0].detach(), weights[1].detach())])
    models[1].eval()
    with compare.raises(RuntimeError, "training/eval mode"):
        torch.func.stack_module_state(models)
    with compare.raises(RuntimeError, "at least one model"):
        torch.func.stack_module_state([])
