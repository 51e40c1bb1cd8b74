"""The catalogue of operators: entries that say what exists, and scripts for each of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conformance.counterexample import stand_alone
from conformance.evidence import tensors_in
from conformance.law import Law, shipped_laws
from conformance.operators import FAMILIES, OPERATORS, Operator
from conformance.operators.operator import Call, replaced
from conformance.target import Target, resolve

OVER_OPERATORS = [law for law in shipped_laws() if law.id.startswith("operators.")]
IDS = [(law, case) for law in OVER_OPERATORS for case in law.cases]


def test_keys_are_unique() -> None:
    assert len(OPERATORS) == sum(map(len, FAMILIES.values()))


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_an_entry_names_what_exists(operator: Operator) -> None:
    for name in (operator.name, *operator.spellings, operator.in_place or operator.name):
        resolve(name)
    assert operator.out in ("", "same", "cast")
    assert operator.memory in ("view", "copy", "either")
    parts = {law.id.partition(".")[2] for law in OVER_OPERATORS} | {"second"}
    assert set(operator.excused) <= parts
    assert all(reason.strip() for reason in operator.excused.values())
    assert not (operator.memory == "view" and operator.out)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_an_entry_draws_calls_in_each_of_its_dtypes(operator: Operator) -> None:
    for dtype in operator.supported:

        @settings(
            max_examples=2,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operator.calls(dtype, operator.kind))
        def draw(call: Call) -> None:
            assert next(tensors_in(call), None) is not None

        draw()


@pytest.mark.parametrize(("law", "case"), IDS, ids=lambda value: getattr(value, "id", value))
def test_a_script_can_be_written_for_each(law: Law, case: str) -> None:
    script = stand_alone(law, case, Target(torch.device("cpu")), {}, "", "")
    compile(script, f"{law.id}:{case}", "exec")


@given(st.recursive(st.integers(), lambda inner: st.lists(inner) | st.tuples(inner)))
def test_replacing_keeps_a_nest(nest: Any) -> None:
    tensor = torch.zeros(1)
    held = Call((nest, [tensor, (tensor,)]), {"other": tensor})
    assert len(list(tensors_in(held))) == 3
    exchanged = replaced(held, iter((1, 2, 3)))
    assert exchanged == Call((nest, [1, (2,)]), {"other": 3})
