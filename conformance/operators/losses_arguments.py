"""Calls of losses to draw: operands by the part that they play, options, weights, classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from conformance.operators.arguments import SMOOTH, operand
from conformance.operators.operator import Call, Calls
from strategies import shapes, tensors, tensors_holding
from strategies.devices import current_device
from strategies.shapes import Shape
from strategies.values import raw_bytes

Options = Mapping[str, Sequence[Any]]
"""What each option may be; each is left out of some of the calls."""

REDUCTIONS: Options = {"reduction": ("none", "mean", "sum", "none", "none")}
"""Losses that are not reduced show most: their default is the mean."""


class Role(NamedTuple):
    """The kinds of values that an operand has, and the one where derivatives are asked."""

    values: tuple[str, ...]
    smooth: str

    def kind(self, draw: st.DrawFn, dtype: torch.dtype, smooth: bool) -> str:
        """Draw a kind of values; those up to 1000 have sums that float16 cannot hold."""
        if smooth:
            return self.smooth
        narrow = dtype == torch.float16
        return draw(st.sampled_from([k for k in self.values if not (narrow and k == "finite")]))


ANY = Role(("dyadic", "dyadic", "dyadic", "nonfinite"), "away-from-kinks")
LOGITS = Role(("dyadic", "finite", "finite", "missing"), "away-from-kinks")
NEAR = Role(("dyadic", "dyadic", "missing"), "away-from-kinks")
FINITE = Role(("dyadic", "dyadic", "finite"), "residues")
BETWEEN = Role(("dyadic", "dyadic", "dyadic", "nonfinite"), "fraction")
WHOLE = Role(("dyadic", "whole"), "whole")
SIGNS = Role(("signs",), "signs")
TRUTHS = Role(("truths",), "truths")
PROBABILITIES = Role(("probability",), "fraction")
COUNTS = Role(("positive", "above-one", "truths"), "positive")
POSITIVE = Role(("positive", "above-one"), "positive")
WEIGHTS = Role(("probability", "positive"), "positive")


def options_of(draw: st.DrawFn, options: Options) -> dict[str, Any]:
    """Draw each option, leaving some of them to their defaults."""
    found = {}
    for name, choices in options.items():
        choice = draw(st.integers(0, len(choices)))
        if choice:
            found[name] = choices[choice - 1]
    return found


def _defined(keywords: dict[str, Any], counted: Sequence[int], smooth: bool) -> dict[str, Any]:
    """Sum, where a mean would be that of nothing and is not what is asked."""
    averages = keywords.get("reduction", "mean") in ("mean", "batchmean")
    nothing = smooth and averages and not prod(counted)
    return {**keywords, "reduction": "sum"} if nothing else keywords


def _sized(smooth: bool) -> st.SearchStrategy[Shape]:
    return shapes(max_elements=12 if smooth else 48)


def same_shape(shape: Shape) -> tuple[Shape, ...]:
    """A weight for each element."""
    return (shape,)


def broadcast(shape: Shape) -> tuple[Shape, ...]:
    """Shapes that broadcast to one: itself, its last sides, a number, a column."""
    return shape, shape[1:], (), (*shape[:-1], 1) if shape else ()


def of_classes(shape: Shape) -> tuple[Shape, ...]:
    """A weight for each class, which are the second dimension or the only one."""
    return ((shape[1] if len(shape) > 1 else shape[0],),)


Weights = Mapping[str, Callable[[Shape], tuple[Shape, ...]]]
"""Tensors given by keyword to some of the calls, and the shapes that they may have."""


def weights_of(
    draw: st.DrawFn, weights: Weights, shape: Shape, dtype: torch.dtype, smooth: bool
) -> dict[str, Any]:
    """Draw some of the weights."""
    return {
        name: draw(operand(dtype, WEIGHTS.kind(draw, dtype, smooth), draw(st.sampled_from(among))))
        for name, among in ((name, rule(shape)) for name, rule in weights.items())
        if draw(st.booleans())
    }


def elementwise(
    *roles: Role,
    options: Options | None = None,
    smooth_options: Options | None = None,
    always: Options | None = None,
    weights: Weights | None = None,
    shape: Callable[[bool], st.SearchStrategy[Shape]] = _sized,
) -> Calls:
    """``op(x, y, ..., **options)`` on operands of one shape, each with a role.

    ``smooth_options`` are those where derivatives are asked, where they differ; ``always`` are
    those that every call gives.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        smooth = kind in SMOOTH
        sides = draw(shape(smooth))
        operands = [draw(operand(dtype, role.kind(draw, dtype, smooth), sides)) for role in roles]
        chosen = {**REDUCTIONS, **(options or {}), **(smooth_options or {} if smooth else {})}
        keywords = options_of(draw, chosen)
        if not sides and keywords.get("reduction") == "batchmean":
            del keywords["reduction"]  # a number has no batch
        fixed = {name: draw(st.sampled_from(among)) for name, among in (always or {}).items()}
        extra = weights_of(draw, weights or {}, sides, dtype, smooth)
        return Call(tuple(operands), {**extra, **_defined({**keywords, **fixed}, sides, smooth)})

    return drawn


@st.composite
def gaussian_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``op(x, y, variance)``, one for each element, each row or all, some of them too small."""
    smooth = kind in SMOOTH
    squares = st.sampled_from(((2, 2), (3, 3)))  # where rows and columns can be confused
    sides = draw(st.one_of(squares, _sized(smooth), _sized(smooth)))
    x = draw(operand(dtype, ANY.kind(draw, dtype, smooth), sides))
    y = draw(operand(dtype, WHOLE.kind(draw, dtype, smooth), sides))
    forms = [sides, *([sides[:-1], (*sides[:-1], 1)] if sides and sides[-1] else [])]
    form = draw(st.sampled_from([*forms, None]))
    tiny = dtype != torch.float16  # which cannot hold what a square is over 1e-6
    role = Role(("positive", "probability" if tiny else "above-one"), "positive")
    variance: Any = 0.75
    if form is not None:
        variance = draw(operand(dtype, role.kind(draw, dtype, smooth), form))
    options = {**REDUCTIONS, "full": (True,), "eps": (1e-4 if smooth else 0.375,)}
    return Call((x, y, variance), _defined(options_of(draw, options), sides, smooth))


def _indices(draw: st.DrawFn, shape: Shape, choices: Sequence[int]) -> torch.Tensor:
    """An int64 tensor, of any layout in which elements have memory, out of some numbers."""
    picks = np.frombuffer(draw(raw_bytes(prod(shape))), dtype=np.uint8) % len(choices)
    values = np.array(choices, dtype=np.int64)[picks].reshape(shape)
    return draw(tensors_holding(values, dtype=torch.int64))


@st.composite
def _class_shapes(draw: st.DrawFn, smooth: bool, ranks: Sequence[int]) -> Shape:
    """``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``, of at least one class."""
    classes = draw(st.sampled_from((3, 2, 4, 1, 5)))
    rank = draw(st.sampled_from(ranks))
    if rank == 1:
        return (classes,)
    if rank == 2:
        return (draw(st.sampled_from((3, 2, 4, 5, 1, 0))), classes)
    limit = (24 if smooth else 60) // classes
    others = draw(shapes(min_rank=rank - 1, max_rank=rank - 1, max_elements=limit))
    return (others[0], classes, *others[1:])


IGNORED: Options = {"ignore_index": (0, 1, -100, -1, 7)}


def class_calls(
    x: Role,
    ranks: Sequence[int] = (2, 1, 2, 3, 4, 5),
    always: Options | None = None,
) -> Calls:
    """``op(x, y, weight=, ignore_index=, **always)`` of classes, indices of which y holds.

    y also holds the index to ignore, sometimes nothing else.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        smooth = kind in SMOOTH
        sides = draw(_class_shapes(smooth, ranks))
        keywords = options_of(draw, {**REDUCTIONS, **IGNORED})
        keywords |= {name: draw(st.sampled_from(among)) for name, among in (always or {}).items()}
        classes = sides[1] if len(sides) > 1 else sides[0]
        ignored = keywords.get("ignore_index", -100)
        some, none = (*range(classes), ignored), tuple(range(classes))
        among = draw(st.sampled_from((some, none, some, none, (ignored,))))
        target = _indices(draw, (*sides[:1], *sides[2:])[: len(sides) - 1], list(among))
        logits = draw(operand(dtype, x.kind(draw, dtype, smooth), sides))
        extra = weights_of(draw, {"weight": of_classes}, sides, dtype, smooth)
        own = extra.get("weight", torch.ones(classes, device=target.device))[
            target[target != ignored]
        ]
        mixed = smooth or "label_smoothing" in keywords  # and an infinite mean is not defined
        return Call((logits, target), {**extra, **_defined(keywords, [int(own.any())], mixed)})

    return drawn


def distribution_calls(x: Role, options: Options) -> Calls:
    """``op(x, y, weight=, **options)`` of classes, probabilities of which y holds."""

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        smooth = kind in SMOOTH
        sides = draw(_class_shapes(smooth, (2, 1, 2, 3, 4)))
        operands = [
            draw(operand(dtype, role.kind(draw, dtype, smooth), sides))
            for role in (x, PROBABILITIES)
        ]
        keywords = options_of(draw, {**REDUCTIONS, **options})
        extra = weights_of(draw, {"weight": of_classes}, sides, dtype, smooth)
        return Call(tuple(operands), {**extra, **_defined(keywords, sides, smooth)})

    return drawn


def margin_shape(smooth: bool) -> st.SearchStrategy[Shape]:
    """``(C)`` or ``(N, C)``."""
    return _class_shapes(smooth, (1, 2))


def row_shape(smooth: bool) -> st.SearchStrategy[Shape]:
    """``(N, C)``."""
    return _class_shapes(smooth, (2,))


def at_most_row(_: bool) -> st.SearchStrategy[Shape]:
    """``(N)`` or ``()``."""
    return shapes(max_rank=1)


def _emptied(keywords: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Reduce no empty batch, which the chapter on losses does."""
    return keywords if prod(shape) else {**keywords, "reduction": "none"}


@st.composite
def margin_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``op(x, y, p=, margin=, weight=)`` of ``(N, C)`` or ``(C)``."""
    smooth = kind in SMOOTH
    sides = draw(margin_shape(smooth))
    x = draw(operand(dtype, FINITE.kind(draw, dtype, smooth), sides))
    target = _indices(draw, sides[:-1], range(sides[-1]))
    extra = weights_of(draw, {"weight": of_classes}, sides, dtype, smooth)
    options = {**REDUCTIONS, "p": (1, 2), "margin": (2.0, 1.0, 0.0)}
    return Call((x, target), {**extra, **_emptied(options_of(draw, options), sides)})


@st.composite
def labels_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``op(x, y)``: y holds distinct labels, -1 after the last of them, then anything."""
    smooth = kind in SMOOTH
    sides = draw(margin_shape(smooth))
    x = draw(operand(dtype, FINITE.kind(draw, dtype, smooth), sides))
    rows, classes = prod(sides[:-1]), sides[-1]
    lists = [_labels(draw, classes) for _ in range(rows)]
    target = np.array(lists, dtype=np.int64).reshape(sides)
    labels = draw(tensors_holding(target, dtype=torch.int64))
    return Call((x, labels), _emptied(options_of(draw, REDUCTIONS), sides))


def _labels(draw: st.DrawFn, classes: int) -> list[int]:
    order = draw(st.permutations(range(classes)))
    count = draw(st.integers(0, classes))
    return [*order[:count], *([-1] if count < classes else []), *order[count + 1 :]]


@st.composite
def cosine_calls(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
    """``op(x, other, y, margin=)`` on ``(N, D)`` or ``(D)``; nowhere is a vector zero."""
    smooth = kind in SMOOTH
    sides = draw(margin_shape(smooth))
    values = "positive" if smooth else "away-from-kinks"
    vectors = [draw(operand(dtype, values, sides)) for _ in range(2)]
    labels = draw(operand(dtype, "signs", sides[:-1]))
    options = {**REDUCTIONS, "margin": (0.25,) if smooth else (0.5, -0.5)}
    return Call((*vectors, labels), _defined(options_of(draw, options), sides, smooth))


FAR_MARGIN = 64.0
"""A margin that no difference of drawn distances reaches."""


def triplet_calls(options: Options) -> Calls:
    """``op(anchor, positive, negative, margin=, swap=, **options)`` on ``(N, D)`` or ``(D)``.

    For derivatives, anchor or positive is far from the others: the nearer pair is never in doubt,
    and neither are the signs of differences.
    """

    @st.composite
    def drawn(draw: st.DrawFn, dtype: torch.dtype, kind: str) -> Call:
        smooth = kind in SMOOTH
        sides = draw(margin_shape(smooth))
        kinds = ["dyadic", "dyadic", "dyadic"]
        if smooth:
            kinds = [*draw(st.sampled_from((["remote", "fraction"], ["fraction", "remote"])))]
            kinds.append("whole")
        vectors = tuple(draw(operand(dtype, each, sides)) for each in kinds)
        margins = (FAR_MARGIN,) if smooth else (0.5, 2.0)
        keywords = options_of(draw, {**REDUCTIONS, "swap": (True,), **options})
        margin = {"margin": draw(st.sampled_from(margins))} if smooth or draw(st.booleans()) else {}
        return Call(vectors, _defined({**keywords, **margin}, sides, smooth))

    return drawn


def alignment_calls(*, joined: bool) -> Calls:
    """``op(logs, targets, steps, lengths, blank=, zero_infinity=)``: small, some impossible.

    Targets in rows that are padded or, ``joined``, one after the other; lengths as tensors or
    tuples; a target without labels only where no mean divides by its length.
    """
    return lambda dtype, _: _alignment_calls(dtype, joined, True)


@st.composite
def _alignment_calls(draw: st.DrawFn, dtype: torch.dtype, joined: bool, normalized: bool) -> Call:
    steps, classes = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    batch = draw(st.sampled_from((2, 3) if joined else (2, 1, 3, None)))
    keywords = options_of(
        draw, {**REDUCTIONS, "blank": tuple(range(classes)), "zero_infinity": (True,)}
    )
    least = 1 if keywords.get("reduction", "mean") == "mean" else 0
    count = batch or 1
    lengths = [draw(st.integers(least, 3)) for _ in range(count)]
    labels = [c for c in range(classes) if c != keywords.get("blank", 0)]
    rows = [[draw(st.sampled_from(labels)) for _ in range(3)] for _ in range(count)]
    counts = [draw(st.integers(1, steps)) for _ in range(count)]
    sides = (steps, *([] if batch is None else [batch]), classes)
    logs = draw(_log_probabilities(sides, dtype) if normalized else operand(dtype, "dyadic", sides))
    in_line = [label for row, length in zip(rows, lengths, strict=True) for label in row[:length]]
    given = np.array(in_line if joined or batch is None else rows, dtype=np.int64)
    targets = draw(tensors_holding(given, dtype=torch.int64))
    return Call((logs, targets, *_lengths(draw, batch, counts, lengths)), keywords)


def _lengths(
    draw: st.DrawFn, batch: int | None, counts: list[int], lengths: list[int]
) -> tuple[Any, Any]:
    """Lengths of inputs and of targets: tensors, without dimensions for one sequence, or tuples."""
    if batch is not None and draw(st.booleans()):
        return tuple(counts), tuple(lengths)
    shape = (-1,) if batch is not None else ()
    made = [torch.tensor(v, device=current_device()).reshape(shape) for v in (counts, lengths)]
    return made[0], made[1]


@st.composite
def _log_probabilities(draw: st.DrawFn, shape: Shape, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of any layout with memory whose last dimension holds log-probabilities."""
    logits = draw(tensors(dtype=torch.float64, shape=shape, layouts=("contiguous",)))
    values = logits.cpu().numpy()
    normalized = values - np.log(np.exp(values).sum(-1, keepdims=True))
    return draw(tensors_holding(normalized, dtype=dtype))


_CLASSES = class_calls(LOGITS, ranks=(2, 3, 4))
ignoring_calls = st.sampled_from((torch.float32, torch.float64)).flatmap(
    lambda dtype: _CLASSES(dtype, "away-from-kinks")
)
"""Calls on classes, moderate logits and some targets to ignore."""


@st.composite
def _index_calls(draw: st.DrawFn) -> Call:
    """Calls of cross_entropy on classes, none of which is to be ignored."""
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    sides = draw(_class_shapes(False, (1, 2, 3, 4)))
    classes = sides[1] if len(sides) > 1 else sides[0]
    target = _indices(draw, (*sides[:1], *sides[2:])[: len(sides) - 1], range(classes))
    logits = draw(operand(dtype, "finite", sides))
    keywords = options_of(draw, {"label_smoothing": (0.25, 1.0)})
    extra = weights_of(draw, {"weight": of_classes}, sides, dtype, False)
    return Call((logits, target), {**extra, **keywords})


index_calls = _index_calls()


@st.composite
def _alignment_problems(draw: st.DrawFn) -> Call:
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    call = draw(_alignment_calls(dtype, False, False))
    return Call(call.arguments, {**call.keywords, "zero_infinity": True})


alignment_problems = _alignment_problems()
"""Calls of ctc_loss on logits instead of log-probabilities; none is infinite."""
