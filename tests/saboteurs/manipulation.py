"""Faults in operators that only move elements."""

from __future__ import annotations

import torch

from tests.saboteurs.operator_faults import (
    InMemoryOrder,
    Once,
    Scaled,
    case,
    fault,
    is_complex,
    multiplied,
    out_replaced,
    reading,
    results,
    sizes_reversed,
    uncounted,
    when,
)
from tests.saboteurs.saboteur import Saboteur, replacing

SABOTEURS = (
    fault(
        "transpose-negative-dim", "transpose takes the dimension -2 for -1",
        "value:transpose", "result",
        case("transpose", lambda x, a, b: b == -2 and x.dim() > 2,
              lambda f, x, a, b: f(x, a, -1)),
    ),
    fault(
        "permute-copies", "permute copies where the order changes nothing",
        "view:permute", "view after a write",
        case("permute", lambda x, dims: tuple(dims) == tuple(range(x.dim())) and x.dim() > 1,
              lambda f, x, dims: f(x, dims).clone()),
    ),
    fault(
        "movedim-back", "movedim of several dimensions moves them the other way round",
        "value:movedim", "result", case(
            "movedim", lambda x, a, b: isinstance(a, tuple) and len(a) > 2,
            lambda f, x, a, b: f(x, b, a)),
    ),
    fault(
        "adjoint-not-conjugated", "adjoint of complex matrices in batches does not conjugate",
        "value:adjoint", "result", case(
            "adjoint", lambda x: x.is_complex() and x.dim() > 3, lambda f, x: x.transpose(-1, -2)),
    ),
    fault(
        "mt-copies", "mT of half precision copies",
        "view:mT", "view after a write",
        reading("mT", lambda y: y.clone() if y.dtype == torch.float16 else y),
    ),
    fault(
        "h-forgets-to-conjugate", "H of a square complex matrix is its transpose",
        "value:H", "result",
        reading("H", lambda y: y.conj() if y.dim() == 2 and y.shape[0] == y.shape[1] else y),
    ),
    fault(
        "reshape-in-memory-order", "reshape reads a column-major matrix in memory's order",
        ("value:reshape", "layout:reshape"), "result", case(
            "reshape",
            lambda x, s: x.dim() == 2 and x.stride() == (1, x.shape[0]) and x.numel() > 4,
            lambda f, x, s: f(x.t(), s)),
    ),
    fault(
        "reshape-accepts-two", "reshape takes a second -1 for 1",
        "rejection:reshape-inferred", "raised nothing", case(
            "reshape", lambda x, s: tuple(s) == (-1, -1), lambda f, x, s: f(x, (-1, 1))),
    ),
    fault(
        "view-unpacked", "view of three sizes one by one exchanges the last two",
        "spellings:view-contiguous", "view_unpacked", case(
            "Tensor.view", lambda x, *s: len(s) == 3 and -1 not in s and s[1] != s[2],
            lambda f, x, *s: f(x, s[0], s[2], s[1])),
    ),
    fault(
        "flatten-scalar", "flatten leaves a scalar without dimensions",
        "value:flatten", "shape", case(
            "flatten", lambda x, *r: not x.dim(), lambda f, x, *r: x.view(())),
    ),
    fault(
        "unflatten-gradient", "the gradient of unflatten is off by a thousandth",
        ("vjp:unflatten", "jvp:unflatten"), "apart where rounding explains",
        results(torch, "unflatten", Scaled.apply),
    ),
    fault(
        "squeeze-several", "squeeze of several dimensions drops but the first of them",
        "value:squeeze", "shape", case(
            "squeeze", lambda x, *r: bool(r) and isinstance(r[0], tuple) and len(r[0]) > 1,
            lambda f, x, dims: f(x, dims[:1])),
    ),
    fault(
        "unsqueeze-unbumped", "unsqueeze is cut off from its base's version counter",
        "view:unsqueeze", "version of a view", results(
            torch, "unsqueeze", lambda y: y.data),
    ),
    fault(
        "expand-materializes", "expand copies where a side of 1 grows",
        "view:expand", "view after a write", case(
            "Tensor.expand", lambda x, *s: x.dim() == 2 and 1 in x.shape and x.numel() > 1,
            lambda f, x, *s: f(x, *s).contiguous()),
    ),
    fault(
        "broadcast-to-negative", "broadcast_to takes a side that does not fit, if it is 3",
        "rejection:broadcast_to-side", "raised nothing", case(
            "broadcast_to", lambda x, s: s[0] == 3 and x.shape[0] == 2,
            lambda f, x, s: f(x[:1], s)),
    ),
    fault(
        "atleast-3d-vector", "atleast_3d puts a vector first",
        "value:atleast_3d", "shape", case(
            "atleast_3d", lambda *x: len(x) == 1 and getattr(x[0], "ndim", 0) == 1,
            lambda f, x: x[:, None, None]),
    ),
    fault(
        "real-shares-nothing", "the gradient of real is off by a thousandth",
        "vjp:real", "apart where rounding explains", results(torch, "real", Scaled.apply),
    ),
    fault(
        "cat-one-dtype", "cat takes the dtype of its first operand",
        "dtype:cat", "dtype", case(
            "cat", lambda t, *r, **k: len({x.dtype for x in t}) > 1,
            lambda f, t, *r, **k: f([x.to(t[0].dtype) for x in t], *r, **k)),
    ),
    fault(
        "cat-out-moves", "cat gives an out= with gaps other memory",
        "out:cat", "strides of out", replacing(torch, "cat", out_replaced),
    ),
    fault(
        "concatenate-negative", "concatenate along a negative dimension takes the last first",
        "spellings:cat", "concatenate", case(
            "concatenate", lambda t, dim=0: dim < 0 and len(t) > 1,
            lambda f, t, dim=0: f(t[::-1], dim)),
    ),
    fault(
        "stack-gradient", "the gradient of stack depends on the memory of the cotangent",
        "vjp:stack", "gradient to leaf", results(torch, "stack", InMemoryOrder.apply),
    ),
    fault(
        "hstack-vectors", "hstack of vectors begins with the last of them",
        "value:hstack", "result", case(
            "hstack", lambda t, **k: len(t) > 1 and all(x.dim() == 1 for x in t),
            lambda f, t, **k: f(t[::-1], **k)),
    ),
    fault(
        "chunk-empty", "chunk of a side of 0 gives one piece",
        "value:chunk", "number of results", case(
            "chunk", lambda x, n, dim=0: not x.shape[dim] and n > 1,
            lambda f, x, n, dim=0: f(x, 1, dim)),
    ),
    fault(
        "split-reversed", "split reverses sizes listed",
        "value:split", "shape", case(
            "split", lambda x, s, dim=0: not isinstance(s, int), sizes_reversed),
    ),
    fault(
        "split-sum", "split_with_sizes takes a negative size for none",
        "rejection:split_with_sizes-negative", "raised nothing", case(
            "split_with_sizes", lambda x, s, dim=0: -1 in s, lambda f, x, s, dim=0: [x]),
    ),
    fault(
        "tensor-split-longer", "tensor_split makes the last pieces longer, not the first",
        "value:tensor_split", "shape", case(
            "tensor_split", lambda x, s, dim=0: isinstance(s, int) and x.shape[dim] % s,
            lambda f, x, s, dim=0: f(x.flip(dim), s, dim)[::-1]),
    ),
    fault(
        "unbind-meta", "unbind on the meta device makes contiguous tensors",
        "meta:unbind", "on meta", case(
            "unbind", lambda x, *r: x.is_meta,
            lambda f, x, *r: [y.contiguous() for y in f(x, *r)]),
    ),
    fault(
        "meshgrid-xy", "meshgrid with indexing xy of three vectors is that with ij",
        "value:meshgrid", "shape", case(
            "meshgrid", lambda *v, indexing: indexing == "xy" and len(v) > 2,
            lambda f, *v, indexing: f(*v, indexing="ij")),
    ),
    fault(
        "combinations-twice", "combinations of three repeat no element",
        "value:combinations", "shape", case(
            "combinations", lambda x, *r: r == (3, True), lambda f, x, *r: f(x, 3, False)),
    ),
    fault(
        "flip-empty-dims", "flip along no dimension flips all",
        "value:flip", "result", case(
            "flip", lambda x, d: not d and x.dim() > 0,
            lambda f, x, d: f(x, tuple(range(x.dim())))),
    ),
    fault(
        "roll-far", "roll by more than a side rolls by one too many",
        "value:roll", "result", case(
            "roll", lambda x, s, *d: isinstance(s, int) and bool(d) and 0 < x.shape[d[0]] < s,
            lambda f, x, s, *d: f(x, s + 1, *d)),
    ),
    fault(
        "rot90-negative", "rot90 turns three times for -1 to the wrong side",
        "value:rot90", "result", case(
            "rot90", lambda x, k=1, *d: k == -1, lambda f, x, k=1, *d: f(x, 1, *d)),
    ),
    fault(
        "tile-too-few", "tile with fewer counts than dimensions begins at the first",
        "value:tile", "shape", case(
            "tile", lambda x, n: 0 < len(n) < x.dim(),
            lambda f, x, n: f(x, (*n, *(1,) * (x.dim() - len(n))))),
    ),
    fault(
        "repeat-interleave-one", "repeat_interleave by one count repeats as repeat does",
        "value:repeat_interleave-by-tensor", "result", case(
            "repeat_interleave",
            lambda x, n, *r, **k: isinstance(n, torch.Tensor) and n.numel() == 1
            and x.dim() == 1 and not k,
            lambda f, x, n, *r: x.repeat(int(n))),
    ),
    fault(
        "clone-second", "the gradient of clone has no graph of its own",
        "second-derivative:clone", "J w", results(torch, "clone", Once.apply),
    ),
    fault(
        "clone-shares", "clone of an integer scalar shares its memory",
        "copy:clone", "was modified", case(
            "clone", lambda x: not x.dim() and x.dtype == torch.int64, lambda f, x: x.detach()),
    ),
    fault(
        "triu-nan", "triu multiplies by 0, which leaves nan",
        "value:triu", "result at index", case(
            "triu", lambda x, *r, **k: x.is_floating_point() and not k, multiplied),
    ),
    fault(
        "tril-in-place-copies", "tril_ writes to other memory where there are gaps",
        "in-place:tril", "version, memory", case(
            "Tensor.tril_", lambda x, *k: not x.is_contiguous() and x.numel() > 1,
            lambda f, x, *k: x.set_(x.tril(*k))),
    ),
    fault(
        "pad-value", "pad forgets a value above 0",
        "value:pad", "result", case(
            "nn.functional.pad",
            lambda x, p, *r: len(r) == 2 and bool(r[1]),
            lambda f, x, p, *r: f(x, p)),
    ),
    fault(
        "pad-reflect-edge", "pad by reflection of two dimensions repeats the edge",
        "value:pad-reflect", "result", case(
            "nn.functional.pad", lambda x, p, *r: r == ("reflect",) and len(p) == 4,
            lambda f, x, p, *r: f(x, p, "replicate")),
    ),
    fault(
        "one-hot-vmap", "one_hot under vmap counts from the end",
        "vmap:one_hot", "result for element", case(
            "nn.functional.one_hot", lambda x, *n: torch._C._functorch.is_batchedtensor(x),
            lambda f, x, *n: f(x, *n).flip(-1)),
    ),
    fault(
        "pixel-shuffle-order", "pixel_shuffle exchanges rows and columns of its squares",
        "value:pixel_shuffle", "result", case(
            "nn.functional.pixel_shuffle", lambda x, r: x.dim() == 4 and r == 2,
            lambda f, x, r: f(x.unflatten(1, (-1, r, r)).transpose(2, 3).flatten(1, 3), r)),
    ),
    fault(
        "narrow-end", "narrow from a negative start begins at the first",
        "value:narrow", "result", case(
            "narrow", lambda x, d, s, n: not isinstance(s, torch.Tensor) and s < 0,
            lambda f, x, d, s, n: f(x, d, 0, n)),
    ),
    fault(
        "select-gradient", "the gradient of select depends on the memory of the cotangent",
        "vjp:select", "gradient to leaf", results(torch, "select", InMemoryOrder.apply),
    ),
    fault(
        "unfold-step", "unfold leaves out a last window that just fits",
        "value:unfold", "shape", case(
            "Tensor.unfold", lambda x, d, n, s: x.shape[d] > n and not (x.shape[d] - n) % s,
            lambda f, x, d, n, s: f(x, d, n, s).narrow(
                d % x.dim(), 0, (x.shape[d] - n) // s)),
    ),
    fault(
        "as-strided-offset", "as_strided of an empty shape takes the offset 0",
        "value:as_strided", "result", case(
            "as_strided", lambda x, s, t, o=0: not s, lambda f, x, s, t, o=0: f(x, s, t, 0)),
    ),
    fault(
        "diagonal-negative", "diagonal below the main one in batches is the main one's",
        "value:diagonal", "result", case(
            "diagonal", lambda x, o=0, *d: o < 0 and x.dim() > 2,
            lambda f, x, o=0, *d: f(x, o + 1, *d)),
    ),
    fault(
        "diag-embed-tangent", "the tangent of diag_embed is off by a thousandth",
        "jvp:diag_embed", "tangent", results(torch, "diag_embed", Scaled.apply),
    ),
    fault(
        "slice-scatter-copies", "slice_scatter of half the elements writes to its input",
        "value:slice_scatter", "was modified", case(
            "slice_scatter", lambda x, y, d=0, a=None, b=None, s=1: s == 2 and y.numel() > 0,
            lambda f, x, y, d=0, a=None, b=None, s=1: x.copy_(f(x, y, d, a, b, s)).clone()),
    ),
    fault(
        "select-scatter-vmap", "select_scatter under vmap replaces the first slice",
        "vmap:select_scatter", "result for element", case(
            "select_scatter",
            lambda x, y, d, i: torch._C._functorch.is_batchedtensor(x) and i != 0,
            lambda f, x, y, d, i: f(x, y, d, 0)),
    ),
    fault(
        "fold-doubled", "fold doubles complex numbers",
        "value:fold", "result", case(
            "nn.functional.fold", is_complex, lambda f, x, *r: f(x, *r) * 2),
    ),
    Saboteur(
        "transpose-in-place-uncounted", "transpose_ is not counted as a write",
        ("shape-in-place.result:transpose_",), "version",
        replacing(torch.Tensor, "transpose_", uncounted),
    ),
    Saboteur(
        "squeeze-in-place-gradient", "the gradient through squeeze_ is lost",
        ("shape-in-place.gradient:squeeze_",), "grad",
        replacing(torch.Tensor, "squeeze_", uncounted),
    ),
    Saboteur(
        "swapdims-accepts", "swapdims_ wraps dimensions around",
        ("shape-in-place.dim-rejected:swapdims_",), "raised nothing",
        when(torch.Tensor, "swapdims_", lambda x, a, b: b >= x.dim() > 0,
              lambda f, x, a, b: f(x, a, b % x.dim())),
    ),
)  # fmt: skip
