"""What a mode of execution is: data that a target reads, a counterexample spells, and no law sees.

A mode says how one function is called in it (``call``) and what surrounds a law (``around``).
Both are functions of a module with a name, so that a stand-alone script can hold or import them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch

Function = Callable[..., Any]
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]


def no_parameters() -> Mapping[str, Mapping[str, Any]]:
    """For a mode that is spelled by its name alone."""
    return {"": {}}


def nothing() -> float:
    """For a mode that prepares nothing."""
    return 0.0


class Refusal(NamedTuple):
    """Words with which a mode's machinery says that it cannot do something, as documented.

    ``type`` is the name of the error's class, or of one that it inherits from; ``text`` a part
    of its message. An error with these words is no answer: the law reads ``unsupported``.
    """

    type: str
    text: str
    link: str

    def told_by(self, error: BaseException) -> bool:
        """Whether an error has these words."""
        names = {kind.__name__ for kind in type(error).__mro__}
        return self.type in names and self.text in str(error)


class Limit(NamedTuple):
    """Laws that a mode, as documented, cannot be held to: they read ``unsupported``, unrun.

    ``laws`` are globs over law ids, ``parameter`` one over what follows the mode's name.
    """

    laws: tuple[str, ...]
    reason: str
    link: str
    parameter: str = "*"


@dataclass(frozen=True)
class Mode:
    """A way to execute functions.

    ``call(function, arguments, keywords, device, **options)`` calls a function in this mode;
    None: as it is. ``around(device, **options)`` returns the context in which a whole law runs,
    and ``session()`` the one in which its examples do, which no script needs.
    ``parameters()`` maps what may follow the name and a colon to options.
    ``preparation()`` returns the seconds that this process has spent preparing functions so far.
    ``docs`` is the page that says what the mode promises; ``rewords`` whether it tells errors in
    words of its own; ``valueless`` whether tensors hold no values in it, though the device's do.
    """

    name: str
    summary: str
    docs: str
    call: Callable[..., Any] | None = None
    around: Callable[..., AbstractContextManager[Any]] | None = None
    parameters: Callable[[], Mapping[str, Mapping[str, Any]]] = no_parameters
    refusals: tuple[Refusal, ...] = ()
    limits: tuple[Limit, ...] = ()
    session: Callable[[], AbstractContextManager[Any]] = nullcontext
    preparation: Callable[[], float] = nothing
    rewords: bool = False
    valueless: bool = False


@dataclass(frozen=True)
class Setting:
    """A mode with the options that its spelling chose: ``compile:eager,fullgraph``."""

    mode: Mode
    parameter: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The mode as users write it."""
        return f"{self.mode.name}:{self.parameter}" if self.parameter else self.mode.name

    def call(
        self, function: Function, arguments: Arguments, keywords: Keywords, device: torch.device
    ) -> Any:
        """Call a function in this mode."""
        if self.mode.call is None:
            return function(*arguments, **keywords)
        return self.mode.call(function, arguments, keywords, device, **self.options)

    def around(self, device: torch.device) -> AbstractContextManager[Any]:
        """Return the context in which a whole law runs."""
        return self.mode.around(device, **self.options) if self.mode.around else nullcontext()

    def limit(self, law_id: str) -> str:
        """Return why this mode cannot be held to a law, with a link; or nothing."""
        for limit in self.mode.limits:
            named = any(fnmatchcase(law_id, glob) for glob in limit.laws)
            if named and fnmatchcase(self.parameter, limit.parameter):
                return f"{self.name}: {limit.reason} ({limit.link})"
        return ""

    def refusal(self, error: BaseException) -> str:
        """Return the mode's own word that it cannot do what was asked, with a link; or nothing."""
        for refusal in self.mode.refusals:
            if refusal.told_by(error):
                line = next((t for t in str(error).splitlines() if refusal.text in t), refusal.text)
                return f"{self.name} refuses: {line.strip()} ({refusal.link})"
        return ""
