"""Scatter and gather: reading and writing through an index along one dimension."""

from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.reference import indexing
from conformance.target import resolve
from strategies import (
    dyadics,
    gather_arguments,
    illegal_arguments,
    scatter_arguments,
    with_cotangent,
)

SCATTER = {"scatter": "torch.scatter", "scatter_": "torch.Tensor.scatter_"}
SCATTER_ADD = {"scatter_add": "torch.scatter_add", "scatter_add_": "torch.Tensor.scatter_add_"}
GATHER = {"function": "torch.gather", "method": "torch.Tensor.gather"}
IN_PLACE = {"scatter_": "torch.Tensor.scatter_", "scatter_add_": "torch.Tensor.scatter_add_"}
OUT_OF_PLACE = {"scatter": "torch.scatter", "scatter_add": "torch.scatter_add"}
WRITES = {**SCATTER, **SCATTER_ADD}

# "The backward pass is implemented only for src.shape == index.shape" (torch.Tensor.scatter_)
SCATTERED = scatter_arguments(dtype="floating", larger_source=False)
SCATTERED_ONCE = scatter_arguments(dtype="floating", duplicates=False, larger_source=False)


def out_of_range(operation):
    """Draw calls with one position above the legal ones, or below them."""
    twins = [f"position {side}" for side in ("above", "below")]
    return st.one_of([illegal_arguments(operation, mistake=m, dtype="numeric") for m in twins])


def destination_kind(arguments):
    return tuple(arguments.destination.shape), arguments.destination.dtype


def index_kind(arguments):
    return tuple(arguments.positions.shape), arguments.source.dtype


@law("scatter.values", docs="torch.Tensor.scatter_", over=SCATTER)
@given(arguments=scatter_arguments(duplicates=False, values="any"))
def test_scatter(target, case, arguments):
    """scatter writes src[i, j, k] into self at the index's position along dim.

    Where no position is named twice: ``self[i][index[i][j][k]][k] = src[i][j][k]`` for dim 1.
    """
    destination, dim, index, source = arguments
    before, positions = compare.to_numpy(destination), compare.to_numpy(index)
    expected = indexing.scatter(before, dim, positions, compare.to_numpy(source))
    result = target.run(case, destination, dim, index, source)
    compare.equal(result, expected, dtype=source.dtype)


@law("scatter.scalar", docs="torch.Tensor.scatter_", over=SCATTER)
@given(arguments=scatter_arguments(dtype="floating"), value=dyadics())
def test_scatter_scalar(target, case, arguments, value):
    """scatter with a number as value writes it to every position that the index names."""
    destination, dim, index, _ = arguments
    before, positions = compare.to_numpy(destination), compare.to_numpy(index)
    expected = indexing.scatter_value(before, dim, positions, value)
    result = target.run(case, destination, dim, index, value=value)
    compare.equal(result, expected, dtype=destination.dtype)


@law("scatter_add.values", docs="torch.Tensor.scatter_add_", over=SCATTER_ADD)
@given(arguments=scatter_arguments(dtype="numeric"))
def test_scatter_add(target, case, arguments):
    """scatter_add adds src[i, j, k] to self where the index says along dim, duplicates summed."""
    destination, dim, index, source = arguments
    before, positions = compare.to_numpy(destination), compare.to_numpy(index)
    expected = indexing.scatter_add(before, dim, positions, compare.to_numpy(source))
    result = target.run(case, destination, dim, index, source)
    compare.equal(result, expected, dtype=source.dtype)


@law("gather.values", docs="torch.gather", over=GATHER)
@given(arguments=gather_arguments())
def test_gather(target, case, arguments):
    """gather returns a tensor of the index's shape, read from the input along dim."""
    source, dim, index = arguments
    expected = indexing.gather(compare.to_numpy(source), dim, compare.to_numpy(index))
    result = target.run(case, source, dim, index)
    compare.equal(result, expected, dtype=source.dtype)


@law("scatter.in-place", docs="torch.Tensor.scatter_", over=IN_PLACE)
@given(arguments=scatter_arguments(dtype="numeric", duplicates=False))
def test_in_place(target, case, arguments):
    """The in-place forms write to self, return self and leave index and source alone."""
    destination, dim, index, source = arguments
    positions, values = compare.to_numpy(index), compare.to_numpy(source)
    write = indexing.scatter_add if "add" in case else indexing.scatter
    expected = write(compare.to_numpy(destination), dim, positions, values)
    result = resolve(case)(destination, dim, index, source)
    compare.fact(result is destination, True, "returns self")
    compare.equal(destination, expected, dtype=source.dtype, what="self")
    compare.unchanged(index, positions, "index")
    compare.unchanged(source, values, "source")


@law("scatter.out-of-place", docs="torch.scatter", over=OUT_OF_PLACE)
@given(arguments=scatter_arguments(dtype="numeric", duplicates=False))
def test_out_of_place(target, case, arguments):
    """The out-of-place forms leave self, index and source as they were."""
    destination, dim, index, source = arguments
    before = [compare.to_numpy(t) for t in (destination, index, source)]
    target.run(case, destination, dim, index, source)
    compare.unchanged(destination, before[0], "self")
    compare.unchanged(index, before[1], "index")
    compare.unchanged(source, before[2], "source")


@law("scatter.index-out-of-range", docs="torch.Tensor.scatter_", over=WRITES)
@given(bad=out_of_range("scatter"))
def test_index_out_of_range(target, case, bad):
    """An index outside 0 .. self.size(dim) - 1 is rejected, negative ones too."""
    destination, dim, index, source = bad.legal
    target.run(case, destination.clone(), dim, index, source)
    with compare.raises(RuntimeError, "out of bounds"):
        target.run(case, destination.clone(), dim, bad.illegal.positions, source)


@law("gather.index-out-of-range", docs="torch.gather", over=GATHER)
@given(bad=out_of_range("gather"))
def test_gather_index_out_of_range(target, case, bad):
    """gather rejects an index outside 0 .. input.size(dim) - 1, negative ones too."""
    source, dim, index = bad.legal
    target.run(case, source, dim, index)
    with compare.raises(RuntimeError, "out of bounds"):
        target.run(case, source, dim, bad.illegal.positions)


@law("gather.gradient", docs="torch.gather", over=GATHER)
@given(
    problem=with_cotangent(gather_arguments(dtype="floating", values="dyadic"), result=index_kind)
)
def test_gather_gradient(target, case, problem):
    """gather's gradient adds each cotangent to the element that was read, duplicates summed."""
    (source, dim, index), cotangent = problem
    leaf = source.detach().requires_grad_()
    target.run(case, leaf, dim, index).backward(cotangent)
    expected = indexing.gather_vjp(
        compare.to_numpy(cotangent), dim, compare.to_numpy(index), compare.to_numpy(source)
    )
    compare.equal(leaf.grad, expected, dtype=source.dtype, what="gradient to input")


@law("scatter.gradient", docs="torch.scatter")
@given(problem=with_cotangent(SCATTERED_ONCE, result=destination_kind))
def test_scatter_gradient(target, problem):
    """scatter's gradient is zero to what was overwritten, and reads the cotangent to the source.

    For an index and a source of the same shape, in which no position is named twice.
    """
    (destination, dim, index, source), cotangent = problem
    leaves = [destination.detach().requires_grad_(), source.detach().requires_grad_()]
    target.run("torch.scatter", leaves[0], dim, index, leaves[1]).backward(cotangent)
    to_destination, to_source = indexing.scatter_vjp(
        compare.to_numpy(cotangent), dim, compare.to_numpy(index)
    )
    compare.equal(leaves[0].grad, to_destination, dtype=source.dtype, what="gradient to self")
    compare.equal(leaves[1].grad, to_source, dtype=source.dtype, what="gradient to src")


@law("scatter_add.gradient", docs="torch.scatter_add")
@given(problem=with_cotangent(SCATTERED, result=destination_kind))
def test_scatter_add_gradient(target, problem):
    """scatter_add's gradient is the cotangent to self, and the cotangent gathered to the source.

    For an index and a source of the same shape; duplicate indices included.
    """
    (destination, dim, index, source), cotangent = problem
    leaves = [destination.detach().requires_grad_(), source.detach().requires_grad_()]
    target.run("torch.scatter_add", leaves[0], dim, index, leaves[1]).backward(cotangent)
    to_destination, to_source = indexing.scatter_add_vjp(
        compare.to_numpy(cotangent), dim, compare.to_numpy(index)
    )
    compare.equal(leaves[0].grad, to_destination, dtype=source.dtype, what="gradient to self")
    compare.equal(leaves[1].grad, to_source, dtype=source.dtype, what="gradient to src")
