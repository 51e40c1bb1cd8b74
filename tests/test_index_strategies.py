"""Index strategies: legal arguments are accepted and mean what NumPy means, mistakes are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from conformance.generation import hypothesis_settings
from strategies.illegal import (
    MISTAKES,
    Illegal,
    illegal_arguments,
    illegal_basic_indices,
    illegal_masks,
)
from strategies.indices import (
    IndexSelectArguments,
    IndexWriteArguments,
    TakeAlongDimArguments,
    gather_arguments,
    index_add_arguments,
    index_copy_arguments,
    index_select_arguments,
    scatter_arguments,
    take_along_dim_arguments,
)
from strategies.shapes import Shape, shapes
from strategies.subscripts import (
    BasicIndex,
    IndexPutArguments,
    TakeArguments,
    basic_indices,
    broadcastable_masks,
    index_put_arguments,
    masks,
    take_arguments,
)
from tests.quality import INDEPENDENT, Predicate, minimal, share

FEW = hypothesis_settings(3, shrink=False, explain=False)
EITHER = st.booleans()

CALLS: dict[str, Callable[..., torch.Tensor]] = {name: getattr(torch, name) for name in MISTAKES}


def numbered(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same shape whose elements are all different."""
    return torch.arange(tensor.numel()).reshape(tensor.shape)


def at_least_1d(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dim() else tensor.reshape(1)


@INDEPENDENT
@given(EITHER.flatmap(lambda d: index_select_arguments(duplicates=d)))
def test_index_select_arguments(arguments: IndexSelectArguments) -> None:
    source, dim, positions = arguments
    torch.index_select(*arguments)
    numbers = numbered(source)
    expected = np.take(at_least_1d(numbers).numpy(), positions.numpy(), axis=dim)
    result = torch.index_select(numbers, dim, positions)
    assert np.array_equal(at_least_1d(result).numpy(), expected)


@INDEPENDENT
@given(EITHER.flatmap(lambda d: take_arguments(duplicates=d)))
def test_take_arguments(arguments: TakeArguments) -> None:
    source, positions = arguments
    torch.take(*arguments)
    numbers = numbered(source)
    expected = np.take(numbers.numpy(), positions.numpy())
    assert np.array_equal(torch.take(numbers, positions).numpy(), expected)


@INDEPENDENT
@given(EITHER.flatmap(lambda d: take_along_dim_arguments(duplicates=d)))
def test_take_along_dim_arguments(arguments: TakeAlongDimArguments) -> None:
    source, positions, dim = arguments
    if dim is None:  # torch 2.13 flattens by view, which not every legal source allows
        arguments = arguments._replace(source=source.contiguous())
    torch.take_along_dim(*arguments)
    numbers = numbered(source)
    expected = np.take_along_axis(numbers.numpy(), positions.numpy(), axis=dim)
    assert np.array_equal(torch.take_along_dim(numbers, positions, dim).numpy(), expected)


@INDEPENDENT
@given(EITHER.flatmap(lambda d: index_add_arguments(duplicates=d)))
def test_index_add_arguments(arguments: IndexWriteArguments) -> None:
    destination, dim, positions, source = arguments
    torch.index_add(*arguments)
    before, added = numbered(destination), numbered(source)
    expected = at_least_1d(before).numpy().copy()
    slices = np.moveaxis(at_least_1d(added).numpy(), dim, 0)
    np.add.at(np.moveaxis(expected, dim, 0), positions.numpy(), slices)
    result = torch.index_add(before, dim, positions, added)
    assert np.array_equal(at_least_1d(result).numpy(), expected)


@INDEPENDENT
@given(index_copy_arguments(duplicates=False))
def test_index_copy_arguments(arguments: IndexWriteArguments) -> None:
    destination, dim, positions, source = arguments
    torch.index_copy(*arguments)
    torch.index_fill(destination, dim, positions, 1)
    before, copied = numbered(destination), -numbered(source)
    expected = at_least_1d(before).numpy().copy()
    np.moveaxis(expected, dim, 0)[positions.numpy()] = np.moveaxis(
        at_least_1d(copied).numpy(), dim, 0
    )
    result = torch.index_copy(before, dim, positions, copied)
    assert np.array_equal(at_least_1d(result).numpy(), expected)


@INDEPENDENT
@given(index_put_arguments(duplicates=False), index_put_arguments())
def test_index_put_arguments(arguments: IndexPutArguments, repeated: IndexPutArguments) -> None:
    destination, positions, values = arguments
    torch.index_put(*arguments)
    torch.index_put(*repeated, accumulate=True)
    before, written = numbered(destination), -numbered(values)
    expected = before.numpy().copy()
    expected[tuple(p.numpy() for p in positions)] = written.numpy()
    assert np.array_equal(torch.index_put(before, positions, written).numpy(), expected)


SHAPES = shapes(max_rank=3)


@INDEPENDENT
@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), masks(s), broadcastable_masks(s))))
def test_masks(drawn: tuple[Shape, torch.Tensor, torch.Tensor]) -> None:
    shape, mask, narrower = drawn
    numbers = torch.arange(prod(shape)).reshape(shape)
    assert mask.dtype == narrower.dtype == torch.bool
    assert np.array_equal(numbers[mask].numpy(), numbers.numpy()[mask.numpy()])
    expected = np.where(narrower.numpy(), -1, numbers.numpy())
    assert np.array_equal(numbers.clone().masked_fill_(narrower, -1).numpy(), expected)


@INDEPENDENT
@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), basic_indices(s))))
def test_basic_indices(drawn: tuple[Shape, Any]) -> None:
    shape, indexed = drawn
    numbers = torch.arange(prod(shape)).reshape(shape)
    expected = np.asarray(numbers.numpy()[indexed])
    assert np.array_equal(numbers[indexed].numpy(), expected)
    assert numbers[indexed].shape == expected.shape


def places(arguments: Any) -> list[tuple[int, ...]]:
    """List the places that index_put or take names, counted from the start."""
    main, positions = arguments[0], arguments.positions
    one = isinstance(positions, torch.Tensor)
    vectors = (positions,) if one else torch.broadcast_tensors(*positions)
    sides = (main.numel(),) if one else main.shape
    counted = [v.flatten() % max(side, 1) for v, side in zip(vectors, sides, strict=False)]
    return list(zip(*(v.tolist() for v in counted), strict=True))


def repeats(arguments: Any) -> bool:
    named = places(arguments)
    return len(set(named)) < len(named)


def repeats_along_dim(arguments: Any) -> bool:
    positions = arguments.positions
    axis = arguments.dim if positions.dim() > 1 else 0
    return bool((positions.sort(dim=axis).values.diff(dim=axis) == 0).any())


VECTORS = [index_select_arguments, index_add_arguments, index_copy_arguments]


@pytest.mark.parametrize("strategy", [*VECTORS, take_along_dim_arguments])
def test_distinct_positions_along_dim(strategy: Callable[..., Any]) -> None:
    assert share(strategy(duplicates=False), repeats_along_dim) == 0


@pytest.mark.parametrize("strategy", [take_arguments, index_put_arguments])
def test_distinct_places(strategy: Callable[..., Any]) -> None:
    assert share(strategy(duplicates=False), repeats) == 0


def negative(a: Any) -> bool:
    tensors = (a.positions,) if isinstance(a.positions, torch.Tensor) else a.positions
    return any(bool((p < 0).any()) for p in tensors)


def items(drawn: BasicIndex) -> tuple[Any, ...]:
    return drawn if isinstance(drawn, tuple) else (drawn,)


def some_slice(predicate: Predicate) -> Predicate:
    return lambda drawn: any(isinstance(i, slice) and predicate(i) for i in items(drawn))


SELECT, PUT, TAKE = index_select_arguments(), index_put_arguments(), take_arguments()
ADD, ALONG, BASIC = index_add_arguments(), take_along_dim_arguments(), basic_indices((3, 2, 5))
NUMBERS = torch.arange(30).reshape(3, 2, 5)

REACHED: dict[str, tuple[st.SearchStrategy[Any], Predicate, float]] = {
    "index_select: int32": (SELECT, lambda a: a.positions.dtype == torch.int32, 0.35),
    "index_select: rank 0": (SELECT, lambda a: a.source.dim() == 0, 0.04),
    "index_select: no positions": (SELECT, lambda a: not a.positions.numel(), 0.02),
    "index_select: empty source": (SELECT, lambda a: not a.source.numel(), 0.04),
    "index_select: fewer positions": (
        SELECT, lambda a: a.source.dim() and len(a.positions) < a.source.shape[a.dim], 0.1),
    "index_select: more positions": (
        SELECT, lambda a: a.source.dim() and len(a.positions) > a.source.shape[a.dim], 0.1),
    "index_select: negative dim": (SELECT, lambda a: a.dim < 0, 0.3),
    "index_select: repeated": (
        SELECT, lambda a: len(a.positions.unique()) < len(a.positions), 0.15),
    "index_add: int32": (ADD, lambda a: a.positions.dtype == torch.int32, 0.35),
    "index_add: rank 0": (ADD, lambda a: a.destination.dim() == 0, 0.04),
    "index_add: repeated": (ADD, lambda a: len(a.positions.unique()) < len(a.positions), 0.15),
    "take: negative": (TAKE, negative, 0.4),
    "take: rank 0 positions": (TAKE, lambda a: a.positions.dim() == 0, 0.06),
    "take: matrix of positions": (TAKE, lambda a: a.positions.dim() == 2, 0.15),
    "take: empty": (TAKE, lambda a: not a.positions.numel(), 0.04),
    "take: fewer": (TAKE, lambda a: a.positions.numel() < a.source.numel(), 0.2),
    "take: repeated": (TAKE, repeats, 0.2),
    "take_along_dim: dim None": (ALONG, lambda a: a.dim is None, 0.2),
    "take_along_dim: rank 0": (ALONG, lambda a: a.source.dim() == 0, 0.04),
    "take_along_dim: positions broadcast": (
        ALONG, lambda a: a.dim is not None and any(
            p == 1 < s for p, s in zip(a.positions.shape, a.source.shape, strict=True)), 0.1),
    "take_along_dim: source broadcasts": (
        ALONG, lambda a: a.dim is not None and any(
            s == 1 < p for p, s in zip(a.positions.shape, a.source.shape, strict=True)), 0.1),
    "take_along_dim: empty": (ALONG, lambda a: not a.positions.numel(), 0.04),
    "index_put: negative": (PUT, negative, 0.4),
    "index_put: broadcasting positions": (
        PUT, lambda a: len({p.shape for p in a.positions}) > 1, 0.15),
    "index_put: rank 0 positions": (PUT, lambda a: a.positions[0].dim() == 0, 0.03),
    "index_put: some dimensions": (PUT, lambda a: len(a.positions) < a.destination.dim(), 0.2),
    "index_put: broadcasting values": (
        PUT, lambda a: a.values.dim() < np.broadcast(*a.positions).ndim, 0.04),
    "index_put: repeated": (PUT, repeats, 0.2),
    "index_put: empty": (PUT, lambda a: not a.values.numel(), 0.04),
    "mask: some true": (masks((2, 3)), lambda m: bool(m.any()) and not bool(m.all()), 0.5),
    "mask: transposed": (masks((2, 3)), lambda m: not m.is_contiguous(), 0.2),
    "mask: narrower": (broadcastable_masks((2, 3)), lambda m: m.shape != (2, 3), 0.4),
    "mask: lower rank": (broadcastable_masks((2, 3)), lambda m: m.dim() < 2, 0.15),
    "basic: ()": (BASIC, lambda i: i == (), 0.015),
    "basic: Ellipsis": (BASIC, lambda i: any(x is ... for x in items(i)), 0.3),
    "basic: None": (BASIC, lambda i: any(x is None for x in items(i)), 0.3),
    "basic: negative number": (
        BASIC, lambda i: any(isinstance(x, int) and x < 0 for x in items(i)), 0.2),
    "basic: mixed": (BASIC, lambda i: len({type(x) for x in items(i)}) > 2, 0.15),
    "basic: bare": (BASIC, lambda i: not isinstance(i, tuple), 0.05),
    "basic: step": (BASIC, some_slice(lambda s: s.step is not None and s.step > 1), 0.25),
    "basic: negative bound": (
        BASIC, some_slice(lambda s: s.start is not None and s.start < 0), 0.2),
    "basic: bound outside": (
        basic_indices((2,)), some_slice(lambda s: s.stop is not None and abs(s.stop) > 2), 0.02),
    "basic: empty result": (BASIC, lambda i: not NUMBERS[i].numel(), 0.2),
    "basic: rank 0": (basic_indices(()), lambda i: None in items(i) and ... in items(i), 0.15),
}  # fmt: skip


@pytest.mark.parametrize("region", REACHED)
def test_region_is_reached(region: str) -> None:
    strategy, predicate, least = REACHED[region]
    assert share(strategy, predicate) >= least


def assert_rejected(call: Callable[..., object], bad: Illegal) -> None:
    call(*bad.legal)
    with pytest.raises(bad.error, match=bad.message):
        call(*bad.illegal)
    assert bad.reason.endswith(").")


@pytest.mark.parametrize("operation", MISTAKES)
def test_illegal_arguments(operation: str) -> None:
    @INDEPENDENT
    @given(illegal_arguments(operation))
    def check(bad: Illegal) -> None:
        assert_rejected(CALLS[operation], bad)

    check()


@pytest.mark.parametrize(
    ("operation", "mistake"), [(o, m) for o in MISTAKES for m in MISTAKES[o][1]]
)
def test_every_mistake_can_be_asked_for(operation: str, mistake: str) -> None:
    @FEW
    @given(illegal_arguments(operation, mistake=mistake))
    def check(bad: Illegal) -> None:
        assert_rejected(CALLS[operation], bad)
        assert MISTAKES[operation][0] in bad.reason

    check()


@INDEPENDENT
@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), illegal_masks(s))))
def test_illegal_masks(drawn: tuple[Shape, Illegal]) -> None:
    shape, bad = drawn
    source = torch.ones(shape)
    for call in (torch.masked_select, lambda x, m: x.masked_fill(m, 0)):
        assert_rejected(lambda mask, call=call: call(source, mask), bad)


@INDEPENDENT
@given(SHAPES.flatmap(lambda s: st.tuples(st.just(s), illegal_basic_indices(s))))
def test_illegal_basic_indices(drawn: tuple[Shape, Illegal]) -> None:
    shape, bad = drawn
    assert_rejected(torch.zeros(shape).__getitem__, bad)


BAD_INDICES = ("too many", "position above", "position below", "negative step", "zero step")


@pytest.mark.parametrize("mistake", BAD_INDICES)
def test_every_bad_index_can_be_asked_for(mistake: str) -> None:
    @FEW
    @given(illegal_basic_indices((2, 3), mistake=mistake))
    def check(bad: Illegal) -> None:
        assert_rejected(torch.zeros(2, 3).__getitem__, bad)

    check()


def text(drawn: object) -> str:
    return repr(drawn).partition("(")[2]


MINIMAL: dict[str, tuple[st.SearchStrategy[Any], Predicate, str]] = {
    "index_select": (
        SELECT, lambda a: a.source.dim() == 1 and a.positions.numel() > 0,
        "source=tensor([0.]), dim=0, positions=tensor([0]))"),
    "index_add": (
        ADD, lambda a: len(a.positions.unique()) < len(a.positions),
        "destination=tensor([0., 0.]), dim=0, positions=tensor([0, 0]), source=tensor([0., 0.]))"),
    "take": (TAKE, negative, "source=tensor(0.), positions=tensor(-1))"),
    "take_along_dim": (
        ALONG, lambda a: a.dim is not None,
        "source=tensor([0.]), positions=tensor([0]), dim=0)"),
    "index_put": (
        PUT, lambda a: True,
        "destination=tensor([0.]), positions=(tensor(0),), values=tensor(0.))"),
    "basic": (st.tuples(BASIC), lambda i: True, "(),)"),
    "step": (
        st.tuples(BASIC), lambda i: some_slice(lambda s: s.step == 2)(i[0]),
        "(slice(None, None, 2),),)"),
    "mask": (st.tuples(masks((2,))), lambda m: True, "tensor([False, False]),)"),
}  # fmt: skip


@pytest.mark.parametrize("case", MINIMAL)
def test_shrinks(case: str) -> None:
    strategy, predicate, expected = MINIMAL[case]
    assert text(minimal(strategy, predicate)) == expected


NAMED: dict[str, Callable[..., object]] = {
    "index_select": index_select_arguments, "index_add": index_add_arguments,
    "index_copy": index_copy_arguments, "take": take_arguments,
    "take_along_dim": take_along_dim_arguments, "index_put": index_put_arguments,
}  # fmt: skip
WRONG: dict[str, Callable[[], object]] = {
    **{f"{n}_arguments(dtype='float')": partial(s, dtype="float") for n, s in NAMED.items()},
    **{f"{n}_arguments(values='all')": partial(s, values="all") for n, s in NAMED.items()},
    **{f"{n}_arguments(duplicates=1)": partial(s, duplicates=1) for n, s in NAMED.items()},
    "scatter_arguments(values='all')": lambda: scatter_arguments(values="all"),
    "gather_arguments(dtype='float')": lambda: gather_arguments(dtype="float"),
    "index_put_arguments(arrangement='mixed')": lambda: index_put_arguments(arrangement="mixed"),
    "masks(shape=[2])": lambda: masks([2]),  # type: ignore[arg-type]
    "broadcastable_masks(shape=(-1,))": lambda: broadcastable_masks((-1,)),
    "basic_indices(shape=3)": lambda: basic_indices(3),  # type: ignore[arg-type]
    "illegal_arguments('put')": lambda: illegal_arguments("put"),
    "mistake='rank'": lambda: illegal_arguments("take", mistake="rank"),
    "illegal_arguments(dtype='float')": lambda: illegal_arguments("take", dtype="float"),
    "illegal_masks((1,), mistake='shape')": lambda: illegal_masks((1,), mistake="shape"),
    "illegal_basic_indices((), mistake='zero step')": (
        lambda: illegal_basic_indices((), mistake="zero step")),
}  # fmt: skip


@pytest.mark.parametrize("start", WRONG)
def test_wrong_arguments_are_named(start: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        WRONG[start]()
    assert start in str(error.value)
    assert any(word in str(error.value) for word in ("use ", "write "))
