"""Nodes of the graph: names, chains without cycles, and derivatives that are not implemented."""

import re

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import derivatives
from strategies import functions, polynomials
from strategies.functions import numpy_of

HISTORY = "notes/autograd.html#how-autograd-encodes-the-history"
UNDEFINED = "notes/autograd.html#gradients-for-non-differentiable-functions"
# What is computed of x, of shape (1, 1, 2, 2), and the operation that names its node.
NAMES = {
    "add": ("x + x", "Add"),
    "sub": ("x - x", "Sub"),
    "mul": ("x * x", "Mul"),
    "div": ("x / 2.0", "Div"),
    "neg": ("-x", "Neg"),
    "pow": ("x ** 2", "Pow"),
    "exp": ("torch.exp(x)", "Exp"),
    "relu": ("torch.relu(x)", "Relu"),
    "sum": ("x.sum()", "Sum"),
    "mean": ("x.mean()", "Mean"),
    "mm": ("torch.mm(x[0, 0], x[0, 0])", "Mm"),
    "clone": ("x.clone()", "Clone"),
    "to": ("x.to(torch.float64)", "ToCopy"),
    "select": ("x[0]", "Select"),
    "view": ("x.view(4)", "View"),
    "cat": ("torch.cat([x, x])", "Cat"),
    "convolution": ("torch.nn.functional.conv2d(x, x)", "Convolution"),
    "max_pool2d": ("torch.nn.functional.max_pool2d(x, 2)", "MaxPool2DWithIndices"),
    "avg_pool2d": ("torch.nn.functional.avg_pool2d(x, 2)", "AvgPool2D"),
}
# One operation, one node; what each does to a number.
LINKS = {
    "neg": ("-v", "Neg", -1.0),
    "double": ("v * 2.0", "Mul", 2.0),
    "half": ("v / 2.0", "Div", 0.5),
    "clone": ("v.clone()", "Clone", 1.0),
    "shift": ("v + 1.0", "Add", 1.0),
    "cumsum": ("v.cumsum(0)", "Cumsum", 1.0),
    "shift-in-place": ("v.add_(1.0)", "Add", 1.0),
}
NO_DERIVATIVE = {
    "floor_divide": "torch.floor_divide(x, 2.0)",
    "heaviside": "torch.heaviside(x, x)",
    "histogram": "torch.histogram(x, 2)[0]",
    "bincount": "torch.bincount(torch.tensor([0, 1], device=x.device), weights=x)",
    "unique": "torch.unique(x)",
    "unique_consecutive": "torch.unique_consecutive(x)",
    "igamma": "torch.igamma(x, x.detach())",
    "zeta": "torch.special.zeta(x + 1.0, x.detach())",
    "geqrf": "torch.geqrf(torch.diag(x))[0]",
}


def children(node):
    """The nodes to which a node's edges lead."""
    return [child for child, _ in node.next_functions if child is not None]


def is_acyclic(node, above, done):
    """Whether no path from a node comes back to one that it came from."""
    if any(node is other for other in above):
        return False
    if any(node is other for other in done):
        return True
    found = all(is_acyclic(child, [*above, node], done) for child in children(node))
    done.append(node)
    return found


def refusal(function, *arguments, **keywords):
    """What a call says that raises RuntimeError, NotImplementedError included."""
    try:
        function(*arguments, **keywords)
    except RuntimeError as error:
        return str(error)
    return ""


@law("graph.node-names", docs="torch.autograd.graph.Node.name", level="should", over=NAMES)
@given(dtype=st.sampled_from((torch.float32, torch.bfloat16)), seed=st.integers(0, 9))
def test_node_names(target, case, dtype, seed):
    """A node is named after its operation: AddBackward0, with a number behind.

    It is an instance of torch.autograd.graph.Node, and not of torch.autograd.Function, from
    which custom operations alone derive.
    """
    expression, name = case
    values = np.random.default_rng(seed).integers(1, 9, (1, 1, 2, 2))
    leaf = torch.tensor(values, dtype=dtype, device=target.device, requires_grad=True)
    node = eval(expression, {"torch": torch, "x": leaf}).grad_fn
    called = getattr(node, "name", str)()
    fits = re.fullmatch(rf"{name}Backward\d+", called)
    compare.fact(called if fits else "", called, f"name of the node of {expression}")
    compare.fact(type(node).__name__, called, "name of the node's type")
    kinds = (torch.autograd.graph.Node, torch.autograd.Function)
    found = tuple(isinstance(node, kind) for kind in kinds)
    compare.fact(found, (True, False), "is a Node, a Function")


@law("graph.chain", docs=HISTORY, level="should")
@given(links=st.lists(st.sampled_from(list(LINKS)), min_size=1, max_size=8), cut=st.integers(0, 8))
def test_chain(target, links, cut):
    """A chain of n operations has n nodes from the result down to the leaf, the last one first.

    Where it was cut, by detach and a flag of its own, it ends in the leaf that is made there. The
    gradient is the product of the factors that were gone through.
    """
    leaf = torch.tensor([2.0], dtype=torch.float64, device=target.device, requires_grad=True)
    value, begun = leaf * 1.0, 0
    for number, link in enumerate(links):
        if number == cut:
            leaf, begun = value.detach().requires_grad_(), number
            value = leaf * 1.0
        value = eval(LINKS[link][0], {"v": value})
    names, node = [], value.grad_fn
    while node is not None and not hasattr(node, "variable"):
        names.append(node.name().partition("Backward")[0])
        below = children(node)
        compare.fact(len(below), 1, "edges that lead anywhere")
        node = below[0]
    expected = [LINKS[link][1] for link in links[begun:]][::-1]
    compare.fact(names, [*expected, "Mul"], "names of the nodes")
    compare.fact(getattr(node, "variable", None) is leaf, True, "it ends in the leaf")
    value.sum().backward()
    slope = np.full(tuple(leaf.shape), float(np.prod([LINKS[link][2] for link in links[begun:]])))
    compare.close(leaf.grad, slope, bound=0.0, dtype=torch.float64, what="gradient")


@law("graph.acyclic", docs=HISTORY)
@given(f=functions(in_place=True), g=polynomials(scalar=True))
def test_acyclic(target, f, g):
    """No path through a graph leads back to where it came from, through writes in place neither.

    "Conceptually, autograd keeps a record of the data and all executed operations (along with the
    resulting new tensors) in a directed acyclic graph".
    """
    for function in (f, g):
        leaves = function.leaves(target.device)
        result = target.run(function, *leaves)
        compare.fact(is_acyclic(result.grad_fn, [], []), True, "the graph has no cycle")


@law("graph.no-derivative", docs=UNDEFINED, level="should", over=NO_DERIVATIVE)
@given(
    f=polynomials(scalar=True),
    pair=st.lists(st.sampled_from((0.5, 1.5, 2.5)), min_size=2, max_size=2),
)
def test_no_derivative(target, case, f, pair):
    """Where no derivative is implemented the result requires grad, and backward raises.

    Rather than count it as a constant: "it will error out in the backward if used on tensors that
    require grad outside of a no_grad environment". No .grad changes; detached, it is a constant.
    """
    leaf = torch.tensor(pair, dtype=torch.float64, device=target.device, requires_grad=True)
    result = eval(case, {"torch": torch, "x": leaf})
    constant = eval(case, {"torch": torch, "x": leaf.detach()})
    compare.fact((result.requires_grad, constant.requires_grad), (True, False), "requires_grad")
    compare.equal(result.detach(), compare.to_numpy(constant), dtype=constant.dtype)
    said = re.search("derivative for .* is not implemented", refusal(result.sum().backward))
    compare.fact(said is not None, True, "backward raises: derivative ... is not implemented")
    compare.fact(leaf.grad, None, "grad after the rejection")
    leaves = f.leaves(target.device)
    (target.run(f, *leaves) + constant.sum()).backward()
    compare.gradients(leaves, derivatives.gradient(numpy_of(f), f.points), f.reaches)
