"""Declarations: what every law of the package says of itself, and what @law refuses."""

from __future__ import annotations

import re

import pytest

from conformance.law import LEVELS, Law, documentation_link, law, laws_in, shipped_laws
from conformance.target import Target, resolve

LAWS = shipped_laws()


def test_there_are_laws() -> None:
    assert len(LAWS) >= 30
    assert len({law.chapter for law in LAWS}) >= 12


def test_ids_are_unique_and_well_formed() -> None:
    ids = [law_id for found in LAWS for law_id in found.ids()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z_-]+\.[a-z\d-]+(:[\w-]+)?", law_id) for law_id in ids)


@pytest.mark.parametrize("found", LAWS, ids=lambda found: found.id)
def test_a_law_says_what_it_is(found: Law) -> None:
    assert found.level in LEVELS
    assert found.statement.endswith(".")
    assert len(found.statement) < 140
    for case in found.cases or (None,):
        assert found.documentation(case).startswith("https://docs.pytorch.org/docs/stable/")
        assert set(found.quantified(case)) <= set(found.function.__code__.co_varnames)


def test_the_documentation_named_exists_in_torch() -> None:
    links = {found.documentation(case) for found in LAWS for case in found.cases or (None,)}
    for link in links:
        name = re.fullmatch(r".*/generated/torch\.(.*)\.html", link)
        if name:
            resolve(f"torch.{name[1]}")


def test_declarations_that_are_refused() -> None:
    with pytest.raises(ValueError, match="level 'may' is none of must"):
        law("a.b", docs="torch.add", level="may")
    with pytest.raises(ValueError, match="must begin with one sentence"):

        @law("a.b", docs="torch.add")
        def test_without_sentence(target: Target) -> None:
            """no sentence"""


def test_a_declared_law_is_found() -> None:
    import types

    @law("a.b", docs="notes/autograd.html#x", over={"one": 1, "two": 2})
    def test_something(target: Target, case: int) -> None:
        """Something is so.

        If it is.
        """

    module = types.ModuleType("module")
    module.__dict__["test_something"] = test_something
    (found,) = laws_in(module)
    assert found.ids() == ["a.b:one", "a.b:two"]
    assert (found.statement, found.conditions) == ("Something is so.", "If it is.")
    assert found.documentation(None) == documentation_link("notes/autograd.html#x")
    with pytest.raises(RuntimeError, match="runs under the conformance plugin"):
        test_something()
