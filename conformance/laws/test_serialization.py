"""Serialization: what torch.save writes and torch.load gives back."""

import io
import pickle
import tempfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from conformance import compare
from conformance.evidence import tensors_in
from conformance.law import given, law
from conformance.reference import strides
from conformance.scenarios.memory import check_shares, contents_of, geometry_of
from strategies import seeds, shapes, sparse_coo_tensors, sparse_csr_tensors, tensors
from strategies.layouts import WRITABLE

NOTES = "notes/serialization.html"
SHARING = NOTES + "#preserving-storage-sharing"


def saved(value, **options):
    """What torch.save writes of a value."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def through(value, **options):
    """A value after torch.save and torch.load."""
    return torch.load(io.BytesIO(saved(value)), **options)


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def saved_to_path(value):
    with tempfile.TemporaryDirectory() as folder:
        torch.save(value, Path(folder) / "saved.pt")
        return torch.load(Path(folder) / "saved.pt")


def saved_to_named_file(value):
    with tempfile.TemporaryDirectory() as folder:
        torch.save(value, f"{folder}/saved.pt")
        with open(f"{folder}/saved.pt", "rb") as opened:
            return torch.load(opened)


def mapped_into_memory(value):
    with tempfile.TemporaryDirectory() as folder:
        torch.save(value, f"{folder}/saved.pt")
        return torch.load(f"{folder}/saved.pt", mmap=True)


ROUTES = {
    "buffer": through,
    "pickle": pickled,
    "path": saved_to_path,
    "file": saved_to_named_file,
    "mmap": mapped_into_memory,
}


def three_tensors():
    """Tensors to save together: any, any complex one, any floating one."""
    kinds = ("any", "complex", "floating")
    return st.tuples(*(tensors(dtype=kind, values="any") for kind in kinds))


@law("serialization.round-trip", docs="torch.load", over=ROUTES)
@given(drawn=three_tensors())
def test_round_trip(target, case, drawn):
    """A tensor that is saved and loaded has its values, dtype, device, shape, strides and flags.

    Lazily conjugated and negated ones too, by every way to write and read a file.
    """
    before = [compare.to_numpy(tensor) for tensor in drawn]
    for tensor, values, loaded in zip(drawn, before, case(drawn), strict=True):
        compare.equal(loaded, values, dtype=tensor.dtype, what="loaded")
        compare.unchanged(tensor, values, "what was saved")
        compare.fact(loaded.device, tensor.device, "device")
        told = [strides.significant(geometry_of(t)) for t in (loaded, tensor)]
        compare.fact(told[0], told[1], "strides")
        lazy = [(t.is_conj(), t.is_neg()) for t in (loaded, tensor)]
        compare.fact(lazy[0], lazy[1], "conjugate and negative bits")


@law("serialization.snapshot", docs="torch.save", over=ROUTES)
@given(drawn=three_tensors(), kept=st.booleans())
def test_snapshot(target, case, drawn, kept):
    """What is loaded has memory of its own: it is what was saved, whatever is written later.

    Writes to the tensor that was saved are not seen in what was loaded, nor the other way round.
    """
    before = [compare.to_numpy(tensor) for tensor in drawn]
    originals = [tensor.detach().clone() for tensor in drawn]
    loaded = case(tuple(originals))
    first, second = (originals, loaded) if kept else (loaded, originals)
    for tensor in first:
        tensor.zero_()
    for tensor, values in zip(second, before, strict=True):
        compare.equal(tensor, values, dtype=tensor.dtype, what="the other, after a write")


@law("serialization.flags", docs=NOTES, over={"buffer": through, "pickle": pickled})
@given(leaf=tensors(dtype="differentiable"), flag=st.booleans(), steps=st.integers(0, 1))
def test_flags(target, case, leaf, flag, steps):
    """A saved tensor keeps requires_grad, and is a leaf when it is loaded, without a history.

    The gradient of what is loaded goes to it alone, and starts from None.
    """
    leaf.requires_grad_(flag)
    saved_tensor = leaf * 2 if steps else leaf
    loaded = case(saved_tensor)
    got = (loaded.requires_grad, loaded.is_leaf, loaded.grad_fn is None, loaded.grad is None)
    compare.fact(got, (flag, True, True, True), "requires_grad, is_leaf, no grad_fn, no grad")
    if flag:
        (loaded * 3).sum().real.backward()
        expected = np.full(tuple(leaf.shape), 3.0)
        compare.close(loaded.grad, expected, bound=0.0, dtype=leaf.dtype, what="grad")
    compare.fact(leaf.grad, None, "grad of what was saved")


@law("serialization.parameters", docs=NOTES, over={"buffer": through, "pickle": pickled})
@given(value=tensors(dtype="floating", values="any"), flag=st.booleans())
def test_parameters(target, case, value, flag):
    """A Parameter is loaded as a Parameter with its flag, a Buffer as a Buffer."""
    parameter = torch.nn.Parameter(value.detach().clone(), requires_grad=flag)
    loaded = case(parameter)
    kind = (type(loaded) is torch.nn.Parameter, loaded.requires_grad, loaded.is_leaf)
    compare.fact(kind, (True, flag, True), "Parameter, requires_grad, is_leaf")
    compare.equal(loaded, compare.to_numpy(parameter), dtype=value.dtype, what="Parameter")


def whole(base):
    return base.view(base.shape)


def flipped(base):
    return base.permute(tuple(reversed(range(base.dim()))))


def first_half(base):
    return base[: (base.shape[0] + 1) // 2] if base.dim() else base[...]


def stepped(base):
    return base[::2] if base.dim() else base[...]


def expanded(base):
    return base.expand(2, *base.shape)


VIEWS = {view.__name__: view for view in (whole, flipped, first_half, stepped, expanded)}
FILES = {name: route for name, route in ROUTES.items() if name != "pickle"}


@law("serialization.views-share", docs=SHARING, over=FILES)
@given(base=tensors(layouts=WRITABLE), kind=st.sampled_from(list(VIEWS)))
def test_views_share(target, case, base, kind):
    """Tensors that share storage when they are saved together share it when they are loaded.

    "Saving tensors preserves their view relationships": writes to one are seen in the other.
    """
    view = VIEWS[kind](base)
    loaded_base, loaded_view = case((base, view))
    check_shares(loaded_view, loaded_base, True, "loaded view")
    expected = strides.significant(geometry_of(view))
    compare.fact(strides.significant(geometry_of(loaded_view)), expected, "strides of the view")
    loaded_base.fill_(1)
    ones = np.ones(tuple(view.shape))
    compare.equal(loaded_view, ones, dtype=view.dtype, what="view after a write to the base")
    check_shares(loaded_base, base, False, "what is loaded")


@law("serialization.apart", docs=SHARING)
@given(base=tensors(layouts=WRITABLE), kind=st.sampled_from(list(VIEWS)))
def test_apart(target, base, kind):
    """Tensors that are saved one by one do not share storage when they are loaded."""
    view = VIEWS[kind](base)
    first, second = through(base), through(view)
    check_shares(second, first, False, "a view saved alone")
    before = compare.to_numpy(second)
    first.fill_(1)
    compare.unchanged(second, before, "what was saved alone")


@law("serialization.whole-storage", docs=SHARING)
@given(base=tensors(shape=shapes(min_rank=1, min_side=1), layouts=("contiguous",)))
def test_whole_storage(target, base):
    """A view is saved with the whole storage that it views; a clone of it is not.

    "Instead of saving just the five values in the small tensor, the 999 values in the storage
    it shares with large were saved and loaded."
    """
    whole, small = compare.to_numpy(base).ravel(), base[:1]
    loaded = through(small)
    contents = torch.from_numpy(np.ascontiguousarray(contents_of(loaded)))
    compare.equal(contents, whole, dtype=contents.dtype, what="storage of a loaded view")
    cloned = through(small.clone())
    compare.fact(contents_of(cloned).size, small.numel(), "elements in a clone's storage")


@law("serialization.objects", docs=NOTES)
@given(tensor=tensors(values="any"), number=st.integers(), text=st.text(max_size=5))
def test_objects(target, tensor, number, text):
    """Dicts, lists, tuples, sets, numbers, texts, None, dtypes and devices are loaded as they were.

    One tensor in several places is one tensor again; the order of dictionaries is kept.
    """
    plain = {"number": number, "text": text, "none": None, "flags": (True, 0.5, 1j), "b": b"\x00"}
    kinds = [tensor.dtype, tensor.device, tensor.shape, {1, 2}, OrderedDict(z=1, a=[number])]
    loaded = through({"first": tensor, "plain": plain, "again": [tensor], "kinds": kinds})
    compare.fact(list(loaded), ["first", "plain", "again", "kinds"], "keys in order")
    compare.fact(loaded["plain"], plain, "plain objects")
    compare.fact(loaded["kinds"], kinds, "kinds")
    compare.fact([type(k) for k in loaded["kinds"]], [type(k) for k in kinds], "types")
    compare.fact(loaded["again"][0] is loaded["first"], True, "one tensor in two places")
    compare.equal(loaded["first"], compare.to_numpy(tensor), dtype=tensor.dtype, what="tensor")


@law("serialization.weights-only", docs=NOTES + "#weights-only")
@given(number=st.integers(0, 9), nested=st.booleans())
def test_weights_only(target, number, nested):
    """torch.load refuses functions and classes that it does not know.

    With weights_only=False it loads them, and those that safe_globals lists while it does.
    """
    share = Fraction(number, 7)
    value = {"weights": torch.zeros(2), "value": [share]} if nested else share
    written = saved(value)
    with compare.raises(pickle.UnpicklingError, "Weights only load failed"):
        torch.load(io.BytesIO(written))
    trusted = torch.load(io.BytesIO(written), weights_only=False)
    with torch.serialization.safe_globals([Fraction]):
        listed = torch.load(io.BytesIO(written))
    found = [each["value"][0] if nested else each for each in (trusted, listed)]
    compare.fact(found, [share] * 2, "trusted, and listed")
    with compare.raises(pickle.UnpicklingError, "Weights only load failed"):
        torch.load(io.BytesIO(written))


def to_name(device):
    return str(device)


def to_device(device):
    return device


def to_dictionary(device):
    return {"cpu": str(device)}


LOCATIONS = {"name": to_name, "device": to_device, "dictionary": to_dictionary}


@law("serialization.map-location", docs="torch.load", over=LOCATIONS)
@given(tensor=tensors(values="any"), held=st.sampled_from(("list", "dictionary", "alone")))
def test_map_location(target, case, tensor, held):
    """map_location says on which device what is loaded lies: a name, a device, or a dictionary."""
    wanted = tensor.is_floating_point() or tensor.is_complex()
    on_host = tensor.detach().cpu().requires_grad_(wanted)
    both = [on_host, on_host.detach().clone().requires_grad_(wanted)]
    written = saved({"list": both, "dictionary": {"a": both[0]}, "alone": both[1]}[held])
    found = list(tensors_in(torch.load(io.BytesIO(written), map_location=case(tensor.device))))
    compare.fact(len(found), 2 if held == "list" else 1, "number of tensors")
    for loaded in found:
        compare.fact((loaded.device, loaded.requires_grad), (tensor.device, wanted), "device, flag")
        compare.equal(loaded, compare.to_numpy(tensor), dtype=tensor.dtype, what="loaded")
    for loaded in tensors_in(torch.load(io.BytesIO(written), map_location="meta")):
        told = (loaded.device.type, loaded.dtype, loaded.shape)
        compare.fact(told, ("meta", tensor.dtype, tensor.shape), "loaded without data")


@law("serialization.map-location-function", docs="torch.load")
@given(
    base=tensors(dtype="floating", layouts=WRITABLE),
    kind=st.sampled_from(list(VIEWS)),
    moves=st.booleans(),
)
def test_map_location_function(target, base, kind, moves):
    """A function given as map_location is called once for each storage, with storage and tag.

    Where it returns None, the storage goes where the tag says.
    """
    on_host = base.cpu()
    host = [on_host, VIEWS[kind](on_host), on_host.clone()]
    places = {t.untyped_storage().data_ptr() for t in host}
    calls = []

    def located(storage, tag):
        calls.append(tag)
        return storage if moves else None

    loaded = torch.load(io.BytesIO(saved(host)), map_location=located)
    if base.numel():  # storages of no bytes have no address to count them by
        compare.fact(calls, ["cpu"] * len(places), "calls with the storages' tags")
    for found, original in zip(loaded, host, strict=True):
        compare.equal(found, compare.to_numpy(original), dtype=original.dtype, what="loaded")
        compare.fact(found.device.type, "cpu", "device")


@law("serialization.mmap-needs-path", docs="torch.load")
@given(tensor=tensors())
def test_mmap_needs_path(target, tensor):
    """mmap=True reads files alone, by their path: a buffer is refused."""
    expected = compare.to_numpy(tensor)
    compare.equal(mapped_into_memory(tensor), expected, dtype=tensor.dtype, what="mapped")
    with compare.raises(ValueError, "file path.*mmap|mmap.*path|f must be a"):
        through(tensor, mmap=True)


@law("serialization.mmap-is-private", docs="torch.load")
@given(tensor=tensors(dtype="floating", shape=shapes(min_side=1)))
def test_mmap_is_private(target, tensor):
    """Writes to a tensor that was loaded with mmap=True do not reach the file."""
    expected = compare.to_numpy(tensor)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(tensor, f"{folder}/saved.pt")
        torch.load(f"{folder}/saved.pt", mmap=True).fill_(7)
        compare.equal(torch.load(f"{folder}/saved.pt"), expected, dtype=tensor.dtype, what="file")


def sparse_of(case):
    return sparse_coo_tensors() if case == "coo" else sparse_csr_tensors()


@law(
    "serialization.sparse", docs="torch.load", over={"coo": "coo", "csr": "csr"}, needs=("sparse",)
)
@given(tensor=sparse_of)
def test_sparse(target, case, tensor):
    """A sparse tensor is loaded with its layout, coalesced or not, and its values."""
    loaded = through(tensor)
    compare.fact((loaded.layout, loaded.shape), (tensor.layout, tensor.shape), "layout and shape")
    if tensor.layout == torch.sparse_coo:
        compare.fact(loaded.is_coalesced(), tensor.is_coalesced(), "is_coalesced")
        compare.fact(loaded._nnz(), tensor._nnz(), "entries, explicit zeros included")
    expected = compare.to_numpy(tensor.to_dense())
    compare.equal(loaded.to_dense(), expected, dtype=tensor.dtype, what="values")


@law("serialization.generator-state", docs="torch.get_rng_state")
@given(seed=seeds(), drawn=st.integers(0, 3))
def test_generator_state(target, seed, drawn):
    """A generator's state that is saved and loaded goes on with the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    torch.rand(drawn, generator=generator)
    state = through(generator.get_state())
    expected = compare.to_numpy(torch.rand(4, generator=generator))
    other = torch.Generator().manual_seed(seed + 1)
    other.set_state(state)
    numbers = torch.rand(4, generator=other)
    compare.equal(numbers, expected, dtype=torch.float32, what="numbers after the state is set")


@law("serialization.cut-off", docs="torch.load", level="should")
@given(tensor=tensors(shape=shapes(min_side=1)), share=st.integers(0, 15))
def test_cut_off(target, tensor, share):
    """A file that ends too early is refused, wherever it was cut off."""
    written = saved(tensor)
    compare.equal(torch.load(io.BytesIO(written)), compare.to_numpy(tensor), dtype=tensor.dtype)
    refused = False
    try:
        torch.load(io.BytesIO(written[: len(written) * share // 16]))
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError):
        refused = True
    compare.fact(refused, True, "a file cut off is refused")
