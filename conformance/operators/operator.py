"""What an operator is: one entry of the catalogue, as data, and one call of it.

The laws over operators read these entries; nothing here calls torch. An entry names torch's
functions by their dotted names, which are looked up when a law runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from hypothesis.strategies import SearchStrategy

from conformance.evidence import tensors_in
from strategies.dtypes import FAMILIES

Reference = Callable[..., Any]


class Call(NamedTuple):
    """The arguments of one call: by position, which may nest tensors in lists, and by keyword."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Dtypes(NamedTuple):
    """In which dtype an operator computes, and those of its results.

    ``computed`` None: each operand is taken as it is. One dtype in ``results`` stands for all.
    """

    computed: torch.dtype | None
    results: tuple[torch.dtype, ...]


class Rejection(NamedTuple):
    """A call that must raise, beside a legal one that differs in what is wrong alone.

    Both are Python expressions over ``torch`` and the names in ``tensors``, which gives the
    dtype and shape of each. ``error`` is the exception's name, ``message`` a regular expression
    for the telling part of its text.
    """

    legal: str
    illegal: str
    error: str
    message: str
    tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]


Calls = Callable[[torch.dtype, str], SearchStrategy[Call]]
"""From a dtype and a kind of values to the calls to draw."""


VALUE_ALONE: Mapping[str, str] = dict.fromkeys(
    ("long", "copy", "layout", "vmap", "meta", "vjp", "jvp", "second-derivative"),
    "covered by the entries without this corner",
)
"""What excuses the entry of a corner from all laws but those about its values."""


def same(call: Call) -> Dtypes:
    """Compute in the dtype of the first tensor, and return it."""
    first = next(tensors_in(call))
    return Dtypes(None, (first.dtype,))


@dataclass(frozen=True, eq=False)  # an entry is itself: laws keep what they made for it
class Operator:
    """One entry of the catalogue.

    ``name`` is the callable's dotted name in torch; ``variant`` tells entries of one callable
    apart. ``calls`` draws legal arguments; ``reference`` is the NumPy function of the same
    arguments, arrays for tensors, floating ones as float64 and complex ones as complex128; it
    returns an array or a tuple of them. ``dtypes`` are names of families or dtypes.

    ``result`` tells the dtypes. Results that are moved or counted are exact (``ulps`` 0);
    others may be ``ulps`` units in the last place of ``magnitude`` away, a function of the same
    arguments whose default is the size of the result itself. ``kind`` names the values to draw.

    ``analytic`` is the reference that derivatives are taken of: a function that takes complex
    arrays, is analytic there, and branches on real parts only; it returns the differentiable
    results. None: the results are not differentiable. ``smooth`` is the kind of values at which
    it is, and ``derivative_ulps`` what the derivative may be off, in units of the products summed,
    or, where ``normwise``, of the largest such sum in the result, as algorithms on matrices are;
    Slopes of up to ``slope`` may cancel within a derivative, which is rounded as if they did not.
    ``constants`` are the numbers of floating tensors that no derivative passes through.

    ``spellings`` take the same arguments and give the same result, by name or as functions, which
    may pass them on in another form; ``in_place`` does so and writes to its first argument.
    ``out`` says what ``out=`` takes: "" nothing, "same" tensors of the result's dtype, "cast" any
    dtype that the result can be cast to. ``memory`` says where the result lies: "copy" in memory
    of its own, "view" in the first argument's, "either".
    ``mixed`` draws calls that mix dtypes, where the result's dtype depends on all arguments.
    ``rejections`` are the calls that must raise, by name. ``excused`` tells which laws do not
    apply, by the part of their id after the dot, and why.
    """

    name: str
    calls: Calls = field(metadata={"draws": True})
    reference: Reference
    dtypes: tuple[str | torch.dtype, ...] = ("floating",)
    variant: str = ""
    result: Callable[[Call], Dtypes] = same
    ulps: float = 0.0
    magnitude: Reference | None = None
    kind: str = "any"
    analytic: Reference | None = None
    smooth: str = "away-from-kinks"
    derivative_ulps: float = 16.0
    normwise: bool = False
    slope: float = 0.0
    constants: tuple[int, ...] = ()
    spellings: tuple[str | Callable[..., Any], ...] = ()
    in_place: str | Callable[..., Any] = ""
    out: str = ""
    memory: str = "copy"
    mixed: SearchStrategy[Call] | None = field(default=None, metadata={"draws": True})
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    excused: Mapping[str, str] = field(default_factory=dict)
    docs: str = ""

    @property
    def key(self) -> str:
        """The name in ids: the last part of the callable's name, and the variant."""
        last = self.name.rpartition(".")[2]
        return f"{last}-{self.variant}" if self.variant else last

    @property
    def page(self) -> str:
        """The page of torch's documentation that describes the operator."""
        return self.docs or f"torch.{self.name}"

    @property
    def supported(self) -> tuple[torch.dtype, ...]:
        """The dtypes, one by one, simplest first."""
        found: dict[torch.dtype, None] = {}
        for entry in self.dtypes:
            found.update(dict.fromkeys(FAMILIES[entry] if isinstance(entry, str) else (entry,)))
        return tuple(found)


def replaced(value: Any, tensors: Iterator[Any]) -> Any:
    """Return a nest with its tensors replaced, in order, by what ``tensors`` yields."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, Mapping):
        return {key: replaced(item, tensors) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(replaced(item, tensors) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(replaced(item, tensors) for item in value)
    return value
