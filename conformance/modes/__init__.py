"""Modes of execution: how a target calls functions. One small module a family.

A package brings modes of its own under the entry point group ``conformance.modes``: each entry
point names a :class:`Mode`.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from conformance.modes import compiled, exported, surrounded, transformed
from conformance.modes.mode import Limit, Mode, Refusal, Setting

__all__ = [
    "EAGER", "GROUP", "Limit", "Mode", "ModeError", "Refusal", "Setting", "find_mode", "modes",
]  # fmt: skip

GROUP = "conformance.modes"

EAGER = Mode("eager", "each function as it is", "torch.Tensor")

_SHIPPED = (
    EAGER,
    *compiled.MODES,
    *transformed.MODES,
    *exported.MODES,
    *surrounded.MODES,
)


class ModeError(ValueError):
    """A mode that does not exist or cannot be used; the message says what to write."""


def modes() -> dict[str, Mode]:
    """Return every mode by name: the shipped ones, and what installed packages bring.

    Raises :class:`ModeError` for an entry point that brings no mode, or one that exists.
    """
    found = {mode.name: mode for mode in _SHIPPED}
    for entry in entry_points(group=GROUP):
        try:
            mode = entry.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ModeError(f"entry point {entry.name} = {entry.value}: {reason}") from error
        if not isinstance(mode, Mode):
            raise ModeError(f"entry point {entry.name} = {entry.value}: is no conformance.Mode")
        if found.setdefault(mode.name, mode) is not mode:
            raise ModeError(
                f"entry point {entry.name} = {entry.value}: there is a mode {mode.name!r} already"
            )
    return found


def find_mode(text: str) -> Setting:
    """Return the mode that ``NAME[:PARAMETER]`` spells.

    Raises :class:`ModeError` with the nearest spellings where there is none.
    """
    known = modes()
    name, _, parameter = text.partition(":")
    if name in known:
        choices = known[name].parameters()
        if parameter in choices:
            return Setting(known[name], parameter, choices[parameter])
    raise ModeError(f"no mode {text!r}; {_hint(text, known)}")


def _hint(text: str, known: dict[str, Mode]) -> str:
    name = text.partition(":")[0]
    among = [known[name]] if name in known else list(known.values())
    spellings: dict[str, str] = {}
    for mode in among:
        for words in mode.parameters():
            spelling = Setting(mode, words).name
            # A parameter alone is what users of torch.compile know a mode by.
            spellings |= {spelling: spelling, words: spellings.get(words, spelling)}
    near = difflib.get_close_matches(text, spellings, n=1, cutoff=0.4)
    hint = f"did you mean {spellings[near[0]]!r}?" if near else f"modes are {', '.join(known)}."
    return f"{hint} All of them: conformance list modes"
