"""How sensitive the laws over operators are: plant every fault in every operator, count the kills.

A mutation is a fault that any operator can have, on a narrow condition: only rank 0, only
float16, only inputs that are not contiguous. Each is planted in each operator to which it can
happen, and the law that should see it is examined in profile ci. Run with
``python -m tests.mutations``; survivors are listed. No fault are those of gradients that are 0 or
have no strides, and of functions with which inputs are made or read, such as ``as_strided``.
"""

from __future__ import annotations

import argparse
import fnmatch
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
import torch

from conformance.deviations import Deviation
from conformance.evidence import tensors_in
from conformance.examine import Examination
from conformance.law import shipped_laws
from conformance.operators import OPERATORS, Operator
from conformance.operators.judge import listed
from conformance.operators.operator import replaced
from conformance.profiles import PROFILES
from conformance.target import Target
from tests.saboteurs.gradients import ScaledGradient, StridedGradientLost, WrongTangent

KINDS = ("killed", "survived", "silent")
Function = Callable[..., Any]


class Mutation(NamedTuple):
    """A fault, the law that should see it, and what it does to a call.

    ``condition`` looks at the call's tensors and arguments; ``change`` at one result.
    """

    law: str
    condition: Callable[[list[torch.Tensor], tuple[Any, ...]], bool]
    change: Callable[[torch.Tensor], torch.Tensor]


def _always(*_: Any) -> bool:
    return True


def _of(*dtypes: torch.dtype) -> Callable[..., bool]:
    return lambda tensors, _: any(t.dtype in dtypes for t in tensors)


def _has_rank_0(tensors: list[torch.Tensor], _: Any) -> bool:
    return all(t.dim() == 0 for t in tensors)


def _is_wide(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(t.dim() > 2 for t in tensors)


def _is_strided(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(not t.is_contiguous() for t in tensors)


def _is_offset(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(t.storage_offset() > 0 for t in tensors)


def _is_broadcast(tensors: list[torch.Tensor], _: Any) -> bool:
    return len({t.shape for t in tensors}) > 1


def _has_nan(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(bool(t.isnan().any()) for t in tensors)


def _has_infinity(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(bool(t.isinf().any()) for t in tensors)


def _is_empty(tensors: list[torch.Tensor], _: Any) -> bool:
    return any(t.numel() == 0 for t in tensors)


def _says_negative(_: Any, arguments: tuple[Any, ...]) -> bool:
    return any(isinstance(a, int) and not isinstance(a, bool) and a < 0 for a in arguments)


def _moved(result: torch.Tensor) -> torch.Tensor:
    """The last element of what has any, changed."""
    if not result.numel():
        return result
    wrong = result.detach().clone().reshape(-1)
    wrong[-1] = 1 if result.dtype == torch.bool and not wrong[-1] else 0 if wrong[-1] != 0 else 1
    return wrong.reshape(result.shape)


def _longer(result: torch.Tensor) -> torch.Tensor:
    return result.unsqueeze(0)


def _other_dtype(result: torch.Tensor) -> torch.Tensor:
    return result.to(torch.float32 if result.dtype != torch.float32 else torch.float64)


def _zero(result: torch.Tensor) -> torch.Tensor:
    spoilt = result.is_floating_point() and not result.isfinite().all()
    return torch.nan_to_num(result) if spoilt else result


def _copied(result: torch.Tensor) -> torch.Tensor:
    return result.clone()


def _through(function: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(result: torch.Tensor) -> torch.Tensor:
        return function.apply(result) if result.is_floating_point() else result

    return change


def _scaled_for_one(result: torch.Tensor) -> torch.Tensor:
    return ScaledGradient.apply(result) if result.is_floating_point() else result


COMPLEX = (torch.complex64, torch.complex128)
LISTED = Deviation("*", "*", "", "planted", "", "")
"""A listed violation is not shrunk, which is most of what a kill would cost."""

MUTATIONS: dict[str, Mutation] = {
    "last element": Mutation("value", _always, _moved),
    "last element, rank 0": Mutation("value", _has_rank_0, _moved),
    "last element, rank above 2": Mutation("value", _is_wide, _moved),
    "last element, not contiguous": Mutation("value", _is_strided, _moved),
    "last element, behind an offset": Mutation("value", _is_offset, _moved),
    "last element, broadcast": Mutation("value", _is_broadcast, _moved),
    "last element, float16": Mutation("value", _of(torch.float16), _moved),
    "last element, bfloat16": Mutation("value", _of(torch.bfloat16), _moved),
    "last element, int8": Mutation("value", _of(torch.int8), _moved),
    "last element, uint8": Mutation("value", _of(torch.uint8), _moved),
    "last element, bool": Mutation("value", _of(torch.bool), _moved),
    "last element, complex": Mutation("value", _of(*COMPLEX), _moved),
    "last element, negative argument": Mutation("value", _says_negative, _moved),
    "last element, nan in an input": Mutation("value", _has_nan, _moved),
    "last element, infinity in an input": Mutation("value", _has_infinity, _moved),
    "nan becomes 0": Mutation("value", _has_nan, _zero),
    "empty result longer": Mutation("value", _is_empty, _longer),
    "dtype": Mutation("value", _always, _other_dtype),
    "dtype of empty": Mutation("value", _is_empty, _other_dtype),
    "layout": Mutation("layout", _is_strided, _moved),
    "gradient 0.1 %": Mutation("vjp", _always, _scaled_for_one),
    "gradient 0.1 %, not contiguous": Mutation("vjp", _is_strided, _scaled_for_one),
    "gradient 0.1 %, broadcast": Mutation("vjp", _is_broadcast, _scaled_for_one),
    "gradient lost, strided cotangent": Mutation("vjp", _always, _through(StridedGradientLost)),
    "gradient detached": Mutation("vjp", _always, torch.Tensor.detach),
    "tangent halved": Mutation("jvp", _always, _through(WrongTangent)),
    "view copied": Mutation("view", _always, _copied),
    "vmap": Mutation("vmap", _is_wide, _moved),
    "dtype, mixed operands": Mutation("dtype", _is_broadcast, _other_dtype),
    "spelling": Mutation("spellings", _always, _moved),
    "in place, copied": Mutation("in-place", _always, _copied),
    "out, not returned": Mutation("out", _always, _copied),
}


def planted(mutation: Mutation, seen: list[int]) -> Callable[[Function], Function]:
    """Return what makes of a function one with the fault; ``seen`` counts where it could show."""

    def make(original: Function) -> Function:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            result = original(*arguments, **keywords)
            tensors = list(tensors_in((arguments, keywords)))
            if not mutation.condition(tensors, (*arguments, *keywords.values())):
                return result
            results = [r for r in listed(result) if isinstance(r, torch.Tensor)]
            changed = [mutation.change(r) for r in results]
            differ = any(_shows(a, b) for a, b in zip(results, changed, strict=True))
            seen.append(differ)
            return replaced(result, iter(changed))

        return faulty

    return make


def _shows(result: torch.Tensor, changed: torch.Tensor) -> bool:
    if changed is result:
        return False
    if result.shape != changed.shape or result.dtype != changed.dtype:
        return True
    same = torch.equal(result.detach(), changed.detach())
    return not same or changed.data_ptr() != result.data_ptr() or changed.grad_fn is not None


def targets_of(mutation: Mutation, operator: Operator) -> list[str]:
    """Return the names under which torch has what the law calls of the operator."""
    by_law = {"spellings": operator.spellings[-1:], "in-place": (operator.in_place,)}
    return [name for name in by_law.get(mutation.law, (operator.name,)) if isinstance(name, str)]


def cases(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield each mutation with each operator whose laws include the one that should see it."""
    laws = {law.id: law for law in shipped_laws()}
    for name, mutation in MUTATIONS.items():
        for key in laws[f"operators.{mutation.law}"].cases:
            if fnmatch.fnmatch(key, pattern):
                yield name, key


def tried(case: tuple[str, str]) -> tuple[str, str, str]:
    """Plant one mutation in one operator; return both and "killed", "survived" or "silent".

    Silent: on none of the examples did it change anything that was to be seen.
    """
    name, key = case
    mutation, operator = MUTATIONS[name], OPERATORS[key]
    law = next(law for law in shipped_laws() if law.id == f"operators.{mutation.law}")
    seen: list[int] = []
    warnings.simplefilter("ignore")
    with pytest.MonkeyPatch.context() as patch:
        for dotted in targets_of(mutation, operator):
            owner, _, attribute = dotted.rpartition(".")
            holder = attrgetter(owner)(torch) if owner else torch
            patch.setattr(holder, attribute, planted(mutation, seen)(getattr(holder, attribute)))
        target, examples = Target(torch.device("cpu")), PROFILES["ci"].allotted(law)
        verdict = Examination(law, key, target, examples, deviation=LISTED).verdict()
    if verdict.verdict == "deviates":
        return name, key, "killed"
    return name, key, "survived" if any(seen) else "silent"


def main() -> int:
    """Try all mutations and print the kills of each, and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--operators", default="*", help="a glob over operators (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default 2)")
    options = parser.parse_args()
    todo = list(cases(options.operators))
    outcomes: dict[str, dict[str, list[str]]] = {}
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        for count, (name, key, outcome) in enumerate(pool.imap_unordered(tried, todo, 8), 1):
            outcomes.setdefault(name, {}).setdefault(outcome, []).append(key)
            if sys.stderr.isatty():
                print(f"\r{count}/{len(todo)}", end="", file=sys.stderr)
    for name in MUTATIONS:
        found = outcomes.get(name, {})
        counts = [f"{kind} {len(found.get(kind, [])):4}" for kind in KINDS]
        survivors = " ".join(sorted(found.get("survived", [])))
        print(f"{name:<36} {'  '.join(counts)}  {survivors}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
