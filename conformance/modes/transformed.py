"""Modes that transform a function: functionalize, vmap, and forward mode under zero tangents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from conformance.modes.functional import FUNCTIONAL
from conformance.modes.mode import Arguments, Function, Keywords, Limit, Mode, Refusal


def functionalized(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Call a function without its intermediate mutations and views, which must not show.

    An argument that it returns comes back as that very argument.
    """
    leaves, spec = tree_flatten((arguments, keywords))
    returned: dict[int, int] = {}

    def on_leaves(*wrapped: Any) -> Any:
        positional, named = tree_unflatten(list(wrapped), spec)
        results = function(*positional, **named)
        places = {id(leaf): n for n, leaf in enumerate(wrapped) if isinstance(leaf, torch.Tensor)}
        found, _ = tree_flatten(results)
        returned.update((n, places[id(one)]) for n, one in enumerate(found) if id(one) in places)
        return results

    results = torch.func.functionalize(on_leaves)(*leaves)
    found, form = tree_flatten(results)
    return tree_unflatten(
        [leaves[returned[n]] if n in returned else one for n, one in enumerate(found)], form
    )


def mapped(
    function: Function,
    arguments: Arguments,
    keywords: Keywords,
    device: torch.device,
    *,
    batch: int,
) -> Any:
    """Call a function on a batch through ``torch.vmap`` and return the result of its last place.

    A batch of one holds the arguments themselves, so that what is written reaches them. Of
    several, the others are neighbours that must not show in the result: the arguments' values
    in reverse order where that is a legal call of torch's own, else the same arguments.
    """
    leaves, spec = tree_flatten((arguments, keywords))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    if not places:
        raise NotImplementedError("vmap needs a tensor among the arguments")
    originals = [leaves[n] for n in places]
    if batch == 1:
        batches = [tensor.unsqueeze(0) for tensor in originals]
    else:
        neighbours = _neighbours(function, leaves, spec, places)
        pairs = zip(neighbours, originals, strict=True)
        batches = [torch.stack([n] * (batch - 1) + [t]) for n, t in pairs]
    versions = [tensor._version for tensor in batches]
    results: list[Any] = []
    forms: list[Any] = []

    def on_slices(*slices: torch.Tensor) -> list[torch.Tensor]:
        filled = list(leaves)
        for n, one in zip(places, slices, strict=True):
            filled[n] = one
        positional, named = tree_unflatten(filled, spec)
        found, form = tree_flatten(function(*positional, **named))
        given = {id(one): original for one, original in zip(slices, originals, strict=True)}
        results[:] = [given.get(id(one), one) for one in found]
        forms[:] = [form]
        return [one for one in found if isinstance(one, torch.Tensor)]

    computed = iter(torch.vmap(on_slices, randomness="same")(*batches))
    if batch > 1 and versions != [tensor._version for tensor in batches]:
        raise NotImplementedError("a write into a batch of several cannot reach the argument")
    for n, result in enumerate(results):
        if isinstance(result, torch.Tensor):
            last = next(computed)[-1]
            is_argument = any(result is original for original in originals)
            results[n] = result if is_argument else last
    return tree_unflatten(results, forms[0])


def _neighbours(
    function: Function, leaves: list[Any], spec: Any, places: list[int]
) -> list[torch.Tensor]:
    """The tensors in reverse order, or as they are where the function may not take them so."""
    filled = list(leaves)
    with torch.no_grad():
        for n in places:
            filled[n] = leaves[n].detach().flip(tuple(range(leaves[n].dim())))
        neighbours = [filled[n].clone() for n in places]
        if str(getattr(function, "__module__", "torch")).partition(".")[0] == "torch":
            positional, named = tree_unflatten(filled, spec)
            with torch.random.fork_rng(devices=[]):
                try:
                    function(*positional, **named)
                except Exception:
                    return [leaves[n].detach() for n in places]
            return neighbours
    return [leaves[n].detach() for n in places]


def under_zero_tangents(
    function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
) -> Any:
    """Call a function on dual numbers whose tangents are zero: primals stay, tangents vanish.

    A tangent may be nan, where an infinite derivative meets the zero.
    """
    leaves, spec = tree_flatten((arguments, keywords))
    originals: dict[int, torch.Tensor] = {}
    with forward_ad.dual_level():

        def dual(leaf: Any) -> Any:
            if not _is_continuous(leaf):
                return leaf
            made = forward_ad.make_dual(  # type: ignore[no-untyped-call]
                leaf, _zeros_as_it_lies(leaf)
            )
            originals[id(made)] = leaf
            return made

        duals = [dual(leaf) for leaf in leaves]

        def primal(result: Any) -> Any:
            if not _is_continuous(result):
                return result
            found, tangent = forward_ad.unpack_dual(result)  # type: ignore[no-untyped-call]
            if tangent is not None and not _vanishes(tangent):
                raise AssertionError(f"zero tangents gave a tangent of {tangent}")
            return originals.get(id(result), result if tangent is None else found)

        positional, named = tree_unflatten(duals, spec)
        return tree_map(primal, function(*positional, **named))


def _is_continuous(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def _vanishes(tangent: torch.Tensor) -> bool:
    return tangent.is_meta or bool(((tangent == 0) | tangent.isnan()).all())


def _zeros_as_it_lies(tensor: torch.Tensor) -> torch.Tensor:
    """Zeros with a tensor's strides and offset, also where its elements share their memory."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    if tensor.layout != torch.strided or wrapped:  # without memory of its own
        return torch.zeros_like(tensor)
    storage = tensor.untyped_storage().nbytes() // tensor.element_size()
    zeros = torch.zeros(storage, dtype=tensor.dtype, device=tensor.device)
    return zeros.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def batches() -> Mapping[str, Mapping[str, Any]]:
    """Return the sizes of batches that can be asked for; one if none is."""
    return {"": {"batch": 1}, "2": {"batch": 2}, "3": {"batch": 3}}


_SETUP_CONTEXT = Refusal(
    "RuntimeError",
    "it must override the setup_context staticmethod",
    "https://docs.pytorch.org/docs/stable/notes/extending.func.html",
)
_VMAP = "https://docs.pytorch.org/docs/stable/func.ux_limitations.html#vmap-limitations"

_DUAL_LEVEL = (
    "https://docs.pytorch.org/docs/stable/generated/torch.autograd.forward_ad.dual_level.html"
)
_THROUGH_A_VIEW = Limit(
    ("accumulation.own-memory",),
    "each argument is a view of the leaf, and gradients that arrive through views share memory",
    "https://github.com/pytorch/pytorch/issues/34082",
)

FUNCTIONALIZE = Mode(
    "functionalize",
    "torch.func.functionalize of each function that a law runs",
    "torch.func.functionalize",
    call=functionalized,
    rewords=True,
    refusals=(
        FUNCTIONAL,
        _SETUP_CONTEXT,
        Refusal(
            "RuntimeError",
            "derivative for aten::copy is not implemented",
            "https://github.com/pytorch/functorch/issues/667",
        ),
    ),
)
VMAP = Mode(
    "vmap",
    "torch.vmap over a batch of one, or of several: vmap, vmap:2, vmap:3",
    "torch.vmap",
    call=mapped,
    parameters=batches,
    refusals=(
        _SETUP_CONTEXT,
        *(
            Refusal("RuntimeError", text, _VMAP)
            for text in (
                "vmap:",
                "vmap-ing",
                "inside of vmap",
                "Batching rule not implemented for",
            )
        ),
    ),
    limits=(
        Limit(
            ("views.as-strided-rejected:*", "views.dtype-rejected:*"),
            "errors speak of the batch's strides",
            _VMAP,
        ),
        _THROUGH_A_VIEW,
    ),
)
FORWARD_AD = Mode(
    "forward-ad",
    "dual numbers under zero tangents: primals as they are, tangents zero",
    "torch.autograd.forward_ad.dual_level",
    call=under_zero_tangents,
    refusals=tuple(
        Refusal("RuntimeError", text, _DUAL_LEVEL)
        for text in (
            "Nested forward mode AD is not supported at the moment",
            "they cannot have forward grad defined",
            "Batching rule not implemented for aten::_unpack_dual",
            "Batching rule not implemented for aten::_make_dual",
        )
    ),
    limits=(
        Limit(
            ("operators.out:*", "operators.out-cast:*"),
            "out= functions have no forward derivatives",
            "https://docs.pytorch.org/docs/stable/notes/autograd.html#forward-mode-ad",
        ),
        _THROUGH_A_VIEW,
    ),
)

MODES = (FUNCTIONALIZE, VMAP, FORWARD_AD)
