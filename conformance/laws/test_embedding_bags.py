"""Bags of embeddings as a layer: gradients by its options, norms, and what it refuses."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.law import given, law
from conformance.scenarios.refusals import refusal
from strategies import seeds, tensors

PAGE = "torch.nn.EmbeddingBag"
ROWS = 4
BAGS = st.lists(st.lists(st.integers(0, ROWS - 1), max_size=4), min_size=1, max_size=3)


def flattened(bags, device, last):
    """The indices of all bags, and where each begins; with the end of the last, if told so."""
    indices = [index for bag in bags for index in bag]
    ends = np.cumsum([0, *(len(bag) for bag in bags)]).tolist()
    offsets = ends if last else ends[:-1]
    return (
        torch.tensor(indices, dtype=torch.int64, device=device),
        torch.tensor(offsets, dtype=torch.int64, device=device),
    )


def shares(bags, mode, padding, weights):
    """Of each occurrence: its bag, its row, and the factor of the row in the bag."""
    found, place = [], 0
    for number, bag in enumerate(bags):
        kept = [index for index in bag if index != padding]
        for index in bag:
            factor = 1.0 if weights is None else weights[place]
            place += 1
            if index != padding:
                found.append((number, index, factor / len(kept) if mode == "mean" else factor))
    return found


MODES = {
    "sum": ("sum", {}), "mean": ("mean", {}), "sum-sparse": ("sum", {"sparse": True}),
    "mean-sparse": ("mean", {"sparse": True}),
    "sum-by-frequency": ("sum", {"scale_grad_by_freq": True}),
    "mean-by-frequency": ("mean", {"scale_grad_by_freq": True}),
}  # fmt: skip


@law("bags.gradient", docs=PAGE, over=MODES)
@given(
    bags=BAGS, last=st.booleans(), padding=st.sampled_from((None, 1, -1)), seed=seeds(),
    weighted=st.booleans(),
)  # fmt: skip
def test_gradient(target, case, bags, last, padding, seed, weighted):
    """A bag gives each of its rows its cotangent, or the share of the row in the mean or sum.

    A row in several bags gets the sum; that of padding_idx is in no bag and gets nothing. With
    scale_grad_by_freq it is divided by how often the row occurs, with sparse=True it is a sparse
    tensor. Empty bags are zeros.
    """
    mode, options = case
    generator = torch.Generator().manual_seed(seed)
    module = torch.nn.EmbeddingBag(
        ROWS, 2, mode=mode, include_last_offset=last, padding_idx=padding, dtype=torch.float64,
        device=target.device, **options,
    )  # fmt: skip
    table = torch.randint(-8, 9, (ROWS, 2), generator=generator, dtype=torch.float64) / 8
    module.weight.data.copy_(table)
    indices, offsets = flattened(bags, target.device, last)
    weighted = weighted and mode == "sum" and not options.get("scale_grad_by_freq")
    numbers = torch.randint(-4, 5, (len(indices),), generator=generator, dtype=torch.float64)
    given_weights = numbers.to(target.device) if weighted else None
    skipped = None if padding is None else padding % ROWS
    factors = shares(bags, mode, skipped, numbers.tolist() if weighted else None)
    rows = table.numpy()
    expected, gradient = np.zeros((len(bags), 2)), np.zeros((ROWS, 2))
    cotangent = torch.randint(-8, 9, (len(bags), 2), generator=generator, dtype=torch.float64)
    flat = [index for bag in bags for index in bag]
    for number, index, factor in factors:
        expected[number] += factor * rows[index]
        often = flat.count(index) if options.get("scale_grad_by_freq") else 1
        gradient[index] += factor * cotangent.numpy()[number] / often
    result = target.run(module, indices, offsets, given_weights)
    compare.close(result, expected, bound=1e-13, dtype=torch.float64, what="result")
    result.backward(cotangent.to(target.device))
    found: Any = module.weight.grad
    compare.fact(found.is_sparse, bool(options.get("sparse")), "gradient is sparse")
    dense = found.to_dense() if found.is_sparse else found
    compare.close(dense, gradient, bound=1e-12, dtype=torch.float64, what="gradient")


@law("bags.norm", docs=PAGE)
@given(
    bags=BAGS, most=st.sampled_from((0.5, 1.0, 2.0)), kind=st.sampled_from((2.0, 1.0)),
    weight=tensors(dtype=torch.float64, shape=(ROWS, 2), layouts=("contiguous",)),
    mode=st.sampled_from(("sum", "mean", "max")),
)  # fmt: skip
def test_norm(target, bags, most, kind, weight, mode):
    """With max_norm, each row that a bag looks up and is longer is scaled to it first, in place.

    No other row is. norm_type tells the norm.
    """
    before = compare.to_numpy(weight)
    indices, offsets = flattened(bags, target.device, False)
    got = torch.nn.functional.embedding_bag(
        indices, weight, offsets, max_norm=most, norm_type=kind, mode=mode
    )
    rows = before.copy()
    for index in {index for bag in bags for index in bag}:
        norm = (np.abs(rows[index]) ** kind).sum() ** (1 / kind)
        if norm > most:
            rows[index] *= most / norm
    bound = 1e-6  # torch adds 1e-7 to the norm that it divides by
    compare.close(weight, rows, bound=bound, dtype=torch.float64, what="weight")
    taken = [rows[bag] if bag else np.zeros((1, 2)) for bag in bags]
    expected = {
        "sum": [part.sum(axis=0) for part in taken],
        "mean": [part.mean(axis=0) for part in taken],
        "max": [part.max(axis=0) for part in taken],
    }[mode]
    compare.close(got, np.array(expected), bound=4 * bound, dtype=torch.float64, what="result")
    others = [n for n in range(ROWS) if not any(n in bag for bag in bags)]
    compare.equal(weight[others], before[others], dtype=torch.float64, what="other rows")


@law("bags.norm-gradient", docs=PAGE)
@given(
    bags=BAGS, most=st.sampled_from((0.5, 2.0)), mode=st.sampled_from(("sum", "mean")),
    weight=tensors(
        dtype=torch.float64, shape=(ROWS, 2), values="dyadic", layouts=("contiguous",)
    ),
    sparse=st.booleans(),
)  # fmt: skip
def test_norm_gradient(target, bags, most, mode, weight, sparse):
    """With max_norm the gradient is that at the scaled rows: the scaling itself has none."""
    leaf = weight.detach().clone().requires_grad_()
    indices, offsets = flattened(bags, target.device, False)
    result = torch.nn.functional.embedding_bag(
        indices, leaf, offsets, max_norm=most, mode=mode, sparse=sparse
    )
    cotangent = torch.arange(1.0, 1 + result.numel(), dtype=torch.float64, device=target.device)
    cotangent = cotangent.reshape(result.shape)
    result.backward(cotangent)
    expected, rows = np.zeros((ROWS, 2)), compare.to_numpy(cotangent)
    for number, index, factor in shares(bags, mode, None, None):
        expected[index] += factor * rows[number]
    found: Any = leaf.grad
    compare.fact(found.is_sparse, sparse, "gradient is sparse")
    dense = found.to_dense() if sparse else found
    compare.close(dense, expected, bound=1e-12, dtype=torch.float64, what="gradient")


WIDTHS = st.sampled_from((1, 4, 16, 33))


@law("bags.wide", docs=PAGE)
@given(
    bags=BAGS, seed=seeds(), width=WIDTHS, mode=st.sampled_from(("sum", "mean", "max")),
    kind=st.sampled_from((torch.float32, torch.bfloat16)),
    integer=st.sampled_from((torch.int64, torch.int32)),
)  # fmt: skip
def test_wide(target, bags, seed, width, mode, kind, integer):
    """Bags of rows of any length, dtype and indices are the sums, means and maxima of their rows.

    Sums of whole numbers are exact; a mean is rounded once.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-4, 5, (ROWS, width), generator=generator).to(target.device, kind)
    table = compare.to_numpy(rows).astype(np.float64)
    indices, offsets = (x.to(integer) for x in flattened(bags, target.device, False))
    found = torch.nn.functional.embedding_bag(indices, rows, offsets, mode=mode)
    known: dict[str, Any] = {"sum": np.sum, "mean": np.mean, "max": np.max}
    reduce = known[mode]
    expected = np.stack([
        reduce(table[bag], axis=0) if bag else np.zeros(width) for bag in bags
    ])  # fmt: skip
    bound = 2 * torch.finfo(kind).eps * np.abs(expected) if mode == "mean" else 0.0
    compare.close(found, expected, bound=bound, dtype=kind, what="result")


@law("bags.module", docs=PAGE)
@given(
    bags=BAGS, seed=seeds(), mode=st.sampled_from(("sum", "mean", "max")), last=st.booleans(),
    padding=st.sampled_from((None, 2, -1)), freeze=st.sampled_from((None, True, False)),
)  # fmt: skip
def test_module(target, bags, seed, mode, last, padding, freeze):
    """from_pretrained makes a bag of the given rows, frozen unless freeze is False.

    It computes embedding_bag with its options on them; of a matrix, each row is a bag.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-8, 9, (ROWS, 2), generator=generator, dtype=torch.float64) / 8
    rows = rows.to(target.device)
    options = {"mode": mode, "include_last_offset": last, "padding_idx": padding}
    module = torch.nn.EmbeddingBag.from_pretrained(
        rows, **options, **({} if freeze is None else {"freeze": freeze})
    )
    compare.fact(module.weight.requires_grad, freeze is False, "requires_grad")
    compare.unchanged(module.weight, compare.to_numpy(rows), "weight")
    indices, offsets = flattened(bags, target.device, last)
    expected = torch.nn.functional.embedding_bag(indices, rows, offsets, **options)
    got = target.run(module, indices, offsets)
    compare.equal(got, compare.to_numpy(expected), dtype=torch.float64, what="result")
    matrix = torch.tensor([[0, 1], [3, 3]], device=target.device)
    begins = torch.tensor([0, 2, 4] if last else [0, 2], device=target.device)
    wanted = module(matrix.flatten(), begins)
    value = compare.to_numpy(wanted)
    compare.equal(module(matrix), value, dtype=torch.float64, what="of a matrix")


REFUSED = {
    "max-by-frequency": ({"mode": "max", "scale_grad_by_freq": True}, ValueError, False,
                         "max mode does not support scaling the gradient by the frequency"),
    "max-sparse": ({"mode": "max", "sparse": True}, ValueError, False,
                   "max mode does not support sparse weights"),
    "weighted-mean": ({"mode": "mean"}, NotImplementedError, True, "per_sample_weights"),
    "weighted-max": ({"mode": "max"}, NotImplementedError, True, "per_sample_weights"),
}  # fmt: skip


@law("bags.refused", docs=PAGE, over=REFUSED)
@given(bags=BAGS)
def test_refused(target, case, bags):
    """Maxima are neither scaled by frequency nor sparse; weights of samples are for sums alone."""
    options, error, weighted, message = case
    weight = torch.ones(ROWS, 2, device=target.device)
    indices, offsets = flattened(bags, target.device, False)
    weights = torch.ones(len(indices), device=target.device) if weighted else None
    legal = torch.nn.functional.embedding_bag(
        indices, weight, offsets, mode="sum", per_sample_weights=weights
    )
    counts = np.array([[len(bag)] * 2 for bag in bags], dtype=float)
    compare.equal(legal, counts, dtype=torch.float32, what="sums")

    def mistaken():
        torch.nn.functional.embedding_bag(
            indices, weight, offsets, per_sample_weights=weights, **options
        )

    if error is NotImplementedError:
        compare.fact(message in refusal(mistaken), True, "it is refused")
    else:
        with compare.raises(error, message):
            mistaken()
    compare.unchanged(weight, np.ones((ROWS, 2)), "weight")
