"""The ``@law`` decorator: a documented behaviour as data that the plugin runs.

A law is a test function whose docstring's first sentence is the law. ``@given`` quantifies
it; ``over`` makes it one law for each entry of a table, with the id ``law:entry``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from hypothesis.strategies import SearchStrategy
from packaging.version import Version
from torch import dtype

from conformance.capabilities import DTYPES

LEVELS = ("must", "should", "statistical")
Quantifier = SearchStrategy[Any] | Callable[[Any], SearchStrategy[Any]]
DOCUMENTATION = "https://docs.pytorch.org/docs/stable/"


@dataclass(frozen=True)
class Law:
    """One documented behaviour.

    ``id`` is permanent. ``cases`` maps the name of each entry the law ranges over to the
    entry; empty for a law on its own. ``strategies`` quantify the function's other arguments.
    ``needs`` names capabilities without which a target cannot be held to it, or tells them of a
    case; ``since`` the first torch that promises it, empty if every torch does that the suite runs
    on. The examples of a ``dear`` law cost several times those of others, and what they find
    they find early: a profile tries fewer.
    """

    id: str
    level: str
    chapter: str
    statement: str
    conditions: str
    docs: str | Callable[[Any], str]
    function: Callable[..., None]
    strategies: Mapping[str, Quantifier]
    cases: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = ()
    since: str | Callable[[Any], str] = ""
    dear: bool = False

    def ids(self) -> list[str]:
        """The ids that users see and type: one a case, or the law's own."""
        return [f"{self.id}:{case}" for case in self.cases] or [self.id]

    def documentation(self, case: str | None) -> str:
        """The address of what promises it, for one case."""
        return documentation_link(self._told(self.docs, case))

    def first_release(self, case: str | None) -> str:
        """The first torch that promises it, such as ``2.12``, for one case; empty for every one."""
        return self._told(self.since, case)

    def too_new(self, case: str | None, torch_version: str) -> str:
        """Return why a torch cannot be held to it yet, for one case; empty if it can."""
        first = self.first_release(case)
        # A nightly build of a release promises what the release does.
        early = first and Version(Version(torch_version).base_version) < Version(first)
        return f"since torch {first}" if early else ""

    def _told(self, said: str | Callable[[Any], str], case: str | None) -> str:
        return said if isinstance(said, str) else said(self.cases[case or next(iter(self.cases))])

    def required(self, case: str | None) -> tuple[str, ...]:
        """The capabilities that one case needs; a case that consists of dtypes needs those."""
        value = None if case is None else self.cases[case]
        needs = self.needs if isinstance(self.needs, tuple) else self.needs(value)
        return (*needs, *_dtypes_of(value))

    def quantified(self, case: str | None) -> dict[str, SearchStrategy[Any]]:
        """The strategies of the function's arguments, for one case."""
        return {
            name: found if isinstance(found, SearchStrategy) else found(self.cases[case or ""])
            for name, found in self.strategies.items()
        }

    def arguments(self, case: str | None) -> dict[str, Any]:
        """The function's argument that names the case, if the law ranges over any."""
        return {} if case is None else {"case": self.cases[case]}


def given(**strategies: Quantifier) -> Callable[[Any], Any]:
    """Quantify a law over strategies, by keyword, as Hypothesis's ``given`` does.

    Where what to draw depends on the case, a function of the case stands for the strategy.
    The examples, seed and settings come from the run's profile.
    """

    def attach(function: Any) -> Any:
        function.__strategies__ = strategies
        return function

    return attach


def law(
    id: str,
    *,
    docs: str | Callable[[Any], str],
    level: str = "must",
    over: Mapping[str, Any] | None = None,
    needs: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = (),
    since: str | Callable[[Any], str] = "",
    dear: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare a test function to be a law.

    ``docs`` is what of torch's documentation promises it: a dotted name with a page of its
    own, such as ``torch.gather``, or a page's path, such as ``notes/autograd.html#anchor``; or a
    function of the case that tells it. ``needs`` names entries of ``conformance.capabilities``,
    or is a function of the case that does; what a target refuses with the same word as it refused
    their probes need not be named. ``since`` is the first torch that promises it, such as
    ``2.12``, or a function of the case that tells it: an older one is not held to it. Of a
    ``dear`` law profiles try fewer examples, see ``conformance.profiles``.
    Raises ``ValueError`` where the declaration is incomplete.
    """
    if level not in LEVELS:
        raise ValueError(f"law {id}: level {level!r} is none of {', '.join(LEVELS)}")

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        statement, _, conditions = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        if not statement.endswith("."):
            raise ValueError(f"law {id}: its docstring must begin with one sentence")
        if over is not None and not over:
            raise ValueError(f"law {id}: it ranges over an empty table")
        cases = dict(over or {})

        def test(**_: Any) -> None:
            raise RuntimeError(f"law {id} runs under the conformance plugin, which is not active")

        names = ["target", *(["case"] if cases else [])]
        parameters = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names]
        test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        test.__name__, test.__qualname__ = function.__name__, function.__qualname__
        test.__module__, test.__doc__ = function.__module__, function.__doc__
        test.__law__ = Law(  # type: ignore[attr-defined]
            id=id,
            level=level,
            chapter=function.__module__.rpartition(".")[2].removeprefix("test_"),
            statement=" ".join(statement.split()),
            conditions=conditions,
            docs=docs,
            function=function,
            strategies=getattr(function, "__strategies__", {}),
            cases=cases,
            needs=needs,
            since=since,
            dear=dear,
        )
        return test

    return declare


def _dtypes_of(case: object) -> list[str]:
    """Return the names of the dtypes that a case names: by name or not, alone or in a tuple."""
    parts = case if isinstance(case, tuple) else (case,)
    names = [str(part).removeprefix("torch.") for part in parts if isinstance(part, (str, dtype))]
    return [name for name in names if name in DTYPES]


def documentation_link(docs: str) -> str:
    """Return the address of a dotted name's page, or of a page's path."""
    return DOCUMENTATION + (docs if ".html" in docs else f"generated/{docs}.html")


def law_of(function: object) -> Law | None:
    """Return the law that a collected test function declares, or None."""
    found = getattr(function, "__law__", None)
    return found if isinstance(found, Law) else None


def laws_in(module: ModuleType) -> Iterator[Law]:
    """Yield the laws that a module declares, in its order."""
    for value in vars(module).values():
        found = law_of(value)
        if found is not None:
            yield found


def shipped_laws() -> list[Law]:
    """Return every law of this package, chapter by chapter."""
    package = importlib.import_module("conformance.laws")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return [found for module in modules for found in laws_in(module)]
