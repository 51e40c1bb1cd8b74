"""Known violations, kept as data by whoever runs the suite: TOML, one table an entry.

.. code-block:: toml

    [[deviation]]
    law = "scatter.*"              # glob over law ids
    target = "cpu/compile:aot_eager"       # glob over targets; "*" for all
    torch = ">=2.9,<2.14"          # versions of torch; "" for all
    reason = "what is wrong, in one sentence"
    link = "https://github.com/pytorch/pytorch/issues/..."   # "" while there is none
    counterexample = '''...'''     # optional: a script that fails while the deviation holds;
                                   # it may use target.device and target.run
    crash = '''...'''             # optional, instead of a counterexample: a script that ends its
                                   # process; it may use device, a text
    inputs = "tensor.dim() == 0"   # optional, beside one of them: a Python expression over the
                                   # law's inputs, or over the list of tensors in them, that is
                                   # true of those it is violated for; the law is still held to
                                   # all others
    processor = "a processor with AVX-512"  # optional: where alone it is seen; on others the
                                   # entry says nothing, as where a crash does not come
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from conformance.evidence import tensors_in
from conformance.modes import EAGER
from conformance.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it to Python 3.10
    import tomli as tomllib

SHIPPED = Path(__file__).with_name("deviations.toml")
_REQUIRED = ("law", "target", "torch", "reason", "link")
_OPTIONAL = ("counterexample", "crash", "inputs", "processor")
_PATIENCE = 120


class DeviationsError(ValueError):
    """A deviations file that cannot be used: which file, which line, what is wrong."""


@dataclass(frozen=True)
class Entry:
    """What somebody has written down of a law on a target, and where it stands."""

    law: str
    target: str
    torch: str
    reason: str
    link: str
    where: str
    inputs: str = ""

    def covers(self, law_id: str, target: str, torch_version: str) -> bool:
        """Whether this entry speaks of that law on that target under that torch.

        An entry for a device alone speaks of all its modes.
        """
        device = target.partition("/")[0]
        return (
            fnmatchcase(law_id, self.law)
            and (fnmatchcase(target, self.target) or fnmatchcase(device, self.target))
            and SpecifierSet(self.torch).contains(Version(torch_version), prereleases=True)
        )

    def excepts(self, drawn: Mapping[str, Any]) -> bool:
        """Whether the entry speaks of these inputs; of all, if it names none.

        Raises :class:`DeviationsError` for an expression that these inputs do not have.
        """
        if not self.inputs:
            return True
        try:
            # A law may draw a call with what it needs beside it: a problem, a batch.
            calls = [value.call for value in drawn.values() if hasattr(value, "call")]
            named = {"torch": torch, "tensors": list(tensors_in(drawn))}
            named |= {"call": calls[0]} if calls else {}
            named |= drawn
            return bool(eval(self.inputs, named))
        except Exception as error:
            raise DeviationsError(
                f"{self.where}: inputs = {self.inputs!r} fails ({type(error).__name__}: {error}); "
                f"write an expression over {', '.join(drawn) or 'no inputs: this law has none'}"
            ) from error

    def means(self, target: Target) -> bool:
        """Whether this entry claims to be seen on that very target.

        One without a mode need not be in all modes, nor one for all targets on all devices.
        """
        mode, device = target.setting.name, target.device.type
        return (mode == EAGER.name or "/" in self.target) and (
            device == "cpu" or self.target != "*"
        )


@dataclass(frozen=True)
class Deviation(Entry):
    """A known violation."""

    counterexample: str = ""
    crash: str = ""
    processor: str = ""

    @property
    def depends_on_machine(self) -> bool:
        """Whether it may be there on one machine and not on another, with the same torch."""
        return bool(self.crash or self.processor)

    def is_still_there(self, target: Target) -> bool:
        """Run what the entry has recorded; tell whether the violation is still there.

        A counterexample finds the target under the name ``target``. False where none is recorded,
        or where it names something that this torch does not have: then the law itself must tell.
        """
        if self.crash:
            return ends_its_process(self.crash, str(target.device))
        namespace = {"__name__": "__main__", "target": target}
        try:
            with target.surrounded():
                exec(compile(self.counterexample, self.where, "exec"), namespace)
        except (NameError, ImportError, AttributeError):
            return False
        except Exception:
            return True
        return False


@cache
def ends_its_process(script: str, device: str) -> bool:
    """Run a script in a process of its own; tell whether a signal ended it, or it hangs."""
    names = {"__name__": "__main__", "device": device}
    text = f"exec(compile({script!r}, 'crash', 'exec'), {names!r})"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode < 0


def read_deviations(path: Path) -> list[Deviation]:
    """Read one file. Raises :class:`DeviationsError` naming file, line and what to mend."""
    return [_entry(table, where) for table, where in read_tables(path, "deviation")]


def read_tables(path: Path, kind: str) -> list[tuple[dict[str, Any], str]]:
    """Return the tables of one kind that a file holds, each with the place where it stands.

    Raises :class:`DeviationsError` naming file, line and what to mend.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeviationsError(
            f"{path}: cannot be read ({error.strerror}); name a file with [[{kind}]] tables"
        ) from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        number = line[1] if line else str(text.count("\n") + 1)
        raise DeviationsError(f"{path}:{number}: not TOML: {error}") from error
    lines = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if re.match(rf"\s*\[\[\s*{kind}\s*\]\]", line)
    ]
    unknown = set(content) - {kind}
    if unknown or not isinstance(content.get(kind, []), list):
        raise DeviationsError(
            f"{path}:1: knows only [[{kind}]] tables, not {', '.join(sorted(content))}"
        )
    entries: list[Any] = content.get(kind, [])
    return [(table, f"{path}:{line}") for table, line in zip(entries, lines, strict=True)]


def check_entry(
    table: dict[str, Any], kind: str, where: str, required: Sequence[str], optional: Sequence[str]
) -> None:
    """Raise :class:`DeviationsError` for a table that lacks a key, has another, or misuses one."""
    missing = [key for key in required if key not in table]
    unknown = [key for key in table if key not in (*required, *optional)]
    if missing or unknown:
        problem = f"lacks {', '.join(missing)}" if missing else f"has no key {unknown[0]!r}"
        raise DeviationsError(
            f"{where}: this {kind} {problem}; it takes {', '.join((*required, *optional))}"
        )
    for key, value in table.items():
        if not isinstance(value, str) or (key == "reason" and not value.strip()):
            raise DeviationsError(f"{where}: {key} must be a text that says something")
    try:
        SpecifierSet(table["torch"])
    except InvalidSpecifier as error:
        raise DeviationsError(
            f"{where}: torch = {table['torch']!r} is no version range; write '>=2.9,<2.14', "
            "or '' for all versions"
        ) from error
    try:
        compile(table.get("inputs", "True"), where, "eval")
    except SyntaxError as error:
        raise DeviationsError(f"{where}: inputs is no expression: {error.msg}") from error


def _entry(table: dict[str, Any], where: str) -> Deviation:
    check_entry(table, "deviation", where, _REQUIRED, _OPTIONAL)
    for script in ("counterexample", "crash"):
        try:
            compile(table.get(script, ""), where, "exec")
        except SyntaxError as error:
            raise DeviationsError(
                f"{where}: {script} is not Python: {error.msg} in its line {error.lineno}"
            ) from error
    if "inputs" in table and not {"counterexample", "crash"} & set(table):
        raise DeviationsError(
            f"{where}: inputs needs a counterexample, or a crash, that is among them"
        )
    if {"counterexample", "crash"} <= set(table):
        raise DeviationsError(f"{where}: a counterexample or a crash, not both")
    return Deviation(where=where, **table)


def credit(deviation: Entry) -> dict[str, str]:
    """Return what a verdict says of the entry that lists it."""
    return {"reason": deviation.reason, "link": deviation.link}


Kind = TypeVar("Kind", bound=Entry)


def covering(
    deviations: Iterable[Kind], law_id: str, target: str, torch_version: str
) -> Kind | None:
    """Return the entry that speaks of this law on this target, or None.

    The first of several; one that names a mode goes before those that speak of a device.
    """
    found = [d for d in deviations if d.covers(law_id, target, torch_version)]
    return next((d for d in found if "/" in d.target), found[0] if found else None)


def _nearest(glob: str, known: Sequence[str]) -> str:
    """Return a hint at what was meant: all cases of a law, or a law of nearly that id."""
    from conformance.selection import nearest

    if any(fnmatchcase(law_id.partition(":")[0], glob) for law_id in known):
        return f"for all of its cases write {glob + ':*'!r}"
    return nearest(glob, known)


def check_matches(deviations: Iterable[Entry], known: Sequence[str]) -> None:
    """Raise :class:`DeviationsError` for an entry whose glob matches no law id."""
    for deviation in deviations:
        if not any(fnmatchcase(law_id, deviation.law) for law_id in known):
            raise DeviationsError(
                f"{deviation.where}: law = {deviation.law!r} matches no law; "
                f"{_nearest(deviation.law, known)}"
            )
