"""Datasets and samplers: parts, joins and splits of data, and the orders to go through them."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch.utils import data

from conformance import compare
from conformance.law import given, law
from strategies import seeds, tensors

PAGE = "data.html"
SIZES = st.integers(0, 9)
SOME = st.integers(1, 9)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@law("datasets.tensors", docs=PAGE + "#torch.utils.data.TensorDataset")
@given(x=tensors(dtype="any", shape=(3, 2), values="any"), y=tensors(dtype="any", shape=(3,)))
def test_tensors(target, x, y):
    """A TensorDataset's sample is the tuple of its tensors' rows; other sizes are refused.

    "Each sample will be retrieved by indexing tensors along the first dimension."
    """
    dataset = data.TensorDataset(x, y)
    compare.fact(len(dataset), 3, "len")
    for number in (0, 2, -1):
        row, label = dataset[number]
        compare.equal(row, compare.to_numpy(x)[number], dtype=x.dtype, what="row")
        compare.equal(label, compare.to_numpy(y)[number], dtype=y.dtype, what="label")
    with compare.raises(AssertionError, "Size mismatch between tensors"):
        data.TensorDataset(x, y[:2])


@law("datasets.joined", docs=PAGE + "#torch.utils.data.ConcatDataset")
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), number=st.integers(0, 11))
def test_joined(target, sizes, number):
    """A ConcatDataset goes on in the next dataset where one ends; negative numbers count back."""
    parts: Any = [[10 * part + place for place in range(n)] for part, n in enumerate(sizes)]
    joined: Any = data.ConcatDataset(parts)
    whole = [sample for part in parts for sample in part]
    compare.fact([joined[n] for n in range(len(joined))], whole, "samples")
    place = number % len(whole)
    compare.fact(joined[place - len(whole)], whole[place], "sample counted from the end")
    compare.fact(list(data.ChainDataset([Listed(p) for p in parts])), whole, "chained samples")


class Listed(data.IterableDataset[int]):
    """An iterable dataset of given samples."""

    def __init__(self, samples):
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


@law("datasets.subset", docs=PAGE + "#torch.utils.data.Subset")
@given(size=SOME, picks=st.lists(SIZES, max_size=6))
def test_subset(target, size, picks):
    """A Subset has the samples of the places it is given, in their order, repeated ones too."""
    samples: Any = [n * n for n in range(size)]
    places = [pick % size for pick in picks]
    subset: Any = data.Subset(samples, places)
    compare.fact(len(subset), len(places), "len")
    compare.fact([subset[n] for n in range(len(subset))], [n * n for n in places], "samples")
    inner: Any = data.Subset(subset, list(range(len(places)))[::-2])
    compare.fact(list(inner), [n * n for n in places[::-2]], "samples of a part of a part")
    loaded = [n for batch in data.DataLoader(inner, batch_size=2) for n in batch.tolist()]
    compare.fact(loaded, [n * n for n in places[::-2]], "samples that a loader takes from it")


@law("datasets.stacked", docs=PAGE + "#torch.utils.data.StackDataset")
@given(size=SOME, batch_size=SOME, named=st.booleans())
def test_stacked(target, size, batch_size, named):
    """A StackDataset's sample is a tuple of its datasets' samples, or a dict where they have names.

    In the order of the datasets, one by one and in a loader's batches; all must be as long.
    """
    numbers = torch.arange(size)
    parts: Any = [
        data.Subset(data.TensorDataset(numbers), list(range(size))),  # takes batches of places
        [n * n for n in range(size)],
    ]
    stack: Any = data.StackDataset(b=parts[0], a=parts[1]) if named else data.StackDataset(*parts)
    compare.fact(len(stack), size, "len")
    names = ["b", "a"] if named else [0, 1]
    for place in (0, size - 1):
        sample = stack[place]
        compare.fact(type(sample), dict if named else tuple, "type of a sample")
        compare.fact((sample[names[0]][0].item(), sample[names[1]]), (place, place**2), "sample")
    found = []
    for batch in data.DataLoader(stack, batch_size=batch_size):
        compare.fact(list(batch) if named else len(batch), names if named else 2, "parts")
        rows, squares = batch[names[0]][0].tolist(), batch[names[1]].tolist()
        found += list(zip(rows, squares, strict=True))
    compare.fact(found, [(n, n * n) for n in range(size)], "samples of all batches")
    longer: Any = [0] * (size + 1)
    with compare.raises(ValueError, "Size mismatch between datasets"):
        data.StackDataset(*parts, longer)


@law("datasets.split", docs=PAGE + "#torch.utils.data.random_split")
@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4), seed=seeds())
def test_split(target, lengths, seed):
    """random_split gives parts of the lengths asked for, in which each sample is once.

    One seed gives one split; lengths that do not sum to the whole are refused.
    """
    samples: Any = list(range(sum(lengths)))
    numbers: Any = range(30)
    parts = data.random_split(samples, lengths, generator=seeded(seed))
    compare.fact([len(part) for part in parts], lengths, "lengths")
    found = [[part[n] for n in range(len(part))] for part in parts]
    compare.fact(sorted(s for part in found for s in part), samples, "samples of all parts")
    many = [data.random_split(numbers, [10, 20], generator=seeded(seed)) for _ in range(2)]
    orders = [[list(part.indices) for part in parts] for parts in many]
    compare.fact(orders[0], orders[1], "two splits by one seed")
    with compare.raises(ValueError, "Sum of input lengths does not equal the length"):
        data.random_split(samples, [*lengths, 2], generator=seeded(seed))


@law("datasets.split-by-share", docs=PAGE + "#torch.utils.data.random_split")
@given(size=st.integers(0, 19), eighths=st.integers(0, 8), seed=seeds())
def test_split_by_share(target, size, eighths, seed):
    """Shares that sum to 1 give parts of floor(share * size), and what remains goes round.

    "Remainders will be distributed in round-robin fashion to the lengths until there are no
    remainders left."
    """
    shares = [eighths / 8, (8 - eighths) / 8]
    lengths = [size * eighths // 8, size * (8 - eighths) // 8]
    for turn in range(size - sum(lengths)):
        lengths[turn % 2] += 1
    samples: Any = list(range(size))
    parts = data.random_split(samples, shares, generator=seeded(seed))
    compare.fact([len(part) for part in parts], lengths, "lengths")
    indices = sorted(n for part in parts for n in part.indices)
    compare.fact(indices, list(range(size)), "samples of all parts")


@law("samplers.sequential", docs=PAGE + "#torch.utils.data.SequentialSampler")
@given(size=SIZES, batch=SOME, drop_last=st.booleans())
def test_sequential(target, size, batch, drop_last):
    """SequentialSampler counts up; BatchSampler cuts what a sampler gives into batches."""
    sampler = data.SequentialSampler(range(size))
    compare.fact((list(sampler), len(sampler)), (list(range(size)), size), "numbers and len")
    batches = [list(range(s, min(s + batch, size))) for s in range(0, size, batch)]
    if drop_last and batches and len(batches[-1]) < batch:
        batches.pop()
    cut = data.BatchSampler(sampler, batch, drop_last)
    compare.fact((list(cut), len(cut)), (batches, len(batches)), "batches and len")


@law("samplers.random", docs=PAGE + "#torch.utils.data.RandomSampler")
@given(size=SOME, count=st.integers(1, 20), seed=seeds())
def test_random(target, size, count, seed):
    """RandomSampler permutes; with num_samples it goes on to further permutations.

    With replacement each number is drawn among all of them, num_samples in all.
    """
    many = [list(data.RandomSampler(range(30), generator=seeded(seed))) for _ in range(2)]
    compare.fact(many[0], many[1], "two orders by one seed")
    plain = data.RandomSampler(range(size), generator=seeded(seed))
    compare.fact((sorted(plain), len(plain)), (list(range(size)), size), "a permutation")
    longer = data.RandomSampler(range(size), num_samples=count, generator=seeded(seed))
    drawn = list(longer)
    compare.fact((len(drawn), len(longer)), (count, count), "numbers drawn")
    rounds = [drawn[start : start + size] for start in range(0, count, size)]
    compare.fact([len(set(r)) for r in rounds], [len(r) for r in rounds], "no number twice a round")
    many_rounds = list(data.RandomSampler(range(30), num_samples=60, generator=seeded(seed)))
    compare.fact(many_rounds[:30] != many_rounds[30:], True, "each round in an order of its own")
    replaced = data.RandomSampler(range(size), True, count, generator=seeded(seed))
    numbers = list(replaced)
    compare.fact(len(numbers), count, "numbers drawn with replacement")
    compare.fact(set(numbers) <= set(range(size)), True, "numbers are those of samples")


@law("samplers.subset-random", docs=PAGE + "#torch.utils.data.SubsetRandomSampler")
@given(places=st.lists(SIZES, max_size=6), seed=seeds())
def test_subset_random(target, places, seed):
    """SubsetRandomSampler gives the places that it is given, each once, by its generator."""
    sampler = data.SubsetRandomSampler(places, generator=seeded(seed))
    compare.fact((sorted(sampler), len(sampler)), (sorted(places), len(places)), "places and len")
    many = [list(data.SubsetRandomSampler(range(30), seeded(seed))) for _ in range(2)]
    compare.fact(many[0], many[1], "two orders by one seed")


def randomly(places, generator):
    return data.RandomSampler(places, generator=generator)


def with_replacement(places, generator):
    return data.RandomSampler(places, True, len(places), generator)


def of_subset(places, generator):
    return data.SubsetRandomSampler(places, generator)


def weighted(places, generator):
    return data.WeightedRandomSampler([1.0] * len(places), len(places), generator=generator)


DRAWING = {
    "random": randomly,
    "with-replacement": with_replacement,
    "subset": of_subset,
    "weighted": weighted,
}


@law("samplers.own-generator", docs=PAGE + "#torch.utils.data.Sampler", over=DRAWING)
@given(size=st.integers(2, 9), seed=seeds(), times=st.integers(1, 2))
def test_own_generator(target, case, size, seed, times):
    """A sampler that is given a generator draws from no other: the default one stays as it was."""
    generator, before = seeded(seed), torch.get_rng_state()
    sampler = case(range(size), generator)
    drawn = [list(sampler) for _ in range(times)]
    compare.fact([len(order) for order in drawn], [size] * times, "numbers drawn")
    same = torch.equal(torch.get_rng_state(), before)
    compare.fact(same, True, "the default generator is where it was")
    moved = not torch.equal(generator.get_state(), seeded(seed).get_state())
    compare.fact(moved, True, "the generator that was given has moved")


@law("samplers.weighted", docs=PAGE + "#torch.utils.data.WeightedRandomSampler")
@given(weights=st.lists(st.sampled_from((0.0, 1.0, 0.25)), min_size=1, max_size=6), seed=seeds())
def test_weighted(target, weights, seed):
    """WeightedRandomSampler never draws what weighs 0; without replacement it draws none twice.

    Weights need not sum to one.
    """
    weights = [*weights, 1.0]
    heavy = [n for n, weight in enumerate(weights) if weight]
    drawn = list(data.WeightedRandomSampler(weights, 20, generator=seeded(seed)))
    compare.fact(len(drawn), 20, "numbers drawn")
    compare.fact(set(drawn) <= set(heavy), True, "only what weighs something is drawn")
    chosen = data.WeightedRandomSampler(weights, len(heavy), False, generator=seeded(seed))
    compare.fact(sorted(chosen), heavy, "drawn without replacement")


@law("samplers.weights-count", docs=PAGE + "#torch.utils.data.WeightedRandomSampler",
     level="statistical")  # fmt: skip
@given(seed=seeds())
def test_weights_count(target, seed):
    """WeightedRandomSampler draws each number as often as its weight says.

    Of 4,000 draws by weights 3 and 1, the first's count is within 9 standard deviations of 3,000:
    off by chance once in 1e18 runs.
    """
    drawn = list(data.WeightedRandomSampler([3.0, 1.0], 4000, generator=seeded(seed)))
    deviation = np.sqrt(4000 * 0.75 * 0.25)
    compare.fact(bool(abs(drawn.count(0) - 3000) <= 9 * deviation), True, "count of the heavier")


@law("samplers.distributed", docs=PAGE + "#torch.utils.data.distributed.DistributedSampler")
@given(
    size=SOME, replicas=st.integers(1, 4), shuffle=st.booleans(), drop_last=st.booleans(),
    seed=seeds(), epoch=st.integers(0, 3),
)  # fmt: skip
def test_distributed(target, size, replicas, shuffle, drop_last, seed, epoch):
    """DistributedSampler gives each replica as many samples, which are the whole when joined.

    Some repeat to make it even, or with drop_last are left out. One seed and epoch give one order,
    in which replica r has every replicas-th place from r on.
    """

    numbers: Any = range(size)

    def places():
        samplers: Any = [
            data.DistributedSampler(numbers, replicas, rank, shuffle, seed, drop_last)
            for rank in range(replicas)
        ]
        for sampler in samplers:
            sampler.set_epoch(epoch)
        return [list(sampler) for sampler in samplers]

    found = places()
    share = size // replicas if drop_last else -(-size // replicas)
    compare.fact([len(part) for part in found], [share] * replicas, "samples of each replica")
    joined = [place for turn in zip(*found, strict=True) for place in turn]
    seen = set(joined)
    whole = share * replicas if drop_last else size
    compare.fact(len(seen), min(whole, size), "samples seen")
    if not shuffle:
        expected = [n % size for n in range(share * replicas)]
        compare.fact(joined, expected, "order without shuffling")
    compare.fact(places(), found, "the same seed and epoch")
