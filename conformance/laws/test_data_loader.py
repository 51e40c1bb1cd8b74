"""Data loading: which samples a loader gives, in which order, how they are batched and split."""

from collections import namedtuple
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


class Squares(data.Dataset[int]):
    """A dataset of ``size`` samples: the squares of their numbers."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, number):
        if not 0 <= number < self.size:
            raise IndexError(number)
        return number * number


class Stream(data.IterableDataset[int]):
    """A dataset of numbers that can only be gone through."""

    def __init__(self, size):
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


def numbers_of(batches):
    """The values of batches, one list a batch."""
    return [batch.tolist() for batch in batches]


def chunks(values, size, drop_last):
    """A list cut into lists of one size, the last one smaller or dropped."""
    cut = [values[start : start + size] for start in range(0, len(values), size)]
    return cut[:-1] if drop_last and cut and len(cut[-1]) < size else cut


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@law("data-loader.in-order", docs=PAGE + "#data-loading-order-and-sampler")
@given(size=SIZES, batch_size=SOME, drop_last=st.booleans())
def test_in_order(target, size, batch_size, drop_last):
    """Without shuffling, each epoch gives every sample once, in order, in batches of batch_size.

    The last batch is smaller, or with drop_last left out; len tells the number of batches.
    """
    loader = data.DataLoader(Squares(size), batch_size=batch_size, drop_last=drop_last)
    expected = chunks([n * n for n in range(size)], batch_size, drop_last)
    for _ in range(2):
        compare.fact(numbers_of(loader), expected, "batches of an epoch")
    compare.fact(len(loader), len(expected), "len")


MANY = 30
"""So many samples that two orders agree by chance in less than one case of 1e32."""


@law("data-loader.shuffled", docs=PAGE + "#data-loading-order-and-sampler")
@given(size=SOME, batch_size=SOME, seed=seeds())
def test_shuffled(target, size, batch_size, seed):
    """With shuffle=True each epoch gives every sample once, in batches as without."""
    loader = data.DataLoader(
        Squares(size), batch_size=batch_size, shuffle=True, generator=seeded(seed)
    )
    sizes = [len(chunk) for chunk in chunks([0] * size, batch_size, False)]
    for _ in range(2):
        batches = numbers_of(loader)
        compare.fact([len(batch) for batch in batches], sizes, "sizes of the batches")
        flat = sorted(value for batch in batches for value in batch)
        compare.fact(flat, [n * n for n in range(size)], "samples of an epoch")


@law("data-loader.seeded", docs=PAGE + "#data-loading-order-and-sampler")
@given(batch_size=SOME, seed=seeds())
def test_seeded(target, batch_size, seed):
    """The generator decides the orders of a shuffled loader, epoch by epoch."""
    first, second = (
        data.DataLoader(Squares(MANY), batch_size=batch_size, shuffle=True, generator=seeded(seed))
        for _ in range(2)
    )
    for _ in range(2):
        compare.fact(numbers_of(first), numbers_of(second), "epochs of two loaders of one seed")


@law("data-loader.orders-differ", docs=PAGE + "#data-loading-order-and-sampler",
     level="statistical")  # fmt: skip
@given(seed=seeds())
def test_orders_differ(target, seed):
    """Two epochs of a shuffled loader go through 30 samples in different orders.

    By chance they agree once in 30! cases: with a probability below 1e-32.
    """
    loader = data.DataLoader(Squares(MANY), batch_size=None, shuffle=True, generator=seeded(seed))
    first, second = list(loader), list(loader)
    compare.fact(sorted(first), sorted(second), "samples")
    compare.fact(first != second, True, "orders differ")
    compare.fact(first != sorted(first), True, "order is shuffled")


@law("data-loader.sampler", docs=PAGE + "#data-loading-order-and-sampler")
@given(size=SOME, batch_size=SOME, drop_last=st.booleans(), picks=st.lists(SIZES, max_size=12))
def test_sampler(target, size, batch_size, drop_last, picks):
    """A sampler decides which samples come, and in which order; a batch_sampler, which together."""
    picks = [pick % size for pick in picks]
    loader = data.DataLoader(
        Squares(size), batch_size=batch_size, sampler=picks, drop_last=drop_last
    )
    expected = [[n * n for n in chunk] for chunk in chunks(picks, batch_size, drop_last)]
    compare.fact(numbers_of(loader), expected, "batches of a sampler")
    batches = [picks[:2], picks[2:]] if len(picks) > 2 else [[0]]
    loader = data.DataLoader(Squares(size), batch_sampler=batches)
    expected = [[n * n for n in batch] for batch in batches]
    compare.fact(numbers_of(loader), expected, "batches of a batch_sampler")
    compare.fact(len(loader), len(batches), "len")


@law("data-loader.unbatched", docs=PAGE + "#disable-automatic-batching")
@given(size=SIZES)
def test_unbatched(target, size):
    """With batch_size=None each sample comes alone, as the dataset gives it."""
    loader = data.DataLoader(Squares(size), batch_size=None)
    samples = list(loader)
    compare.fact(samples, [n * n for n in range(size)], "samples")
    compare.fact([type(sample) for sample in samples], [int] * size, "types of the samples")
    compare.fact(len(loader), size, "len")


@law("data-loader.iterable", docs=PAGE + "#iterable-style-datasets")
@given(size=SIZES, batch_size=SOME, drop_last=st.booleans())
def test_iterable(target, size, batch_size, drop_last):
    """An iterable dataset is gone through from its beginning each epoch, in batches."""
    loader = data.DataLoader(Stream(size), batch_size=batch_size, drop_last=drop_last)
    for _ in range(2):
        expected = chunks(list(range(size)), batch_size, drop_last)
        compare.fact(numbers_of(loader), expected, "batches of an epoch")


Pair = namedtuple("Pair", "x y")


@law("data-loader.collate", docs=PAGE + "#automatic-batching-default")
@given(
    samples=tensors(dtype="floating", shape=(3, 2), values="any"),
    whole=st.lists(st.integers(-9, 9), min_size=3, max_size=3),
)
def test_collate(target, samples, whole):
    """Samples are joined along a new first dimension, and what they are made of is kept.

    Tensors are stacked, numbers become tensors (int64, float64), texts lists; dictionaries,
    lists, tuples and named tuples stay so.
    """
    rows = list(samples)
    made: Any = [
        {"x": row, "n": n, "r": n / 4, "t": str(n), "p": Pair(row, n), "l": [n, row], "u": (n,),
         "a": np.array([n, -n], dtype=np.int32), "b": n > 0}
        for row, n in zip(rows, whole, strict=True)
    ]  # fmt: skip
    (batch,) = data.DataLoader(made, batch_size=3)
    values, dtype = compare.to_numpy(samples), samples.dtype
    for what, got in (("x", batch["x"]), ("p", batch["p"].x), ("l", batch["l"][1])):
        compare.equal(got, values, dtype=dtype, what=what)
    counts = np.array(whole)
    for what, got in (("n", batch["n"]), ("p", batch["p"].y), ("u", batch["u"][0])):
        compare.equal(got, counts, dtype=torch.int64, what=what)
    compare.equal(batch["r"], counts / 4, dtype=torch.float64, what="r")
    compare.equal(batch["b"], counts > 0, dtype=torch.bool, what="b")
    array = np.stack([counts, -counts], 1).astype(np.int32)
    compare.equal(batch["a"], array, dtype=torch.int32, what="a")
    compare.fact(batch["t"], [str(n) for n in whole], "t")
    compare.fact([type(batch[k]) for k in "pl"], [Pair, list], "types")


@law("data-loader.collate-fn", docs=PAGE + "#automatic-batching-default")
@given(size=SIZES, batch_size=SOME)
def test_collate_fn(target, size, batch_size):
    """collate_fn makes the batch out of the list of samples."""
    loader = data.DataLoader(Squares(size), batch_size=batch_size, collate_fn=tuple)
    expected = [tuple(c) for c in chunks([n * n for n in range(size)], batch_size, False)]
    compare.fact(list(loader), expected, "batches")


EXCLUSIVE = {
    "sampler-and-shuffle": ({"sampler": [0, 1], "shuffle": True}, "mutually exclusive"),
    "batch-sampler-and-size": ({"batch_sampler": [[0]], "batch_size": 2}, "mutually exclusive"),
    "batch-sampler-and-drop": ({"batch_sampler": [[0]], "drop_last": True}, "mutually exclusive"),
    "none-and-drop": ({"batch_size": None, "drop_last": True}, "mutually exclusive"),
    "batch-of-none": ({"batch_size": 0}, "batch_size should be a positive integer"),
    "workers": ({"num_workers": -1}, "num_workers option should be non-negative"),
    "timeout": ({"timeout": -1}, "timeout option should be non-negative"),
    "prefetch": ({"prefetch_factor": 2}, "could only be specified in multiprocessing"),
    "persistent": ({"persistent_workers": True}, "needs num_workers > 0"),
}


@law("data-loader.rejected", docs=PAGE + "#torch.utils.data.DataLoader",
     over=EXCLUSIVE)  # fmt: skip
@given(size=SOME)
def test_rejected(target, case, size):
    """Options that exclude each other, or lie outside their range, are rejected with ValueError."""
    options, message = case
    with compare.raises(ValueError, message):
        data.DataLoader(Squares(size), **options)
    compare.fact(len(list(data.DataLoader(Squares(size)))), size, "batches of a legal loader")


@law("data-loader.workers", docs=PAGE + "#multi-process-data-loading")
def test_workers(target):
    """Worker processes change nothing of what is loaded, nor of its order.

    Shuffled by one seed, two workers give the batches that none gives; get_worker_info tells
    each its number, and tells nothing in the main process.
    """
    plain, working = (
        data.DataLoader(
            Squares(9), batch_size=2, shuffle=True, num_workers=n, generator=seeded(5)
        )
        for n in (0, 2)
    )  # fmt: skip
    compare.fact(numbers_of(working), numbers_of(plain), "batches by two workers")
    compare.fact(data.get_worker_info(), None, "worker info in the main process")
    loader = data.DataLoader(Stream(3), batch_size=None, num_workers=2)
    compare.fact(sorted(loader), [0, 0, 1, 1, 2, 2], "an iterable dataset goes to every worker")


class Seeds(data.Dataset[Any]):
    """Samples that tell the number and the seeds of the worker that loads them, and its draw."""

    def __len__(self):
        return 4

    def __getitem__(self, number):
        worker: Any = data.get_worker_info()
        return worker.id, worker.seed, torch.initial_seed(), int(torch.randint(2**40, ()))


@law("data-loader.worker-seeds", docs="data.html#randomness-in-multi-process-data-loading")
def test_worker_seeds(target):
    """Each worker has the seed base_seed + worker_id, and base_seed is drawn from the generator.

    So workers draw different numbers; the same ones again after the same seed, others in the
    next epoch.
    """
    loader = data.DataLoader(Seeds(), batch_size=None, num_workers=2, generator=seeded(3))
    first, following = list(loader), list(loader)
    again = list(data.DataLoader(Seeds(), batch_size=None, num_workers=2, generator=seeded(3)))
    compare.fact(again, first, "an epoch after the same seed")
    for epoch in (first, following):
        base = epoch[0][1]
        compare.fact([s[0] for s in epoch], [0, 1, 0, 1], "workers, in turn")
        compare.fact([s[1] - base for s in epoch], [0, 1, 0, 1], "seeds, from base_seed")
        compare.fact([s[2] for s in epoch], [s[1] for s in epoch], "torch's seed in the worker")
        compare.fact(len({s[3] for s in epoch}), 4, "numbers drawn, all different")
    compare.fact(first[0][1] != following[0][1], True, "another base_seed in the next epoch")
    lasting = data.DataLoader(Seeds(), batch_size=None, num_workers=2, generator=seeded(3),
                              persistent_workers=True)  # fmt: skip
    epochs = [sample[3] for _ in range(2) for sample in lasting]
    compare.fact(len(set(epochs)), 8, "numbers that lasting workers draw in two epochs")


class Notes(data.Dataset[Any]):
    """Samples that tell what was noted in the worker's copy of the dataset, and its seed."""

    noted = None

    def __len__(self):
        return 4

    def __getitem__(self, number):
        worker: Any = data.get_worker_info()
        return worker.id, worker.seed, self.noted


def note_in_worker(number):
    """Note the worker's number, torch's seed there, and whether the copy is new."""
    worker: Any = data.get_worker_info()
    worker.dataset.noted = (number, torch.initial_seed(), worker.dataset.noted)


@law("data-loader.worker-init", docs="data.html#torch.utils.data.DataLoader")
def test_worker_init(target):
    """worker_init_fn runs once in each worker, with its number, after seeding, before it loads.

    "Called on each worker subprocess with the worker id as input, after seeding and before data
    loading": each epoch in new workers.
    """
    dataset = Notes()
    loader = data.DataLoader(dataset, batch_size=None, num_workers=2, worker_init_fn=note_in_worker)
    for epoch in (list(loader), list(loader)):
        compare.fact([s[0] for s in epoch], [0, 1, 0, 1], "workers, in turn")
        compare.fact([s[2] for s in epoch], [[s[0], s[1], None] for s in epoch], "what was noted")
    compare.fact(dataset.noted, None, "what was noted in the main process")


@law("data-loader.pin-memory", docs=PAGE + "#memory-pinning")
@given(size=SOME)
def test_pin_memory(target, size):
    """pin_memory=True gives the same batches; without an accelerator their memory is not pinned."""
    loader = data.DataLoader(Squares(size), batch_size=2, pin_memory=True)
    batches = list(loader)
    expected = chunks([n * n for n in range(size)], 2, False)
    compare.fact(numbers_of(batches), expected, "batches")
    if not torch.accelerator.is_available():
        compare.fact([b.is_pinned() for b in batches], [False] * len(batches), "is_pinned")
