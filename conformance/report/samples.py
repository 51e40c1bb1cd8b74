"""A call of each operator to show: drawn as the laws draw, chosen for being short, and made.

What stands on the page is what torch returned while the page was made.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import hypothesis
import torch

from conformance.evidence import tensors_in
from conformance.generation import hypothesis_settings
from conformance.operators import Call, Operator
from conformance.operators.operator import replaced
from conformance.target import resolve
from strategies.source import source

_DRAWS = 40
_WIDTH = 88
_MOST, _LEAST, _GOOD = 24, 2, 3
"""Elements of all arguments together, and of the largest; so many of one are good to look at."""
_FIRST = (torch.float32, torch.int64)
"""Dtypes that need no word in a literal."""


def sample(operator: Operator) -> str:
    """Return a call and its result, as a dialogue with Python; nothing if no call is plain."""
    for dtype in sorted(operator.supported, key=lambda dtype: dtype not in _FIRST):
        plain = filter(None, (_plain(call) for call in _drawn(operator, dtype)))
        shown = filter(None, (_shown(operator, call) for call in plain))
        best = min(shown, default=None)
        if best:
            return best[1]
    return ""


def _drawn(operator: Operator, dtype: torch.dtype) -> list[Call]:
    """Draw calls at values that are good to look at, as far as the operator takes them."""
    kind = operator.smooth if operator.analytic else operator.kind
    found: list[Call] = []

    @hypothesis.seed(0)
    @hypothesis_settings(_DRAWS, shrink=False, explain=False)
    @hypothesis.given(call=operator.calls(dtype, "dyadic" if kind == "any" else kind))
    def draw(call: Call) -> None:
        found.append(call)

    draw()
    return found


def _plain(call: Call) -> Call | None:
    """Return a call with its tensors in row-major memory, if they are few numbers that differ."""
    tensors = list(tensors_in(call))
    sizes = [tensor.numel() for tensor in tensors]
    if not sizes or min(sizes) == 0 or max(sizes) < _LEAST or sum(sizes) > _MOST:
        return None
    if any(tensor.layout != torch.strided or _is_uniform(tensor) for tensor in tensors):
        return None
    rows = (torch.tensor(tensor.tolist(), dtype=tensor.dtype) for tensor in tensors)
    return Call(*replaced(tuple(call), rows))


def _is_uniform(tensor: torch.Tensor) -> bool:
    return tensor.numel() > 1 and len(set(tensor.flatten().tolist())) == 1


def _shown(operator: Operator, call: Call) -> tuple[int, str] | None:
    """Return the dialogue of a call, and what speaks against it: the least is the best."""
    lines = list(_lines(f"torch.{operator.name}", call))
    given = list(tensors_in(call))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = resolve(f"torch.{operator.name}")(*call.arguments, **call.keywords)
        except RuntimeError:  # a deviation, which the page tells of below
            return None
    results = list(tensors_in(result))
    if not all(tensor.numel() for tensor in results):
        return None
    text = "\n".join([*lines, repr(result)])
    against = len(text) + 30 * text.count("\n")
    against += 40 * sum(max(0, tensor.dim() - 2) for tensor in (*given, *results))
    against += 30 * max(0, _GOOD - max(tensor.numel() for tensor in given))
    against += 60 * any(bool(tensor.isnan().any()) for tensor in results)
    against += 60 * any(tensor.equal(given[0]) for tensor in results)
    against += 30 * any(map(_is_uniform, results))
    return against, text


def _lines(name: str, call: Call) -> Iterator[str]:
    """Return the call at the prompt, on several lines if it is long."""
    words = [source(argument) for argument in call.arguments]
    words += [f"{key}={source(value)}" for key, value in call.keywords.items()]
    whole = f">>> {name}({', '.join(words)})"
    if len(whole) <= _WIDTH:
        yield whole
        return
    yield f">>> {name}("
    yield from (f"...     {word}," for word in words)
    yield "... )"
