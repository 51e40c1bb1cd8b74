"""Faults in vmap: dims counted from the end, chunks, nesting, randomness, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.saboteurs.faults import changed
from tests.saboteurs.saboteur import Patch, Saboteur, replacing

Tensor = torch.Tensor


def mapping(change: Callable[[Any], Any], condition: Callable[..., Any] | None = None) -> Patch:
    """Return the patch that changes what a mapped function returns.

    ``condition`` gets the options of vmap.
    """

    def make(original: Any) -> Any:
        def vmap(function: Any, **words: Any) -> Any:
            mapped = original(function, **words)
            if condition is not None and not condition(**words):
                return mapped
            return lambda *points, **more: change(mapped(*points, **more))

        return vmap

    return replacing(torch.func, "vmap", make)


def _last_element_larger(found: Any) -> Any:
    def spoiled(tensor: Tensor) -> Tensor:
        rows = tensor.clone()
        rows[-1:] = rows[-1:] * 1.001
        return rows

    return changed(found, spoiled)


def _slightly_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * (1 + 1e-8))


def _negative_dims(in_dims: Any = 0, **_: Any) -> bool:
    return isinstance(in_dims, tuple) and any(isinstance(d, int) and d < -1 for d in in_dims)


def _unmapped_argument(in_dims: Any = 0, **_: Any) -> bool:
    return isinstance(in_dims, tuple) and None in in_dims


def _uneven_chunks(chunk_size: int | None = None, **_: Any) -> bool:
    return chunk_size == 2


def _front_for_back(original: Any) -> Any:
    """A negative out_dims puts the mapped dimension one place further in front."""

    def vmap(function: Any, out_dims: Any = 0, **words: Any) -> Any:
        if isinstance(out_dims, tuple):
            out_dims = tuple(0 if dim < -1 else dim for dim in out_dims)
        return original(function, out_dims=out_dims, **words)

    return vmap


def _keywords_mapped(original: Any) -> Any:
    """Keyword arguments are doubled."""

    def vmap(function: Any, **words: Any) -> Any:
        mapped = original(function, **words)
        return lambda *points, **more: mapped(*points, **{k: v * 1.001 for k, v in more.items()})

    return vmap


_DEPTH = [0]


def _inner_reversed(original: Any) -> Any:
    """The elements of a vmap within a vmap come in reverse order."""

    def vmap(function: Any, **words: Any) -> Any:
        mapped = original(function, **words)

        def faulty(*points: Any, **more: Any) -> Any:
            _DEPTH[0] += 1
            try:
                found = mapped(*points, **more)
            finally:
                _DEPTH[0] -= 1
            return changed(found, lambda tensor: tensor.flip(0)) if _DEPTH[0] else found

        return faulty

    return vmap


def _detached_shared(original: Any) -> Any:
    """What an argument with None contributes to the graph counts half."""

    def vmap(function: Any, in_dims: Any = 0, **words: Any) -> Any:
        mapped = original(function, in_dims=in_dims, **words)

        def faulty(*points: Any, **more: Any) -> Any:
            if isinstance(in_dims, tuple) and len(in_dims) == len(points):
                points = tuple(
                    p if d is not None else (p + p.detach()) / 2
                    for p, d in zip(points, in_dims, strict=True)
                )
            return mapped(*points, **more)

        return faulty

    return vmap


def _mixing_scalars(original: Any) -> Any:
    """Elements without dimensions are summed over the batch."""

    def vmap(function: Any, **words: Any) -> Any:
        mapped = original(function, **words)

        def faulty(*points: Any, **more: Any) -> Any:
            found = mapped(*points, **more)
            alone = all(isinstance(p, Tensor) and p.dim() == 1 for p in points)
            return found.cumsum(0) if alone and isinstance(found, Tensor) else found

        return faulty

    return vmap


def _always_different(original: Any) -> Any:
    def vmap(function: Any, randomness: str = "error", **words: Any) -> Any:
        other = "different" if randomness == "same" else randomness
        return original(function, randomness=other, **words)

    return vmap


def _always_same(original: Any) -> Any:
    def vmap(function: Any, randomness: str = "error", **words: Any) -> Any:
        other = "same" if randomness == "different" else randomness
        return original(function, randomness=other, **words)

    return vmap


def _never_refuses_random(original: Any) -> Any:
    def vmap(function: Any, randomness: str = "error", **words: Any) -> Any:
        other = "different" if randomness == "error" else randomness
        return original(function, randomness=other, **words)

    return vmap


def _answering(error: type[Exception]) -> Patch:
    def make(original: Any) -> Any:
        def vmap(function: Any, **words: Any) -> Any:
            mapped = original(function, **words)

            def faulty(*points: Any, **more: Any) -> Any:
                try:
                    return mapped(*points, **more)
                except error:
                    return points[0]

            return faulty

        return vmap

    return replacing(torch.func, "vmap", make)


def _moved_twice(original: Any) -> Any:
    """movedim of one dimension to the end moves the one after it."""

    def movedim(tensor: Tensor, source: Any, destination: Any) -> Tensor:
        moved: Tensor = original(tensor, source, destination)
        batched = torch._C._functorch.is_batchedtensor(tensor)
        return moved.flip(-1) if batched and tensor.dim() > 1 else moved

    return movedim


def _square_by_rows(original: Any) -> Any:
    """in_dims=-1 maps over the first dimension of what has two."""

    def vmap(function: Any, in_dims: Any = 0, *options: Any, **keywords: Any) -> Any:
        mapped = original(function, in_dims, *options, **keywords)
        if in_dims != -1:
            return mapped
        return lambda *tensors: mapped(*(t.flip(-1) if t.dim() > 1 else t for t in tensors))

    return vmap


def _keywords_backwards(original: Any) -> Any:
    """What is given by name, and as long as a batch may be, goes backwards."""

    def vmap(function: Any, *rest: Any, **words: Any) -> Any:
        mapped = original(function, *rest, **words)

        def run(*given: Any, **named: Any) -> Any:
            turned = {
                name: value.flip(0) if isinstance(value, Tensor) and value.dim() else value
                for name, value in named.items()
            }
            return mapped(*given, **turned)

        return run

    return vmap


SABOTEURS = (
    Saboteur(
        "vmap-keywords-backwards", "vmap hands keyword tensors on backwards",
        ("func-vmap.structures",), "result",
        replacing(torch.func, "vmap", _keywords_backwards),
    ),
    Saboteur(
        "vmap-counts-from-end", "vmap over a dimension -2 or before is 0.1 % off at the end",
        ("func-vmap.equals-loop",), "result", mapping(_last_element_larger, _negative_dims),
    ),
    Saboteur(
        "vmap-with-unmapped", "vmap with an argument that is not mapped is 0.1 % off",
        ("func-vmap.equals-loop",), "result", mapping(_last_element_larger, _unmapped_argument),
    ),
    Saboteur(
        "vmap-out-dims-from-end", "out_dims of -2 and before stand for 0",
        ("func-vmap.out-dims",), "result", replacing(torch.func, "vmap", _front_for_back),
    ),
    Saboteur(
        "vmap-independent-last", "what does not depend on the batch is 0.1 % off at its end",
        ("func-vmap.independent-result:front",), "result",
        mapping(_last_element_larger, _unmapped_argument),
    ),
    Saboteur(
        "vmap-last-chunk", "the last element of chunks of two is 0.1 % off",
        ("func-vmap.chunks",), "result", mapping(_last_element_larger, _uneven_chunks),
    ),
    Saboteur(
        "vmap-nested-reversed", "a vmap within a vmap reverses its elements",
        ("func-vmap.nested",), "result", replacing(torch.func, "vmap", _inner_reversed),
    ),
    Saboteur(
        "vmap-keywords-larger", "keyword arguments are 0.1 % off",
        ("func-vmap.structures",), "result", replacing(torch.func, "vmap", _keywords_mapped),
    ),
    *(
        Saboteur(
            f"vmap-of-{name}-slightly-larger", f"mapped derivatives by {name} are 1e-8 off",
            (f"func-vmap.of-derivatives:{name}",), "derivative", mapping(_slightly_larger),
        )
        for name in ("grad", "jacfwd")
    ),
    Saboteur(
        "vmap-of-jvp-slightly-larger", "mapped products are 1e-8 off",
        ("func-vmap.of-jvp",), "jvp", mapping(_slightly_larger),
    ),
    Saboteur(
        "vmap-of-hessian-last", "the last of mapped Hessians is 0.1 % off",
        ("func-vmap.of-hessian",), "Hessian", mapping(_last_element_larger),
    ),
    Saboteur(
        "vmap-shared-halved", "the gradient to an argument that is not mapped is half of it",
        ("func-vmap.differentiated",), "gradient",
        replacing(torch.func, "vmap", _detached_shared),
    ),
    Saboteur(
        "vmap-mixes-scalars", "elements without dimensions are summed up over the batch",
        ("func-vmap.elements-without-dimensions:sum",
         "func-vmap.elements-without-dimensions:flatten"), "result",
        replacing(torch.func, "vmap", _mixing_scalars),
    ),
    Saboteur(
        "vmap-movedim-reversed", "movedim reverses a dimension where it is mapped",
        ("func-vmap.moved-dimension:movedim",), "result", replacing(torch, "movedim", _moved_twice),
    ),
    Saboteur(
        "vmap-same-is-different", "randomness same is different",
        ("func-vmap.randomness-same",), "random result",
        replacing(torch.func, "vmap", _always_different),
    ),
    Saboteur(
        "vmap-different-is-same", "randomness different is the same",
        ("func-vmap.randomness-different",), "number of distinct numbers",
        replacing(torch.func, "vmap", _always_same),
    ),
    Saboteur(
        "vmap-error-is-different", "randomness error is different",
        ("func-vmap.randomness-different",), "raised nothing",
        replacing(torch.func, "vmap", _never_refuses_random),
    ),
    Saboteur(
        "vmap-refuses-no-dims", "vmap with illegal in_dims returns its argument",
        ("func-vmap.refused-in-dims",), "raised nothing", _answering(ValueError),
    ),
    Saboteur(
        "vmap-refuses-no-function", "vmap of what reads a value out returns its argument",
        ("func-vmap.refused-functions",), "raised nothing", _answering(RuntimeError),
    ),
    Saboteur(
        "vmap-in-dim-backwards", "vmap over the last dimension goes backwards",
        ("func-vmap.one-in-dim",), "result", replacing(torch.func, "vmap", _square_by_rows),
    ),
)  # fmt: skip
