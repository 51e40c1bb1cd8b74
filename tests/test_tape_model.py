"""The model of autograd on its own: facts worked out by hand, gradients by the complex step."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.reference import derivatives
from conformance.reference import tape_operations as operations
from conformance.reference.tape import Mode, Tape
from conformance.reference.tape_operations import Array, Operation
from conformance.reference.tape_passes import Options, backward, grad
from conformance.reference.tape_tensors import Illegal, Tensor, Unspecified
from conformance.scenarios.programs.computing import BINARY, UNARY, VIEWS
from conformance.scenarios.programs.kinds import KINDS, MOVES
from conformance.scenarios.programs.modes import leave
from conformance.scenarios.programs.program import Program, Step
from conformance.scenarios.programs.writer import written
from strategies.source import source

ONCE, RETAINED, RECORDED = Options(), Options(retain=True), Options(create=True)


def leaf(tape: Tape, *numbers: float, requires_grad: bool = True) -> Tensor:
    return tape.leaf(np.array(numbers), requires_grad)


def product(tape: Tape, a: Tensor, b: Tensor) -> Tensor:
    return tape.apply(operations.multiply(a.shape, b.shape), a, b)


def total(tape: Tape, a: Tensor) -> Tensor:
    return tape.apply(operations.total(a.shape), a)


def first(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    return offset, (1, *shape[1:]), strides


def gradient(tensor: Tensor) -> list[float]:
    assert tensor.grad is not None
    return list(tensor.grad.values)


def test_a_gradient_is_added_in_place_unless_it_is_recorded() -> None:
    tape = Tape()
    x = leaf(tape, 1.0, 2.0)
    for times, options in enumerate((ONCE, ONCE, RECORDED), 1):
        before = x.grad
        backward(tape, [total(tape, product(tape, x, x))], [None], options)
        assert gradient(x) == [2.0 * times, 4.0 * times]
        assert before is None or (x.grad is before) == (options is ONCE)


def test_a_graph_that_saved_something_is_passed_once() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    root = product(tape, x, x)
    backward(tape, [root], [None], RETAINED)
    backward(tape, [root], [None], ONCE)
    with pytest.raises(Illegal, match="second time"):
        backward(tape, [root], [None], ONCE)


def test_a_graph_that_saved_nothing_is_passed_again() -> None:
    tape = Tape()
    x = leaf(tape, 1.0, 2.0)
    root = total(tape, x)
    backward(tape, [root], [None], ONCE)
    backward(tape, [root], [None], ONCE)
    assert gradient(x) == [2.0, 2.0]


def test_a_saved_operand_that_was_written_to_is_noticed() -> None:
    tape = Tape()
    x = leaf(tape, 1.0, 2.0)
    y = tape.apply(operations.clone(), x)
    root = total(tape, product(tape, y, y))
    tape.write(y, operations.shift(1.0))
    with pytest.raises(Illegal, match="modified"):
        backward(tape, [root], [None], ONCE)


def test_a_write_through_a_view_is_the_bases_history() -> None:
    """b = 2x, b[0] *= b[0], so that b[0] = 4 x0^2; the view sees it, and so does its gradient."""
    tape = Tape()
    x = leaf(tape, 3.0, 5.0)
    b = tape.apply(operations.scale(2.0), x)
    part = tape.view(b, first)
    other = tape.apply(operations.clone(), part)
    tape.write(part, operations.multiply((1,), (1,)), other)
    assert list(b.values) == [36.0, 10.0]
    backward(tape, [total(tape, b)], [None], RETAINED)
    assert gradient(x) == [24.0, 2.0]
    (through_part,) = grad(tape, [total(tape, part)], [None], [x], ONCE, False)
    assert through_part is not None
    assert list(through_part.values) == [24.0, 0.0]


def test_a_view_of_a_plain_base_gets_its_history_from_another_view() -> None:
    tape = Tape()
    base, x = leaf(tape, 1.0, 2.0, requires_grad=False), leaf(tape, 5.0)
    written_to, looking = tape.view(base, first), tape.view(base, first)
    tape.write(written_to, operations.add((1,), (1,)), x)
    assert base.requires_grad
    assert looking.requires_grad
    backward(tape, [looking], [None], ONCE)
    assert gradient(x) == [1.0]


def test_leaves_that_require_grad_are_not_written_to_while_recording() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    view = tape.view(x, first)
    for tensor in (x, view):
        with pytest.raises(Illegal, match="leaf Variable"):
            tape.write(tensor, operations.shift(1.0))
    tape.enter(Mode(False))
    tape.write(x, operations.shift(1.0))
    tape.leave()
    assert list(view.values) == [2.0]
    assert (x.counter.version, x.is_leaf, tape.mode.records) == (1, True, True)


def test_detached_tensors_share_the_counter_and_data_does_not() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    detached, data = tape.detach(x), tape.data(x)
    tape.write(detached, operations.shift(1.0))
    tape.write(data, operations.shift(1.0))
    assert list(x.values) == [3.0]
    assert (x.counter.version, data.counter.version) == (1, 1)


def test_a_write_that_goes_unnoticed_leaves_a_pass_unspecified() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    root = product(tape, x, x)
    tape.write(tape.data(x), operations.shift(1.0))
    with pytest.raises(Unspecified):
        backward(tape, [root], [None], ONCE)
    assert x.grad is None


def test_hooks_stay_with_the_old_value_and_retaining_goes_with_the_new() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    y = tape.apply(operations.scale(2.0), x)
    hook = tape.hook(y, 2.0)
    tape.retain_grad(y)
    tape.write(y, operations.scale(3.0))
    backward(tape, [y], [None], ONCE)
    assert [list(seen) for seen in hook.seen] == [[3.0]]
    assert gradient(y) == [1.0]
    assert gradient(x) == [12.0]


@pytest.mark.parametrize("factor", [None, 2.0])
def test_whether_gradients_pass_the_hook_of_a_rewritten_view_is_not_promised(
    factor: float | None,
) -> None:
    tape = Tape()
    x = leaf(tape, 1.0, 2.0)
    part = tape.view(tape.apply(operations.scale(2.0), x), first)
    tape.hook(part, factor)
    tape.write(part, operations.scale(2.0))
    if factor is None:
        backward(tape, [part], [None], ONCE)
        assert gradient(x) == [4.0, 0.0]
    else:
        with pytest.raises(Unspecified):
            backward(tape, [part], [None], ONCE)


def test_inputs_limit_a_pass_and_what_it_frees() -> None:
    tape = Tape()
    x, y = leaf(tape, 2.0), leaf(tape, 3.0)
    squares = product(tape, x, x), product(tape, y, y)
    root = tape.apply(operations.add((1,), (1,)), *squares)
    backward(tape, [root], [None], ONCE, [x])
    assert (gradient(x), y.grad) == ([4.0], None)
    backward(tape, [root], [None], ONCE, [y])
    assert gradient(y) == [6.0]
    with pytest.raises(Illegal, match="second time"):
        backward(tape, [root], [None], ONCE, [x])


def test_a_recorded_gradient_is_differentiated_again() -> None:
    """The second derivative of x^3 is 6x, the third 6."""
    tape = Tape()
    x = leaf(tape, 2.0)
    result = product(tape, product(tape, x, x), x)
    for expected in (12.0, 12.0, 6.0):
        (found,) = grad(tape, [result], [None], [x], RECORDED, False)
        assert found is not None
        result = found
        assert list(result.values) == [expected]


def test_flags() -> None:
    tape = Tape()
    x = leaf(tape, 1.0)
    y = tape.apply(operations.clone(), x)
    with pytest.raises(Illegal, match="leaf variables"):
        tape.require_grad(y, False)
    tape.detach_in_place(y)
    tape.require_grad(y, True)
    assert (y.is_leaf, y.requires_grad) == (True, True)


POINTS = np.array([[0.5, 2.0], [-1.0, 3.0]]), np.array([[1.0, -2.0], [4.0, 0.25]])


def _judged(operation: Operation, forward: Callable[..., Array], points: list[Array]) -> None:
    tape = Tape()
    leaves = [tape.leaf(point, True) for point in points]
    root = tape.apply(operation, *leaves)
    cotangent = (np.arange(np.size(root.values)) + 1.0).reshape(root.shape)
    backward(tape, [root], [tape.leaf(cotangent, False)], ONCE)
    exact = derivatives.vjp(forward, points, cotangent)
    for found, expected in zip(leaves, exact, strict=True):
        assert found.grad is not None
        assert found.grad.values.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["scale", "negate", "shift", "clone", "total", "sum", "gather"])
def test_gradients_of_one_operand(name: str) -> None:
    shape = POINTS[0].shape
    positions = np.array([[3, 0], [0, 1]])
    cases: dict[str, tuple[Operation, Callable[..., Array]]] = {
        "scale": (operations.scale(2.0), lambda x: x * 2.0),
        "negate": (operations.negate(), lambda x: -x),
        "shift": (operations.shift(1.0), lambda x: x + 1.0),
        "clone": (operations.clone(), lambda x: x + 0.0),
        "total": (operations.total(shape), lambda x: x.sum()),
        "sum": (operations.sum_over(shape, 0), lambda x: x.sum(0)),
        "gather": (operations.gather(positions, shape), lambda x: x.reshape(-1)[positions]),
    }
    _judged(*cases[name], [POINTS[0]])


def _patched(positions: Array) -> Callable[..., Array]:
    def patched(whole: Array, part: Array) -> Array:
        result = whole.reshape(-1).copy()
        result[positions] = part
        return result.reshape(whole.shape)

    return patched


@pytest.mark.parametrize("name", ["add", "multiply", "matmul", "overwrite", "patch", "rows"])
def test_gradients_of_two_operands(name: str) -> None:
    a, b = POINTS
    row, positions = b[:1], np.array([3, 1])
    cases: dict[str, tuple[Operation, Callable[..., Array], Array]] = {
        "add": (operations.add((2, 2), (2, 2), 2.0), lambda x, y: x + 2.0 * y, b),
        "multiply": (operations.multiply((2, 2), (2, 2)), lambda x, y: x * y, b),
        "rows": (operations.multiply((2, 2), (1, 2)), lambda x, y: x * y, row),
        "matmul": (operations.matmul(), lambda x, y: x @ y, b),
        "overwrite": (operations.overwrite((2, 2), (1, 2)), lambda x, y: 0.0 * x + y, row),
        "patch": (operations.patch(positions, (2,)), _patched(positions), b[0]),
    }
    operation, forward, second = cases[name]
    _judged(operation, forward, [a, second])


def _program(kind: str, seed: int) -> Program:
    moves = [MOVES[name] for name, count in KINDS[kind].items() for _ in range(count)]
    raw = np.random.default_rng(seed).bytes(73)
    return written(moves, MOVES["leaf"], leave, raw)


@pytest.mark.parametrize("kind", KINDS)
def test_programs_are_long_and_hold_errors(kind: str) -> None:
    programs = [_program(kind, seed) for seed in range(40)]
    lengths = [len(program.steps) for program in programs]
    assert np.mean(lengths) > 14
    assert any(step.raises for program in programs for step in program.steps)


@pytest.mark.parametrize("kind", KINDS)
def test_a_programs_text_is_the_program(kind: str) -> None:
    program = _program(kind, 1)
    assert eval(source(program), {"Program": Program, "Step": Step}) == program


def test_no_bytes_are_one_step() -> None:
    program = written([MOVES["unary"]], MOVES["leaf"], leave, bytes(73))
    assert len(program.steps) == 1


def test_every_operation_occurs() -> None:
    texts = {
        re.sub(r"x\d+", "x", step.text).partition(" = ")[2]
        for kind in KINDS
        for seed in range(60)
        for step in _program(kind, seed).steps
    }
    assert {entry.text.format(a="x", b="x") for entry in (*UNARY, *BINARY, *VIEWS)} <= texts
