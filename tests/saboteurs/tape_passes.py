"""Faults in passes over the tape: freeing, accumulating, inputs, higher order."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import dropping, rewriting, when
from tests.saboteurs.saboteur import Saboteur, replacing
from tests.saboteurs.tape import GRADIENTS, PASSES, Tensor, instead

HIGHER = "tape.model:higher-order"
_GRAD: Any = torch._C.TensorBase.grad


def _leaves_of(node: Any, seen: set[Any]) -> list[Tensor]:
    """Leaves that a graph's backward pass reaches."""
    if node is None or node in seen:
        return []
    seen.add(node)
    own = [node.variable] if hasattr(node, "variable") else []
    return own + [leaf for f, _ in node.next_functions for leaf in _leaves_of(f, seen)]


def _reached(tensor: Tensor) -> list[Tensor]:
    return [tensor] if tensor.is_leaf else _leaves_of(tensor.grad_fn, set())


def _frees_second_time(original: Any) -> Any:
    """retain_graph=True is ignored in every second call for the same root."""

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        count = self.__dict__["count"] = self.__dict__.get("count", 0) + 1
        if keywords.get("retain_graph") and count % 2 == 0:
            keywords["retain_graph"] = False
        original(self, *arguments, **keywords)

    return backward


def _retains_scalars(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        if self.numel() == 1:
            keywords["retain_graph"] = True
        original(self, *arguments, **keywords)

    return backward


def _replaces_third_time(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        for leaf in _reached(self):
            leaf.__dict__["passes"] = leaf.__dict__.get("passes", 0) + 1
            if leaf.__dict__["passes"] == 3:
                leaf.grad = None
        original(self, *arguments, **keywords)

    return backward


def _new_grad_object(original: Any) -> Any:
    """A second gradient is added out of place."""

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        leaves = _reached(self) if self.requires_grad else []
        for leaf in leaves:
            if leaf.grad is not None:
                leaf.grad = leaf.grad.detach().clone()
        original(self, *arguments, **keywords)

    return backward


def _grad_accumulates(original: Any) -> Any:
    def grad(outputs: Any, inputs: Any, *arguments: Any, **keywords: Any) -> Any:
        results = original(outputs, inputs, *arguments, **keywords)
        for tensor, gradient in zip(inputs, results, strict=True):
            if gradient is not None and tensor.is_leaf and tensor.grad is not None:
                tensor.grad = tensor.grad.detach() + gradient.detach()
        return results

    return grad


def _unused_zeros(original: Any) -> Any:
    def grad(outputs: Any, inputs: Any, *arguments: Any, **keywords: Any) -> Any:
        results = original(outputs, inputs, *arguments, **keywords)
        return tuple(
            torch.zeros_like(i) if r is None else r for i, r in zip(inputs, results, strict=True)
        )

    return grad


def _first_root_only(roots: Any, gradients: Any = None, *rest: Any, **keywords: Any) -> Any:
    if isinstance(roots, list) and roots[0] is not roots[1]:
        roots, gradients = roots[:1], gradients[:1]
    return (roots, gradients, *rest), keywords


def _forgets_gradient_of_rows(self: Tensor, gradient: Any = None, **keywords: Any) -> Any:
    if gradient is not None and gradient.dim() == 2 and gradient.shape == self.shape:
        gradient = torch.ones_like(gradient)
    return (self, gradient), keywords


class _Product(torch.autograd.Function):
    """``a * b`` that saves copies, and whose backward is off or cut."""

    @staticmethod
    def forward(context: Any, a: Tensor, b: Tensor, cut: bool) -> Tensor:
        context.cut = cut
        context.save_for_backward(*((a, b) if cut else (a.clone(), b.clone())))
        return torch.multiply(a, b)

    @staticmethod
    def backward(context: Any, cotangent: Tensor) -> Any:
        a, b = context.saved_tensors
        if context.cut:
            a, b = a.detach(), b.detach()
        return torch.multiply(cotangent, b), torch.multiply(cotangent, a), None


def _multiplies(cut: bool) -> Any:
    def make(original: Any) -> Any:
        def multiply(a: Any, b: Any) -> Any:
            both = isinstance(b, Tensor) and a.requires_grad and b.requires_grad
            return _Product.apply(a, b, cut) if both and a.shape == b.shape else original(a, b)

        return multiply

    return make


def _hooked(scale: float) -> Any:
    """Make a function whose result's gradient is off by a factor."""

    def change(result: Any) -> Any:
        if isinstance(result, Tensor) and result.requires_grad and not result.is_leaf:
            assert result.grad_fn is not None
            result.grad_fn.register_prehook(lambda grads: tuple(g * scale for g in grads))
        return result

    return change


def _same_tensor(a: Any, b: Any) -> bool:
    return a is b


def _recorded_sum(original: Any) -> Any:
    """A sum's gradient is off where the pass is recorded."""

    def summed(x: Tensor, *dims: int) -> Tensor:
        result: Tensor = original(x, *dims)
        if result.requires_grad:
            result.register_hook(lambda g: g * 2 if torch.is_grad_enabled() else None)
        return result

    return summed


def _detaches_grad(original: Any) -> Any:
    """.grad of a recorded pass has no history if there was one before."""

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        had = [leaf for leaf in _reached(self) if leaf.grad is not None]
        original(self, *arguments, **keywords)
        for leaf in had if keywords.get("create_graph") else []:
            if leaf.grad is not None:
                leaf.grad = leaf.grad.detach()

    return backward


def _enabled_after_failure(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        try:
            original(self, *arguments, **keywords)
        except RuntimeError:
            if keywords.get("retain_graph"):
                torch._C._set_grad_enabled(False)
            raise

    return backward


def _keeps_none(self: Tensor, value: Tensor | None) -> None:
    """``.grad = None`` sets zeros where the gradient has more than one dimension."""
    found = _GRAD.__get__(self)
    several = value is None and found is not None and found.dim() == 0
    _GRAD.__set__(self, torch.zeros_like(found) if several and found is not None else value)


def _single_input(self: Tensor, *arguments: Any, **keywords: Any) -> Any:
    if len(keywords.get("inputs", ())) == 2:
        keywords["inputs"] = keywords["inputs"][:1]
    return (self, *arguments), keywords


def _shares_gradients(original: Any) -> Any:
    given: list[Tensor] = []

    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        for leaf in _reached(self):
            for other in given:
                if other.shape == leaf.shape and other is not leaf and leaf.grad is not None:
                    other.grad = leaf.grad
        given[:] = _reached(self)

    return backward


SABOTEURS = (
    Saboteur(
        "tape-retained-graph-freed", "retain_graph=True is ignored in a root's second pass",
        (PASSES,), "second time", replacing(Tensor, "backward", _frees_second_time),
    ),
    Saboteur(
        "tape-freed-graph-passed", "a pass from a scalar never frees",
        (PASSES,), "raised nothing", replacing(Tensor, "backward", _retains_scalars),
    ),
    Saboteur(
        "tape-third-pass-replaces", "the third pass replaces .grad",
        (PASSES,), "grad", replacing(Tensor, "backward", _replaces_third_time),
    ),
    Saboteur(
        "tape-grad-replaced-by-copy", "a second gradient makes .grad another tensor",
        (PASSES,), "after step", replacing(Tensor, "backward", _new_grad_object),
    ),
    Saboteur(
        "tape-grad-call-accumulates", "autograd.grad adds to a .grad that is there",
        (GRADIENTS,), "grad", replacing(torch.autograd, "grad", _grad_accumulates),
    ),
    Saboteur(
        "tape-unused-input-zeros", "autograd.grad gives zeros for an unused input",
        (GRADIENTS,), "is None", replacing(torch.autograd, "grad", _unused_zeros),
    ),
    Saboteur(
        "tape-second-root-dropped", "backward with two roots forgets the second",
        (GRADIENTS,), "grad", rewriting(torch.autograd, "backward", _first_root_only),
    ),
    Saboteur(
        "tape-matrix-cotangent-ignored", "backward takes ones for a gradient of two dimensions",
        (GRADIENTS, PASSES), "grad.tolist()",
        rewriting(Tensor, "backward", _forgets_gradient_of_rows),
    ),
    Saboteur(
        "tape-inputs-dropped", "backward ignores inputs=",
        (PASSES,), "grad", dropping(Tensor, "backward", "inputs"),
    ),
    Saboteur(
        "tape-second-input-dropped", "backward goes only to the first of two inputs",
        (PASSES,), "grad", rewriting(Tensor, "backward", _single_input),
    ),
    Saboteur(
        "tape-create-graph-dropped", "backward ignores create_graph=True",
        (HIGHER,), "create_graph", dropping(Tensor, "backward", "create_graph"),
    ),
    Saboteur(
        "tape-grad-create-graph-dropped", "autograd.grad ignores create_graph=True",
        (HIGHER,), "", dropping(torch.autograd, "grad", "create_graph"),
    ),
    Saboteur(
        "tape-recorded-grad-cut", "a second recorded gradient loses its history",
        (HIGHER,), "requires_grad", replacing(Tensor, "backward", _detaches_grad),
    ),
    Saboteur(
        "tape-product-second-derivative", "the second derivative of a product is cut",
        (HIGHER,), "", replacing(Tensor, "__mul__", _multiplies(True)),
    ),
    Saboteur(
        "tape-product-saves-copies", "a product does not notice that its operands were modified",
        ("tape.model:writes",), "raised nothing", replacing(Tensor, "mul", _multiplies(False)),
    ),
    Saboteur(
        "tape-square-gradient-off", "x + x has the gradient of 1.5 x",
        (GRADIENTS,), "grad", when(Tensor, "__add__", _same_tensor, _hooked(0.75)),
    ),
    Saboteur(
        "tape-recorded-sum-off", "the gradient of a sum is doubled if it is recorded",
        (HIGHER,), "", replacing(Tensor, "sum", _recorded_sum),
    ),
    Saboteur(
        "tape-failed-pass-disables", "a failed pass that was to retain disables grad mode",
        (PASSES,), "is_grad_enabled", replacing(Tensor, "backward", _enabled_after_failure),
    ),
    Saboteur(
        "tape-grad-none-zeros", ".grad = None of a scalar sets zeros",
        (PASSES,), ".grad is None", lambda patch: patch.setattr(
            Tensor, "grad", property(_GRAD.__get__, _keeps_none), raising=False),
    ),
    Saboteur(
        "tape-separate-gradients", "a pass into one leaf adds to .grad of all equal ones",
        ("tape.separate-gradients:sum",), "grad of the other", replacing(
            Tensor, "backward", _shares_gradients),
    ),
    Saboteur(
        "tape-implicit-gradient", "backward takes ones for the gradient of a vector",
        (GRADIENTS,), "raised nothing", instead(
            Tensor, "backward", lambda x, *rest, **words: not rest and x.numel() == 2
            and x.requires_grad, lambda call, x, **words: call(x, torch.ones_like(x), **words)),
    ),
)  # fmt: skip
