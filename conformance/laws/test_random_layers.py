"""Layers that draw: samples of categories, slopes and windows at random, and their gradients."""

import math
from itertools import product
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.target import resolve
from strategies import seeds, tensors

GUMBEL = "torch.nn.functional.gumbel_softmax"


@law("random.gumbel-softmax", docs=GUMBEL)
@given(
    seed=seeds(), dim=st.sampled_from((-1, 0, 1)), tau=st.sampled_from((1.0, 0.5, 2.0)),
    logits=tensors(
        dtype=st.sampled_from((torch.float64, torch.float32)),
        shape=st.sampled_from(((2, 3), (1, 3, 2), (2, 3, 1))), values="dyadic",
    ),
)  # fmt: skip
def test_gumbel_softmax(target, seed, dim, tau, logits):
    """gumbel_softmax gives distributions along dim; with hard=True, the indicator of the likeliest.

    From the same seed. The gradient of the hard sample is that of the soft one:
    ``y (v - <v, y>) / tau``.
    """
    leaf = logits.detach().clone().requires_grad_()
    found = []
    dtype, ulp = logits.dtype, torch.finfo(logits.dtype).eps
    weights = torch.arange(1.0, 7.0, dtype=dtype, device=target.device).reshape(logits.shape)
    for hard in (False, True):
        torch.manual_seed(seed)
        sample = torch.nn.functional.gumbel_softmax(leaf, tau=tau, hard=hard, dim=dim)
        (gradient,) = torch.autograd.grad((sample * weights).sum(), leaf)
        found.append((compare.to_numpy(sample), gradient, sample))
    (soft, gradient, _), (_, straight, sample) = found
    axis = dim % logits.dim()
    totals = torch.from_numpy(soft.sum(axis=axis))
    compare.close(totals, np.ones(totals.shape), bound=32 * ulp, dtype=dtype, what="totals")
    chosen = compare.to_numpy(sample) > 0.5
    compare.close(sample, chosen.astype(float), bound=4 * ulp, dtype=dtype, what="hard sample")
    compare.fact(set(chosen.sum(axis=axis).flat), {1}, "categories that hard samples choose")
    likely = bool((soft.max(axis=axis) == (soft * chosen).sum(axis=axis)).all())
    compare.fact(likely, True, "the hard sample is the likeliest")  # of two as likely, either
    v, soft = compare.to_numpy(weights).astype(float), soft.astype(float)
    exact = soft * (v - (v * soft).sum(axis=axis, keepdims=True)) / tau
    compare.close(gradient, exact, bound=256 * ulp, dtype=dtype, what="gradient")
    compare.close(straight, exact, bound=256 * ulp, dtype=dtype, what="gradient of hard")


@law("random.gumbel-frequencies", docs=GUMBEL, level="statistical")
@given(
    seed=seeds(),
    odds=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    tau=st.sampled_from((0.5, 2.0)),
    dim=st.sampled_from((-1, 0, 1)),
)
def test_gumbel_frequencies(target, seed, odds, tau, dim):
    """A hard sample is each category as often as its share of the exponentials of the logits.

    Whatever the dimension of the categories: each sample is drawn by itself.
    """
    torch.manual_seed(seed)
    logits = torch.tensor([math.log(odd) for odd in odds], device=target.device)
    count = 4000
    shape = (count // 40, len(odds), 40) if dim == 1 else (count, len(odds))
    places = logits[:, None] if dim == 1 else logits
    whole = places.expand(shape).T if dim == 0 else places.expand(shape)
    samples = torch.nn.functional.gumbel_softmax(whole, tau=tau, hard=True, dim=dim)
    rows = samples.movedim(dim, -1).reshape(count, len(odds))
    share = np.array(odds) / sum(odds)
    bound = 7 * np.sqrt(count * share * (1 - share))  # seven standard deviations
    compare.close(rows.sum(0), count * share, bound=bound, dtype=torch.float32, what="counts")


@law("random.rrelu", docs="torch.nn.RReLU")
@given(
    seed=seeds(), ends=st.sampled_from(((0.125, 0.25), (0.0, 1.0), (0.5, 0.5), None)),
    in_place=st.booleans(), module=st.booleans(),
    x=tensors(dtype=torch.float64, shape=(3, 4), values="away-from-kinks", layouts=("contiguous",)),
)  # fmt: skip
def test_rrelu(target, seed, ends, in_place, module, x):
    """In training rrelu draws a slope between the ends for each negative number; their mean else.

    Between 1/8 and 1/3 where none are given. What is positive stays. Gradients are the slopes. In
    place it is the input that is returned.
    """
    words: dict[str, Any] = {} if ends is None else {"lower": ends[0], "upper": ends[1]}
    lower, upper = ends or (1 / 8, 1 / 3)
    value = compare.to_numpy(x)
    layer = torch.nn.RReLU(**words, inplace=in_place)
    torch.manual_seed(seed)
    leaf = x.clone().requires_grad_()
    taken = leaf * 1.0
    if module:
        result = layer(taken)
    else:
        result = torch.nn.functional.rrelu(taken, **words, training=True, inplace=in_place)
    compare.fact(result is taken, in_place, "returns its input")
    if not in_place:
        compare.unchanged(taken, value, "input")
    (slopes,) = torch.autograd.grad(result.sum(), leaf)
    slope = compare.to_numpy(slopes)
    compare.close(result, slope * value, bound=1e-15, dtype=torch.float64, what="result")
    compare.every((value < 0) | (slope == 1), slopes, "a slope of 1 for what is positive")
    within = (value > 0) | ((slope >= lower) & (slope <= upper))
    compare.every(within, slopes, f"a slope between {lower} and {upper}")
    negative = slope[value < 0]
    if upper > lower and negative.size > 1:
        compare.fact(len(set(negative.tolist())), negative.size, "different slopes")
    mean = np.where(value < 0, (lower + upper) / 2 * value, value)
    compare.close(layer.eval()(x.clone()), mean, bound=1e-15, dtype=torch.float64, what="evaluated")


FRACTIONAL = {"fractional_max_pool2d": 2, "fractional_max_pool3d": 3}


def starts_of(pool, before, sides, wanted, seed, device):
    """Where the windows of each plane begin along each side.

    Of rising numbers, the last of each window is the greatest.
    """
    rising = torch.arange(1.0, 1 + math.prod(sides), dtype=torch.float64, device=device)
    torch.manual_seed(seed)
    _, places = pool(rising.reshape(sides).expand(*before, *sides).contiguous())
    planes = compare.to_numpy(places).reshape(-1, *wanted)
    return [
        [
            np.moveaxis(end, axis, 0).reshape(wanted[axis], -1)
            for axis, end in enumerate(np.unravel_index(plane, sides))
        ]
        for plane in planes
    ]


def begins_of(ends, kernel, side, axis):
    """The places where windows begin that end at those; they rise from within to the end."""
    compare.fact(bool((ends == ends[:, :1]).all()), True, "windows are the same across")
    begin = ends[:, 0] - (kernel - 1)
    facts = (bool((np.diff(begin) > 0).all()), bool((begin >= 0).all()))
    compare.fact(facts, (True, True), f"windows of side {axis} rise within it")
    compare.fact(int(begin[-1] + kernel), side, f"end of the last window of side {axis}")
    return begin


@law(
    "random.fractional-pool",
    docs=lambda rank: f"torch.nn.FractionalMaxPool{rank}d",
    over=FRACTIONAL,
)
@given(
    seed=seeds(),
    ratio=st.booleans(),
    module=st.booleans(),
    kernel=st.integers(1, 2),
    data=st.integers(0, 2**12),
    before=st.sampled_from(((1, 1), (2, 2), (2,), (3, 1))),
)
def test_fractional_pool(target, case, seed, ratio, module, kernel, data, before):
    """A fractional pooling takes the maxima of windows that begin at rising places at random.

    As many as output_size, or the ratio of the side; within the input, from its start to its end.
    Of each channel of each sample, of a batch or of one sample. The indices tell where the maxima
    are, which get the gradient.
    """
    rank = case
    sides = tuple(4 + 2 * (data >> n & 1) for n in range(rank))
    wanted = [side // 2 if ratio else 1 + (data >> 3 + n & 1) for n, side in enumerate(sides)]
    options = {"output_ratio": (0.5,) * rank} if ratio else {"output_size": tuple(wanted)}
    function = resolve(f"torch.nn.functional.fractional_max_pool{rank}d")
    layer = resolve(f"torch.nn.FractionalMaxPool{rank}d")(kernel, return_indices=True, **options)

    def pool(x):
        return layer(x) if module else function(x, kernel, return_indices=True, **options)

    starts = [
        [begins_of(ends, kernel, side, axis) for axis, (ends, side) in enumerate(plane)]
        for plane in (
            zip(found, sides, strict=True)
            for found in starts_of(pool, before, sides, wanted, seed, target.device)
        )
    ]
    generator = torch.Generator().manual_seed(seed + 1)
    numbers = torch.randperm(2 * math.prod((*before, *sides)), generator=generator).double()
    x = numbers[: math.prod((*before, *sides))].reshape(*before, *sides)
    x = x.to(target.device).requires_grad_()
    torch.manual_seed(seed)
    values, places = pool(x)
    planes = compare.to_numpy(x).reshape(-1, *sides)
    expected = np.zeros((len(planes), *wanted))
    spots, gradient = np.zeros(expected.shape, int), np.zeros(planes.shape)
    for number, spot in product(range(len(planes)), product(*(range(count) for count in wanted))):
        array = planes[number]
        corner = [int(starts[number][axis][n]) for axis, n in enumerate(spot)]
        window = tuple(slice(begin, begin + kernel) for begin in corner)
        offset = np.unravel_index(np.argmax(array[window]), array[window].shape)
        place = tuple(int(b + o) for b, o in zip(corner, offset, strict=True))
        expected[(number, *spot)] = array[place]
        spots[(number, *spot)] = np.ravel_multi_index(place, sides)
        gradient[(number, *place)] += 1
    shape = (*before, *wanted)
    compare.equal(values, expected.reshape(shape), dtype=torch.float64, what="maxima")
    compare.equal(places, spots.reshape(shape), dtype=torch.int64, what="places")
    (found,) = torch.autograd.grad(values.sum(), x)
    whole = gradient.reshape(*before, *sides)
    compare.equal(found, whole, dtype=torch.float64, what="gradient")


@law(
    "random.fractional-ratio",
    docs=lambda r: f"torch.nn.functional.fractional_max_pool{r}d",
    over=FRACTIONAL,
)
@given(ratio=st.sampled_from((0.5, 0.25, 0.75)), module=st.booleans())
def test_fractional_ratio(target, case, ratio, module):
    """output_ratio may be one number for all sides, for the function as for the layer."""
    rank = case
    x = torch.arange(4.0**rank, device=target.device).reshape(1, 1, *[4] * rank)
    if module:
        found = resolve(f"torch.nn.FractionalMaxPool{rank}d")(1, output_ratio=ratio)(x)
    else:
        function = resolve(f"torch.nn.functional.fractional_max_pool{rank}d")
        found = function(x, 1, output_ratio=ratio)
    compare.fact(tuple(found.shape), (1, 1, *[int(4 * ratio)] * rank), "shape")


@law("random.fractional-fits", docs="torch.nn.FractionalMaxPool2d")
@given(kernel=st.integers(1, 3), seed=seeds())
def test_fractional_fits(target, kernel, seed):
    """Windows of a fractional pooling may fill the input: ``kernel + output - 1 <= input``.

    One more is refused.
    """
    x = torch.arange(16.0, device=target.device).reshape(1, 1, 4, 4)
    most = 4 - kernel + 1
    torch.manual_seed(seed)
    found = torch.nn.FractionalMaxPool2d(kernel, output_size=most)(x)
    ends = np.arange(kernel - 1, 4)
    expected = compare.to_numpy(x)[0, 0][np.ix_(ends, ends)]
    compare.equal(found[0, 0], expected, dtype=torch.float32, what="maxima")
    with compare.raises(RuntimeError, "too large relative to input"):
        torch.nn.FractionalMaxPool2d(kernel, output_size=most + 1)(x)
