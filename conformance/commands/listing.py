"""``conformance list``: what there is to run, and what to run it on."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance.commands.command import DONE, Command, CommandError, aligned, as_json
from conformance.selection import matches

if TYPE_CHECKING:
    from conformance.modes.mode import Setting


class Row(NamedTuple):
    """One entry of a list: what the terminal shows of it, and what else a program may read."""

    name: str
    told: str
    more: Mapping[str, object] = {}


def _laws() -> Iterator[Row]:
    from conformance.law import shipped_laws

    for law in shipped_laws():
        for law_id in law.ids():
            case = law_id.partition(":")[2] or None
            about = {"level": law.level, "chapter": law.chapter}
            about |= {"documentation": law.documentation(case), "since": law.first_release(case)}
            yield Row(law_id, law.statement, about)


def _operators() -> Iterator[Row]:
    from conformance.law import documentation_link
    from conformance.operators import FAMILIES

    for family, operators in FAMILIES.items():
        for operator in operators:
            dtypes = [str(dtype).removeprefix("torch.") for dtype in operator.supported]
            about = {"dtypes": dtypes, "documentation": documentation_link(operator.page)}
            name = f"torch.{operator.name}"
            yield Row(operator.key, f"{family}: {name}", {"family": family, "torch": name, **about})


def _chapters() -> Iterator[Row]:
    from conformance.law import shipped_laws

    found: dict[str, list[int]] = {}
    subjects: dict[str, str] = {}
    for law in shipped_laws():
        found.setdefault(law.chapter, []).append(len(law.ids()))
        module = inspect.getmodule(law.function)
        subjects[law.chapter] = ((module and module.__doc__) or "").strip().partition("\n")[0]
    for name, counts in found.items():
        yield Row(name, f"{sum(counts):>5,} laws  {subjects[name]}", {"laws": sum(counts)})


def _settings() -> Iterator[Setting]:
    """Every mode in every spelling that can be used here."""
    from conformance.modes import modes
    from conformance.modes.mode import Setting

    for mode in modes().values():
        for parameter, options in mode.parameters().items():
            yield Setting(mode, parameter, options)


def _modes() -> Iterator[Row]:
    for setting in _settings():
        yield Row(setting.name, setting.mode.summary)


def _targets() -> Iterator[Row]:
    """Every device that can hold a tensor here, in every mode."""
    from conformance.target import TargetError, open_target

    for device in _devices():
        for setting in _settings():
            mode = setting.name
            name = device if mode == "eager" else f"{device}/{mode}"
            try:
                target = open_target(name)
            except TargetError:
                break
            yield Row(target.name, f"{mode} on {device}", {"device": device, "mode": mode})


def _devices() -> list[str]:
    import torch

    found = ["cpu"]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator()
        found += [f"{kind}:{index}" for index in range(torch.accelerator.device_count())]
    own = torch._C._get_privateuse1_backend_name()  # the name that a backend of one's own takes
    if own != "privateuseone" and not any(name.startswith(f"{own}:") for name in found):
        found.append(own)
    return [*found, "xla"]  # which torch knows by name alone


def _capabilities(target: str = "cpu", load: Sequence[str] = ()) -> Iterator[Row]:
    """Every capability, tried out on a target; a word of refusal stands where it lacks one."""
    from conformance.probing import try_out
    from conformance.target import TargetError, open_target

    try:
        open_target(target)
    except TargetError as error:
        raise CommandError(str(error)) from error
    for name, means, answer in try_out(target, load, essentials=()).capabilities.rows():
        yield Row(name, f"{means}: {answer}", {"target": target, "answer": answer})


LISTS: dict[str, tuple[Callable[..., Iterator[Row]], str]] = {
    "laws": (_laws, "every law and case, by id"),
    "operators": (_operators, "the catalogue of operators"),
    "targets": (_targets, "devices of this machine, in every mode"),
    "capabilities": (_capabilities, "what the device of --target can do, tried out"),
    "chapters": (_chapters, "the subjects of laws"),
    "modes": (_modes, "the ways to execute a function"),
}


def overview() -> list[Row]:
    """Return what can be listed."""
    return [Row(kind, told) for kind, (_, told) in LISTS.items()]


def rows(kind: str, patterns: list[str], **asked: Any) -> list[Row]:
    """Return the entries of a list whose names match any of the globs; all, if none is given."""
    every = list(LISTS[kind][0](**asked))
    chosen = [row for row in every if not patterns or any(_names(row, p) for p in patterns)]
    if not chosen:
        known = [row.name for row in every]
        hint = _hint(kind, patterns[0], known)
        raise CommandError(
            f"no {_SINGULAR.get(kind, kind.removesuffix('s'))} matches {patterns[0]!r}; {hint}"
        )
    return chosen


_SINGULAR = {"capabilities": "capability"}


def _hint(kind: str, pattern: str, known: list[str]) -> str:
    close = get_close_matches(pattern, known, n=3, cutoff=0.4)
    if close:
        return f"nearest: {', '.join(close)}"
    return f"list them with: conformance list {kind}"


def _names(row: Row, pattern: str) -> bool:
    return matches(row.name, pattern) or fnmatchcase(str(row.more.get("torch", "")), pattern)


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", nargs="?", choices=list(LISTS),
        help="; ".join(f"{name}: {told}" for name, (_, told) in LISTS.items())
        + " (default: say what can be listed)",
    )  # fmt: skip
    parser.add_argument("glob", nargs="*", metavar="GLOB", help="only names that match")
    parser.add_argument(
        "--load", action="append", default=[], metavar="MODULE",
        help="import MODULE first, so that a device it brings is listed; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--target",
        default="cpu",
        metavar="DEVICE",
        help="whose capabilities to list (default: cpu)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for a program")


def _run(options: argparse.Namespace) -> int:
    for module in options.load:
        try:
            import_module(module)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise CommandError(f"--load {module}: importing it failed ({reason})") from error
    asked = options.kind == "capabilities" and {"target": options.target, "load": options.load}
    found = rows(options.kind, options.glob, **(asked or {})) if options.kind else overview()
    if options.json:
        print(as_json([{"name": row.name, "told": row.told.strip(), **row.more} for row in found]))
    else:
        print(aligned([(row.name, row.told) for row in found]))
        if not options.kind:
            print("\nsuch as: conformance list laws 'scatter*'")
    return DONE


COMMAND = Command(
    name="list",
    summary="list laws, operators, targets on this machine, chapters or modes",
    description="List what there is to run, and what to run it on.",
    examples=[
        ("conformance list", "what can be listed"),
        ("conformance list laws 'scatter*'", "ids and sentences of some laws"),
        ("conformance list operators '*norm*'", "some operators of the catalogue"),
        ("conformance list targets --load my_backend", "devices here, one of your own among them"),
        ("conformance list capabilities --load my_backend --target mine", "what it can do"),
        ("conformance list chapters --json", "for a program"),
    ],
    declare=_declare,
    run=_run,
)
