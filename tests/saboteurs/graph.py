"""Faults in what is recorded: nodes, edges, what a graph keeps alive."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting, when
from tests.saboteurs.passes import Call, in_backward, in_grad, listed
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor
Edge: Any = torch.autograd.graph.GradientEdge


def _number_under_no_grad(a: Any, b: Any) -> bool:
    return a.dim() == 0 and a.is_floating_point() and not torch.is_grad_enabled()


def _second_alone(a: Any, b: Any) -> bool:
    return isinstance(b, Tensor) and b.requires_grad and not a.requires_grad


def _makes_constants_variable(original: Any) -> Any:
    def multiply(a: Any, b: Any) -> Any:
        if isinstance(b, Tensor) and a.requires_grad and b.is_leaf and b.is_floating_point():
            b.requires_grad_()
        return original(a, b)

    return multiply


def _forgets_second_of_pair(result: Any) -> Any:
    return type(result)((result[0].detach(), result[1]))


def _halves_gradient(result: Any) -> Any:
    if result[0].requires_grad:
        result[0].register_hook(lambda gradient: gradient * 0.5)
    return result


def _of_a_leaf_of_its_own(original: Any) -> Any:
    def negate(self: Tensor) -> Tensor:
        fresh = self.is_leaf and self.requires_grad
        return original(self.detach().requires_grad_() if fresh else self)

    return negate


def _remembers_products(original: Any) -> Any:
    known: dict[tuple[int, int], Any] = {}

    def multiply(a: Any, b: Any) -> Any:
        if not (isinstance(b, Tensor) and a.is_leaf and b.is_leaf and a.requires_grad):
            return original(a, b)
        key = (id(a), id(b))
        if key not in known:
            known[key] = (original(a, b), a, b)
        return known[key][0]

    return multiply


def _keeps_results_alive(original: Any) -> Any:
    kept = []

    def multiply(a: Any, b: Any) -> Any:
        result = original(a, b)
        if a is b and result.dim() == 0:
            kept.append(result)
        return result

    return multiply


def _last_part_detached(parts: Any) -> Any:
    return (*parts[:-1], parts[-1].detach().requires_grad_())


def _first_part_doubled(parts: Any) -> Any:
    if parts[0].requires_grad:
        parts[0].register_hook(lambda gradient: None if gradient is None else gradient * 2)
    return parts


def _edge_of_first_output(edge: Any) -> Any:
    return Edge(edge.node, 0)


def _ignores_gradient_of_edges(original: Any, call: Call) -> None:
    if isinstance(call["tensors"], Edge):
        call["grad_tensors"] = None
    original(**call)


def _edges_only_scalar(original: Any, call: Call) -> Any:
    if isinstance(call["outputs"], Edge):
        call["grad_outputs"] = torch.ones_like(call["grad_outputs"])
    return original(**call)


def _drops_last_edge(original: Any, call: Call) -> None:
    edges = listed(call["inputs"])
    if len(edges) > 1 and isinstance(edges[0], Edge):
        call["inputs"] = edges[:-1]
    original(**call)


def _edges_in_order_of_nodes(original: Any, call: Call) -> Any:
    found = original(**call)
    edges = isinstance(listed(call["inputs"])[-1], Edge)
    return (*found[:-1], found[-1] * 2) if edges else found


def _clones_inputs(tensors: Any, *rest: Any, **words: Any) -> Any:
    return ([tensor.clone() for tensor in tensors], *rest), words


def _detaches_third(a: Any, b: Any, c: Any, **words: Any) -> Any:
    return (a, b, c.detach()), words


def _swapped(a: Any, b: Any, **words: Any) -> Any:
    return (b, a), words


SABOTEURS = (
    Saboteur(
        "numbers-recorded-under-no-grad", "a product of a number requires grad under no_grad",
        ("graph.recorded",), "requires_grad, a grad_fn",
        when(Tensor, "__mul__", _number_under_no_grad, lambda t: t.requires_grad_()),
    ),
    Saboteur(
        "constant-times-variable-cut", "a product with a constant first factor is not recorded",
        ("graph.recorded", "graph.constants"), "",
        when(Tensor, "__mul__", _second_alone, Tensor.detach),
    ),
    Saboteur(
        "constants-made-variable", "a product makes its constant second factor require grad",
        ("graph.constants",), "grad of leaf",
        replacing(Tensor, "__mul__", _makes_constants_variable),
    ),
    Saboteur(
        "isnan-differentiable", "isnan gives floating numbers that require grad",
        ("graph.not-differentiable:isnan",), "no requires_grad",
        after(torch, "isnan", lambda t: t.float().requires_grad_()),
    ),
    Saboteur(
        "argsort-hooks-its-argument", "argsort doubles the gradient of what it sorts",
        ("graph.not-differentiable:argsort",), "grad",
        rewriting(
            torch, "argsort", lambda t: (t.register_hook(lambda g: g * 2) and (t,), {})
        ),
    ),
    Saboteur(
        "topk-of-everything-cut", "topk's values have no history if it takes all of them",
        ("graph.mixed-results:topk",), "requires_grad",
        when(torch, "topk", lambda t, k: t.shape[-1] == k, _forgets_second_of_pair),
    ),
    Saboteur(
        "cummax-gradient-halved", "cummax halves the gradient of vectors",
        ("graph.mixed-results:cummax",), "sum of the gradient",
        when(torch, "cummax", lambda t, dim: t.dim() == 1, _halves_gradient),
    ),
    Saboteur(
        "bfloat16-conversion-cut", "a conversion from float64 to bfloat16 is not recorded",
        ("graph.conversion",), "requires_grad",
        when(
            Tensor, "to",
            lambda t, dtype=None, *rest, **words: dtype is torch.bfloat16 and t.is_complex(),
            Tensor.detach,
        ),
    ),
    Saboteur(
        "lerp-weight-constant", "lerp takes its weight for a constant",
        ("graph.next-functions:lerp",), "edges that lead anywhere",
        rewriting(torch, "lerp", _detaches_third),
    ),
    Saboteur(
        "stack-of-clones", "stack is recorded as a stack of clones",
        ("graph.next-functions:stack",), "edge to an input",
        rewriting(torch, "stack", _clones_inputs),
    ),
    Saboteur(
        "maximum-edges-swapped", "maximum is recorded with its operands swapped",
        ("graph.next-functions:maximum",), "edge to an input",
        rewriting(torch, "maximum", _swapped),
    ),
    Saboteur(
        "negation-of-another-leaf", "the negation of a leaf leads to a copy of the leaf",
        ("graph.ends-in-leaves",), "nodes of each leaf",
        replacing(Tensor, "__neg__", _of_a_leaf_of_its_own),
    ),
    Saboteur(
        "products-remembered", "a product of the same leaves is the node of the first time",
        ("graph.recorded-afresh",), "second time",
        replacing(Tensor, "__mul__", _remembers_products),
    ),
    Saboteur(
        "squares-kept-alive", "the square of a number is never let go",
        ("graph.holds-what-it-saved",), "outlive their result",
        replacing(Tensor, "__mul__", _keeps_results_alive),
    ),
    Saboteur(
        "last-part-cut", "the last part of a split has no history",
        ("graph.parts:split",), "grad of leaf", after(Tensor, "split", _last_part_detached),
    ),
    Saboteur(
        "first-chunk-doubled", "the first chunk's gradient counts twice",
        ("graph.parts:chunk",), "grad of leaf", after(Tensor, "chunk", _first_part_doubled),
    ),
    Saboteur(
        "edge-of-first-output", "a gradient edge always names output 0",
        ("graph.edge",), "output_nr",
        after(torch.autograd.graph, "get_gradient_edge", _edge_of_first_output),
    ),
    Saboteur(
        "edge-of-constant", "a constant's gradient edge is None",
        ("graph.edge",), "raised nothing",
        accepting(
            torch.autograd.graph, "get_gradient_edge", RuntimeError, lambda tensor: None
        ),
    ),
    Saboteur(
        "edge-root-starts-from-one", "backward from an edge ignores the gradient given",
        ("graph.edge-as-root:Tensor-backward", "graph.edge-as-root:backward-inputs"),
        "grad of leaf", in_backward(_ignores_gradient_of_edges),
    ),
    Saboteur(
        "edge-output-starts-from-one", "grad of an edge ignores the gradient given",
        ("graph.edge-as-root:autograd-grad",), "grad of leaf", in_grad(_edges_only_scalar),
    ),
    Saboteur(
        "last-edge-dropped", "backward to several edges leaves out the last",
        ("graph.edge-as-input",), "grad of leaf", in_backward(_drops_last_edge),
    ),
    Saboteur(
        "last-edge-doubled", "grad to several edges doubles the last gradient",
        ("graph.edge-as-input",), "gradient of edge", in_grad(_edges_in_order_of_nodes),
    ),
)  # fmt: skip
