"""What an error says about a target: that it has no such operation, which is no wrong answer."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.modes import Setting


def missing_operation(error: BaseException, setting: Setting) -> str | None:
    """Return the target's own word that it has no such operation, or None.

    That word is NotImplementedError, which torch raises where no kernel is registered for a
    backend or dtype, here or as the cause of a compiler's error; or a refusal of the mode.
    """
    for cause in causes(error):
        if isinstance(cause, NotImplementedError):
            return str(cause).strip().partition("\n")[0] or "NotImplementedError"
        if refusal := setting.refusal(cause):
            return refusal
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what caused it, and what caused that."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
