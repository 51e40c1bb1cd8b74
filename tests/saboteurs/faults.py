"""Faults on a condition: what a function gets or returns is changed for some arguments only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.saboteurs.saboteur import Patch, replacing

Condition = Callable[..., Any]


def when(owner: Any, name: str, condition: Condition, change: Callable[[Any], Any]) -> Patch:
    """Return the patch that changes a function's result where the condition holds.

    ``condition`` gets the function's arguments.
    """

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            result = original(*arguments, **keywords)
            return change(result) if condition(*arguments, **keywords) else result

        return faulty

    return replacing(owner, name, make)


def dropping(owner: Any, name: str, keyword: str, condition: Condition | None = None) -> Patch:
    """Return the patch that ignores a keyword argument, where the condition on its value holds."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            if keyword in keywords and (condition is None or condition(keywords[keyword])):
                del keywords[keyword]
            return original(*arguments, **keywords)

        return faulty

    return replacing(owner, name, make)


def accepting(owner: Any, name: str, error: type[Exception], instead: Callable[..., Any]) -> Patch:
    """Return the patch that answers where the function would raise an error."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            try:
                return original(*arguments, **keywords)
            except error:
                return instead(*arguments, **keywords)

        return faulty

    return replacing(owner, name, make)


def rewriting(owner: Any, name: str, rewrite: Callable[..., tuple[tuple[Any, ...], Any]]) -> Patch:
    """Return the patch that calls the function with the arguments that ``rewrite`` returns."""

    def make(original: Any) -> Any:
        def faulty(*arguments: Any, **keywords: Any) -> Any:
            others, words = rewrite(*arguments, **keywords)
            return original(*others, **words)

        return faulty

    return replacing(owner, name, make)


def not_after_exceptions(original: Any) -> Any:
    """Return an ``__exit__`` that leaves everything as it is where its block raised."""

    def leave(self: Any, kind: Any = None, *rest: Any) -> None:
        if kind is None:
            original(self, kind, *rest)

    return leave


def changed(found: Any, change: Callable[[Any], Any], only: int | None = None) -> Any:
    """Change the tensors of a structure: all of them, or the last where ``only`` is -1.

    A structure is nested in tuples, lists and dictionaries.
    """
    if isinstance(found, dict):
        return {key: changed(value, change, only) for key, value in found.items()}
    if isinstance(found, (tuple, list)):
        picked = range(len(found)) if only is None else [range(len(found))[only]]
        return type(found)(
            changed(part, change, only) if number in picked else part
            for number, part in enumerate(found)
        )
    return change(found)
