"""Generators: what they promise is reached, what they exclude is not, and failures shrink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, NoSuchExample

import strategies as s
from strategies.devices import Place, current_target
from strategies.dtypes import FAMILIES
from strategies.functions import Function
from strategies.graphs import GraphTensor, ViewPair
from strategies.indices import ScatterArguments
from strategies.layouts import LAYOUTS
from strategies.shapes import Broadcast
from strategies.source import arguments_source
from strategies.tensors import layout_of
from tests.quality import INDEPENDENT, Predicate, minimal, share


def has(value: float) -> Predicate:
    return lambda t: bool((t == value).any())


def has_negative_zero(tensor: torch.Tensor) -> bool:
    return bool(((tensor == 0) & torch.signbit(tensor)).any())


def repeats_along_dim(arguments: ScatterArguments) -> bool:
    positions = arguments.positions
    if not positions.numel() or not positions.dim():
        return False
    lines = positions.movedim(arguments.dim, -1).reshape(-1, positions.shape[arguments.dim])
    return any(len(set(line.tolist())) < len(line) for line in lines)


FLOATS = s.tensors(dtype="floating", values="any")
LEAVES = s.tensors(dtype="floating", requires_grad=True)
HELD = s.tensors_holding(np.eye(3), dtype=torch.float32)
REACHED: dict[str, tuple[st.SearchStrategy[Any], Predicate, float]] = {
    "rank 0": (s.tensors(), lambda t: t.dim() == 0, 0.04),
    "rank 4": (s.tensors(), lambda t: t.dim() == 4, 0.1),
    "empty": (s.tensors(), lambda t: t.numel() == 0, 0.04),
    "non-contiguous": (s.tensors(), lambda t: not t.is_contiguous(), 0.2),
    "offset": (s.tensors(), lambda t: t.storage_offset() > 0, 0.1),
    "expanded": (s.tensors(), lambda t: layout_of(t) == "expanded", 0.05),
    "channels last": (s.tensors(), lambda t: layout_of(t) == "channels-last", 0.005),
    "bfloat16": (s.tensors(), lambda t: t.dtype == torch.bfloat16, 0.03),
    "complex": (s.tensors(), lambda t: t.is_complex(), 0.08),
    "conj bit": (s.tensors(dtype="complex"), lambda t: t.is_conj(), 0.1),
    "neg bit": (s.tensors(dtype=torch.float32), lambda t: t.is_neg(), 0.08),
    "overlapping": (s.tensors(), lambda t: layout_of(t) == "overlapping", 0.02),
    "base": (s.tensors(), lambda t: t._base is None, 0.35),
    "view": (s.tensors(), lambda t: t._base is not None, 0.35),
    "base leaf": (LEAVES, lambda t: t.is_leaf and t._base is None and t._version == 0, 0.3),
    "leaf that is a view": (LEAVES, lambda t: t.is_leaf and t._base is not None, 0.3),
    "strided base": (LEAVES, lambda t: t._base is None and not t.is_contiguous(), 0.1),
    "contiguous view": (LEAVES, lambda t: t._base is not None and t.is_contiguous(), 0.1),
    "held in a base": (HELD, lambda t: t._base is None, 0.35),
    "held in a view": (HELD, lambda t: t._base is not None, 0.35),
    "permuted": (s.tensors(shape=(2, 3, 2)), lambda t: layout_of(t) == "permuted", 0.1),
    "identity": (s.permuted_ranges(2), lambda a: bool((a == [0, 1]).all()), 0.3),
    "nan payload": (
        s.tensors(dtype=torch.float16, shape=(8,), values="bits"),
        lambda t: bool((t.isnan() & (t.view(torch.int16) & 0x1FF > 0)).any()), 0.1),
    "float8": (s.tensors(dtype="all"), lambda t: t.dtype.itemsize == 1 and t.is_floating_point(),
               0.1),
    "uint64": (s.tensors(dtype="unsigned"), lambda t: t.dtype == torch.uint64, 0.15),
    "view of a non-leaf": (s.graph_tensors(), lambda g: g.origin == "view of non-leaf", 0.1),
    "detached": (s.graph_tensors(), lambda g: not g.tensor.requires_grad, 0.1),
    "uncoalesced": (s.sparse_coo_tensors(), lambda t: not t.is_coalesced(), 0.2),
    "duplicate entry": (
        s.sparse_coo_tensors(), lambda t: t.coalesce()._nnz() < t._nnz(), 0.05),
    "explicit zero": (
        s.sparse_coo_tensors(), lambda t: bool((t._values() == 0).any()), 0.04),
    "CSR entry": (s.sparse_csr_tensors(), lambda t: t._nnz() > 0, 0.4),
    "broadcast of ones": (
        s.broadcastable_shapes(), lambda b: b.shapes[0] != b.shapes[1], 0.4),
    "-1 in a reshape": (s.reshapes((2, 6)), lambda new: -1 in new, 0.3),
    "negative permutation": (s.permutations(3), lambda order: min(order) < 0, 0.3),
    "move to meta": (s.device_pairs(), lambda pair: pair.destination.type == "meta", 0.15),
    "branch": (s.functions(), lambda f: ".real >" in f.body, 0.1),
    "in-place line": (
        s.functions(in_place=True),
        lambda f: any(sign in f.body for sign in (" += ", " *= ", " -= ", "] = ")), 0.1),
    "nan": (FLOATS, lambda t: bool(t.isnan().any()), 0.12),
    "inf": (FLOATS, has(float("inf")), 0.12),
    "negative zero": (FLOATS, has_negative_zero, 0.12),
    "largest": (FLOATS, lambda t: bool((t == torch.finfo(t.dtype).max).any()), 0.12),
    "duplicate index": (s.scatter_arguments(), repeats_along_dim, 0.15),
    "negative dim": (s.scatter_arguments(), lambda a: a.dim < 0, 0.3),
    "index smaller than self": (
        s.scatter_arguments(), lambda a: a.positions.numel() < a.destination.numel(), 0.15),
    "source larger than index": (
        s.scatter_arguments(), lambda a: a.source.numel() > a.positions.numel(), 0.15),
    "index longer than self": (
        s.gather_arguments(), lambda a: a.positions.numel() > a.source.numel(), 0.05),
    "several leaves": (s.functions(), lambda f: sum(f.reaches) > 1, 0.15),
    "unused leaf": (s.functions(), lambda f: not all(f.reaches), 0.1),
    "reused node": (s.functions(), lambda f: f.body.count("x0") > 1, 0.15),
    "several lines": (s.functions(), lambda f: f.body.count("\n") > 2, 0.25),
    "rounded function": (s.functions(), lambda f: f.rounding > 0, 0.3),
    "None gradient": (
        s.gradient_histories(), lambda h: any(g is None for step in h.steps for g in step), 0.15),
    "huge gradient": (
        s.gradient_histories(),
        lambda h: any(g is not None and np.abs(g).max(initial=0) > 2.0**30
                      for step in h.steps for g in step),
        0.1,
    ),
    "nesterov": (s.optimizer_options("SGD"), lambda o: o["nesterov"], 0.3),
}  # fmt: skip


@pytest.mark.parametrize("region", REACHED)
def test_region_is_reached(region: str) -> None:
    strategy, predicate, least = REACHED[region]
    assert share(strategy, predicate) >= least


def test_every_layout_is_drawn_and_named() -> None:
    seen: list[str] = []
    three = s.tensors(dtype=st.sampled_from([torch.float32, torch.complex64]), shape=(2, 3, 2, 2))
    share(three, lambda t: seen.append(layout_of(t)) is None)  # type: ignore[func-returns-value]
    assert set(seen) == set(LAYOUTS)


MINIMAL: dict[str, tuple[st.SearchStrategy[Any], Predicate, str]] = {
    "tensor": (s.tensors(), lambda t: True, "torch.tensor(0.0)"),
    "two elements": (s.tensors(), lambda t: t.numel() > 1, "torch.tensor([0.0, 0.0])"),
    "a value": (
        s.tensors(dtype=torch.float64), lambda t: bool((t > 1).any()),
        "torch.tensor(2.0, dtype=torch.float64)",
    ),
    "matrix": (s.tensors(), lambda t: t.dim() == 2, "torch.tensor([[0.0]])"),
    "function": (s.functions(), lambda f: "tanh" in f.body, "v1 = xp.tanh(x0)"),
    "steps": (s.gradient_histories(), lambda h: len(h.steps) > 2, "steps=((np.array(0.0"),
}  # fmt: skip


@pytest.mark.parametrize("case", MINIMAL)
def test_shrinks(case: str) -> None:
    strategy, predicate, text = MINIMAL[case]
    assert text in s.source(minimal(strategy, predicate)).replace("v2", "v1").replace("v0", "v1")


@INDEPENDENT
@given(s.tensors(dtype="all", values="bits"), st.booleans())
def test_source_rebuilds_a_tensor(tensor: torch.Tensor, leaf: bool) -> None:
    if leaf and tensor.dtype in FAMILIES["differentiable"]:
        tensor.requires_grad_()
    names = {"torch": torch, "nan": float("nan"), "inf": float("inf")}
    again = eval(s.source(tensor), names)
    assert again.dtype == tensor.dtype
    assert again.shape == tensor.shape
    assert again.stride() == tensor.stride()
    assert again.storage_offset() == tensor.storage_offset()
    assert again.requires_grad == tensor.requires_grad
    assert (again._base is None) == (tensor._base is None)
    assert (again.is_conj(), again.is_neg()) == (tensor.is_conj(), tensor.is_neg())
    assert bytes(again.untyped_storage()) == bytes(tensor.untyped_storage())


@pytest.mark.parametrize(
    "value",
    [
        None, True, -3, 0.1, float("inf"), complex(-0.0, 1.5), "text", (1,), [1, (2.5, None)],
        {"a": 1}, slice(1, None, 2), ..., torch.float16, torch.Size([2, 0]), torch.device("cpu"),
        np.zeros((2, 0)), np.array([1.5]),
    ],
    ids=repr,
)  # fmt: skip
def test_source_of_other_values(value: object) -> None:
    again = eval(s.source(value), {"torch": torch, "np": np, "inf": float("inf")})
    assert type(again) is type(value)
    assert repr(again) == repr(value)


def test_source_of_nan_payloads_and_views() -> None:
    odd = torch.tensor([0x7FC00001], dtype=torch.int32).view(torch.float32)
    again = eval(s.source(odd), {"torch": torch})
    assert again.view(torch.int32).item() == 0x7FC00001
    conjugate = torch.tensor([1 + 2j]).conj()
    again = eval(s.source(conjugate), {"torch": torch})
    assert again.is_conj()
    assert again.item() == 1 - 2j
    assert s.source(torch.scatter_add) == "torch.scatter_add"
    assert s.source(torch.Tensor.add_) == "torch.Tensor.add_"
    assert arguments_source({"x": 1, "y": object()}).splitlines()[0] == "x = 1"
    assert arguments_source({"y": object()}).startswith("# y: no source text")


@INDEPENDENT
@given(s.scatter_arguments(duplicates=False))
def test_scatter_arguments_are_legal_and_distinct(arguments: ScatterArguments) -> None:
    destination, dim, positions, source = arguments
    for d in range(positions.dim()):
        assert positions.shape[d] <= source.shape[d]
        if d != dim % positions.dim():
            assert positions.shape[d] <= destination.shape[d]
    torch.scatter(destination, dim, positions, source)
    if positions.dim() and positions.numel():
        lines = positions.movedim(dim, -1).reshape(-1, positions.shape[dim])
        assert all(len(set(line.tolist())) == len(line) for line in lines)


@INDEPENDENT
@given(s.functions())
def test_functions_agree_under_torch_and_numpy(f: Function) -> None:
    under_torch = f(*f.leaves(torch.device("cpu"))).detach().numpy()
    under_numpy = np.asarray(f.under(np)(*f.points))
    assert under_torch.shape == under_numpy.shape == f.shape
    bound = 0 if f.rounding == 0 else 4 * (f.rounding + 64) * np.finfo(float).eps * 2.0**16
    assert np.abs(under_torch - under_numpy).max(initial=0) <= bound


@INDEPENDENT
@given(s.polynomials())
def test_polynomials_are_exact(f: Function) -> None:
    assert f.rounding == 0
    exact = f.under(np)(*[p.astype(np.longdouble) for p in f.points])
    assert np.array_equal(np.asarray(exact), np.asarray(f.under(np)(*f.points)))


@INDEPENDENT
@given(s.broadcastable_shapes(3))
def test_broadcastable_shapes_broadcast(drawn: Broadcast) -> None:
    assert torch.broadcast_shapes(*drawn.shapes) == drawn.result


@INDEPENDENT
@given(st.data(), s.shapes())
def test_shapes_of_a_shape_are_legal(data: st.DataObject, shape: tuple[int, ...]) -> None:
    tensor = torch.zeros(shape)
    assert tensor.reshape(data.draw(s.reshapes(shape))).numel() == tensor.numel()
    order = data.draw(s.permutations(len(shape)))
    assert tensor.permute(order).numel() == tensor.numel()
    dims = data.draw(s.dim_tuples(len(shape)))
    reduced = tensor.sum(dims) if dims else tensor
    assert reduced.dim() == len(shape) - len(dims)


@INDEPENDENT
@given(s.graph_tensors(), s.view_pairs())
def test_graph_places_and_views(drawn: GraphTensor, pair: ViewPair) -> None:
    assert drawn.tensor.is_leaf == (drawn.origin in ("leaf", "detached"))
    assert drawn.tensor.requires_grad == (drawn.origin != "detached")
    assert drawn.leaf.is_leaf
    storages = {t.untyped_storage().data_ptr() for t in (pair.base, pair.view)}
    assert len(storages) == 1


@INDEPENDENT
@given(st.one_of(s.sparse_coo_tensors(), s.sparse_csr_tensors()))
def test_source_rebuilds_a_sparse_tensor(tensor: torch.Tensor) -> None:
    again = eval(s.source(tensor), {"torch": torch})
    assert again.layout == tensor.layout
    assert again.shape == tensor.shape
    assert again._nnz() == tensor._nnz()
    assert again.to_dense().tolist() == tensor.to_dense().tolist()
    if tensor.layout == torch.sparse_coo:
        assert again.is_coalesced() == tensor.is_coalesced()


@pytest.mark.parametrize("kind", ["away-from-kinks", "probability"])
def test_values_stay_in_their_region(kind: str) -> None:
    def belongs(tensor: torch.Tensor) -> bool:
        values = tensor.double()
        if kind == "probability":
            return bool(((values >= 0) & (values <= 1)).all())
        return bool(((values != values.round()) & (values.abs() > 0.5) & (values.abs() < 2)).all())

    assert share(s.tensors(dtype="floating", values=kind), belongs) == 1.0


def test_permuted_ranges_are_permutations() -> None:
    assert share(s.permuted_ranges(9), lambda a: sorted(a.tolist()) == list(range(9))) == 1.0
    assert minimal(s.permuted_ranges(4), lambda a: a[0] != 0).tolist() == [1, 0, 2, 3]


def test_functions_print_as_short_source() -> None:
    function = minimal(s.functions(), lambda f: "tanh" in f.body)
    lines = str(function).splitlines()
    assert lines[0] == "def f(x0):"
    assert "xp.tanh(x0)" in lines[1]
    assert lines[-1] == "    # at x0 = 0.0"


def test_every_strategy_has_an_example() -> None:
    public = [getattr(s, name) for name in s.__all__]
    assert all("Example::" in (f.__doc__ or "") for f in public if callable(f))


def test_hypothesis_prints_tensors_as_source() -> None:
    @settings(database=None, derandomize=True)
    @given(s.tensors(dtype=torch.float64))
    def fails(tensor: torch.Tensor) -> None:
        raise AssertionError

    with pytest.raises(AssertionError) as error:
        fails()
    notes = "\n".join(error.value.__notes__)
    assert "tensor=torch.tensor(0.0, dtype=torch.float64)" in notes


MISTAKES: dict[str, Callable[[], object]] = {
    "dtypes(family='floats')": lambda: s.dtypes("floats"),
    "min_rank=3, max_rank=1": lambda: s.shapes(min_rank=3, max_rank=1),
    "min_side=2": lambda: s.shapes(min_side=2),
    "max_elements=0": lambda: s.shapes(max_elements=0),
    "rank=-1": lambda: s.dims(-1),
    "rank=9": lambda: s.dim_tuples(9),
    "permutations(rank=-1)": lambda: s.permutations(-1),
    "permuted_ranges(count=-1)": lambda: s.permuted_ranges(-1),
    "count=0": lambda: s.broadcastable_shapes(0),
    "dtype='integral'": lambda: s.graph_tensors(dtype="integral"),
    "significant_bits=99": lambda: s.polynomials(significant_bits=99),
    "kind='all'": lambda: s.arrays(kind="all"),
    "torch.quint8": lambda: s.arrays(dtype=torch.quint8),
    "layouts=('transposed',)": lambda: s.tensors(layouts=("transposed",)),
    "values='all'": lambda: s.tensors(values="all"),
    "requires_grad=True": lambda: s.tensors(dtype="real", requires_grad=True),
    "max_leaves=0": lambda: s.functions(max_leaves=0),
    "max_steps=99": lambda: s.polynomials(max_steps=99),
    "'Sgd'": lambda: s.optimizer_options("Sgd"),
    "max_parameters=0": lambda: s.gradient_histories(max_parameters=0),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(text: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        MISTAKES[text]()
    assert text in str(error.value)


def test_tensors_live_on_the_current_target() -> None:
    token = current_target.set(Place(torch.device("meta")))
    try:
        assert find(s.tensors(), lambda t: True).device.type == "meta"
    finally:
        current_target.reset(token)
    with pytest.raises(NoSuchExample):
        find(s.tensors(), lambda t: t.device.type == "meta", settings=settings(max_examples=50))
