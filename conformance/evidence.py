"""What a verdict rests on: counted while a law runs, never asserted by the law itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import torch

from strategies.devices import current_target, lacks
from strategies.tensors import layout_of


@dataclass
class Evidence:
    """Counters for one law on one target.

    ``examples`` were run, of which ``rejected`` did not fit the law's conditions, ``unsupported``
    met an operation that the target says it does not have, and ``declared`` failed as a
    capability file says; ``checks`` comparisons looked at ``values`` values. ``compile_seconds``
    are a part of ``law_seconds``. ``unjudged`` is the capability for lack of which a part of the
    example that is running was not looked at.
    """

    examples: int = 0
    rejected: int = 0
    unsupported: int = 0
    declared: int = 0
    checks: int = 0
    values: int = 0
    dtypes: set[str] = field(default_factory=set)
    ranks: set[int] = field(default_factory=set)
    layouts: set[str] = field(default_factory=set)
    draw_seconds: float = 0.0
    law_seconds: float = 0.0
    compile_seconds: float = 0.0
    missing: str = ""
    unjudged: str = ""

    def saw(self, tensor: torch.Tensor) -> None:
        """Note the kind of a tensor that took part."""
        self.dtypes.add(str(tensor.dtype).removeprefix("torch."))
        self.ranks.add(tensor.dim())
        self.layouts.add(layout_of(tensor))

    def saw_all(self, drawn: Mapping[str, Any]) -> None:
        """Note the tensors among an example's inputs."""
        for tensor in tensors_in(drawn):
            self.saw(tensor)

    def as_dict(self) -> dict[str, Any]:
        """Return the counters as JSON can hold them."""
        return {
            "examples": self.examples,
            "rejected": self.rejected,
            "unsupported": self.unsupported,
            "declared": self.declared,
            "checks": self.checks,
            "values": self.values,
            "dtypes": sorted(self.dtypes),
            "ranks": sorted(self.ranks),
            "layouts": sorted(self.layouts),
            "draw_seconds": round(self.draw_seconds, 6),
            "law_seconds": round(self.law_seconds, 6),
            "compile_seconds": round(self.compile_seconds, 6),
            "missing": self.missing,
        }


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of any nest of sequences and mappings, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def compared(values: int, tensor: torch.Tensor | None = None) -> None:
    """Credit one comparison of ``values`` values to the law that is running, if one is."""
    evidence = getattr(current_target.get(), "evidence", None)
    if evidence is not None:
        evidence.checks += 1
        evidence.values += values
        if tensor is not None:
            evidence.saw(tensor)


def judgeable(capability: str) -> bool:
    """Whether the current target has what a part of a law is about.

    Where it lacks it, the law leaves that part out, and the example counts as unsupported.
    """
    if not lacks(capability):
        return True
    evidence = getattr(current_target.get(), "evidence", None)
    if evidence is not None:
        evidence.unjudged = capability
    return False


def judges_words() -> bool:
    """Whether the words of an error are judged on the current target, besides its type."""
    return getattr(current_target.get(), "judges_words", True)


def is_refusal(error: Exception) -> bool:
    """Whether an error is the current target's word for a capability that it lacks."""
    capabilities = getattr(current_target.get(), "capabilities", None)
    return capabilities is not None and bool(capabilities.refusal(error))


def remember(tensor: torch.Tensor, drawn: npt.NDArray[Any]) -> None:
    """Keep what was drawn for an input without values, as long as the current target is."""
    target: Any = current_target.get()
    target.drawn[tensor] = tensor._version, drawn


def remembered(tensor: torch.Tensor) -> npt.NDArray[Any] | None:
    """Return what was drawn for an input without values, until something is written to it."""
    version, drawn = getattr(current_target.get(), "drawn", {}).get(tensor, (None, None))
    return drawn if version == tensor._version else None


def has_values() -> bool:
    """Whether the tensors of the current target hold values."""
    return not getattr(current_target.get(), "valueless", False)
