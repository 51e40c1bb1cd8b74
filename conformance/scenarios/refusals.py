"""NotImplementedError where it is what torch promises, and not the word of a target that lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def refusal(function: Callable[..., Any], *arguments: Any) -> str:
    """Return what a call says that raises NotImplementedError; nothing where it does not."""
    try:
        function(*arguments)
    except NotImplementedError as error:
        return str(error)
    return ""
