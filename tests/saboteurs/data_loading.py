"""Faults in loaders, datasets and samplers: samples lost, repeated, mixed up or mistyped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils import data
from torch.utils.data import _utils

from tests.saboteurs.faults import accepting, when
from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def _iterating(owner: Any, change: Callable[[Any, list[Any]], list[Any]]) -> Patch:
    """The patch that changes what iterating gives, as a list of all of it."""

    def make(original: Any) -> Any:
        def iterate(self: Any) -> Iterator[Any]:
            return iter(change(self, list(original(self))))

        return iterate

    return replacing(owner, "__iter__", make)


def _without_generator(original: Any) -> Any:
    def construct(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        self.generator = None

    return construct


def _lax(original: Any) -> Any:
    def construct(self: Any, dataset: Any, *arguments: Any, **options: Any) -> None:
        try:
            original(self, dataset, *arguments, **options)
        except ValueError:
            original(self, dataset)

    return construct


def _single(values: Any) -> Any:
    """Numbers collated into single precision, as every other floating tensor by default."""
    if isinstance(values, torch.Tensor) and values.dtype == torch.float64 and values.dim() == 1:
        return values.to(torch.float32)
    return values


def _of_numbers(batch: Any, **_: Any) -> bool:
    return isinstance(batch, list) and isinstance(batch[0], float)


def _of_named(batch: Any, **_: Any) -> bool:
    return isinstance(batch, list) and hasattr(batch[0], "_fields")


def _as_tensor(original: Any) -> Any:
    def fetch(self: Any, places: Any) -> Any:
        found = original(self, places)
        return torch.tensor(found) if isinstance(found, int) else found

    return fetch


def _second_worker_first(original: Any) -> Any:
    def following(self: Any, *arguments: Any) -> Any:
        found = original(self, *arguments)
        return found.flip(0) if self._rcvd_idx == 2 and isinstance(found, torch.Tensor) else found

    return following


def _last(original: Any) -> Any:
    def split(dataset: Any, lengths: Any, generator: Any = None) -> Any:
        if sum(lengths) != 1:
            return original(dataset, lengths, generator=generator)
        sizes = [int(len(dataset) * share) for share in lengths]
        sizes[-1] += len(dataset) - sum(sizes)
        return original(dataset, sizes, generator=generator)

    return split


def _block(self: Any) -> Iterator[int]:
    places = [n % len(self.dataset) for n in range(self.num_samples * self.num_replicas)]
    return iter(places[self.rank * self.num_samples : (self.rank + 1) * self.num_samples])


def _same_seed(original: Any) -> Any:
    """Give each worker the seed of the first."""

    def faulty(*arguments: Any) -> Any:
        seed, number = arguments[8], arguments[10]
        return original(*arguments[:8], seed - number, *arguments[9:])

    return faulty


def _one_mapping_less(original: Any) -> Any:
    """A subset of a subset takes the inner one's places for its own data's."""

    def getitems(self: Any, indices: Any) -> Any:
        if isinstance(self.dataset, data.Subset):
            return [self.dataset.dataset[self.indices[n]] for n in indices]
        return original(self, indices)

    return getitems


def _same_round(original: Any) -> Any:
    """Every round of a random sampler is the first again."""

    def iterate(self: Any) -> Iterator[int]:
        first: list[int] = []
        for number, place in enumerate(original(self)):
            if self.replacement:
                yield place
                continue
            first += [place] * (number < len(self.data_source))
            yield first[number % len(self.data_source)]

    return iterate


def _first_of_the_batch(self: Any, places: list[int]) -> list[Any]:
    """The samples of a batch, whose second parts are all the first sample's."""
    samples = [self[place] for place in places]
    last = next(reversed(samples[0])) if isinstance(samples[0], dict) else None
    if last is not None:
        return [{**sample, last: samples[0][last]} for sample in samples]
    return samples


def _also_draws(original: Any) -> Any:
    def iterate(self: Any) -> Iterator[Any]:
        torch.rand(1)
        return iter(list(original(self)))

    return iterate


def _first_seed_again(original: Any) -> Any:
    """Workers that persist begin every epoch with their first seed."""

    def create(*arguments: Any) -> Any:
        worker = data.get_worker_info()
        if worker is not None:
            torch.manual_seed(worker.seed)
        return original(*arguments)

    return staticmethod(create)


def _initialized_unseeded(original: Any) -> Any:
    """worker_init_fn is called before the worker is seeded."""

    def loop(*given: Any) -> None:
        *ahead, function, number = given[:11]
        if function is not None:
            torch.manual_seed(0)
            _utils.worker._worker_info = _utils.worker.WorkerInfo(
                id=number, num_workers=2, seed=0, dataset=given[1]
            )
            function(number)
        original(*ahead, None, number, *given[11:])

    return loop


SABOTEURS = (
    Saboteur(
        "stack-first-of-batch", "batches of a StackDataset with names repeat a part",
        ("datasets.stacked",), "samples of all batches",
        replacing(data.StackDataset, "__getitems__", lambda original: _first_of_the_batch),
    ),
    Saboteur(
        "sampler-draws-twice", "SubsetRandomSampler draws from the default generator as well",
        ("samplers.own-generator:subset",), "the default generator",
        replacing(data.SubsetRandomSampler, "__iter__", _also_draws),
    ),
    Saboteur(
        "worker-init-before-seed", "worker_init_fn runs before its worker is seeded",
        ("data-loader.worker-init",), "what was noted",
        replacing(_utils.worker, "_worker_loop", _initialized_unseeded),
    ),
    Saboteur(
        "last-batch-dropped", "a smaller last batch is always dropped",
        ("data-loader.in-order", "data-loader.collate-fn"), "batches",
        _iterating(data.BatchSampler, lambda self, b: [x for x in b if len(x) == self.batch_size]),
    ),
    Saboteur(
        "drop-last-drops-full", "drop_last drops the last batch, though it is full",
        ("data-loader.in-order", "samplers.sequential"), "batches",
        _iterating(data.BatchSampler, lambda self, b: b[:-1] if self.drop_last and b else b),
    ),
    Saboteur(
        "loader-length-rounds-down", "len of a loader counts full batches only",
        ("data-loader.in-order",), "len",
        replacing(data.BatchSampler, "__len__",
                  lambda _: lambda self: len(self.sampler) // self.batch_size),
    ),
    Saboteur(
        "shuffle-ignores-generator", "a loader shuffles by the global generator",
        ("data-loader.seeded", "samplers.random"), "one seed",
        replacing(data.RandomSampler, "__init__", _without_generator),
    ),
    Saboteur(
        "shuffle-repeats-a-sample", "shuffling gives one sample twice and forgets another",
        ("data-loader.shuffled",), "samples of an epoch",
        _iterating(data.RandomSampler, lambda _, p: [*p[:-1], p[0]] if len(p) > 3 else p),
    ),
    Saboteur(
        "epochs-alike", "each epoch has the order of the first",
        ("data-loader.orders-differ",), "orders differ",
        _iterating(data.RandomSampler, lambda _, p: sorted(p, key=lambda n: n * 7 % 31)),
    ),
    Saboteur(
        "sampler-sorted", "samples of a given sampler come in ascending order within a batch",
        ("data-loader.sampler",), "batches of a sampler",
        _iterating(data.BatchSampler, lambda _, b: [sorted(x) for x in b]),
    ),
    Saboteur(
        "unbatched-becomes-tensors", "without batches numbers become tensors",
        ("data-loader.unbatched",), "types of the samples",
        replacing(_utils.fetch._MapDatasetFetcher, "fetch", _as_tensor),
    ),
    Saboteur(
        "iterable-last-batch-dropped", "a smaller last batch of an iterable dataset is dropped",
        ("data-loader.iterable",), "batches of an epoch",
        replacing(_utils.fetch._IterableDatasetFetcher, "__init__",
                  lambda o: lambda self, d, auto, collate, _: o(self, d, auto, collate, True)),
    ),
    Saboteur(
        "numbers-collated-single", "floats become float32",
        ("data-loader.collate",), "r: got dtype",
        when(_utils.collate, "collate", _of_numbers, _single),
    ),
    Saboteur(
        "named-tuple-collated-plain", "named tuples become plain ones",
        ("data-loader.collate",), "",
        when(_utils.collate, "collate", _of_named, tuple),
    ),
    Saboteur(
        "loader-accepts-anything", "options that exclude each other are left out",
        ("data-loader.rejected:sampler-and-shuffle", "data-loader.rejected:none-and-drop"),
        "raised nothing", replacing(data.DataLoader, "__init__", _lax),
    ),
    Saboteur(
        "worker-batch-reversed", "the second batch that workers bring is reversed",
        ("data-loader.workers",), "batches by two workers",
        replacing(data.dataloader._MultiProcessingDataLoaderIter, "_process_data",
                  _second_worker_first),
    ),
    Saboteur(
        "pinned-batches-lost", "a loader that pins memory forgets its last batch",
        ("data-loader.pin-memory",), "batches",
        _iterating(data.DataLoader, lambda self, b: b[:-1] if self.pin_memory else b),
    ),
    Saboteur(
        "tensor-dataset-from-end", "negative numbers of a TensorDataset are one off",
        ("datasets.tensors",), "",
        replacing(data.TensorDataset, "__getitem__",
                  lambda o: lambda self, n: o(self, n - 1 if n < 0 else n)),
    ),
    Saboteur(
        "tensor-dataset-mismatch", "a TensorDataset takes tensors of different sizes",
        ("datasets.tensors",), "raised nothing",
        accepting(data.TensorDataset, "__init__", AssertionError, lambda *_: None),
    ),
    Saboteur(
        "joined-from-end", "negative numbers of a ConcatDataset count from one before the end",
        ("datasets.joined",), "sample counted from the end",
        replacing(data.ConcatDataset, "__getitem__",
                  lambda o: lambda self, n: o(self, max(n - 1, -len(self)) if n < 0 else n)),
    ),
    Saboteur(
        "subset-sorted", "a Subset sorts its places",
        ("datasets.subset",), "samples",
        replacing(data.Subset, "__init__",
                  lambda o: lambda self, dataset, indices: o(self, dataset, sorted(indices))),
    ),
    Saboteur(
        "split-by-global-generator", "random_split ignores its generator",
        ("datasets.split",), "two splits by one seed",
        replacing(data, "random_split", lambda o: lambda d, lengths, generator=None: o(d, lengths)),
    ),
    Saboteur(
        "split-remainder-to-last", "what shares leave over goes to the last part",
        ("datasets.split-by-share",), "lengths", replacing(data, "random_split", _last),
    ),
    Saboteur(
        "random-sampler-short", "num_samples beyond the data is cut off",
        ("samplers.random",), "numbers drawn",
        _iterating(data.RandomSampler, lambda self, p: p if self.replacement
                   else p[: len(self.data_source)]),
    ),
    Saboteur(
        "subset-sampler-unseeded", "SubsetRandomSampler ignores its generator",
        ("samplers.subset-random",), "two orders by one seed",
        replacing(data.SubsetRandomSampler, "__init__", _without_generator),
    ),
    Saboteur(
        "weights-add-one", "a weight of 0 counts a little",
        ("samplers.weighted",), "",
        replacing(data.WeightedRandomSampler, "__init__",
                  lambda o: lambda self, w, *a, **k: o(self, [x + 0.1 for x in w], *a, **k)),
    ),
    Saboteur(
        "weights-by-root", "numbers are drawn by the root of their weights",
        ("samplers.weights-count",), "count of the heavier",
        replacing(data.WeightedRandomSampler, "__init__",
                  lambda o: lambda self, w, *a, **k: o(self, [x**0.5 for x in w], *a, **k)),
    ),
    Saboteur(
        "replicas-in-blocks", "a replica gets a block of places, not every n-th",
        ("samplers.distributed",), "order without shuffling",
        replacing(data.DistributedSampler, "__iter__", lambda o: _block),
    ),
    Saboteur(
        "workers-draw-alike", "all workers have the seed of the first",
        ("data-loader.worker-seeds",), "seeds, from base_seed",
        replacing(_utils.worker, "_worker_loop", _same_seed),
    ),
    Saboteur(
        "subset-of-subset", "a loader of a part of a part takes the whole's samples",
        ("datasets.subset",), "loader", replacing(data.Subset, "__getitems__", _one_mapping_less),
    ),
    Saboteur(
        "random-sampler-repeats", "RandomSampler goes through the same order again",
        ("samplers.random",), "each round",
        replacing(data.RandomSampler, "__iter__", _same_round),
    ),
    Saboteur(
        "lasting-workers-repeat", "workers that persist draw the same in every epoch",
        ("data-loader.worker-seeds",), "lasting workers",
        replacing(data._DatasetKind, "create_fetcher", _first_seed_again),
    ),
)  # fmt: skip
